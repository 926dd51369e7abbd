import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { kubelet } from "../../src/lab/kubelet.js";
import type { Lab } from "../../src/lab/lab.js";
import type { NodePlan } from "../../src/lab/plan.js";
import type { LabPod } from "../../src/lab/state.js";
import { checkSurroundings } from "../../src/lab/surroundings.js";
import { until } from "../until.js";
import { followNode } from "./follow.js";

/** Made and deleted side by side, as a rollout does it. */
const AT_ONCE = 4;
/** Pods that each keeps alive. */
const LIVE = 2;
/** What a run may leave on the heap: names are kept for a minute, for late packets. */
const MOST_KEPT = 16 * 1024 * 1024;

export interface Churn {
	readonly pods: number;
	/** On a machine that is slow it ends after `forMs`, with `least` pods at the least. */
	readonly least: number;
	readonly forMs: number;
	/** What a pod does once it has its name; `at`: 0, 1, 2 …, as in churn-0. */
	live?(pod: LabPod, at: number): Promise<unknown>;
}

/** A pod that was, and when: ms since 1970. */
export interface Lived {
	readonly pod: LabPod;
	readonly fromMs: number;
	/** Its runtime has removed it. */
	untilMs: number;
}

/**
 * Makes and deletes pods on node-a as its kubelet would, and demands at each step that whoever is named is named right;
 * in the end nothing of them may be kept: no namespace, no descriptor, no memory. Addresses are used again and again.
 */
export async function churn(lab: Lab, { pods, least, forMs, live: act }: Churn): Promise<readonly Lived[]> {
	const { node } = lab.node("node-a");
	const { plugins } = await checkSurroundings(lab.state);
	const { add, remove } = kubelet(lab.state.name, lab.state.runtime, plugins);
	const { wiring, identity, close } = followNode(lab, "node-a");
	const live = new Set<Lived>();
	const all: Lived[] = [];
	const cookies = new Set<string>();
	const deadline = performance.now() + forMs;
	let begun = 0;
	const end = async (one: Lived | undefined) => {
		if (one === undefined) return;
		live.delete(one);
		await remove(node, one.pod);
		one.untilMs = Date.now();
		await forgetLeases(node);
	};
	const namesOf = ({ address, ifindex }: LabPod) => [
		identity.directory.podByAddress(address.ipv4, Date.now()),
		identity.directory.podByDevice("node-a", ifindex, Date.now()),
	];
	const check = () => {
		for (const { pod } of live) {
			for (const found of namesOf(pod)) {
				assert.ok(found?.uid == null || found.uid === pod.uid, `${pod.name} is called ${found?.name}`);
				if (found?.netns != null) cookies.add(found.netns);
			}
		}
	};
	const work = async () => {
		const own: Lived[] = [];
		while (begun < pods && (begun < least || performance.now() < deadline)) {
			const at = begun++;
			const name = `churn-${at}`;
			const fromMs = Date.now();
			const pod = await add(node, { namespace: "default", name, node: node.name, hostPorts: [] });
			const lived = { pod, fromMs, untilMs: Number.POSITIVE_INFINITY };
			own.push(lived);
			all.push(lived);
			// Before weft has been told of it, its address is still that of who had it last.
			await until(() => namesOf(pod).every((found) => found?.uid === pod.uid));
			live.add(lived);
			check();
			await act?.(pod, at);
			check();
			if (own.length > LIVE) await end(own.shift());
		}
	};
	try {
		await identity.ready;
		await forgetLeases(node);
		const before = { descriptors: descriptors(), namespaces: wiring.wiring.others.length, heap: heap() };
		await Promise.all(Array.from({ length: AT_ONCE }, work));
		await Promise.all([...live].map(end));
		await until(() => identity.directory.pods("default/churn-*").length === 0);
		await until(() => wiring.wiring.others.length <= before.namespaces);
		assert.equal(new Set(all.map(({ pod }) => pod.uid)).size, begun);
		const addresses = new Set(all.map(({ pod }) => pod.address.ipv4));
		assert.ok(addresses.size < begun / 2, `precondition: ${addresses.size} addresses for ${begun} pods`);
		assert.ok(cookies.size >= begun, "each had a namespace of its own");
		assert.ok(descriptors() <= before.descriptors + 2, `${before.descriptors} descriptors, then ${descriptors()}`);
		const kept = heap() - before.heap;
		assert.ok(kept < MOST_KEPT, `${kept} bytes are kept`);
		return all;
	} finally {
		const left = all.filter(({ untilMs }) => untilMs === Number.POSITIVE_INFINITY);
		await Promise.allSettled(left.map(end));
		close();
	}
}

/** host-local goes on from the last address that it gave: without its note it gives the lowest that is free. */
async function forgetLeases(node: NodePlan): Promise<void> {
	const leases = join(node.root, "var/lib/cni/networks/cbr0");
	await Promise.all([0, 1].map((range) => rm(join(leases, `last_reserved_ip.${range}`), { force: true })));
}

function descriptors(): number {
	return readdirSync("/proc/self/fd").length;
}

/** Bytes in use after a collection. */
function heap(): number {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
	return process.memoryUsage().heapUsed;
}
