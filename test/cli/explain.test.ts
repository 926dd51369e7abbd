import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cluster } from "../lab/cluster.js";
import { run } from "./run.js";

const PASTE = `bridge name\tbridge id\t\tSTP enabled\tinterfaces
cni0\t\t8000.0a580af40101\tno\t\tveth61dfc48a
docker0\t\t8000.0242d1f2a3b4\tno
3: docker0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default
6: veth61dfc48a@if3: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master cni0 state UP group default
7: \u001b[2Jevil@if3: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master cni0 state UP group default`;

function pasted(...args: readonly string[]) {
	return run(["explain", "--from", "-", ...args], `printf '%s' "$PASTE" | "$@"`, { PASTE });
}

test("explain --from explains a paste without root, and no pasted character reaches the terminal raw", async () => {
	const { status, stdout } = await pasted();
	assert.equal(status, 0);
	assert.match(stdout, /docker0 is a bridge with nothing plugged in/);
	assert.match(stdout, /That interface\s+3 of this machine is docker0 is coincidence/);
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
	assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f]/);
});

test("explain -o json: one object a thing, every field there", async () => {
	const { status, stdout } = await pasted("docker0", "-o", "json");
	assert.equal(status, 0);
	const explanation = JSON.parse(stdout) as Record<string, unknown>;
	assert.deepEqual(Object.keys(explanation).sort(), [
		"evidence",
		"faults",
		"headline",
		"kind",
		"node",
		"thing",
		"type",
		"unknown",
		"words",
	]);
});

test("what cannot be explained is refused in one line with status 2", async () => {
	for (const [args, words] of [
		[["explain", "--from", "-", "nothing"], /no device, address, pod or service is called nothing/],
		[["explain", "--model", "docker0"], /--model explains no single thing/],
	] as const) {
		const { status, stdout, stderr } = await run(args, `printf '%s' "$PASTE" | "$@"`, { PASTE });
		assert.deepEqual([status, stdout], [2, ""]);
		assert.match(stderr, words);
		assert.equal(
			stderr
				.trim()
				.split("\n")
				.filter((line) => !line.includes("not understood")).length,
			1,
		);
	}
	const strange = await run(["explain", "--from", "-"], `echo hello | "$@"`);
	assert.equal(strange.status, 2);
	assert.match(strange.stderr, /nothing in the text is output of a command that weft knows/);
	const missing = await run(["explain", "--from", "/nonexistent"]);
	assert.deepEqual([missing.status, missing.stdout], [1, ""]);
});

