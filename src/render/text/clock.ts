export type TimeForm = "absolute" | "relative";

/** Minutes that local time is ahead of UTC at this moment. */
export type UtcOffset = (epochMs: number) => number;

export const localOffset: UtcOffset = (epochMs) => -new Date(epochMs).getTimezoneOffset();

/** Turns the times of hops (RFC 3339, ns) into the first column of the table. */
export class Clock {
	readonly #form: TimeForm;
	readonly #offset: UtcOffset;
	#begin: { readonly second: number; readonly ns: number } | null = null;

	constructor(form: TimeForm, offset: UtcOffset = localOffset) {
		this.#form = form;
		this.#offset = offset;
	}

	/** "12:00:00.123456" in local time, or "+3.000211" since the first time that was asked for. Always 15 characters. */
	format(time: string): string {
		const { second, ns } = parse(time);
		if (this.#form === "absolute") {
			const local = new Date(second * 1000 + this.#offset(second * 1000) * 60_000);
			return `${local.toISOString().slice(11, 19)}.${micros(ns)}`;
		}
		this.#begin ??= { second, ns };
		let sinceNs = (second - this.#begin.second) * 1e9 + (ns - this.#begin.ns);
		const sign = sinceNs < 0 ? "-" : "+";
		sinceNs = Math.abs(sinceNs);
		const text = `${sign}${Math.floor(sinceNs / 1e9)}.${micros(sinceNs % 1e9)}`;
		return text.padStart(15);
	}
}

/** A double cannot hold ns since 1970: seconds and ns apart. */
function parse(time: string): { readonly second: number; readonly ns: number } {
	const [, whole = "", fraction = ""] = /^(.{19})(?:\.(\d{1,9}))?Z$/.exec(time) ?? [];
	const ms = Date.parse(`${whole}Z`);
	return { second: Number.isNaN(ms) ? 0 : ms / 1000, ns: Number(fraction.padEnd(9, "0")) };
}

function micros(ns: number): string {
	return String(Math.floor(ns / 1000)).padStart(6, "0");
}
