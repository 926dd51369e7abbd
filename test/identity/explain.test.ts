import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UNCLAIMED } from "../../src/identity/claim.js";
import { NodeDirectory } from "../../src/identity/directory.js";
import { explain } from "../../src/identity/explain/explain.js";
import { countersOf, type Explanation, type Known, NothingToExplain } from "../../src/identity/explain/explanation.js";
import { explainPaste, knownFromPaste } from "../../src/identity/explain/paste.js";
import { parsePasted } from "../../src/identity/explain/pasted.js";
import type { Wiring } from "../../src/wiring/model.js";
import { WiringView } from "../../src/wiring/view.js";
import { flannelNode, Index, podAddress, vethName } from "../wiring/flannel.js";

/** What the project's first user saw, of a node with Docker 1.12 and Kubernetes 1.10. */
const VETHS = [
	"veth0b5b1dde",
	"veth1c6d2a7f",
	"veth2e2f70a1",
	"veth61dfc48a",
	"veth8d1c07fe",
	"vethb3a4c9d2",
	"vethfa1b2c3d",
];
const BRCTL = `bridge name	bridge id		STP enabled	interfaces
cni0		8000.0a580af40101	no		${VETHS[0]}
${VETHS.slice(1)
	.map((name) => `							${name}`)
	.join("\n")}
docker0		8000.0242d1f2a3b4	no
`;
const IP_ADDR = `$ ip addr
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: ens160: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 00:50:56:aa:bb:cc brd ff:ff:ff:ff:ff:ff
    inet 192.168.66.11/24 brd 192.168.66.255 scope global ens160
       valid_lft forever preferred_lft forever
3: docker0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default
    link/ether 02:42:d1:f2:a3:b4 brd ff:ff:ff:ff:ff:ff
    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0
       valid_lft forever preferred_lft forever
4: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default
    link/ether 8e:01:00:00:00:01 brd ff:ff:ff:ff:ff:ff
    inet 10.244.1.0/32 scope global flannel.1
5: cni0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP group default qlen 1000
    link/ether 0a:58:0a:f4:01:01 brd ff:ff:ff:ff:ff:ff
    inet 10.244.1.1/24 scope global cni0
${VETHS.map(
	(
		name,
		i,
	) => `${6 + i}: ${name}@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master cni0 state UP group default
    link/ether 9a:7e:${(10 + i).toString(16)}:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid ${i}`,
).join("\n")}
`;

function said(explanation: Explanation): string {
	return [
		explanation.headline,
		...explanation.words,
		...explanation.evidence.map(({ fact }) => fact),
		...explanation.unknown,
		...explanation.faults.map(({ reason, remedy }) => `${reason} → ${remedy}`),
	].join("\n");
}

