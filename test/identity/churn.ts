import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import type { Lab } from "../../src/lab/lab.js";
import { followNode, until } from "./follow.js";

/** Pods that live at a time: addresses and names of veths are used again and again. */
const LIVE = 4;

/**
 * Makes and deletes pods on node-a, and demands at each step that whoever is named is named right; in the end nothing of
 * them may be kept: no namespace, no descriptor.
 */
export async function churn(lab: Lab, pods: number): Promise<void> {
	const { wiring, identity, close } = followNode(lab, "node-a");
	try {
		await identity.ready;
		const before = descriptors();
		const namespaces = wiring.wiring.others.length;
		const live: string[] = [];
		const uids = new Set<string>();
		const cookies = new Set<string>();
		for (let i = 0; i < pods; i++) {
			const name = `churn-${i}`;
			const { pod } = await lab.addPod("node-a", { name });
			live.push(name);
			uids.add(pod.uid);
			await until(() => identity.directory.podByDevice("node-a", pod.ifindex, Date.now())?.name === name);
			for (const one of lab.state.pods.filter((each) => each.node === "node-a")) {
				const found = identity.directory.podByAddress(one.address.ipv4, Date.now());
				assert.ok(found?.uid == null || found.uid === one.uid, `${one.name} is called ${found?.name}`);
				if (found?.netns != null) cookies.add(found.netns);
			}
			const oldest = live.length > LIVE ? live.shift() : undefined;
			if (oldest !== undefined) await lab.deletePod(`default/${oldest}`);
		}
		for (const name of live) await lab.deletePod(`default/${name}`);
		await until(() => identity.directory.pods("default/churn-*").length === 0);
		await until(() => wiring.wiring.others.length <= namespaces);
		assert.equal(uids.size, pods);
		assert.ok(cookies.size >= pods, "each had a namespace of its own");
		assert.ok(descriptors() <= before + 2, `${before} descriptors before, ${descriptors()} after`);
	} finally {
		close();
	}
}

function descriptors(): number {
	return readdirSync("/proc/self/fd").length;
}
