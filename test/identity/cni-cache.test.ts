import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { CniCache, parseCniResult } from "../../src/identity/cni-cache.js";
import { FlannelDelegates } from "../../src/identity/delegates.js";
import { readSubnetEnv } from "../../src/identity/flannel.js";
import { HostLocal } from "../../src/identity/host-local.js";

const ID = "5c9d7f1e0a".padEnd(64, "3");
const RESULT = {
	cniVersion: "0.3.1",
	interfaces: [
		{ name: "cni0", mac: "ea:4b:be:ef:00:01" },
		{ name: "veth61dfc48a", mac: "ea:4b:be:ef:00:02" },
		{ name: "eth0", mac: "ea:4b:be:ef:00:03", sandbox: "/var/run/netns/cni-1" },
	],
	ips: [
		{ version: "4", interface: 2, address: "10.244.1.2/24", gateway: "10.244.1.1" },
		{ version: "6", interface: 2, address: "fd00:10:244:1::2/64" },
	],
};
const CACHE = {
	kind: "cniCacheV1",
	containerId: ID,
	config: "e30=",
	ifName: "eth0",
	networkName: "cbr0",
	cniArgs: [
		["IgnoreUnknown", "1"],
		["K8S_POD_NAMESPACE", "default"],
		["K8S_POD_NAME", "client"],
		["K8S_POD_UID", "b7a1"],
	],
	result: RESULT,
};

test("a cniCacheV1 file tells the pod, its veth and its addresses", () => {
	assert.deepEqual(parseCniResult(`cbr0-${ID}-eth0`, JSON.stringify(CACHE), 5), {
		source: "cni-cache",
		pod: { namespace: "default", name: "client" },
		uid: "b7a1",
		sandbox: ID,
		netnsPath: "/var/run/netns/cni-1",
		pid: null,
		inode: null,
		device: "veth61dfc48a",
		addresses: ["10.244.1.2", "fd00:10:244:1::2"],
		sinceMs: 5,
		containers: [],
	});
});

test("a result from before 2019 tells the sandbox by its file name", () => {
	const claim = parseCniResult(`cbr0-${ID}-eth0`, JSON.stringify(RESULT), 5);
	assert.ok(claim !== null && typeof claim === "object");
	assert.deepEqual([claim.pod, claim.sandbox, claim.device], [null, ID, "veth61dfc48a"]);
	const oldest = parseCniResult(`cbr0-${ID}-eth0`, '{"ip4":{"ip":"10.244.1.2/24"}}', 5);
	assert.ok(oldest !== null && typeof oldest === "object");
	assert.deepEqual(oldest.addresses, ["10.244.1.2"]);
});

test("what is no pod's, half written or of another shape is no claim", () => {
	assert.equal(parseCniResult(`cni-loopback-${ID}-lo`, JSON.stringify({ ...CACHE, ifName: "lo" }), 0), null);
	assert.match(String(parseCniResult("x", JSON.stringify(CACHE).slice(0, 100), 0)), /half written/);
	for (const shape of ["null", "[]", "3", '"text"', "{}", '{"result":7}', '{"result":{"ips":{"a":1}}}']) {
		assert.equal(typeof parseCniResult("x", shape, 0), "string", shape);
	}
});

test("any JSON whatsoever gives a claim, null or a reason, and names of bounded length", () => {
	const poisoned = fc.record({
		cniArgs: fc.anything(),
		result: fc.anything(),
		ifName: fc.anything(),
		kind: fc.anything(),
	});
	fc.assert(
		fc.property(
			fc.oneof(
				fc.json(),
				poisoned.map((value) => JSON.stringify(value) ?? ""),
			),
			fc.string(),
			(json, name) => {
				const parsed = parseCniResult(name, json, 0);
				assert.ok(parsed === null || typeof parsed === "string" || parsed.source === "cni-cache");
			},
		),
		{ seed: 6, numRuns: 2000 },
	);
	const long = {
		...CACHE,
		cniArgs: [
			["K8S_POD_NAMESPACE", "n".repeat(10_000)],
			["K8S_POD_NAME", "\u001b[2J"],
		],
	};
	const claim = parseCniResult("x", JSON.stringify(long), 0);
	assert.ok(claim !== null && typeof claim === "object");
	assert.equal(claim.pod?.namespace.length, 253);
});

