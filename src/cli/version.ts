import { readFileSync } from "node:fs";

/** Of weft, as its package says. */
export function version(): string {
	const file = new URL("../../../package.json", import.meta.url);
	const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
	const found = typeof parsed === "object" && parsed !== null && "version" in parsed ? parsed.version : null;
	return typeof found === "string" ? found : "unknown";
}
