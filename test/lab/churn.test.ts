import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addSandbox, deleteSandbox } from "../../src/lab/cni.js";
import { layFlannel } from "../../src/lab/flannel.js";
import type { NodeSpace } from "../../src/lab/lab.js";
import { Space } from "../../src/lab/space.js";
import type { LabPod } from "../../src/lab/state.js";
import { checkSurroundings } from "../../src/lab/surroundings.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { inject } from "./frames.js";
import { type Hooking, own, Racer } from "./hooking.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

const PODS = 200;
const AT_ONCE = 10;
/** Of devices whose hooks are timed. */
const ROUNDS = 9;
/** What may pass between a link's event and its hooks, beyond what the kernel takes, ms. */
const SOON = 50;

/** Devices come and go under a trace, as they do on a node: hooks follow, and nothing of them is kept. */
describe("a trace while devices come and go", () => {
	const lab = cluster({ servers: true });
	let weft: RunningWeft;
	let plugins = "";
	let racer: Racer;

	before(async () => {
		({ plugins } = await checkSurroundings({ runtime: "none" }));
		weft = await startWeft("trace", "any", "any", `--lab=${lab().name}`);
		racer = new Racer(weft, node());
	});
	after(() => {
		racer.close();
		weft.process.kill("SIGKILL");
	});

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

	/** A pod as kubelet makes it: a sandbox that the plugins bridge and host-local have plugged in. */
	async function addPod(name: string): Promise<LabPod> {
		const plan = { namespace: "default", name, node: "node-a", hostPorts: [] };
		return addSandbox(lab().name, plugins, node().node, plan);
	}

	async function removePod(pod: LabPod): Promise<void> {
		await deleteSandbox(plugins, node().node, pod);
	}

	/** Several times, a device of such a name: what is not the kernel's is short. */
	async function assertSoon(
		what: string,
		name: RegExp,
		make: (n: number) => Promise<() => Promise<unknown>>,
	): Promise<void> {
		const found: Hooking[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			let remove: (() => Promise<unknown>) | null = null;
			const since = weft.changes.length;
			found.push(
				await racer.race(name, async () => {
					remove = await make(round);
				}),
			);
			const device = weft.changes.slice(since).find((one) => name.test(one.device))?.device ?? "";
			await (remove as (() => Promise<unknown>) | null)?.();
			await told("removed", device, since);
		}
		const middle = (pick: (one: Hooking) => number) => Math.round(median(found.map(pick)));
		const [all, kernel, waited] = [middle((one) => one.weft), middle((one) => one.kernel), middle((one) => one.waited)];
		const figures = `${what}: hooked ${all} ms after its event, by the kernel alone ${kernel}, waited for a CPU ${waited}`;
		process.stdout.write(`# ${figures}: ${middle(own)} are weft's own\n`);
		assert.ok(median(found.map(own)) <= SOON, figures);
	}

	test(`${PODS} pods come and go by the CNI's plugins: no descriptor, no program, no memory is kept`, async () => {
		const names = Array.from({ length: PODS }, (_, n) => `churn-${n}`);
		const batches = Array.from({ length: PODS / AT_ONCE }, (_, n) => names.slice(n * AT_ONCE, (n + 1) * AT_ONCE));
		const churn = async (batch: readonly string[]) => {
			const pods = await Promise.all(batch.map(addPod));
			for (const { device } of pods) await told("added", device);
			const [one] = pods as [LabPod];
			const server = lab().pod("default/server").pod.address.ipv4;
			await new Space(one.name, one.netns).run("ping", "-c", "1", "-W", "2", server);
			await Promise.all(pods.map(removePod));
			for (const { device } of pods) await told("removed", device);
		};
		// What is made once, for the first device ever, is no leak; nor is the heap of a process that has just begun: what
		// is kept for each device shows again and again, in the last half as in the first.
		await churn(["first", "second"]);
		await sleep(500);
		const before = held(weft);
		for (const batch of batches.slice(0, batches.length / 2)) await churn(batch);
		await sleep(500);
		const halfway = held(weft);
		for (const batch of batches.slice(batches.length / 2)) await churn(batch);
		// A dead pod's packets may still be under way: its namespace is let go a little later.
		await sleep(1500);
		const now = held(weft);
		const heard = weft.changes.filter(({ pod }) => pod !== null && /^default\/churn-\d+$/.test(pod));
		const devices = new Set(weft.changes.map(({ device }) => device));
		const figures = JSON.stringify({ before, halfway, now, named: heard.length, devices: devices.size });
		assert.ok(devices.size >= PODS + 2, figures);
		assert.ok(now.descriptors <= before.descriptors, figures);
		assert.ok(now.bpf <= before.bpf, figures);
		assert.ok(now.residentMiB < halfway.residentMiB + 48, figures);
		const pinging = weft.paths.filter(
			({ flow, packet: { icmp } }) => icmp?.type === 8 && /^churn-/.test(flow.source.pod ?? ""),
		);
		assert.equal(
			pinging.length,
			batches.length,
			`the first packets of pods that just came, by their names; ${figures}`,
		);
		for (const { verdict, hops, blame } of pinging) {
			assert.deepEqual([verdict, hops.length], ["delivered", 8], `${JSON.stringify(blame)} ${figures}`);
		}
		process.stdout.write(`# ${figures}\n`);
	});

	test(`a pod's veth is hooked within ${SOON} ms of its event, beyond what the kernel takes`, async () => {
		await assertSoon("a pod's veth", /^veth/, async (round) => {
			const pod = await addPod(`soon-${round}`);
			return () => removePod(pod);
		});
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

	test(`and hooked within ${SOON} ms of its event`, async () => {
		await assertSoon("a veth with an old ifindex", /^wfr\d/, async (round) => {
			await plug([`wfr${round}`], "index 7778");
			return () => unplug([`wfr${round}`]);
		});
	});

	async function removeFlannel(): Promise<void> {
		await node().ip(["link del flannel.1", "link del flannel-v6.1"]);
	}

	async function makeFlannel(): Promise<void> {
		const { state } = lab();
		await layFlannel(
			node(),
			{ ...state, nodes: state.nodes } as unknown as Parameters<typeof layFlannel>[1],
			node().node,
		);
	}

	test("flannel.1 that is deleted and made anew is hooked again, and paths are whole again", async () => {
		const server = lab().pod("default/server").pod.address.ipv4;
		const since = weft.changes.length;
		await removeFlannel();
		await told("removed", "flannel.1", since);
		assert.equal(await lab().ping("default/client", server), 0, "precondition: without it nothing arrives");
		await makeFlannel();
		await told("added", "flannel.1", since);
		// The NIC's programs look into the tunnel again once they have been verified anew, with its port.
		await sleep(1000);
		const paths = weft.paths.length;
		assert.equal(await lab().ping("default/client", server, { count: 3 }), 3);
		await sleep(500);
		const whole = weft.paths.slice(paths).filter(({ packet: { icmp } }) => icmp?.type === 8 || icmp?.type === 0);
		assert.equal(whole.length, 6);
		for (const { verdict, hops } of whole) assert.deepEqual([verdict, hops.length], ["delivered", 8]);
	});

	test(`and it, too, within ${SOON} ms of its event`, async () => {
		await removeFlannel();
		await assertSoon("flannel.1", /^flannel\.1$/, async () => {
			await makeFlannel();
			return removeFlannel;
		});
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

function median(values: readonly number[]): number {
	return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

async function ifindexOf(node: NodeSpace, device: string): Promise<number> {
	return Number(await node.run("cat", `/sys/class/net/${device}/ifindex`));
}
