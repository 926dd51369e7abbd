import { after, before } from "node:test";
import { Lab } from "../../src/lab/lab.js";
import type { LabOptions } from "../../src/lab/plan.js";

/**
 * A lab for the tests of one suite: built before the first, removed after the last, under a name of its own, so that test
 * files run side by side. Call it inside `describe` (Node 20 does not wait for one top-level `before` to run the next),
 * and its result inside a test or a later hook to have the lab.
 */
export function cluster(options: Omit<LabOptions, "name"> = {}): () => Lab {
	let lab: Lab | null = null;
	const name = uniqueName();
	before(async () => {
		lab = await Lab.up({ ...options, name });
		up.add(lab);
	});
	after(async () => {
		if (lab !== null) up.delete(lab);
		await Lab.down(name);
	});
	return () => {
		if (lab === null) throw new Error(`the lab ${name} is not up: call this inside a test`);
		return lab;
	};
}

/** The labs of this process's suites that are up now. */
export function labsUp(): readonly Lab[] {
	return [...up];
}

const up = new Set<Lab>();

/** A lab name nobody else on this machine uses now. */
export function uniqueName(): string {
	count++;
	return `t${process.pid}x${count}`;
}

let count = 0;
