import type { Ready, Status, Summary } from "../../src/collector/report.js";
import type { Direction, Role } from "../../src/packet/hook.js";
import type { Endpoint, Hop, Path } from "../../src/path/path.js";

/** Synthetic paths for the tests of rendering: a flannel cluster of two nodes, as facts/datapath.md has it. */

export const client: Endpoint = endpoint("10.244.1.2", 43210, "default", "client", "node-a");
export const server: Endpoint = endpoint("10.244.2.3", 80, "default", "server", "node-b");
export const neighbor: Endpoint = endpoint("10.244.1.3", 80, "default", "neighbor", "node-a");

/** A hop by node, device, direction, role and µs since the hop before. */
export type Step = readonly [node: string, device: string, direction: Direction, role: Role, sinceUs: number];

export const crossNode: readonly Step[] = [
	["node-a", "veth61dfc48a", "ingress", "pod", 0],
	["node-a", "cni0", "ingress", "bridge", 3.1],
	["node-a", "flannel.1", "egress", "tunnel", 2.4],
	["node-a", "eth0", "egress", "nic", 4.0],
	["node-b", "eth0", "ingress", "nic", 38],
	["node-b", "flannel.1", "ingress", "tunnel", 2.9],
	["node-b", "cni0", "egress", "bridge", 1.8],
	["node-b", "veth0b7e2a51", "egress", "pod", 2.2],
];

export const sameNode: readonly Step[] = [
	["node-a", "veth61dfc48a", "ingress", "pod", 0],
	["node-a", "vethfe09ab12", "egress", "pod", 6.3],
];

/** The way back over the same devices. */
export function back(steps: readonly Step[], sinceUs: readonly number[]): Step[] {
	return [...steps]
		.reverse()
		.map(([node, device, direction, role], at) => [
			node,
			device,
			direction === "ingress" ? "egress" : "ingress",
			role,
			sinceUs[at] ?? 0,
		]);
}

export interface PathFields {
	readonly time?: string;
	readonly source?: Endpoint;
	readonly destination?: Endpoint;
	readonly service?: Path["flow"]["service"];
	readonly protocol?: string;
	readonly flags?: string | null;
	readonly payload?: number;
	readonly seq?: number | null;
	readonly icmp?: Path["packet"]["icmp"];
	readonly packets?: number;
	readonly clockErrorNs?: number;
	readonly verdict?: Path["verdict"];
	readonly evidence?: Path["evidence"];
	readonly blame?: Path["blame"];
	readonly revision?: number;
	/** Faces by hop, where they are not the flow's. */
	readonly faces?: Readonly<Record<number, readonly [source: string, destination: string]>>;
	/** Outer header by hop. */
	readonly outer?: Readonly<Record<number, NonNullable<Hop["outer"]>>>;
	readonly branches?: Readonly<Record<number, number>>;
}

export function pathOf(steps: readonly Step[], fields: PathFields = {}): Path {
	const source = fields.source ?? client;
	const destination = fields.destination ?? server;
	const time = fields.time ?? "2026-11-22T12:00:00.123456789Z";
	let faces: readonly [string, string] = [faceOf(source), faceOf(destination)];
	const hops = steps.map(([node, device, direction, role, sinceUs], at): Hop => {
		faces = fields.faces?.[at] ?? faces;
		return {
			...{ node, device, ifindex: at + 3, direction, role, first: time, last: time },
			sincePreviousNs: Math.round(sinceUs * 1000),
			packets: role === "nic" ? (fields.packets ?? 1) : 1,
			bytes: 66,
			source: faces[0],
			destination: faces[1],
			outer: fields.outer?.[at] ?? null,
			branch: fields.branches?.[at] ?? 0,
		};
	});
	return {
		type: "path",
		id: "p1",
		revision: fields.revision ?? 0,
		flow: { protocol: fields.protocol ?? "tcp", source, destination, service: fields.service ?? null },
		packet: {
			...{ ipId: 4711, seq: fields.seq ?? null, ack: null, flags: fields.flags === undefined ? "S" : fields.flags },
			...{ length: 66, payload: fields.payload ?? 0, icmp: fields.icmp ?? null },
		},
		hops,
		verdict: fields.verdict ?? "delivered",
		evidence: fields.evidence ?? "exact",
		blame: fields.blame ?? null,
		latencyNs: steps.reduce((sum, step) => sum + Math.round(step[4] * 1000), 0),
		clockErrorNs: fields.clockErrorNs ?? 0,
	};
}

export function readyOf(fields: Partial<Ready> = {}): Ready {
	return {
		type: "ready",
		nodes: ["node-a", "node-b"],
		hooks: crossNode.map(([node, device, direction, role], at) => ({ node, device, ifindex: at + 3, direction, role })),
		readyMs: 200,
		from: { text: "client", name: "default/client", node: "node-a", addresses: ["10.244.1.2"] },
		to: { text: "server", name: "default/server", node: "node-b", addresses: ["10.244.2.3"] },
		tunnel: { source: "192.168.66.11", destination: "192.168.66.12", vni: 1 },
		warnings: [],
		...fields,
	};
}

export function statusOf(fields: Partial<Status> = {}): Status {
	return { type: "status", seconds: 1, alike: 0, latency: null, lost: 0, fromSeen: null, toSeen: null, ...fields };
}

export function summaryOf(fields: Partial<Summary> = {}): Summary {
	return {
		type: "summary",
		durationMs: 12_400,
		flows: 3,
		hooks: 8,
		paths: { delivered: 30_608, forwarded: 0, lost: 2, dropped: 1, incomplete: 0 },
		blames: [{ place: "flannel.1→eth0 @node-a", verdict: "lost", count: 2 }],
		events: { seen: 489_660, joined: 489_660, unjoined: {}, lost: {} },
		kernel: { seen: 489_660, matched: 489_660, emitted: 489_660, ringFull: 0, unparseable: {} },
		ledger: [],
		...fields,
	};
}

export function endpoint(
	ip: string,
	port: number | null,
	namespace: string | null,
	pod: string | null,
	node: string | null,
): Endpoint {
	return { ip, port, namespace, pod, node };
}

function faceOf({ ip, port }: Endpoint): string {
	if (port === null) return ip ?? "";
	return ip?.includes(":") ? `[${ip}]:${port}` : `${ip ?? ""}:${port}`;
}
