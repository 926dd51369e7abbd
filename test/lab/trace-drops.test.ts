import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Path } from "../../src/path/path.js";
import { until } from "../until.js";
import { cluster } from "./cluster.js";
import { FAULTS, type Fault } from "./faults.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

describe("weft trace tells of drops on the packets' own paths", () => {
	const lab = cluster({ servers: true });

	/** What is said last of each packet from the client. */
	async function pathsUnder(fault: Fault, weft: RunningWeft, settleMs = 0): Promise<readonly Path[]> {
		const undo = await fault.make(lab());
		try {
			await sleep(settleMs);
			await fault.send(lab());
			// Drops are told at once; the longest wait is for the kernel to give up on a neighbour.
			await sleep(2600 + (fault.patienceMs ?? 0) / 2);
		} finally {
			await undo();
		}
		assertBalanced(await weft.stop());
		const last = new Map(weft.paths.map((path) => [path.id, path]));
		return [...last.values()].filter(({ flow }) => flow.source.pod === "client");
	}

	for (const name of [
		"an iptables rule in FORWARD, between pods of one node: inside the bridge",
		"an iptables rule in FORWARD, on the way to another node",
		"an nftables rule in forward",
		"no route to the other node's pods",
		"a missing FDB entry",
		"a TTL that runs out",
		"a packet larger than the MTU that may not be fragmented",
		"a tunnel over IPv6 whose MTU is too large for the NIC",
	]) {
		test(name, async () => {
			const fault = FAULTS.find((each) => each.name === name);
			assert.ok(fault);
			const weft = await startWeft("trace", "default/client", "any", `--lab=${lab().name}`);
			const dropped = (await pathsUnder(fault, weft)).filter(({ verdict }) => verdict === "dropped");
			assert.ok(dropped.length > 0, weft.paths.map(({ verdict, blame }) => `${verdict} ${blame?.reason}`).join("; "));
			for (const { blame, hops } of dropped) {
				assert.ok(blame);
				const { device, direction } = blame;
				assert.deepEqual({ device, direction }, fault.hop(lab()), "where it was seen last");
				assert.equal(hops.at(-1)?.device, device);
				assert.ok(blame.reason.startsWith(fault.diagnosis), blame.reason);
				assert.match(`${blame.reason} ${blame.remedy}`, fault.words);
				assert.ok(blame.kernelReason !== null && blame.kernelFunction !== null);
			}
		});
	}

	for (const name of [
		"the pod's own interface is down",
		"the host's end of a pod's veth is down",
		"the host's end of a pod's veth is down where a packet from another node arrives",
	]) {
		test(`${name}: what the bridge floods instead dies at other pods, and is called by its own`, async () => {
			const fault = FAULTS.find((each) => each.name === name);
			assert.ok(fault);
			const weft = await startWeft("trace", "default/client", "any", `--lab=${lab().name}`);
			// Whoever knows no MAC sends nothing but ARP.
			const address = lab().pod(fault.to ?? "").pod.address.ipv4;
			assert.equal(await lab().ping("default/client", address), 1, "precondition: the pod answers");
			// Until weft has heard that the link is down, a copy for another pod is one of those that every bridge makes.
			const paths = await pathsUnder(fault, weft, 1000);
			const dropped = paths.filter(({ verdict, flow }) => verdict === "dropped" && flow.protocol === "icmp");
			assert.ok(dropped.length > 0, paths.map(({ verdict, blame }) => `${verdict} ${blame?.reason}`).join("; "));
			for (const { blame, flow } of dropped) {
				assert.ok(blame?.reason.startsWith(fault.diagnosis), blame?.reason);
				assert.match(`${blame?.reason} ${blame?.remedy}`, fault.words);
				assert.equal(blame?.node, fault.node ?? "node-a");
				assert.equal(flow.destination.pod, fault.to);
			}
		});
	}

	describe("what waits for a neighbour is lost at first, and dropped when the kernel has given up on it", () => {
		/** One echo request whose next hop does not answer, and all that is said of it. */
		async function requestFrom(from: string, to: string): Promise<readonly Path[]> {
			const weft = await startWeft("trace", from, to, "icmp", `--lab=${lab().name}`);
			const isTold = ({ verdict, flow }: Path) => verdict === "dropped" && flow.destination.ip === to;
			try {
				await lab().ping(from, to);
				await until(
					() => weft.paths.some(isTold),
					60_000,
					() => toldBy(weft),
				);
			} finally {
				assertBalanced(await weft.stop());
			}
			const dropped = weft.paths.find(isTold);
			return weft.paths.filter(({ id }) => id === dropped?.id);
		}

		function toldBy({ paths, warnings }: RunningWeft): string {
			const told = paths.map(({ flow, verdict, revision, blame, hops }) => {
				const last = hops.at(-1);
				return `${flow.source.ip} to ${flow.destination.ip} ${revision} ${verdict} at ${last?.device} ${blame?.reason ?? ""}`;
			});
			return [...told, ...warnings].join("\n");
		}

		function assertRevised(paths: readonly Path[], device: string, words: RegExp): void {
			const last = paths.at(-1);
			assert.ok(last?.verdict === "dropped" && last.blame);
			// By a machine that stood still for seconds it may have been told only once.
			const before = paths.slice(0, -1).map(({ verdict, revision }) => `${revision} ${verdict}`);
			assert.deepEqual(before, last.revision === 0 ? [] : ["0 lost"]);
			const { blame, hops } = last;
			assert.equal(blame.kernelReason, "NEIGH_FAILED");
			assert.deepEqual([blame.node, blame.device, blame.direction], ["node-a", device, "ingress"]);
			assert.equal(hops.at(-1)?.device, device, "where it was seen last");
			assert.match(blame.reason, words);
		}

		test("an address that no pod has", async () => {
			const unused = lab().pod("default/client").pod.address.ipv4.replace(/\d+$/, "250");
			assertRevised(await requestFrom("default/server", unused), "flannel.1", /neighbour does not answer/);
		});

		test("another node's VTEP, whose entry is missing", async () => {
			const fault = FAULTS.find(({ name }) => name === "a missing neighbour entry of the VTEP");
			assert.ok(fault);
			const undo = await fault.make(lab());
			try {
				const address = lab().pod("default/server").pod.address.ipv4;
				assertRevised(await requestFrom("default/client", address), "cni0", /no neighbour entry for 10\.244\.2\.0/);
			} finally {
				await undo();
			}
		});
	});

	test("a packet that was delivered to a closed port is revised", async () => {
		const weft = await startWeft("trace", "default/client", "default/server", "udp", `--lab=${lab().name}`);
		const address = lab().pod("default/server").pod.address.ipv4;
		await lab().send("default/client", {
			...{ protocol: "udp", address, port: 5999, size: 40, count: 1, timeoutMs: 200 },
		});
		await sleep(500);
		const summary = await weft.stop();
		assertBalanced(summary);
		const path = weft.paths.findLast(({ flow }) => flow.destination.port === 5999);
		assert.equal(path?.verdict, "dropped");
		assert.equal(path?.hops.length, 8, "all the way");
		assert.match(path?.blame?.reason ?? "", /^closed port/);
		assert.equal(summary.paths.dropped, 1, "and counted once, under what it came to");
		assert.equal(summary.paths.delivered, 0);
	});

	test("what arrives is not taken for dropped", async () => {
		const weft = await startWeft("trace", "default/client", "any", `--lab=${lab().name}`);
		for (const pod of ["default/neighbor", "default/server"]) {
			assert.equal(await lab().ping("default/client", lab().pod(pod).pod.address.ipv4, { count: 20 }), 20);
		}
		const { clusterIp } = lab().service("default/web");
		const order = { protocol: "tcp", address: clusterIp.ipv4, port: 80, bytes: 10, timeoutMs: 300 } as const;
		await lab().send("default/client", order);
		await sleep(2500);
		const summary = await weft.stop();
		assertBalanced(summary);
		assert.ok(summary.paths.delivered >= 80);
		const wrong = weft.paths.filter(({ verdict, flow }) => verdict === "dropped" && flow.protocol === "icmp");
		assert.deepEqual(
			wrong.map(({ blame }) => blame?.reason),
			[],
		);
	});
});
