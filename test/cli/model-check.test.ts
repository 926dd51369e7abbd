import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelCheck, type Promised } from "../../src/cli/model-check.js";
import type { Endpoint, Hop, Path } from "../../src/path/path.js";

const CLIENT = "10.244.1.2:40000";
const SERVER = "10.244.2.2:80";

function hop(device: string, direction: Hop["direction"], role: Hop["role"], source: string, destination: string): Hop {
	return {
		node: "node-a",
		device,
		ifindex: 1,
		direction,
		role,
		first: "2026-11-22T12:00:00.000000000Z",
		last: "2026-11-22T12:00:00.000000000Z",
		sincePreviousNs: 0,
		packets: 1,
		bytes: 64,
		source,
		destination,
		outer: null,
		branch: 0,
	};
}

function end(pod: string | null, node: string | null = "node-a"): Endpoint {
	return { ip: "10.0.0.1", port: 1, namespace: pod === null ? null : "default", pod, node };
}

function path(hops: readonly Hop[], some: Partial<Path["flow"]> = {}, verdict: Path["verdict"] = "delivered"): Path {
	return {
		type: "path",
		id: "1",
		revision: 0,
		flow: { protocol: "tcp", source: end("client"), destination: end("server"), service: null, ...some },
		packet: { ipId: 1, seq: 1, ack: 1, flags: "S", length: 64, payload: 0 },
		hops,
		verdict,
		evidence: "exact",
		blame: null,
		latencyNs: 1,
		clockErrorNs: 0,
	};
}

function counts(...paths: readonly Path[]): Readonly<Record<Promised, string>> {
	const check = new ModelCheck();
	for (const one of paths) check.path(one);
	return Object.fromEntries(
		check.results().map(({ promise, kept, broken }) => [promise, `${kept}/${broken}`]),
	) as never;
}

const out = (source: string, destination: string) => hop("vA", "ingress", "pod", source, destination);
const into = (source: string, destination: string) => hop("vB", "egress", "pod", source, destination);
const web = { ip: "10.96.0.11", port: 80, name: "default/web" };

test("a packet between pods that nobody rewrites proves two promises", () => {
	assert.deepEqual(counts(path([out(CLIENT, SERVER), into(CLIENT, SERVER)])), {
		"pods reach pods without NAT": "1/0",
		"nodes reach pods without NAT": "0/0",
		"others see a pod's own address": "1/0",
	});
});

test("a rewritten source breaks both, and the packet is shown", () => {
	const check = new ModelCheck();
	check.path(path([out(CLIENT, SERVER), into("192.168.66.11:1", SERVER)]));
	const [pods, , own] = check.results();
	assert.deepEqual([pods?.broken, own?.broken], [1, 1]);
	assert.equal(own?.breaches[0]?.sent, `${CLIENT} → ${SERVER}`);
	assert.equal(own?.breaches[0]?.arrived, `192.168.66.11:1 → ${SERVER}`);
	assert.equal(own?.proof, null);
});

test("a service rewrites by design: the request counts for the third promise, its reply for none", () => {
	const request = path([out(CLIENT, "10.96.0.11:80"), into(CLIENT, SERVER)], { service: web });
	const reply = path([out(SERVER, CLIENT), into("10.96.0.11:80", CLIENT)], { service: web });
	assert.deepEqual(counts(request, reply), {
		"pods reach pods without NAT": "0/0",
		"nodes reach pods without NAT": "0/0",
		"others see a pod's own address": "1/0",
	});
});

test("a node's own packet to a pod", () => {
	const from = hop("cni0", "egress", "bridge", "10.244.1.1:5", SERVER);
	const node = { source: end(null) };
	assert.equal(counts(path([from, into("10.244.1.1:5", SERVER)], node))["nodes reach pods without NAT"], "1/0");
	assert.equal(counts(path([from, into("192.168.66.11:5", SERVER)], node))["nodes reach pods without NAT"], "0/1");
});

test("what was not seen whole, ARP and the outside prove nothing", () => {
	const whole = [out(CLIENT, SERVER), into(CLIENT, SERVER)];
	const none = counts(
		path(whole, {}, "lost"),
		path(whole, {}, "forwarded"),
		path(whole.slice(0, 1)),
		path(whole, { protocol: "arp" }),
		path([out(CLIENT, "203.0.113.7:80"), hop("eth0", "egress", "nic", "192.168.66.11:9", "203.0.113.7:80")], {
			destination: end(null, null),
		}),
	);
	assert.deepEqual(Object.values(none), ["0/0", "0/0", "0/0"]);
});
