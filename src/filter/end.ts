import { formatPrefix, formatWords, type Prefix, parsePrefix } from "../packet/addresses.js";
import { isIpv4Prefix } from "./ast.js";
import { FilterError } from "./error.js";
import { type NameOptions, namePattern } from "./pattern.js";

/** One end of what is traced, as written: not resolved, so that it can be resolved again as pods come and go. */
export type End =
	| { readonly kind: "any" }
	/** `pattern`: namespace/name, with globs. */
	| { readonly kind: "pod"; readonly pattern: string }
	| { readonly kind: "prefix"; readonly prefix: Prefix }
	| { readonly kind: "service"; readonly pattern: string }
	| { readonly kind: "node"; readonly pattern: string };

/**
 * `namespace/pod`, `pod`, globs as `default/web-*`, an address, a prefix, `svc:namespace/name`, `node:NAME`, `any`.
 * @throws FilterError, and nothing else
 */
export function parseEnd(text: string, options: NameOptions = { namespace: "default" }): End {
	const trimmed = text.trim();
	const start = text.length - text.trimStart().length;
	const at = { text, start };
	if (trimmed === "") {
		throw new FilterError({ text, column: 1, expected: "an END", suggestion: "as default/web, 10.244.1.2 or any" });
	}
	if (trimmed === "any") return { kind: "any" };
	const scheme = /^(svc|node):(.*)$/s.exec(trimmed);
	if (scheme !== null) {
		const what = scheme[1] === "svc" ? "svc" : "node";
		const name = scheme[2] ?? "";
		const pattern = namePattern(name, what, options, { text, start: start + what.length + 1 });
		return { kind: what === "svc" ? "service" : "node", pattern };
	}
	if (looksLikeAddress(trimmed)) return { kind: "prefix", prefix: endPrefix(trimmed, at) };
	refuseScheme(trimmed, at);
	return { kind: "pod", pattern: namePattern(trimmed, "pod", options, at) };
}

export function printEnd(end: End): string {
	switch (end.kind) {
		case "any":
			return "any";
		case "pod":
			return end.pattern;
		case "prefix":
			return printPrefix(end.prefix);
		case "service":
			return `svc:${end.pattern}`;
		case "node":
			return `node:${end.pattern}`;
	}
}

/** A whole address without its length. */
export function printPrefix(prefix: Prefix): string {
	return prefix.bits === 128 ? formatWords(...prefix.words) : formatPrefix(prefix);
}

/** Digits and dots alone, or hexadecimal digits with two colons or more, are no pod's name. */
function looksLikeAddress(text: string): boolean {
	if (/^[0-9.]+(?:\/[0-9.]*)?$/.test(text)) return true;
	return text.split(":").length > 2 && /^[0-9a-fA-F:.]+(?:%[^/]*)?(?:\/[0-9]*)?$/.test(text);
}

function endPrefix(text: string, at: { text: string; start: number }): Prefix {
	const refuse = (expected: string, suggestion: string | null) =>
		new FilterError({ text: at.text, column: at.start + 1, found: text, expected, suggestion });
	if (text.includes("%")) throw refuse("an address without a zone", `write ${text.replace(/%[^/]*/, "")}`);
	const prefix = parsePrefix(text);
	const address = parsePrefix(text.split("/")[0] ?? "");
	if (prefix === null || address === null) throw refuse("an IPv4 or IPv6 address or prefix, or a pod", null);
	if (prefix.words.some((word, i) => word !== address.words[i])) {
		const other = isIpv4Prefix(address) ? formatWords(...address.words) : text.split("/")[0];
		throw refuse("a prefix without host bits", `did you mean ${printPrefix(prefix)} or ${other}?`);
	}
	return prefix;
}

function refuseScheme(text: string, at: { text: string; start: number }): void {
	const scheme = /^([a-zA-Z-]+):(.*)$/s.exec(text);
	if (scheme === null) return;
	const [, word = "", rest = ""] = scheme;
	const meant = SCHEMES[word.toLowerCase()];
	throw new FilterError({
		text: at.text,
		column: at.start + 1,
		found: `${word}:`,
		expected: "svc: or node:",
		suggestion: meant === undefined ? null : `did you mean ${meant}${rest}?`,
	});
}

const SCHEMES: Readonly<Record<string, string>> = {
	service: "svc:",
	services: "svc:",
	svc: "svc:",
	nodes: "node:",
	node: "node:",
	host: "node:",
	pod: "",
	pods: "",
	po: "",
	ip: "",
};
