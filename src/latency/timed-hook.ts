import type { Direction, NetnsCookie, Role } from "../packet/hook.js";

/** A hook of the stopwatch, as far as it says what a segment is. */
export interface TimedHook {
	readonly node: string;
	readonly netns: NetnsCookie;
	readonly ifindex: number;
	readonly device: string;
	readonly direction: Direction;
	readonly role: Role;
	/** The bridge that the device is a port of; null: none. */
	readonly bridge: string | null;
	/** namespace/name of the pod behind it, as far as it is known now; null: none. */
	readonly pod: string | null;
}
