/** When the first of all that waits may be due, ns: nobody looks before. Perhaps too early, never too late. */
export class Alarm {
	at = Number.NEGATIVE_INFINITY;

	/** Something is due at `time`, or not before. */
	lower(time: number): void {
		if (time < this.at) this.at = time;
	}
}
