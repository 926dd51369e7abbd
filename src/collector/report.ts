import type { Hook } from "../packet/hook.js";
import type { LossCause } from "../packet/source.js";
import type { OuterHeader, Verdict } from "../path/path.js";

/** A stream begins with this, when the hooks are on. */
export interface Ready {
	readonly type: "ready";
	readonly nodes: readonly string[];
	readonly hooks: readonly Pick<Hook, "node" | "device" | "ifindex" | "direction" | "role">[];
	/** From the start of the command to all hooks on. */
	readonly readyMs: number;
	/** What the ends resolved to, for the header. */
	readonly from: ResolvedName;
	readonly to: ResolvedName;
	/** What wraps a packet from FROM to TO, as FDB and routes say; null: nothing, or not known. JSON always has it. */
	readonly tunnel?: OuterHeader | null;
	/** Things the user should know: a mapping in doubt, a device that could not be hooked. One line each. */
	readonly warnings: readonly string[];
}

export interface ResolvedName {
	/** As the user wrote it. */
	readonly text: string;
	/** default/client, 10.244.1.2, any … */
	readonly name: string;
	readonly node: string | null;
	readonly addresses: readonly string[];
}

/** What happened since the last one, at most once a second: the row "+4,981 alike". Not part of JSON streams. */
export interface Status {
	readonly type: "status";
	readonly seconds: number;
	/** Delivered paths that were not shown as rows of their own. */
	readonly alike: number;
	readonly latency: Quantiles | null;
	readonly lost: number;
	/** Packets seen so far at each END's own veth; null where the end is no pod of a watched node. */
	readonly fromSeen: number | null;
	readonly toSeen: number | null;
}

export interface Quantiles {
	readonly p50Ns: number;
	readonly p99Ns: number;
	readonly maxNs: number;
}

/** Every stage's balance: `in` = `out` + the sum of `lost`. Sightings. */
export interface LedgerStage {
	readonly stage: string;
	readonly in: number;
	readonly out: number;
	readonly lost: Readonly<Partial<Record<LossCause | string, number>>>;
}

/** A stream ends with this. */
export interface Summary {
	readonly type: "summary";
	readonly durationMs: number;
	readonly flows: number;
	readonly hooks: number;
	readonly paths: Readonly<Record<Verdict, number>>;
	/** Lost and dropped paths by where they were seen last, as "flannel.1→e @node-a". */
	readonly blames: readonly { readonly place: string; readonly verdict: Verdict; readonly count: number }[];
	/** seen = joined + unjoined + lost, in sightings. */
	readonly events: {
		readonly seen: number;
		readonly joined: number;
		readonly unjoined: Readonly<Record<string, number>>;
		readonly lost: Readonly<Record<string, number>>;
	};
	/** From the kernel's per-CPU counters. */
	readonly kernel: {
		readonly seen: number;
		readonly matched: number;
		readonly emitted: number;
		readonly ringFull: number;
		readonly unparseable: Readonly<Record<string, number>>;
	};
	readonly ledger: readonly LedgerStage[];
}

/** A device came or went while tracing. */
export interface HookChange {
	readonly type: "hook";
	readonly change: "added" | "removed";
	readonly node: string;
	readonly device: string;
	readonly pod: string | null;
}
