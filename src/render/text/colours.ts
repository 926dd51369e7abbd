import picocolors from "picocolors";

export type Colours = ReturnType<typeof picocolors.createColors>;
export type Style = keyof Pick<Colours, "bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "magenta" | "reset">;

/** NO_COLOR (https://no-color.org) and FORCE_COLOR decide, else whether a terminal reads it. */
export function wantsColour(env: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
	if (env["NO_COLOR"]) return false;
	const forced = env["FORCE_COLOR"];
	if (forced !== undefined) return forced !== "0" && forced !== "false";
	return isTerminal && env["TERM"] !== "dumb";
}

export function coloursFor(enabled: boolean): Colours {
	return picocolors.createColors(enabled);
}
