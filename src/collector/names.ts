import type { Directory } from "../identity/owner.js";
import { leavesPod, reachesPod } from "../packet/hook.js";
import { nameEnd } from "../path/name-end.js";
import type { Hop, Path, ServiceRef } from "../path/path.js";

/**
 * Gives the ends of a path their names, as of the time it was seen: the pod whose veth it left or reached, else
 * whoever held the address then.
 */
export function nameEnds(path: Path, directory: Directory): Path {
	const first = path.hops[0];
	const last = path.hops[path.hops.length - 1];
	if (first === undefined || last === undefined) return path;
	const atMs = Date.parse(first.first);
	const { source, destination, protocol } = path.flow;
	// A bridge floods what is for a port that is down to all others: the pod that threw its copy away was not meant.
	const wasMeant = path.blame?.kernelReason !== "OTHERHOST";
	const service = path.flow.service ?? serviceOf(first, last, protocol, directory);
	return {
		...path,
		flow: {
			...path.flow,
			source: nameEnd(source, leavesPod(first) ? first : null, directory, atMs),
			destination: nameEnd(destination, reachesPod(last) && wasMeant ? last : null, directory, atMs),
			service,
		},
	};
}

/**
 * The face that NAT put on, or took off: a request is for it at its first hop, a reply comes from it at its last. What
 * else changed was masqueraded, or published on the node.
 */
function serviceOf(first: Hop, last: Hop, protocol: string, directory: Directory): ServiceRef | null {
	const asked = first.destination === last.destination ? null : service(first.destination, protocol, directory);
	const answering = first.source === last.source ? null : service(last.source, protocol, directory);
	if (asked !== null && asked.name !== null) return asked;
	if (answering !== null && answering.name !== null) return answering;
	return answering === null ? asked : null;
}

function service(face: string | null, protocol: string, directory: Directory): ServiceRef | null {
	const parts = face === null ? null : /^\[?(.*?)\]?:(\d+)$/.exec(face);
	const [, ip, port] = parts ?? [];
	if (ip === undefined || port === undefined) return null;
	const known = directory.service(ip, Number(port), protocol);
	return { ip, port: Number(port), name: known?.name ?? null };
}
