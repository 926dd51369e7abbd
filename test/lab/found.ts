import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../../src/lab/lab.js";
import type { Path } from "../../src/path/path.js";
import { CLIENT_PORT, type Protocol, shortName } from "./hop-table.js";
import type { RunningWeft } from "./weft.js";

/** A path is told at once when it is whole, a suspect after 2 s; across agents it takes a little longer. */
const PATIENCE_MS = 10_000;

/**
 * The first request to `asked` (any address by default) among the paths from `since` on. Paths of earlier exchanges may
 * still come: a reply to the node itself waits its time.
 */
export async function requestTo(
	weft: RunningWeft,
	since: number,
	protocol: Protocol,
	asked: string | null = null,
): Promise<Path> {
	const isAsked = ({ hops }: Path) =>
		asked === null || asked.startsWith("127.") || hops.some(({ destination }) => addressOf(destination) === asked);
	return first(weft, since, `${protocol} request to ${asked}`, (path) => isRequest(path, protocol) && isAsked(path));
}

/** The reply to this request, whenever it came: made by whom it reached, and back where it began under the face asked. */
export async function replyTo(weft: RunningWeft, protocol: Protocol, request: Path): Promise<Path> {
	const [asker, face, asked] = [
		request.hops[0]?.source,
		request.hops[0]?.destination,
		request.hops.at(-1)?.destination,
	];
	// To its own pods a node may have spoken from 127.0.0.1, which is another face than they saw.
	const fromNode = request.hops[0]?.role === "bridge";
	const isFor = (face: string | null | undefined) =>
		face === asker || (fromNode && addressOf(face ?? null) === "127.0.0.1");
	const answers = ({ hops }: Path) =>
		hops[0]?.source === asked && hops.at(-1)?.source === face && isFor(hops.at(-1)?.destination);
	return first(weft, 0, `${protocol} reply to ${asker}`, (path) => isReply(path, protocol) && answers(path));
}

/** Until no more paths come of what was sent before. */
export async function settle(weft: RunningWeft): Promise<void> {
	for (let count = -1; count !== weft.paths.length; ) {
		count = weft.paths.length;
		await sleep(300);
	}
}

/** A path as the hop table writes it. */
export function hopsOf(lab: Lab, path: Path): string {
	const on = (node: string) =>
		path.hops
			.filter((hop) => hop.node === node && hop.branch === 0)
			.map((hop) => `${shortName(lab, node, hop.device)}→${hop.direction === "ingress" ? "i" : "e"}`)
			.join(" ");
	return `${on("node-a")} ‖ ${on("node-b")}`;
}

async function first(weft: RunningWeft, since: number, what: string, fits: (path: Path) => boolean): Promise<Path> {
	for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(20)) {
		const found = weft.paths.slice(since).find(fits);
		if (found !== undefined) return found;
	}
	assert.fail(`no ${what} among ${weft.paths.length - since} paths`);
}

function isRequest({ flow, packet }: Path, protocol: Protocol): boolean {
	switch (protocol) {
		case "icmp":
			return [8, 128].includes(packet.icmp?.type ?? -1);
		case "udp":
			return flow.protocol === "udp" && flow.source.port === CLIENT_PORT;
		case "tcp":
			return flow.protocol === "tcp" && packet.flags === "S";
	}
}

function isReply({ flow, packet }: Path, protocol: Protocol): boolean {
	switch (protocol) {
		case "icmp":
			return [0, 129].includes(packet.icmp?.type ?? -1);
		case "udp":
			return flow.protocol === "udp" && flow.destination.port === CLIENT_PORT;
		case "tcp":
			return flow.protocol === "tcp" && packet.flags === "SA";
	}
}

/** Of address:port, [address]:port or the bare address. */
function addressOf(face: string | null): string | null {
	if (face === null) return null;
	const [, bracketed, plain] = /^(?:\[(.*)\]:\d+|([^:]*):\d+)$/.exec(face) ?? [];
	return bracketed ?? plain ?? face;
}

/** Every byte of it is in one of these. */
export function isCovered({ seq, payload }: Path["packet"], paths: readonly Path[]): boolean {
	const ranges = paths
		.map(({ packet }) => ({ at: ((packet.seq ?? 0) - (seq ?? 0)) | 0, payload: packet.payload }))
		.sort((a, b) => a.at - b.at);
	let end = 0;
	for (const { at, payload: length } of ranges) if (at <= end) end = Math.max(end, at + length);
	return end >= payload;
}
