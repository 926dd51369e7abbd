import type { DropsAccount } from "../collector/drops.js";
import type { DropPlace, DropReport } from "../latency/drop-report.js";
import { wallClock } from "../path/materialise.js";
import type { Endpoint } from "../path/path.js";
import { bigOf, numberOf } from "./codec.js";
import { DIRECTIONS, directionNumber } from "./hook-message.js";
import type { DropAccountMessage, DropMessage, EndpointMessage } from "./messages.js";
import { endpoint, wallOf } from "./path-message.js";

/** enum weft.v1.HopEvidence, by number less one. */
const EVIDENCE: readonly DropPlace["evidence"][] = ["seen", "concluded"];

export function dropMessage(drop: DropReport): DropMessage {
	const { node, count, kernelReason, kernelFunction, diagnosis, explanation, remedy, hop, protocol } = drop;
	return {
		...{ node, timeNs: wallOf(drop.time), count, kernelReason, kernelFunction: kernelFunction ?? "" },
		...{ diagnosis: diagnosis ?? "", explanation: explanation ?? "", remedy: remedy ?? "" },
		hop: hop === null ? null : { node, device: hop.device, direction: directionNumber(hop.direction) },
		hopEvidence: hop === null ? 0 : EVIDENCE.indexOf(hop.evidence) + 1,
		protocol,
		source: drop.source === null ? null : endpoint(drop.source),
		destination: drop.destination === null ? null : endpoint(drop.destination),
		path: drop.path ?? "",
	};
}

export function dropOf(message: DropMessage): DropReport {
	const { node, timeNs, count, kernelReason, kernelFunction, diagnosis, explanation, remedy, protocol } = message;
	return {
		type: "drop",
		time: wallClock(bigOf(timeNs), 0),
		...{ node, count: numberOf(count), kernelReason, kernelFunction: kernelFunction || null },
		...{ diagnosis: diagnosis || null, explanation: explanation || null, remedy: remedy || null },
		hop: placeOf(message),
		protocol,
		source: endpointOf(message.source),
		destination: endpointOf(message.destination),
		path: message.path || null,
	};
}

function placeOf({ hop, hopEvidence }: DropMessage): DropPlace | null {
	const direction = DIRECTIONS[(hop?.direction ?? 0) - 1];
	if (hop == null || direction === undefined) return null;
	return { device: hop.device, direction, evidence: EVIDENCE[hopEvidence - 1] ?? "concluded" };
}

function endpointOf(message: EndpointMessage | null): Endpoint | null {
	if (message == null) return null;
	const { ip, port = null, namespace, pod, node } = message;
	return { ip: ip || null, port, namespace: namespace || null, pod: pod || null, node: node || null };
}

export function dropAccountMessage(node: string, account: DropsAccount): DropAccountMessage {
	return { node, ...account };
}

export function dropAccountOf(message: DropAccountMessage): DropsAccount {
	return eachCount((name) => numberOf(message[name]));
}

export function sumOfAccounts(accounts: readonly DropsAccount[]): DropsAccount {
	return eachCount((name) => accounts.reduce((sum, account) => sum + account[name], 0));
}

function eachCount(of: (name: keyof DropsAccount) => number): DropsAccount {
	return {
		...{ seen: of("seen"), dropped: of("dropped"), consumed: of("consumed"), filtered: of("filtered") },
		...{ foreign: of("foreign"), unknown: of("unknown"), unrelated: of("unrelated") },
		...{ sampled: of("sampled"), ringFull: of("ringFull"), missed: of("missed") },
	};
}
