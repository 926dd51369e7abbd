import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../../src/lab/lab.js";
import type { Space } from "../../src/lab/space.js";
import type { DropReport } from "../../src/latency/drop-report.js";
import { cluster } from "./cluster.js";
import { type RunningDrops, startDrops } from "./drops.js";
import { FAULTS } from "./faults.js";

const FLOOD = "build/bench/flood";

describe("weft drops tells why", () => {
	const lab = cluster({ servers: true });
	let weft: RunningDrops | null = null;
	before(async () => {
		weft = await startDrops(`--lab=${lab().name}`);
	});
	after(async () => {
		await weft?.stop();
	});

	for (const fault of FAULTS) {
		test(fault.name, async () => {
			assert.ok(weft);
			const undo = await fault.make(lab());
			try {
				const told = weft.next(({ diagnosis }) => diagnosis === fault.diagnosis, fault.patienceMs);
				// Whatever comes of it is looked at below.
				told.catch(() => undefined);
				await fault.send(lab());
				const drops = await told;
				const others = drops.filter(({ diagnosis }) => diagnosis !== fault.diagnosis);
				assert.deepEqual(others.map(shown), [], "nothing else is told");
				const [drop] = drops;
				assert.ok(drop);
				assert.equal(drop.node, fault.node ?? "node-a");
				assert.deepEqual(drop.hop, fault.hop(lab()));
				assert.equal(drop.source?.pod ?? null, fault.from === undefined ? "client" : fault.from);
				assert.equal(drop.destination?.pod ?? null, fault.to);
				assert.match(`${drop.explanation} ${drop.remedy}`, fault.words);
			} finally {
				await undo();
			}
		});
	}
});

describe("weft drops", () => {
	const lab = cluster({ servers: true });

	test("is silent on a healthy lab, whatever goes on", async () => {
		const weft = await startDrops(`--lab=${lab().name}`);
		await mixedTraffic(lab(), Number(process.env["WEFT_HEALTHY_SECONDS"] ?? 20));
		await sleep(500);
		const summary = await weft.stop();
		// The backlogs of the CPUs are the whole machine's: somebody else's flood may fill them.
		const ours = weft.drops.filter(({ kernelReason }) => kernelReason !== "CPU_BACKLOG");
		assert.deepEqual(ours.map(shown), []);
		assert.ok(summary.consumed > 0, "precondition: the kernel did free packets as dropped");
	});

	test("counts a flood exactly, and says what it told by kind alone", async () => {
		const weft = await startDrops("udp port 5999", `--lab=${lab().name}`);
		const server = lab().pod("default/neighbor");
		const before = await noPorts(server);
		const sent = JSON.parse(
			await lab()
				.pod("default/client")
				.run(FLOOD, "send", server.pod.address.ipv4, "5999", "--seconds", "3", "--size", "22"),
		) as { sent: number };
		await sleep(500);
		const summary = await weft.stop();
		const dropped = (await noPorts(server)) - before;
		assert.ok(sent.sent > 50_000 && dropped > 50_000, `precondition: a flood, ${dropped} dropped`);
		assert.equal(
			weft.drops.reduce((sum, { count }) => sum + count, 0),
			dropped,
			"every drop is counted",
		);
		assert.equal(summary.dropped, dropped);
		assert.ok(summary.sampled > dropped / 2);
		assert.ok(weft.drops.length < 100, `${weft.drops.length} reports`);
		assert.ok(weft.drops.every(({ diagnosis }) => diagnosis === "closed port"));
	});

	test("tells what the filter wants, and counts the rest", async () => {
		const weft = await startDrops("pod", "default/server", "and", "udp", `--lab=${lab().name}`);
		const knock = (pod: string) =>
			lab().send("default/client", {
				...{
					protocol: "udp",
					address: lab().pod(pod).pod.address.ipv4,
					port: 5999,
					size: 20,
					count: 2,
					timeoutMs: 100,
				},
			});
		const told = weft.next(({ diagnosis }) => diagnosis === "closed port");
		await knock("default/neighbor");
		await knock("default/server");
		const drops = await told;
		assert.ok(drops.every(({ destination }) => destination?.pod === "server"));
		assert.ok((await weft.stop()).filtered >= 1);
	});

	test("knows nothing of another node's drops", async () => {
		const weft = await startDrops("--netns", lab().node("node-a").netns);
		await lab().send("default/other", {
			...{ protocol: "udp", address: lab().pod("default/server").pod.address.ipv4, port: 5999 },
			...{ size: 20, count: 2, timeoutMs: 100 },
		});
		await sleep(300);
		const summary = await weft.stop();
		assert.deepEqual(weft.drops.map(shown), []);
		assert.ok(summary.foreign >= 1, "precondition: there were some");
	});
});

function shown({
	diagnosis,
	kernelReason,
	kernelFunction,
	node,
	hop,
	protocol,
	source,
	destination,
}: DropReport): string {
	const flow = `${protocol} ${source?.ip}:${source?.port} → ${destination?.ip}:${destination?.port}`;
	return `${diagnosis} (${kernelReason} in ${kernelFunction}) ${hop?.device} @${node} ${flow}`;
}

/** Pings, web requests through services and UDP, of both families, for some seconds. */
async function mixedTraffic(lab: Lab, seconds: number): Promise<void> {
	const end = Date.now() + seconds * 1000;
	const address = (pod: string) => lab.pod(pod).pod.address;
	const again = async (work: () => Promise<unknown>) => {
		while (Date.now() < end) {
			await work();
			await sleep(50);
		}
	};
	await Promise.all([
		again(() => lab.ping("default/client", address("default/server").ipv4, { count: 5 })),
		again(() => lab.ping("default/neighbor", address("default/other").ipv6, { count: 5 })),
		again(() => lab.ping("default/client", address("default/neighbor").ipv4, { count: 5, size: 3000 })),
		again(() => get(lab, lab.service("default/web").clusterIp.ipv4)),
		again(() => get(lab, lab.service("default/near").clusterIp.ipv4)),
		again(() =>
			lab.send("default/client", {
				...{ protocol: "udp", address: address("default/server").ipv4, port: 5353, size: 500 },
				...{ count: 20, answers: true, timeoutMs: 1000 },
			}),
		),
	]);
}

async function get(lab: Lab, address: string): Promise<void> {
	const curl = lab
		.pod("default/client")
		.spawn(
			["node", "-e", `fetch("http://${address}/").then((r) => r.text()).then((t) => process.exit(t === "" ? 1 : 0))`],
			{ stdio: "ignore" },
		);
	const [code] = (await once(curl, "close")) as [number | null];
	assert.equal(code, 0, "precondition: the service answers");
}

/** Datagrams that found no socket, by the namespace's own count. */
async function noPorts(space: Space): Promise<number> {
	const [names = [], values = []] = (await space.run("cat", "/proc/net/snmp"))
		.split("\n")
		.filter((line) => line.startsWith("Udp:"))
		.map((line) => line.split(" "));
	return Number(values[names.indexOf("NoPorts")]);
}
