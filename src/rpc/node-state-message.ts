import { word64 } from "./codec.js";
import type { NodeStateMessage } from "./messages.js";

/** Of a node of which no more is to be said than that it is watched, or is gone. */
export function bareNodeState(node: string, connected: boolean): NodeStateMessage {
	return {
		...{ node, connected, instance: "", clockOffsetNs: 0, clockErrorNs: 0, watermarkNs: word64(0n) },
		...{ losses: [], hooks: 0, hashSalt: new Uint8Array(0), ends: [] },
	};
}
