/** How every part prints what it found: a line of a table with the budget beside the figure, where there is one. */
export function title(text: string): void {
	process.stdout.write(`\n${text}\n`);
}

export function row(name: string, value: string, unit: string, budget = ""): void {
	process.stdout.write(`  ${name.padEnd(46)}${value.padStart(24)}  ${unit.padEnd(12)}${budget}\n`);
}

/** What is going on: on standard error, so that the table can be kept. */
export function progress(line: string): void {
	process.stderr.write(`  … ${line}\n`);
}
