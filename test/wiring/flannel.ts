import type { NetnsCookie } from "../../src/packet/hook.js";
import type { Address, FdbEntry, Link, Namespace, Neighbour, Route, Wiring } from "../../src/wiring/model.js";

/** A flannel node written by hand: node n of a cluster, pod subnet 10.244.n.0/24, underlay 192.168.66.(10+n). */
export interface NodeShape {
	/** 1 is node-a. */
	readonly number: number;
	readonly pods: number;
	/** How many nodes there are. */
	readonly nodes: number;
	readonly hostGateway?: boolean;
	readonly bridgeNetfilter?: boolean;
	/** Are the pods' namespaces visible? Without them, neighbours and FDB have to do. */
	readonly podsVisible?: boolean;
}

/** ifindexes in a node's namespace. */
export const Index = { lo: 1, docker0: 2, eth0: 3, flannel: 4, cni0: 5, firstVeth: 10 } as const;

export const podAddress = (node: number, pod: number) => `10.244.${node}.${pod + 1}`;
export const vethName = (node: number, pod: number) => `veth${String.fromCharCode(96 + node)}${pod}`;
export const nodeName = (node: number) => `node-${String.fromCharCode(96 + node)}`;
export const nodeAddress = (node: number) => `192.168.66.${10 + node}`;
const vtepMac = (node: number) => `8e:0${node}:00:00:00:0${node}`;
const podMac = (node: number, pod: number) => `0a:58:0a:f4:0${node}:0${pod + 1}`;

export function flannelNode(shape: NodeShape): Wiring {
	const { number: node, pods, nodes, hostGateway = false, podsVisible = true } = shape;
	const own = `10.244.${node}`;
	const podNumbers = Array.from({ length: pods }, (_, i) => i + 1);
	const others = Array.from({ length: nodes }, (_, i) => i + 1).filter((other) => other !== node);
	const links: Link[] = [
		link({ ifindex: Index.lo, name: "lo", loopback: true }),
		link({ ifindex: Index.docker0, name: "docker0", kind: "bridge", operstate: "down", carrier: false }),
		link({ ifindex: Index.eth0, name: "eth0" }),
		...(hostGateway ? [] : [vxlanLink(node)]),
		link({ ifindex: Index.cni0, name: "cni0", kind: "bridge", mtu: 1450 }),
		...podNumbers.map((pod) => vethLink(node, pod)),
	];
	const addresses: Address[] = [
		address(Index.lo, "127.0.0.1", 8),
		address(Index.docker0, "172.17.0.1", 16),
		address(Index.eth0, nodeAddress(node), 24),
		...(hostGateway ? [] : [address(Index.flannel, `${own}.0`, 32)]),
		address(Index.cni0, `${own}.1`, 24),
	];
	const routes: Route[] = [
		...addresses.map(({ address, ifindex }) => route(`${address}/32`, ifindex, { table: 255, type: 2 })),
		route("127.0.0.0/8", Index.lo, { table: 255, type: 2 }),
		route("0.0.0.0/0", Index.eth0, { gateway: "192.168.66.1" }),
		route("192.168.66.0/24", Index.eth0, {}),
		route("172.17.0.0/16", Index.docker0, { linkdown: true }),
		route(`${own}.0/24`, Index.cni0, {}),
		...others.map((other) =>
			hostGateway
				? route(`10.244.${other}.0/24`, Index.eth0, { gateway: nodeAddress(other) })
				: route(`10.244.${other}.0/24`, Index.flannel, { gateway: `10.244.${other}.0`, onlink: true }),
		),
	];
	const neighbours: Neighbour[] = [
		...podNumbers.map((pod) => ({
			ifindex: Index.cni0,
			address: podAddress(node, pod),
			mac: podMac(node, pod),
			state: 2,
		})),
		...(hostGateway ? [] : others).map((other) => ({
			ifindex: Index.flannel,
			address: `10.244.${other}.0`,
			mac: vtepMac(other),
			state: 0x80,
		})),
	];
	const fdb: FdbEntry[] = [
		...podNumbers.map((pod) => ({
			ifindex: Index.firstVeth + pod,
			mac: podMac(node, pod),
			master: Index.cni0,
			destination: null,
			state: 2,
			vlan: null,
		})),
		...(hostGateway ? [] : others).map((other) => ({
			ifindex: Index.flannel,
			mac: vtepMac(other),
			master: null,
			destination: nodeAddress(other),
			state: 0x80,
			vlan: null,
		})),
	];
	const netfilter = shape.bridgeNetfilter ?? true;
	const host: Namespace = {
		...namespace(cookie(node, 0), `/run/netns/${nodeName(node)}`, null),
		links,
		addresses,
		routes,
		neighbours,
		fdb,
		bridgeNetfilter: { ipv4: netfilter, ipv6: netfilter },
	};
	return { node: nodeName(node), host, others: podsVisible ? podNumbers.map((pod) => podNamespace(node, pod)) : [] };
}

