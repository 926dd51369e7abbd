import { encode, word64 } from "../codec.js";
import { Phase, type StageMessage, type StateMessage } from "../messages.js";
import type { NodeSession } from "./node-session.js";
import type { NodeWorkerOptions } from "./protocol.js";
import type { Subscription } from "./subscription.js";

export interface StateNow {
	readonly session: NodeSession;
	readonly subscription: Subscription;
	readonly watermarkNs: number;
	readonly warnings: readonly string[];
	/** Of the node. */
	readonly stages: readonly StageMessage[];
}

/** A subscriber's StreamState, as StreamSightingsResponse. */
export function stateMessage(
	phase: number,
	{ node, instance }: Pick<NodeWorkerOptions, "node" | "instance">,
	{ session, subscription, watermarkNs, warnings, stages }: StateNow,
): Uint8Array {
	const losses = subscription.losses();
	const watermark = word64(session.wallAt(watermarkNs));
	const hashSalt = new Uint8Array(8);
	new DataView(hashSalt.buffer).setBigUint64(0, session.hashSalt, true);
	const ends = subscription.ends.flatMap((ifindex) => {
		const packets = session.packets(ifindex);
		return packets === null ? [] : [{ ifindex, packets }];
	});
	const state: StateMessage = {
		...{ phase, instance, losses, warnings },
		nextSequence: subscription.offered,
		nodes: [
			{
				...{ node, instance, losses, connected: true, hashSalt, watermarkNs: watermark, ends },
				...{ clockOffsetNs: 0, clockErrorNs: 0, hooks: session.source.hooks.length },
			},
		],
		ledger: [...stages, subscription.stage()],
	};
	return encode("StreamSightingsResponse", {
		...{ state, node },
		// What comes between may still be on its way: only the first and the last state say how far it has come.
		...(phase === Phase.running ? {} : { progress: { watermarkNs: watermark, losses } }),
	});
}