test("the question's own listing: seven veths on cni0, all @if3, and docker0 is 3 with NO-CARRIER", () => {
	const pasted = parsePasted([BRCTL, IP_ADDR]);
	assert.equal(pasted.strange, 0);
	assert.deepEqual([...pasted.recognised].sort(), ["brctl show", "ip addr", "ip link"]);
	const known = knownFromPaste(pasted);
	const all = explainPaste(known);
	const of = (thing: string) => said(all.find((one) => one.thing === thing) as Explanation);

	const cni = of("cni0");
	assert.match(cni, /cni0 is a bridge, a switch in the kernel, with 7 ports/);
	for (const veth of VETHS) assert.match(cni, new RegExp(`${veth}`));
	assert.match(cni, /10\.244\.1\.1\/24 is the pods' gateway/);

	const docker = of("docker0");
	assert.match(docker, /docker0 is a bridge with nothing plugged in: Docker's own, and idle here/);
	assert.match(docker, /no link has docker0 \(index 3\) as its master/);
	assert.match(docker, /It is not useless: the next docker run would be plugged in here/);
	assert.match(docker, /The pods of this node are on cni0: 7 ports/);
	assert.match(docker, /Whether packets pass it: the text has no counters/);
	assert.doesNotMatch(docker, /did not move/, "that was not seen");

	const veths = all.filter((one) => one.kind === "veth");
	assert.equal(veths.length, 1, "seven alike are told once");
	const words = said(veths[0] as Explanation);
	assert.match(words, /^7 veths, all of them @if3: veth0b5b1dde, /);
	assert.match(words, /The 3 is the number of the other end in its own namespace/);
	assert.match(words, /interface 3 of this machine is docker0 is coincidence/);
	assert.match(words, /older than 1\.0: they make both ends inside the pod \(lo is 1, the node's end 2, eth0 3\)/);
	assert.match(words, /Which pod it is: the text does not say/);

	const one = explain(known, "veth61dfc48a@if3", "default");
	assert.equal(one.thing, "veth61dfc48a");
	assert.match(said(one), /plugged into cni0/);
});

test("pasted: each command's output alone, and what it does not say", () => {
	const brctl = parsePasted([BRCTL]);
	assert.equal(brctl.wiring.host.links.filter((link) => link.kind === "veth").length, 7);
	assert.match(said(explain(knownFromPaste(brctl), "docker0", "default")), /nothing plugged in/);

	const detailed = parsePasted([
		`4: flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN mode DEFAULT group default
    link/ether 8e:01:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 minmtu 68 maxmtu 65535
    vxlan id 1 local 192.168.66.11 dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq state UP mode DEFAULT group default
    link/ether 00:50:56:aa:bb:cc brd ff:ff:ff:ff:ff:ff
7: veth1@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master cni0 state UP mode DEFAULT group default
    link/ether 9a:7e:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 1
    veth
    bridge_slave state forwarding priority 32 cost 2 hairpin on guard off root_block off fastleave off learning on`,
		"10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\ndefault via 192.168.66.1 dev eth0 proto dhcp src 192.168.66.11 metric 100",
		"10.244.2.0 dev flannel.1 lladdr 8e:02:00:00:00:02 PERMANENT",
		"8e:02:00:00:00:02 dev flannel.1 dst 192.168.66.12 self permanent",
	]);
	assert.equal(detailed.strange, 0);
	const known = knownFromPaste(detailed);
	const tunnel = explain(known, "flannel.1", "default");
	assert.match(said(tunnel), /UDP packet to port 8472 with network number \(VNI\) 1, sends it through eth0/);
	assert.match(said(tunnel), /10\.244\.2\.0\/24 → 10\.244\.2\.0 → 8e:02:00:00:00:02 → 192\.168\.66\.12/);
	assert.match(said(explain(known, "10.244.2.9", "default")), /a pod's on another node: 192\.168\.66\.12/);
	assert.match(said(explain(known, "veth1", "default")), /1\.0 or newer/);
	assert.deepEqual(detailed.wiring.host.links.find((link) => link.name === "veth1")?.port, {
		state: 3,
		hairpin: true,
		learning: true,
	});
	const routesOnly = knownFromPaste(parsePasted(["10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink"]));
	assert.deepEqual(explain(routesOnly, "flannel.1", "default").faults, [], "what was not pasted is not missing there");
});

test("pasted text of any kind is read without falling over", () => {
	const lines = `${BRCTL}\n${IP_ADDR}`.split("\n");
	fc.assert(
		fc.property(fc.shuffledSubarray(lines), fc.array(fc.string()), (some, noise) => {
			const known = knownFromPaste(parsePasted([[...some, ...noise].join("\n")]));
			assert.ok(explainPaste(known).every((one) => one.headline !== ""));
		}),
		{ seed: 9, numRuns: 200 },
	);
});

function knownNode(change: (wiring: Wiring) => Wiring = (same) => same): Known {
	const wiring = change(flannelNode({ number: 1, pods: 2, nodes: 2 }));
	const directory = new NodeDirectory();
	directory.update(
		{
			wiring,
			claims: [
				{
					...UNCLAIMED,
					source: "cni-cache",
					pod: { namespace: "default", name: "client" },
					sandbox: "c".repeat(64),
					netnsPath: "/var/run/netns/node-a-pod1",
					device: vethName(1, 1),
					addresses: [podAddress(1, 1)],
				},
			],
			leases: new Map(),
			subnetEnv: null,
			portals: {
				hostPorts: [],
				services: [
					{
						name: "default/web",
						ip: "10.96.0.11",
						port: 80,
						protocol: "tcp",
						portName: null,
						nodePort: null,
						endpoints: [{ ip: podAddress(2, 1), port: 8080 }],
					},
				],
			},
			nodeNames: new Map([["192.168.66.12", "node-b"]]),
			warnings: [],
		},
		0,
	);
	const counters = countersOf(wiring.host.links);
	return {
		view: new WiringView(wiring),
		directory,
		window: { seconds: 10, before: counters, after: counters },
		hooked: new Map([[Index.docker0, 0]]),
		pasted: false,
	};
}

test("a live veth: its pod, its peer and its bridge", () => {
	const words = said(explain(knownNode(), vethName(1, 1), "default"));
	assert.match(words, /the node's end of default\/client's network cable/);
	assert.match(words, /The other end is eth0 \(index 3\) in network namespace node-a-pod1, which is default\/client's/);
	assert.match(words, /interface 3 of this machine is eth0 is coincidence/);
	assert.match(words, /eth0 there points back at index 11/);
});

test("docker0 live: idle for the seconds that were watched, by counters, route and hooks", () => {
	const words = said(explain(knownNode(), "docker0", "default"));
	assert.match(words, /idle for the last 10 s/);
	assert.match(words, /its counters did not move in 10 s/);
	assert.match(words, /its only route is 172\.17\.0\.0\/16 linkdown/);
	assert.match(words, /no learned addresses/);
	assert.match(words, /hooks on it saw 0 packets in 10 s/);
});

test("addresses: local pod, node, remote pod, service, outside; and a name", () => {
	const known = knownNode();
	const words = (thing: string) => said(explain(known, thing, "default"));
	assert.match(words(podAddress(1, 1)), /default\/client runs here/);
	assert.match(words("client"), /default\/client runs here/);
	assert.match(words("10.244.1.1"), /this node's own, on cni0/);
	assert.match(words(podAddress(2, 1)), /a pod's on another node: node-b/);
	assert.match(words(podAddress(2, 1)), /FDB: 8e:02:00:00:00:02 is behind the VTEP 192\.168\.66\.12/);
	assert.match(words("10.96.0.11"), /is the service default\/web/);
	assert.match(words("svc:default/web"), /endpoint 10\.244\.2\.2:8080, a pod on node-b/);
	assert.match(words("192.168.66.12"), /node node-b/);
	assert.match(words("203.0.113.7"), /somewhere outside/);
	assert.match(words("10.244.1.77"), /nobody has it now/);
	assert.throws(() => words("nonsense"), NothingToExplain);
});

test("a remote address: whatever is missing on the way is named, with what puts it back", () => {
	const without = (change: (host: Wiring["host"]) => Partial<Wiring["host"]>) => {
		const known = knownNode((wiring) => ({ ...wiring, host: { ...wiring.host, ...change(wiring.host) } }));
		const [fault] = explain(known, podAddress(2, 1), "default").faults;
		return `${fault?.reason} → ${fault?.remedy}`;
	};
	const drop = <T>(rows: readonly T[], is: (row: T) => boolean) => rows.filter((row) => !is(row));
	const route = "no route to 10.244.2.0/24 → ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink";
	for (const [change, expected] of [
		[({ routes }) => ({ routes: drop(routes, (one) => one.destination === "10.244.2.0/24") }), route],
		[() => ({ routes: [] }), route],
		[
			({ neighbours }) => ({ neighbours: drop(neighbours, (one) => one.address === "10.244.2.0") }),
			"no neighbour entry for 10.244.2.0 on flannel.1 → ip neigh replace 10.244.2.0 lladdr 8e:02:00:00:00:02 dev flannel.1 nud permanent",
		],
		[
			({ fdb }) => ({ fdb: drop(fdb, (one) => one.destination !== null) }),
			"no FDB entry for 8e:02:00:00:00:02 on flannel.1 → bridge fdb replace 8e:02:00:00:00:02 dev flannel.1 dst NODE-ADDRESS self permanent",
		],
		[
			({ links }) => ({ links: links.map((one) => (one.kind === "vxlan" ? { ...one, up: false } : one)) }),
			"flannel.1 is down → ip link set flannel.1 up",
		],
	] as readonly [(host: Wiring["host"]) => Partial<Wiring["host"]>, string][]) {
		assert.equal(without(change), expected);
	}
});

test("a remote address whose FDB entry is gone says so, and what to type", () => {
	const known = knownNode((wiring) => ({
		...wiring,
		host: { ...wiring.host, fdb: wiring.host.fdb.filter((entry) => entry.destination === null) },
	}));
	const explanation = explain(known, podAddress(2, 1), "default");
	assert.equal(explanation.faults[0]?.reason, "no FDB entry for 8e:02:00:00:00:02 on flannel.1");
	assert.match(explain(known, "flannel.1", "default").faults[0]?.reason ?? "", /10\.244\.2\.0\/24: no FDB entry/);
});

test("a tunnel whose MTU is too large for the NIC is a fault of both, with the command that repairs it", () => {
	const known = knownNode((wiring) => {
		const links = wiring.host.links.map((link) => (link.name === "eth0" ? { ...link, mtu: 1400 } : link));
		return { ...wiring, host: { ...wiring.host, links } };
	});
	for (const thing of ["flannel.1", "eth0"]) {
		assert.deepEqual(explain(known, thing, "default").faults, [
			{
				reason: "flannel.1's MTU of 1450 is too large for eth0's of 1400, of which VXLAN takes 50",
				remedy: "ip link set flannel.1 mtu 1350",
			},
		]);
	}
});
