/** Something the lab could not do: what it tried, what the system answered, and what the user can do about it. */
export class LabError extends Error {
	override readonly name = "LabError";
	/** What was tried: "ip netns add weft-lab-node-a". */
	readonly operation: string;
	/** The failed command's own words, or "". */
	readonly stderr: string;
	/** What to do about it; null where nobody can know. */
	readonly remedy: string | null;
	/** The lab was asked wrongly: exit status 2. */
	readonly usage: boolean;

	constructor(
		operation: string,
		reason: string,
		options: {
			readonly stderr?: string;
			readonly remedy?: string | null;
			readonly usage?: boolean;
			readonly cause?: unknown;
		} = {},
	) {
		const remedy = options.remedy ?? null;
		super(`${operation}: ${reason}${remedy === null ? "" : `; ${remedy}`}`, { cause: options.cause });
		this.operation = operation;
		this.stderr = options.stderr ?? "";
		this.remedy = remedy;
		this.usage = options.usage ?? false;
	}
}
