import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Path } from "../../src/path/path.js";
import { until } from "../until.js";
import { cluster } from "./cluster.js";
import { programsOn } from "./programs.js";
import { assertBalanced, runWeft, startWeft } from "./weft.js";

const FLOOD = "build/bench/flood";

describe("a trace in the life of a node", () => {
	const lab = cluster({ servers: true });

	test("a filter that names the service's port follows the packet past DNAT and back", async (t) => {
		const weft = await startWeft("trace", "any", "any", "tcp", "port", "80", `--lab=${lab().name}`);
		t.after(() => weft.end());
		const address = lab().service("default/web").clusterIp.ipv4;
		const server = lab().pod("default/server").pod.address.ipv4;
		await lab().send("default/client", { protocol: "tcp", address, port: 80, bytes: 10, timeoutMs: 500 });
		await lab().send("default/client", { protocol: "tcp", address: server, port: 8080, bytes: 10, timeoutMs: 500 });
		await sleep(2500);
		assertBalanced(await weft.stop());
		const syn = weft.paths.filter(({ packet }) => packet.flags === "S");
		const synAck = weft.paths.filter(({ packet }) => packet.flags === "SA");
		assert.deepEqual([syn.length, synAck.length], [1, 1], "the service's, and not what went to the pod directly");
		const [there, back] = [syn[0] as Path, synAck[0] as Path];
		assert.equal(there.hops[0]?.destination, `${address}:80`, "precondition: it is for the service");
		assert.equal(there.hops.at(-1)?.destination, `${server}:8080`, "precondition: NAT happened");
		assert.deepEqual([there.hops.length, back.hops.length], [8, 8]);
		assert.deepEqual([there.verdict, back.verdict], ["delivered", "delivered"]);
		assert.equal(there.flow.service?.name, "default/web");
		assert.ok(
			weft.paths.every(({ flow }) => flow.service?.port === 80),
			"nothing else came along",
		);
	});

	test("a pod that appears is hooked and named; one that goes leaves nothing, and its paths keep its name", async (t) => {
		const { netns } = lab().node("node-a").node;
		const weft = await startWeft("trace", "default/late-*", "any", "--netns", netns);
		t.after(() => weft.end());
		assert.equal(weft.paths.length, 0);
		const late = await lab().addPod("node-a", { name: "late-1" });
		await until(() => weft.changes.some(({ change, device }) => change === "added" && device === late.pod.device));
		// Its name is told by the runtime's files, a moment after its link.
		await until(async () => {
			assert.equal(await lab().ping("default/late-1", lab().pod("default/neighbor").pod.address.ipv4), 1);
			return weft.paths.some((path) => path.packet.icmp?.type === 0);
		});
		await lab().deletePod("default/late-1");
		await until(() => weft.changes.some(({ change, device }) => change === "removed" && device === late.pod.device));
		assertBalanced(await weft.stop());
		const request = weft.paths.find((path) => path.packet.icmp?.type === 8);
		assert.deepEqual([request?.flow.source.pod, request?.flow.source.namespace], ["late-1", "default"]);
		assert.equal(request?.hops[0]?.device, late.pod.device, "from its very veth");
	});

	test("killed in a flood, it leaves nothing on any device, and the flood goes on", async (t) => {
		const weft = await startWeft("trace", "default/client", "default/neighbor", `--lab=${lab().name}`);
		t.after(() => weft.end());
		const neighbor = lab().pod("default/neighbor");
		const address = neighbor.pod.address.ipv4;
		const sink = neighbor.spawn([FLOOD, "sink", address, "9000", "--seconds", "8"], {
			stdio: ["ignore", "pipe", "ignore"],
		});
		assert.ok(sink.stdout);
		const lines = createInterface({ input: sink.stdout })[Symbol.asyncIterator]();
		await lines.next();
		const sender = lab()
			.pod("default/client")
			.spawn([FLOOD, "send", address, "9000", "--seconds", "4", "--rate", "12000"], { stdio: "ignore" });
		const sent = once(sender, "close");
		const swallowed = once(sink, "close");
		await until(() => weft.paths.length > 1000);
		assert.ok((await programsOn(lab())) >= 6, "precondition: hooks are on");
		const killed = once(weft.process, "close");
		weft.process.kill("SIGKILL");
		await killed;
		await until(async () => (await programsOn(lab())) === 0);
		const [status] = (await sent) as [number];
		assert.equal(status, 0);
		sink.kill("SIGINT");
		const { received } = JSON.parse((await lines.next()).value ?? "{}") as { received: number };
		await swallowed;
		assert.ok(received > 30_000, `${received} datagrams of some 50,000 arrived`);
	});

	for (const [what, args, code, expected] of [
		["an unknown pod", ["default/cliemt", "any"], 1, /default\/client/],
		["a pod of another namespace", ["kube-system/client", "any"], 1, /default\/client/],
		["a filter that makes no sense", ["any", "any", "tcp prot 80"], 2, /column 5: .*found "prot"/],
		["a filter that is not supported", ["any", "any", "gateway foo"], 2, /gateway/],
		["an address that is none", ["10.244.1.300", "any"], 2, /address/],
	] as const) {
		test(`${what} is refused with one line and the remedy`, async () => {
			const result = await runWeft("trace", ...args, `--lab=${lab().name}`, "-d", "1s");
			assert.equal(result.code, code, result.stderr);
			assert.match(result.stderr, expected);
			assert.equal(result.stdout, "");
			assert.equal(await programsOn(lab()), 0);
		});
	}

	test("a namespace that is not there is named", async () => {
		const result = await runWeft("trace", "any", "any", "--netns", "weft-no-such-node", "-d", "1s");
		assert.equal(result.code, 1);
		assert.match(result.stderr, /weft-no-such-node/);
		assert.equal(result.stderr.trim().split("\n").length, 1, result.stderr);
	});

	test("-c ends after so many paths, -d after so long", async () => {
		const { netns } = lab().node("node-a").node;
		const pinging = lab()
			.pod("default/client")
			.spawn(["ping", "-i", "0.1", "-c", "40", lab().pod("default/neighbor").pod.address.ipv4], { stdio: "ignore" });
		const pinged = once(pinging, "close");
		const counted = await runWeft("trace", "any", "any", "icmp", "--netns", netns, "-c", "3", "-o", "json");
		const types = counted.stdout
			.trim()
			.split("\n")
			.map((line) => (JSON.parse(line) as { type: string }).type);
		assert.deepEqual(types, ["ready", "path", "path", "path", "summary"]);
		const timed = await runWeft("trace", "any", "any", "icmp", "--netns", netns, "-d", "500ms", "-o", "json");
		assert.equal(timed.code, 0);
		pinging.kill("SIGINT");
		await pinged;
	});
});
