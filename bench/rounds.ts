/** The middle of an odd number of measurements, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = sorted.length >>> 1;
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** "0.87 (0.85–0.90)": median, least and most. */
export function spread(values: readonly number[], digits = 0): string {
	const known = values.filter((value) => !Number.isNaN(value));
	if (known.length === 0) return "–";
	const show = (value: number) => value.toFixed(digits);
	return `${show(median(known))} (${show(Math.min(...known))}–${show(Math.max(...known))})`;
}

/**
 * Runs every variant once a round, in turn and from another start each round, so that a machine whose speed drifts
 * treats all alike. Gives each variant's values in the order of rounds: compare within a round.
 */
export async function alternate<Name extends string>(
	rounds: number,
	variants: Readonly<Record<Name, () => Promise<number>>>,
	onValue: (name: Name, round: number, value: number) => void = () => {},
): Promise<Record<Name, number[]>> {
	const names = Object.keys(variants) as Name[];
	const values = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
	for (let round = 0; round < rounds; round++) {
		for (let i = 0; i < names.length; i++) {
			const name = names[(i + round) % names.length] as Name;
			const value = await variants[name]();
			values[name].push(value);
			onValue(name, round, value);
		}
	}
	return values;
}
