import type { NameKind } from "./ast.js";
import { FilterError } from "./error.js";

export interface NameOptions {
	/** Of a pod or service that is named without one. */
	readonly namespace: string;
}

/** RFC 1123 as Kubernetes applies it, with `*` and `?` for any characters and any one. */
const LABEL = /^[a-z0-9*?](?:[-a-z0-9.*?]*[a-z0-9*?])?$/;
const LONGEST = 253;

/**
 * A name as it is compared: `namespace/name` for pods and services, the bare name for nodes; globs stay.
 * @throws FilterError when it cannot be the name of such a thing
 */
export function namePattern(
	text: string,
	what: NameKind,
	options: NameOptions,
	at: { readonly text: string; readonly start: number },
): string {
	const refuse = (expected: string, suggestion: string | null = null) =>
		new FilterError({ text: at.text, column: at.start + 1, found: text, expected, suggestion });
	const lower = text.toLowerCase();
	const parts = lower.split("/");
	const valid = parts.every((part) => part.length <= LONGEST && LABEL.test(part));
	if (what === "node") {
		if (parts.length !== 1 || !valid) throw refuse("a node's name");
		if (lower !== text) throw refuse("a node's name in lower case", `did you mean ${lower}?`);
		return text;
	}
	const thing = what === "pod" ? "a pod" : "a service";
	if (parts.length > 2) throw refuse(`${thing} as namespace/name`);
	if (!valid) throw refuse(`${thing} as namespace/name`);
	if (lower !== text) throw refuse(`${thing}'s name in lower case`, `did you mean ${lower}?`);
	return parts.length === 2 ? text : `${options.namespace}/${text}`;
}

export function isGlob(pattern: string): boolean {
	return /[*?]/.test(pattern);
}

/** `*` and `?` do not cross a slash: default/web-* means the namespace default alone. */
export function globMatches(pattern: string, name: string): boolean {
	const patterns = pattern.split("/");
	const names = name.split("/");
	return patterns.length === names.length && patterns.every((part, i) => matchPart(part, names[i] ?? ""));
}

/** Linear with one step back to the latest star: no pattern makes it slow. */
function matchPart(pattern: string, name: string): boolean {
	let p = 0;
	let star = -1;
	let resume = 0;
	for (let n = 0; n < name.length; ) {
		if (pattern[p] === "*") {
			star = p++;
			resume = n;
		} else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
			p++;
			n++;
		} else if (star >= 0) {
			p = star + 1;
			n = ++resume;
		} else {
			return false;
		}
	}
	while (pattern[p] === "*") p++;
	return p === pattern.length;
}