describe("files as they are found on disk", () => {
	let root: string;
	before(() => {
		root = mkdtempSync(join(tmpdir(), "wf-wir-"));
		for (const directory of ["var/lib/cni/results", "var/lib/cni/networks/cbr0", "run/flannel"]) {
			mkdirSync(join(root, directory), { recursive: true });
		}
	});
	after(() => rmSync(root, { recursive: true, force: true }));

	test("a directory of good and bad files: the good are read, the bad are named, nothing waits", () => {
		const results = join(root, "var/lib/cni/results");
		writeFileSync(join(results, `cbr0-${ID}-eth0`), JSON.stringify(CACHE));
		writeFileSync(join(results, "half"), JSON.stringify(CACHE).slice(0, 200));
		writeFileSync(join(results, "empty"), "");
		writeFileSync(join(results, "huge"), Buffer.alloc(2 * 1024 * 1024, 32));
		for (let i = 0; i < 5; i++) writeFileSync(join(results, `bad${i}`), "[]");
		mkdirSync(join(results, "directory"));
		execFileSync("mkfifo", [join(results, "fifo")]);
		const started = performance.now();
		const { claims, warnings } = new CniCache(root).read();
		assert.ok(performance.now() - started < 1000);
		assert.deepEqual(
			claims.map((claim) => claim.pod),
			[{ namespace: "default", name: "client" }],
		);
		assert.equal(warnings.length, 4, "three lines and how many more");
		assert.match(warnings[3] ?? "", /and \d more of the kind/);
		assert.deepEqual(new CniCache(join(root, "nowhere")).read(), { claims: [], warnings: [] });
	});

	test("files are parsed again when they have changed, and only then", () => {
		const results = join(root, "var/lib/cni/results");
		const cache = new CniCache(root);
		const first = cache.read();
		assert.equal(cache.read(), first, "the same object");
		const name = (claims: ReturnType<CniCache["read"]>) => claims.claims.map((claim) => claim.pod?.name).sort();
		writeFileSync(
			join(results, "cbr0-second-eth0"),
			JSON.stringify({
				...CACHE,
				cniArgs: [
					["K8S_POD_NAMESPACE", "default"],
					["K8S_POD_NAME", "second"],
				],
			}),
		);
		assert.deepEqual(name(cache.read()), ["client", "second"]);
		writeFileSync(
			join(results, "cbr0-second-eth0"),
			JSON.stringify({
				...CACHE,
				cniArgs: [
					["K8S_POD_NAMESPACE", "default"],
					["K8S_POD_NAME", "thirds"],
				],
			}),
		);
		assert.deepEqual(name(cache.read()), ["client", "thirds"], "of the same length");
		rmSync(join(results, "cbr0-second-eth0"));
		assert.deepEqual(name(cache.read()), ["client"]);
	});

	test("host-local: addresses and sandboxes, without locks and counters", () => {
		const network = join(root, "var/lib/cni/networks/cbr0");
		writeFileSync(join(network, "10.244.1.2"), `${ID}\r\neth0`);
		writeFileSync(join(network, "fd00:10:244:1::2"), ID);
		writeFileSync(join(network, "last_reserved_ip.0"), "10.244.1.2");
		writeFileSync(join(network, "lock"), "");
		writeFileSync(join(network, "10.244.1.9"), "\u001b[31mno id");
		assert.deepEqual([...new HostLocal(root).read()].sort(), [
			["10.244.1.2", ID],
			["fd00:10:244:1::2", ID],
		]);
	});

	test("flannel's delegate files: sandboxes by their names, whole or half written, and nothing else", () => {
		const directory = join(root, "var/lib/cni/flannel");
		const delegates = new FlannelDelegates(root);
		assert.equal(delegates.read().size, 0, "no flannel here");
		mkdirSync(directory, { recursive: true });
		writeFileSync(join(directory, ID), '{"type":"bridge","name":"cbr0"');
		writeFileSync(join(directory, "lock"), "");
		const found = delegates.read();
		assert.deepEqual([...found], [ID]);
		assert.equal(delegates.read(), found, "the same while nothing comes or goes");
		rmSync(join(directory, ID));
		assert.equal(delegates.read().size, 0);
	});

	test("subnet.env of both families", () => {
		assert.equal(readSubnetEnv(root), null);
		writeFileSync(
			join(root, "run/flannel/subnet.env"),
			"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_NETWORK=fd00:10:244::/48\nFLANNEL_IPV6_SUBNET=fd00:10:244:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
		);
		assert.deepEqual(readSubnetEnv(root), {
			networks: ["10.244.0.0/16", "fd00:10:244::/48"],
			subnets: ["10.244.1.0/24", "fd00:10:244:1::/64"],
			mtu: 1450,
		});
	});
});
