import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Firewalls } from "../../src/collector/firewall.js";
import { addon } from "../../src/kernel/addon.js";
import type { Lab } from "../../src/lab/lab.js";
import type { DropReport } from "../../src/latency/drop-report.js";
import { until } from "../until.js";
import { backlogDrops } from "./backlog.js";
import { cluster } from "./cluster.js";
import { noPorts, type RunningDrops, startDrops } from "./drops.js";
import { FAULTS } from "./faults.js";

const FLOOD = "build/bench/flood";

/** Side by side: each watches its own lab, and five minutes are long. */
describe("weft drops of faults and of none", { concurrency: true }, () => {
	for (const hooks of [[], ["--hooks"]]) {
		describe(`tells why${hooks.length === 0 ? "" : ", and where hooks saw it last"}`, { concurrency: false }, () => {
			const lab = cluster({ servers: true });
			let weft: RunningDrops | null = null;
			before(async () => {
				weft = await startDrops(...hooks, `--lab=${lab().name}`);
			});
			after(async () => {
				await weft?.stop();
			});

			for (const fault of FAULTS) {
				test(fault.name, async () => {
					assert.ok(weft);
					const undo = await fault.make(lab());
					try {
						const told = weft.next(({ diagnosis }) => diagnosis === fault.diagnosis);
						// Whatever comes of it is looked at below.
						told.catch(() => undefined);
						await fault.send(lab());
						const drops = await told;
						const others = drops.filter(({ diagnosis }) => diagnosis !== fault.diagnosis);
						assert.deepEqual(others.map(shown), [], "nothing else is told");
						const [drop] = drops;
						assert.ok(drop);
						assert.equal(drop.node, fault.node ?? "node-a");
						const evidence = hooks.length === 0 || fault.flooded ? "concluded" : "seen";
						assert.deepEqual(drop.hop, { ...fault.hop(lab()), evidence });
						assert.equal(drop.source?.pod ?? null, fault.from === undefined ? "client" : fault.from);
						assert.equal(drop.destination?.pod ?? null, fault.to);
						assert.match(`${drop.explanation} ${drop.remedy}`, fault.words);
					} finally {
						await undo();
					}
				});
			}
		});
	}

	describe("is silent", () => {
		const lab = cluster({ servers: true });

		test("on a healthy lab in five minutes of mixed traffic", async (t) => {
			const weft = await startDrops(`--lab=${lab().name}`);
			const before = backlogDrops();
			const rounds = await mixedTraffic(lab(), Number(process.env["WEFT_HEALTHY_SECONDS"] ?? 300));
			await sleep(500);
			const summary = await weft.stop();
			// The CPUs' backlogs are the whole machine's. Somebody else's flood may fill them, and then packets of this lab
			// do die: the kernel's own count says so, and allows for that many. On a machine of one's own it is 0.
			const overflown = backlogDrops() - before;
			const [full, others] = [weft.drops.filter(isBacklog), weft.drops.filter((drop) => !isBacklog(drop))];
			const told = full.reduce((sum, { count }) => sum + count, 0);
			assert.deepEqual(others.map(shown), []);
			assert.ok(told <= overflown, `${told} told of a full backlog, the kernel counts ${overflown}`);
			assert.ok(summary.consumed > 0, "precondition: the kernel did free packets as dropped");
			t.diagnostic(
				`${rounds} exchanges, ${summary.consumed} freed with nothing lost, ${overflown} lost in CPUs' backlogs`,
			);
		});
	});
});

