const levels = "▁▂▃▄▅▆▇█";

/** One character a value, the lowest ▁, the highest █; a blank where there was none. */
export function sparkline(values: readonly (number | null)[]): string {
	const known = values.filter((value) => value !== null);
	const least = Math.min(...known);
	const span = Math.max(...known) - least;
	return values
		.map((value) => {
			if (value === null) return " ";
			return levels[span === 0 ? 0 : Math.round(((value - least) / span) * (levels.length - 1))] ?? " ";
		})
		.join("");
}