describe("on a lab", () => {
	const lab = cluster();

	test("topology shows every pod of every node with its evidence, as a tree and as JSON", async () => {
		const text = await run(["topology", `--lab=${lab().name}`]);
		assert.deepEqual([text.status, text.stderr], [0, ""]);
		for (const pod of lab().state.pods) {
			const row = new RegExp(
				`${pod.device} \\(${pod.ifindex}\\) ↔ eth0 {2}${pod.namespace}/${pod.name} .*${pod.address.ipv4}`,
			);
			assert.match(text.stdout, row);
		}
		assert.match(text.stdout, /docker0 \(3\) {2}bridge, .*nothing plugged in/);
		assert.match(
			text.stdout,
			/flannel\.1 .*VXLAN 1, UDP port 8472.* over eth0\n.*node-b {2}192\.168\.66\.12 {2}pods 10\.244\.2\.0\/24/,
		);
		const json = await run(["topology", `--lab=${lab().name}`, "-o", "json"]);
		const nodes = json.stdout
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { node: string; pods: unknown[] });
		assert.deepEqual(
			nodes.map(({ node, pods }) => [node, pods.length]),
			[
				["node-a", 2],
				["node-b", 2],
			],
		);
	});

	test("explain watches counters and hooks together, and takes its hooks away", async () => {
		const { netns } = lab().node("node-a").node;
		const asking = run(["explain", "cni0", "--netns", netns, "--watch", "2s", "-o", "json"]);
		await sleep(1500);
		for (let i = 0; i < 15; i++) await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4);
		const { status, stdout } = await asking;
		assert.equal(status, 0);
		const { evidence } = JSON.parse(stdout) as { evidence: { fact: string; source: string }[] };
		const [hooked] = evidence.filter(({ source }) => source === "tc hooks");
		assert.match(hooked?.fact ?? "", /hooks on it saw [1-9]\d* packets in/);
		assert.match(
			evidence.find(({ source }) => source === "counters")?.fact ?? "",
			/[1-9]\d* packets came in and [1-9]/,
		);
		const left = await lab().node("node-a").run("tc", "filter", "show", "dev", "cni0", "ingress");
		assert.equal(left.trim(), "");
	});

	test("a pod on another node is named by the node that has it, wherever one asks", async () => {
		const { netns } = lab().node("node-a").node;
		const { address } = lab().pod("default/server").pod;
		for (const thing of [address.ipv4, "default/server"]) {
			const { stdout } = await run(["explain", thing, "--netns", netns]);
			assert.match(stdout, /10\.244\.2\.\d+ is default\/server's, on another node: node-b/);
		}
	});

	test("topology --watch shows a node again when a pod comes", async () => {
		const watching = run(["topology", `--lab=${lab().name}`, "--watch", "-o", "json"], `timeout -s INT 6 "$@"`);
		await sleep(2500);
		await lab().addPod("node-a", { name: "late" });
		const { stdout } = await watching;
		await lab().deletePod("default/late");
		const rows = stdout
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { node: string; pods: { name: string }[] });
		assert.ok(rows.slice(2).some(({ node, pods }) => node === "node-a" && pods.some(({ name }) => name === "late")));
		assert.ok(
			rows.slice(2).every(({ node }) => node === "node-a"),
			"node-b has not changed",
		);
	});

	test("explain --model shows the packets that break a promise, when pods are hidden behind their node", async () => {
		const server = lab().pod("default/server").pod.address.ipv4;
		const client = lab().pod("default/client").pod.address.ipv4;
		const node = lab().node("node-a");
		const rule = ["POSTROUTING", "-t", "nat", "-s", client, "-d", server, "-p", "icmp", "-j", "MASQUERADE"];
		await node.run("iptables", "-I", ...rule);
		try {
			const checking = run(["explain", "--model", `--lab=${lab().name}`, "--watch", "5s", "-o", "json"]);
			let checked = false;
			const done = checking.finally(() => {
				checked = true;
			});
			// Each ping is a connection of its own: the rule is for new ones.
			while (!checked) await lab().ping("default/client", server, { count: 1 });
			const { stdout } = await done;
			const [pods, nodes, own] = stdout
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line) as { broken: number; breaches: { sent: string; arrived: string }[] });
			assert.ok(pods !== undefined && pods.broken > 0, stdout);
			assert.ok(own !== undefined && own.broken > 0, stdout);
			assert.equal(nodes?.broken, 0);
			assert.match(pods.breaches[0]?.sent ?? "", new RegExp(`^${client}`));
			assert.doesNotMatch(pods.breaches[0]?.arrived ?? client, new RegExp(`^${client}`));
		} finally {
			await node.run("iptables", "-D", ...rule);
		}
	});

	test("explain --model proves the three promises on live traffic", async () => {
		const checking = run(["explain", "--model", `--lab=${lab().name}`, "--watch", "5s", "-o", "json"]);
		const server = lab().pod("default/server").pod.address.ipv4;
		const client = lab().pod("default/client").pod.address.ipv4;
		const deadline = performance.now() + 5000;
		while (performance.now() < deadline) {
			await lab().ping("default/client", server, { count: 1 });
			await lab().ping("node:node-a", client, { count: 1 });
			await sleep(100);
		}
		const { status, stdout } = await checking;
		assert.equal(status, 0);
		const promises = stdout
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { kept: number; broken: number });
		assert.equal(promises.length, 3);
		for (const { kept, broken } of promises) assert.ok(kept > 0 && broken === 0, stdout);
	});
});
