import type { FlowPath } from "../../src/flow/flow-path.js";
import type { FlowRecord } from "../../src/flow/record.js";
import { FlowTable } from "../../src/flow/table.js";
import type { Direction, Hook, HookId, NetnsCookie, Role } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import { EventFlag, Family } from "../../src/packet/sightings.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { TupleTable } from "../../src/packet/tuples.js";
import type { Blame, Verdict } from "../../src/path/path.js";

/** Two flannel nodes, a pod on each, as their hooks: names as in facts/datapath.md. */
const DEVICES: readonly (readonly [name: string, ifindex: number, role: Role])[] = [
	["veth", 7, "pod"],
	["cni0", 5, "bridge"],
	["flannel.1", 4, "tunnel"],
	["eth0", 2, "nic"],
];
const HOOKS: Hook[] = [];
for (const node of ["node-a", "node-b"]) {
	for (const [device, ifindex, role] of DEVICES) {
		for (const direction of ["ingress", "egress"] as const) {
			const id = HOOKS.length as HookId;
			const netns = "1" as NetnsCookie;
			HOOKS.push({ id, node, netns, ifindex, device, direction, role, l3: false, master: 0, hookSet: 0 });
		}
	}
}

export const CLIENT = "10.244.1.2";
export const SERVER = "10.244.2.3";
export const SERVICE = "10.96.0.11";

/** One packet as a test writes it. Times in µs. */
export interface Shot {
	/** "→" from the client's pod on node-a to the server's on node-b, "←" back. */
	readonly way: "→" | "←";
	readonly at: number;
	readonly flags?: number;
	readonly seq?: number;
	readonly ack?: number;
	readonly payload?: number;
	readonly segments?: number;
	/** Lost behind so many hops; all eight: delivered. */
	readonly hops?: number;
	readonly verdict?: Verdict;
	/** The client addresses the service; the bridge translates. */
	readonly service?: boolean;
	readonly protocol?: "tcp" | "udp" | "echo";
	readonly port?: number;
	/** Hops before this one were not watched. */
	readonly from?: number;
	readonly serial?: number;
	/** The clock of node-b is early by so much. */
	readonly early?: number;
}

export class Network {
	readonly tuples = new TupleTable(4096);
	readonly outers = new OuterTable(16);
	readonly table: FlowTable;
	#serial = 0;

	constructor(maxFlows?: number) {
		this.table = new FlowTable({
			tuples: this.tuples,
			outers: this.outers,
			hook: (id) => HOOKS[id] ?? fail(id),
			idPrefix: "t",
			wallClockBase: 1_700_000_000_000_000_000n,
			...(maxFlows === undefined ? {} : { maxFlows }),
		});
	}

	shoot(...shots: readonly Shot[]): this {
		for (const shot of shots) this.table.path(this.pathOf(shot));
		return this;
	}

	records(): FlowRecord[] {
		return [...this.table.snapshots()].map(({ record }) => record);
	}

	/** The only flow. */
	flow(): FlowRecord {
		const [first, ...others] = this.records();
		if (first === undefined || others.length > 0) throw new Error(`${this.records().length} flows`);
		return first;
	}

	/** A packet takes 1 µs from hop to hop. */
	pathOf(shot: Shot): FlowPath {
		const from = shot.from ?? 0;
		const route = (shot.way === "→" ? EASTWARD : WESTWARD).slice(from, shot.hops ?? 8);
		const hop = (n: number) => route[n] ?? fail(n);
		const payload = shot.payload ?? 0;
		const segments = shot.segments ?? 1;
		const length = payload + 66;
		const verdict = shot.verdict ?? (route.length + from === 8 ? "delivered" : "lost");
		const hook = HOOKS[hop(route.length - 1)] ?? fail(0);
		const early = (n: number) => (n + from < 4 === (shot.way === "←") ? (shot.early ?? 0) : 0);
		const time = (n: number) => (shot.at + from + n - early(n)) * 1000;
		return {
			serial: shot.serial ?? ++this.#serial,
			verdict,
			blame: verdict === "delivered" ? null : blameOf(hook, verdict),
			hopCount: route.length,
			sequence: shot.seq ?? 0,
			acknowledgement: shot.ack ?? 0,
			tcpFlags: shot.flags ?? 0,
			flags: Family.ipv4 | EventFlag.hasPorts,
			length,
			payload,
			segments,
			hook: hop,
			first: time,
			last: time,
			packets: () => 1,
			bytes: () => length,
			tupleAt: (n) => this.tuples.intern(tupleOf(shot, n + from)),
			outerAt: (n) => this.#outer(hop(n)),
			branch: () => 0,
		};
	}

	#outer(id: number): number {
		const hook = HOOKS[id] ?? fail(id);
		if (hook.role !== "nic") return 0;
		const far = hook.node === "node-a" ? "192.168.66.12" : "192.168.66.11";
		return this.outers.intern({ peer: far, vni: 1 });
	}
}

const EASTWARD = route(["node-a", "node-b"]);
const WESTWARD = route(["node-b", "node-a"]);

function route([near, far]: readonly [string, string]): number[] {
	const hook = (node: string, device: string, direction: Direction) =>
		HOOKS.findIndex((each) => each.node === node && each.device === device && each.direction === direction);
	return [
		hook(near, "veth", "ingress"),
		hook(near, "cni0", "ingress"),
		hook(near, "flannel.1", "egress"),
		hook(near, "eth0", "egress"),
		hook(far, "eth0", "ingress"),
		hook(far, "flannel.1", "ingress"),
		hook(far, "cni0", "egress"),
		hook(far, "veth", "egress"),
	];
}

/** facts/datapath.md: the ClusterIP stands at the client's veth; on the way back from cni0→e on. */
function tupleOf(shot: Shot, n: number): Tuple {
	const { way, service = false, protocol = "tcp", port = 43210 } = shot;
	const facing = service && (way === "→" ? n === 0 : n >= 6);
	const client = { ip: CLIENT, port };
	const server = facing ? { ip: SERVICE, port: 80 } : { ip: SERVER, port: 8080 };
	const [from, to] = way === "→" ? [client, server] : [server, client];
	const ends = { family: Family.ipv4, source: from.ip, destination: to.ip };
	if (protocol === "echo") {
		return { ...ends, protocol: 1, sourcePort: port, destinationPort: way === "→" ? 0x0800 : 0 };
	}
	return { ...ends, protocol: protocol === "tcp" ? 6 : 17, sourcePort: from.port, destinationPort: to.port };
}

function blameOf(hook: Hook, verdict: Verdict): Blame {
	return {
		node: hook.node,
		device: hook.device,
		direction: hook.direction,
		expected: null,
		reason: verdict,
		kernelReason: null,
		kernelFunction: null,
		remedy: null,
	};
}

function fail(n: number): never {
	throw new RangeError(`no hook ${n}`);
}
