import type { Direction, Hook, HookId, NetnsCookie, Role } from "../packet/hook.js";
import type { LossCause } from "../packet/source.js";
import { RecordingError } from "./format.js";

/** What a Source calls besides batches, as it stands in a recording; `source` is a number of the file. */
export type Call =
	| { readonly call: "hook"; readonly source: number; readonly hook: Hook; readonly sinceNs?: number }
	| { readonly call: "unhook"; readonly source: number; readonly hook: Hook }
	| { readonly call: "lost"; readonly source: number; readonly cause: LossCause; readonly count: number }
	| { readonly call: "watermark"; readonly source: number; readonly timeNs: number }
	| { readonly call: "clock"; readonly source: number; readonly offsetNs: number; readonly errorNs: number }
	| { readonly call: "drop"; readonly source: number; readonly drop: RecordedDrop }
	| { readonly call: "end"; readonly source: number };

/** The kernel threw away what this pointer carried; see DropReport of src/path/judgement.ts. */
export interface RecordedDrop {
	/** ns of the source's clock. */
	readonly timeNs: number;
	readonly skbLow: number;
	readonly skbHigh: number;
	readonly reason: string;
	readonly function: string | null;
	readonly words: string | null;
	readonly remedy: string | null;
	/** Absent: nobody has more words than these. */
	readonly ticket?: number;
}

/** A call of a recording, checked: a file is anybody's. Null: a call that this version does not know. */
export function parseCall(json: unknown): Call | null {
	const fields = new Fields(json);
	const source = fields.integer("source", 0xffff);
	const call = fields.text("call");
	switch (call) {
		case "hook": {
			const since = fields.value("sinceNs") === undefined ? {} : { sinceNs: fields.number("sinceNs") };
			return { call, source, hook: parseHook(fields.value("hook")), ...since };
		}
		case "unhook":
			return { call, source, hook: parseHook(fields.value("hook")) };
		case "lost":
			return { call, source, cause: fields.oneOf("cause", CAUSES), count: fields.integer("count") };
		case "watermark":
			return { call, source, timeNs: fields.number("timeNs") };
		case "clock":
			return { call, source, offsetNs: fields.number("offsetNs"), errorNs: fields.number("errorNs") };
		case "drop":
			return { call, source, drop: parseDrop(fields.value("drop")) };
		case "end":
			return { call, source };
		default:
			return null;
	}
}

/** Checked access to what JSON.parse gave. @throws RecordingError naming the field */
export class Fields {
	readonly #fields: Readonly<Record<string, unknown>>;

	constructor(json: unknown) {
		if (json === null || typeof json !== "object") throw new RecordingError("a block of the recording is no object");
		this.#fields = json as Record<string, unknown>;
	}

	value(name: string): unknown {
		return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
	}

	text(name: string): string {
		const value = this.value(name);
		return typeof value === "string" ? value : this.#refuse(name, "text");
	}

	number(name: string): number {
		const value = this.value(name);
		return typeof value === "number" ? value : this.#refuse(name, "a number");
	}

	integer(name: string, most = Number.MAX_SAFE_INTEGER): number {
		const value = this.number(name);
		return Number.isInteger(value) && value >= 0 && value <= most ? value : this.#refuse(name, `in 0…${most}`);
	}

	textOrNull(name: string): string | null {
		return this.value(name) === null ? null : this.text(name);
	}

	boolean(name: string): boolean {
		const value = this.value(name);
		return typeof value === "boolean" ? value : this.#refuse(name, "true or false");
	}

	oneOf<Word extends string>(name: string, words: readonly Word[]): Word {
		const value = this.value(name);
		return words.find((word) => word === value) ?? this.#refuse(name, `one of ${words.join(", ")}`);
	}

	#refuse(name: string, expected: string): never {
		throw new RecordingError(`the recording is damaged: ${name} is not ${expected}`);
	}
}

function parseHook(json: unknown): Hook {
	const fields = new Fields(json);
	return {
		id: fields.integer("id", 0xfffe) as HookId,
		node: fields.text("node"),
		netns: fields.text("netns") as NetnsCookie,
		ifindex: fields.integer("ifindex", 2 ** 32 - 1),
		device: fields.text("device"),
		direction: fields.oneOf("direction", DIRECTIONS),
		role: fields.oneOf("role", ROLES),
		l3: fields.boolean("l3"),
		master: fields.integer("master", 2 ** 32 - 1),
		hookSet: fields.integer("hookSet", 0xffff),
	};
}

function parseDrop(json: unknown): RecordedDrop {
	const fields = new Fields(json);
	return {
		timeNs: fields.number("timeNs"),
		skbLow: fields.integer("skbLow", 2 ** 32 - 1),
		skbHigh: fields.integer("skbHigh", 2 ** 32 - 1),
		reason: fields.text("reason"),
		function: fields.textOrNull("function"),
		words: fields.textOrNull("words"),
		remedy: fields.textOrNull("remedy"),
		...(fields.value("ticket") === undefined ? {} : { ticket: fields.integer("ticket") }),
	};
}

const DIRECTIONS = ["ingress", "egress"] as const satisfies readonly Direction[];
const ROLES = ["pod", "inside", "bridge", "tunnel", "nic", "host"] as const satisfies readonly Role[];
const CAUSES = [
	"ringFull",
	"queueFull",
	"subscriberSlow",
	"unknownHook",
	"tupleTableFull",
	"agentGone",
] as const satisfies readonly LossCause[];
