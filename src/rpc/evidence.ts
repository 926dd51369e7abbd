import type { EndHostPort } from "../filter/resolve.js";
import type { Testimony } from "../identity/directory.js";
import type { Names } from "../identity/names.js";
import type { Wiring } from "../wiring/model.js";

/** All that a node's kernel, files and daemons say, for those who join elsewhere: as JSON in NodeTopology.evidence. */
export interface Evidence {
	readonly wiring: Wiring;
	readonly names: Names;
	readonly hostPorts: readonly EndHostPort[];
	readonly warnings: readonly string[];
	/** Absent from agents that do not send it yet. */
	readonly testimony?: Testimony;
}

export function evidenceBytes(evidence: Evidence): Buffer {
	return Buffer.from(JSON.stringify(evidence), "utf8");
}

/** Written by weft itself, of the same version or a near one. Null: it is something else. */
export function evidenceFrom(bytes: Uint8Array): Evidence | null {
	try {
		const said: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
		return isEvidence(said) ? said : null;
	} catch {
		return null;
	}
}

function isEvidence(said: unknown): said is Evidence {
	if (typeof said !== "object" || said === null || !("wiring" in said) || !("names" in said)) return false;
	const { wiring } = said;
	return typeof wiring === "object" && wiring !== null && "node" in wiring && "host" in wiring;
}