export const cookie = (node: number, pod: number) => String(node * 1000 + pod) as NetnsCookie;

function podNamespace(node: number, pod: number): Namespace {
	const name = `${nodeName(node)}-pod${pod}`;
	return {
		...namespace(cookie(node, pod), `/run/netns/${name}`, pod),
		name,
		links: [
			link({ ifindex: 1, name: "lo", loopback: true }),
			link({
				ifindex: 3,
				name: "eth0",
				kind: "veth",
				address: podMac(node, pod),
				peer: Index.firstVeth + pod,
				peerNsid: 0,
			}),
		],
		addresses: [address(1, "127.0.0.1", 8), address(3, podAddress(node, pod), 24)],
		routes: [
			route(`${podAddress(node, pod)}/32`, 3, { table: 255, type: 2 }),
			route("0.0.0.0/0", 3, { gateway: `10.244.${node}.1` }),
			route("10.244.0.0/16", 3, { gateway: `10.244.${node}.1` }),
			route(`10.244.${node}.0/24`, 3, {}),
		],
	};
}

function namespace(id: NetnsCookie, path: string, nsid: number | null): Namespace {
	return {
		cookie: id,
		inode: 4026530000 + Number(id),
		path,
		name: null,
		nsid,
		links: [],
		addresses: [],
		routes: [],
		neighbours: [],
		fdb: [],
	};
}

export function link(some: Partial<Link> & Pick<Link, "ifindex" | "name">): Link {
	return {
		kind: null,
		address: null,
		mtu: 1500,
		up: true,
		operstate: "up",
		carrier: true,
		loopback: false,
		l3: false,
		master: null,
		peer: null,
		peerNsid: null,
		vxlan: null,
		port: null,
		altnames: [],
		statistics: { rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0, rxDropped: 0, txDropped: 0 },
		...some,
	};
}

function vethLink(node: number, pod: number): Link {
	return link({
		ifindex: Index.firstVeth + pod,
		name: vethName(node, pod),
		kind: "veth",
		mtu: 1450,
		master: Index.cni0,
		peer: 3,
		peerNsid: pod,
		port: { hairpin: true, state: 3, learning: true },
	});
}

function vxlanLink(node: number): Link {
	return link({
		ifindex: Index.flannel,
		name: "flannel.1",
		kind: "vxlan",
		mtu: 1450,
		address: vtepMac(node),
		operstate: "unknown",
		vxlan: { vni: 1, port: 8472, local: nodeAddress(node), underlay: Index.eth0, learning: false },
	});
}

function address(ifindex: number, text: string, prefix: number): Address {
	return { ifindex, address: text, prefix, scope: 0 };
}

export function route(destination: string, ifindex: number, some: Partial<Route>): Route {
	return {
		destination,
		gateway: null,
		ifindex,
		table: 254,
		type: 1,
		metric: 0,
		preferredSource: null,
		onlink: false,
		linkdown: false,
		...some,
	};
}
