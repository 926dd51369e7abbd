import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { kubelet } from "../../src/lab/kubelet.js";
import type { Lab } from "../../src/lab/lab.js";
import type { LabPod } from "../../src/lab/state.js";
import { checkSurroundings } from "../../src/lab/surroundings.js";
import { followNode, until } from "./follow.js";

/** Made and deleted side by side, as a rollout does it. */
const AT_ONCE = 4;
/** Pods that each keeps alive: addresses and names of veths are used again and again. */
const LIVE = 2;
/** What a run may leave on the heap: names are kept for a minute, for late packets. */
const MOST_KEPT = 16 * 1024 * 1024;

export interface Churn {
	readonly pods: number;
	/** On a machine that is slow it ends after `forMs`, with `least` pods at the least. */
	readonly least: number;
	readonly forMs: number;
}

/**
 * Makes and deletes pods on node-a as its kubelet would, and demands at each step that whoever is named is named right;
 * in the end nothing of them may be kept: no namespace, no descriptor, no memory. Returns how many there were.
 */
export async function churn(lab: Lab, { pods, least, forMs }: Churn): Promise<number> {
	const { node } = lab.node("node-a");
	const { plugins } = await checkSurroundings(lab.state);
	const { add, remove } = kubelet(lab.state.name, lab.state.runtime, plugins);
	const { wiring, identity, close } = followNode(lab, "node-a");
	const live = new Set<LabPod>();
	const uids = new Set<string>();
	const cookies = new Set<string>();
	const deadline = performance.now() + forMs;
	let begun = 0;
	const end = async (pod: LabPod | undefined) => {
		if (pod === undefined) return;
		live.delete(pod);
		await remove(node, pod);
	};
	const check = () => {
		for (const one of live) {
			const found = identity.directory.podByAddress(one.address.ipv4, Date.now());
			assert.ok(found?.uid == null || found.uid === one.uid, `${one.name} is called ${found?.name}`);
			if (found?.netns != null) cookies.add(found.netns);
		}
	};
	const work = async () => {
		const own: LabPod[] = [];
		while (begun < pods && (begun < least || performance.now() < deadline)) {
			const name = `churn-${begun++}`;
			const pod = await add(node, { namespace: "default", name, node: node.name, hostPorts: [] });
			live.add(pod);
			own.push(pod);
			uids.add(pod.uid);
			await until(() => identity.directory.podByDevice("node-a", pod.ifindex, Date.now())?.name === name);
			check();
			if (own.length > LIVE) await end(own.shift());
		}
	};
	try {
		await identity.ready;
		const before = { descriptors: descriptors(), namespaces: wiring.wiring.others.length, heap: heap() };
		await Promise.all(Array.from({ length: AT_ONCE }, work));
		await Promise.all([...live].map(end));
		await until(() => identity.directory.pods("default/churn-*").length === 0);
		await until(() => wiring.wiring.others.length <= before.namespaces);
		assert.equal(uids.size, begun);
		assert.ok(cookies.size >= begun, "each had a namespace of its own");
		assert.ok(descriptors() <= before.descriptors + 2, `${before.descriptors} descriptors, then ${descriptors()}`);
		const kept = heap() - before.heap;
		assert.ok(kept < MOST_KEPT, `${kept} bytes are kept`);
		return begun;
	} finally {
		await Promise.allSettled([...live].map(end));
		close();
	}
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
