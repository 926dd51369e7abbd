import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import { Family } from "../../src/packet/sightings.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { Conntrack, NETFILTER } from "../../src/wiring/conntrack.js";
import { connectionsFirst, RuleTranslation } from "../../src/wiring/translation.js";
import { LiveNode } from "./node.js";

const NODE = "192.168.66.11";
const web = {
	ip: "10.96.0.11",
	port: 80,
	protocol: "tcp",
	nodePort: 30080,
	endpoints: [
		{ ip: "10.244.1.2", port: 8080 },
		{ ip: "10.244.2.2", port: 8080 },
	],
};
const web6 = { ...web, ip: "fd00::11", endpoints: [{ ip: "fd00:1::2", port: 8080 }] };
const published = { port: 18080, protocol: "tcp", endpoint: { ip: "10.244.1.3", port: 80 } };
const rules = new RuleTranslation([web, web6], [published], (address) => address === NODE);

function tcp(destination: string, destinationPort: number, source = "10.244.1.2", sourcePort = 40000): Tuple {
	return { family: Family.ipv4, protocol: 6, source, destination, sourcePort, destinationPort };
}

test("rules: cluster IP, node port on the node's own address only, published port", () => {
	assert.deepEqual(rules.destinations(tcp("10.96.0.11", 80)).destinations, web.endpoints);
	assert.deepEqual(rules.destinations(tcp("10.96.0.11", 81)).destinations, []);
	assert.deepEqual(rules.destinations({ ...tcp("10.96.0.11", 80), protocol: 17 }).destinations, []);
	assert.deepEqual(rules.destinations(tcp(NODE, 30080)).destinations, web.endpoints, "not those of the other family");
	assert.deepEqual(rules.destinations(tcp("192.168.66.12", 30080)).destinations, []);
	assert.deepEqual(rules.destinations(tcp(NODE, 18080)).destinations, [published.endpoint]);
	assert.equal(rules.fromEndpoint(tcp("10.244.1.9", 40000, "10.244.2.2", 8080)), true);
	assert.equal(rules.fromEndpoint(tcp("10.244.1.9", 40000, "10.244.2.2", 8081)), false);
});

test("a connection that is known is exact, and is asked for only where NAT can be", () => {
	const asked: string[] = [];
	const translation = connectionsFirst(
		(tuple) => {
			asked.push(tuple.destination ?? "");
			return tuple.destinationPort === 80 ? { ip: "10.244.2.2", port: 8080 } : null;
		},
		rules,
		(destination) => destination === NODE,
	);
	assert.deepEqual(translation.destinations(tcp("10.96.0.11", 80)), {
		exact: true,
		destinations: [{ ip: "10.244.2.2", port: 8080 }],
	});
	assert.deepEqual(translation.destinations(tcp("10.244.2.2", 80)), { exact: false, destinations: [] });
	assert.deepEqual(translation.destinations(tcp(NODE, 22)), { exact: false, destinations: [] });
	assert.deepEqual(asked, ["10.96.0.11", NODE]);
});

describe("the kernel's connections", () => {
	let node: LiveNode;
	before(() => {
		node = new LiveNode("ct");
		node.pod("p1", "10.244.1.2");
		node.pod("p2", "10.244.1.3");
		node.exec("a", "sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1");
		node.exec("a", "iptables -t nat -A PREROUTING -d 10.96.0.11 -p udp --dport 53 -j DNAT --to 10.244.1.3:5353");
		node.exec("a", "iptables -t nat -A POSTROUTING -s 10.244.1.0/24 ! -d 10.244.1.0/24 -j MASQUERADE");
	});
	after(() => node.remove());

	test("DNAT and masquerading are found from both directions", () => {
		const netns = addon().openNetns(node.path);
		const conntrack = new Conntrack(addon().openNetlink(netns, NETFILTER));
		try {
			const send = (port: number, to: string, toPort: number) =>
				execFileSync(
					"ip",
					["netns", "exec", node.name("p1"), "socat", "-u", "-", `UDP4-SENDTO:${to}:${toPort},sourceport=${port}`],
					{ input: "weft" },
				);
			send(41000, "10.96.0.11", 53);
			send(41001, "192.168.66.12", 9);
			const udp = (source: string, sourcePort: number, destination: string, destinationPort: number): Tuple => ({
				family: Family.ipv4,
				protocol: 17,
				source,
				destination,
				sourcePort,
				destinationPort,
			});
			const { destination } = conntrack;
			assert.deepEqual(destination(udp("10.244.1.2", 41000, "10.96.0.11", 53)), { ip: "10.244.1.3", port: 5353 });
			assert.deepEqual(destination(udp("10.244.1.3", 5353, "10.244.1.2", 41000)), { ip: "10.244.1.2", port: 41000 });
			assert.deepEqual(destination(udp("192.168.66.12", 9, NODE, 41001)), { ip: "10.244.1.2", port: 41001 });
			assert.equal(destination(udp("192.168.66.12", 9, NODE, 41002)), null);
			assert.equal(destination({ ...udp("10.244.1.2", 0, "10.244.1.3", 0), protocol: 47 }), null);
			const icmp = { ...udp("10.244.1.2", 7, "10.244.1.3", 0x0800), protocol: 1 };
			assert.equal(destination(icmp), null, "no echo was sent: a look-up that finds nothing is no error");
		} finally {
			conntrack.close();
			netns.close();
		}
	});
});
