import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { layFlannel } from "../../src/lab/flannel.js";
import type { NodeSpace } from "../../src/lab/lab.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { inject } from "./frames.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

const PODS = 200;
const AT_ONCE = 20;

/** Devices come and go under a trace, as they do on a node: hooks follow, and nothing of them is kept. */
describe("a trace while devices come and go", () => {
	const lab = cluster({ servers: true });
	let weft: RunningWeft;

	before(async () => {
		weft = await startWeft("trace", "any", "any", `--lab=${lab().name}`);
	});
	after(() => weft.process.kill("SIGKILL"));

	const node = () => lab().node("node-a");

	const pod = () => lab().pod("default/neighbor");

	/** One more veth of a pod, as a bridge's port. */
	async function plug(names: readonly string[], options = ""): Promise<void> {
		await node().ip(
			names.flatMap((name) => [
				`link add ${name} ${options} type veth peer name ${name}p netns ${pod().netns}`,
				`link set ${name} master cni0 up`,
			]),
		);
		await pod().ip(names.map((name) => `link set ${name}p up`));
	}

	async function unplug(names: readonly string[]): Promise<void> {
		await node().ip(names.map((name) => `link del ${name}`));
	}

	async function told(change: "added" | "removed", device: string, since = 0): Promise<void> {
		const heard = () => weft.changes.slice(since).some((one) => one.change === change && one.device === device);
		for (const end = Date.now() + 10_000; !heard(); await sleep(5)) {
			assert.ok(Date.now() < end, `${device} was not ${change}`);
		}
	}

	/** Broadcast out of a veth's far end: seen on its near one. Gives the device of its first hop. */
	async function sendThrough(name: string, port: number): Promise<string | undefined> {
		const frame = packet()
			.ethernet({ destination: "ff:ff:ff:ff:ff:ff" })
			.ipv4({ source: "10.244.1.200", destination: "10.244.1.255", id: port })
			.udp({ source: 4700, destination: port })
			.payload("hello");
		await inject(pod(), `${name}p`, [frame.build()]);
		const found = () => weft.paths.find(({ flow }) => flow.destination.port === port);
		for (const end = Date.now() + 6000; found() === undefined && Date.now() < end; ) await sleep(20);
		return found()?.hops[0]?.device;
	}

	test(`${PODS} veths appear and go: no descriptor, no program, no memory is kept`, async () => {
		const batches = Array.from({ length: PODS / AT_ONCE }, (_, n) =>
			Array.from({ length: AT_ONCE }, (_, i) => `wfc${n * AT_ONCE + i}`),
		);
		const churn = async (names: readonly string[]) => {
			await plug(names);
			for (const name of names) await told("added", name);
			await unplug(names);
			for (const name of names) await told("removed", name);
		};
		// What is made once, for the first device ever, is no leak; nor is the heap of a process that has just begun: what
		// is kept for each device shows again and again, in the last half as in the first.
		await churn(["wfcx", "wfcy"]);
		await sleep(500);
		const before = held(weft);
		for (const batch of batches.slice(0, batches.length / 2)) await churn(batch);
		await sleep(500);
		const halfway = held(weft);
		for (const batch of batches.slice(batches.length / 2)) await churn(batch);
		await sleep(500);
		const now = held(weft);
		const heard = weft.changes.filter(({ device }) => /^wfc\d+$/.test(device));
		assert.equal(heard.length, PODS * 2, "each was hooked, and let go");
		const figures = JSON.stringify({ before, halfway, now });
		assert.ok(now.descriptors <= before.descriptors, figures);
		assert.ok(now.bpf <= before.bpf, figures);
		assert.ok(now.residentMiB < halfway.residentMiB + 48, figures);
		assert.equal(await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4), 1);
	});

	test("a veth that is made anew with the old one's ifindex is another device", async () => {
		await plug(["wfold"], "index 7777");
		await told("added", "wfold");
		await sleep(50);
		assert.equal(await sendThrough("wfold", 4711), "wfold");
		const since = weft.changes.length;
		await node().ip([
			"link del wfold",
			`link add wfnew index 7777 type veth peer name wfnewp netns ${pod().netns}`,
			"link set wfnew master cni0 up",
		]);
		await pod().ip(["link set wfnewp up"]);
		await told("added", "wfnew", since);
		assert.equal(await ifindexOf(node(), "wfnew"), 7777, "precondition: the same index");
		await sleep(50);
		assert.equal(await sendThrough("wfnew", 4712), "wfnew", "nothing of the old one is said of the new one");
		await unplug(["wfnew"]);
	});

	test("flannel.1 that is deleted and made anew is hooked again, and paths are whole again", async () => {
		const server = lab().pod("default/server").pod.address.ipv4;
		const since = weft.changes.length;
		await node().ip(["link del flannel.1", "link del flannel-v6.1"]);
		await told("removed", "flannel.1", since);
		assert.equal(await lab().ping("default/client", server), 0, "precondition: without it nothing arrives");
		const { state } = lab();
		const begun = performance.now();
		await layFlannel(
			node(),
			{ ...state, nodes: state.nodes } as unknown as Parameters<typeof layFlannel>[1],
			node().node,
		);
		await told("added", "flannel.1", since);
		process.stdout.write(`# hooked again after ${Math.round(performance.now() - begun)} ms, the commands included\n`);
		await sleep(100);
		const paths = weft.paths.length;
		assert.equal(await lab().ping("default/client", server, { count: 3 }), 3);
		await sleep(500);
		const whole = weft.paths.slice(paths).filter(({ packet: { icmp } }) => icmp?.type === 8 || icmp?.type === 0);
		assert.equal(whole.length, 6);
		for (const { verdict, hops } of whole) assert.deepEqual([verdict, hops.length], ["delivered", 8]);
	});

	test("and the ledger balances", async () => {
		assertBalanced(await weft.stop());
	});
});

/** What a process holds: descriptors, BPF programs, maps and links among them, memory. */
function held({ process: { pid } }: RunningWeft): {
	readonly descriptors: number;
	readonly bpf: number;
	readonly residentMiB: number;
} {
	const folder = `/proc/${pid}/fd`;
	const targets = readdirSync(folder).map((fd) => {
		try {
			return readlinkSync(`${folder}/${fd}`);
		} catch {
			return "";
		}
	});
	const [, pages = "0"] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
	return {
		descriptors: targets.length,
		bpf: targets.filter((target) => target.includes("bpf")).length,
		residentMiB: Math.round((Number(pages) * 4096) / 2 ** 20),
	};
}

async function ifindexOf(node: NodeSpace, device: string): Promise<number> {
	return Number(await node.run("cat", `/sys/class/net/${device}/ifindex`));
}
