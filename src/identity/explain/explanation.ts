import type { Link } from "../../wiring/model.js";
import type { WiringView } from "../../wiring/view.js";
import type { NodeDirectory } from "../directory.js";
import type { Directory } from "../owner.js";

/** What a thing is, in plain words, and what that rests on. As JSON shows it. */
export interface Explanation {
	readonly type: "explanation";
	/** As it was asked for, or its name. */
	readonly thing: string;
	readonly kind: "veth" | "bridge" | "tunnel" | "nic" | "device" | "address" | "pod" | "service";
	readonly node: string;
	/** One line. */
	readonly headline: string;
	/** A few sentences each. */
	readonly words: readonly string[];
	readonly evidence: readonly Evidence[];
	/** What cannot be known from here, and who could tell. */
	readonly unknown: readonly string[];
	/** What is missing or broken, and what repairs it. */
	readonly faults: readonly Fault[];
}

export interface Evidence {
	readonly fact: string;
	/** Where that was read: "rtnetlink", "cni-cache", "counters"… */
	readonly source: string;
}

export interface Fault {
	readonly reason: string;
	readonly remedy: string | null;
}

/** What an explanation is made of. */
export interface Known {
	readonly view: WiringView;
	readonly directory: NodeDirectory;
	/** Counters of every device some seconds apart; null: seen once. */
	readonly window: CounterWindow | null;
	/** Packets that hooks saw on a device in the window; null: no hooks were there. */
	readonly hooked: ReadonlyMap<number, number> | null;
	/** What other nodes tell of their pods; null: nobody is asked. */
	readonly elsewhere?: Directory | null;
	/** From text that somebody pasted: no namespaces, no counters, perhaps not everything. */
	readonly pasted: boolean;
}

export interface CounterWindow {
	readonly seconds: number;
	readonly before: ReadonlyMap<number, Link["statistics"]>;
	readonly after: ReadonlyMap<number, Link["statistics"]>;
}

export function countersOf(links: readonly Link[]): ReadonlyMap<number, Link["statistics"]> {
	return new Map(links.map((link) => [link.ifindex, link.statistics]));
}

/** Asked for something that is not there. */
export class NothingToExplain extends Error {
	override readonly name = "NothingToExplain";
	readonly remedy: string;
	/** Bad usage: exit status 2. */
	readonly usage = true;

	constructor(thing: string, candidates: readonly string[]) {
		super(`no device, address, pod or service is called ${thing}`);
		const shown = candidates.slice(0, 12).join(", ");
		this.remedy = candidates.length === 0 ? "weft topology shows what is there" : `there are ${shown}`;
	}
}

/** "one veth", "7 veths". */
export function counted(count: number, one: string, many = `${one}s`): string {
	return count === 1 ? `one ${one}` : `${count} ${many}`;
}

/** "a, b and c". */
export function listed(names: readonly string[], most = 8): string {
	const shown = names.length > most ? [...names.slice(0, most - 1), `${names.length - most + 1} more`] : names;
	return shown.length < 2 ? (shown[0] ?? "") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