describe("weft drops", () => {
	const lab = cluster({ servers: true });

	for (const hooks of [[], ["--hooks"]]) {
		test(`counts a flood exactly, and says what it told by kind alone${hooks.map((word) => `, with ${word}`)}`, async () => {
			const weft = await startDrops("udp port 5999", ...hooks, `--lab=${lab().name}`);
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
	}

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

	test("sees with hooks where a packet was that came in nowhere: the node's own, which a bridge's rule kills", async () => {
		const { pod } = lab().pod("default/client");
		const node = lab().node("node-a");
		await node.attempt("ping", "-c", "1", "-W", "1", pod.address.ipv4);
		const knock = async (...options: string[]) => {
			const weft = await startDrops("icmp", "and", "pod", "default/client", ...options, `--lab=${lab().name}`);
			try {
				await node.run("nft", "add table bridge weftlab");
				await node.run("nft", "add chain bridge weftlab out { type filter hook output priority 0; }");
				await node.run("nft", `add rule bridge weftlab out ip daddr ${pod.address.ipv4} drop`);
				const told = weft.next(() => true);
				told.catch(() => undefined);
				await node.attempt("ping", "-c", "1", "-W", "0.3", pod.address.ipv4);
				return (await told).map(({ hop }) => hop);
			} finally {
				await node.attempt("nft", "delete table bridge weftlab");
				await weft.stop();
			}
		};
		const unseen = await knock();
		assert.deepEqual(unseen, [null]);
		assert.deepEqual(await knock("--hooks"), [{ device: "cni0", direction: "egress", evidence: "seen" }]);
		assert.deepEqual(await knock("--hooks", "--attach=clsact"), [
			{ device: "cni0", direction: "egress", evidence: "seen" },
		]);
		// The watchdog's work, a moment after the process.
		await until(async () => !(await node.run("tc", "filter", "show", "dev", "cni0", "egress")).includes("weft"));
	});

	test("tells an answer of the pod's kernel that waited for a neighbour in vain: its socket is of no namespace", async () => {
		const [client, neighbor] = ["default/client", "default/neighbor"].map((pod) => lab().pod(pod));
		assert.ok(client && neighbor);
		const { ipv4: asked } = neighbor.pod.address;
		const nobody = asked.replace(/\d+$/, "250");
		assert.equal(await lab().ping("default/client", asked), 1, "precondition: it knows the neighbour");
		const weft = await startDrops("icmp", `--lab=${lab().name}`);
		try {
			// An address that sends, and does not answer who asks for it.
			await client.sysctl({ "net.ipv4.conf.all.arp_ignore": 8 });
			await client.run("ip", "address", "add", `${nobody}/32`, "dev", "eth0");
			await client.run("ip", "route", "add", `${asked}/32`, "dev", "eth0", "src", nobody);
			const told = weft.next(({ source }) => source?.pod === "neighbor");
			const words = { protocol: "udp", address: asked, port: 5999, size: 20, count: 1, timeoutMs: 100 } as const;
			await lab().send("default/client", words);
			const [drop] = await told;
			assert.deepEqual([drop?.diagnosis, drop?.kernelReason], ["neighbour does not answer", "NEIGH_FAILED"]);
			assert.deepEqual([drop?.protocol, drop?.destination?.ip], ["icmp", nobody]);
		} finally {
			await weft.stop();
			await client.attempt("ip", "route", "del", `${asked}/32`);
			await client.attempt("ip", "address", "del", `${nobody}/32`, "dev", "eth0");
			await client.sysctl({ "net.ipv4.conf.all.arp_ignore": 0 });
		}
	});

	test("never blames a rule that was gone before the drop, however long it takes to read the rules", async () => {
		const node = lab().node("node-a");
		const rule = ["FORWARD", "-s", "192.0.2.1", "-j", "DROP"];
		const folder = mkdtempSync(join(tmpdir(), "weft-firewall-"));
		const { PATH = "" } = process.env;
		const listing = (await node.run("sh", "-c", "command -v iptables-save")).trim();
		writeFileSync(join(folder, "iptables-save"), `#!/bin/sh\nsleep 0.7\nexec ${listing}\n`, { mode: 0o755 });
		process.env["PATH"] = `${folder}:${PATH}`;
		try {
			const firewalls = new Firewalls();
			const read = async () => {
				const rules = await firewalls.rules(node.path, addon().clocks().monotonicNs);
				return rules?.filter(({ text }) => text.includes("192.0.2.1")).length ?? 0;
			};
			await node.run("iptables", "-I", ...rule);
			assert.equal(await read(), 1, "precondition: it is found");
			await node.run("iptables", "-D", ...rule);
			assert.equal(await read(), 0);
		} finally {
			process.env["PATH"] = PATH;
			rmSync(folder, { recursive: true });
			await node.attempt("iptables", "-D", ...rule);
		}
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

function isBacklog({ kernelReason }: DropReport): boolean {
	return kernelReason === "CPU_BACKLOG";
}

/** Pings, web requests through services and UDP, of both families, for some seconds. How many exchanges there were. */
async function mixedTraffic(lab: Lab, seconds: number): Promise<number> {
	let rounds = 0;
	const end = Date.now() + seconds * 1000;
	const address = (pod: string) => lab.pod(pod).pod.address;
	const again = async (work: () => Promise<unknown>) => {
		while (Date.now() < end) {
			await work();
			rounds++;
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
	return rounds;
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
