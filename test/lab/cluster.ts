import { after, before } from "node:test";
import { Lab } from "../../src/lab/lab.js";
import type { LabOptions } from "../../src/lab/plan.js";

/**
 * A lab for the tests of one suite (or of one file, at its top level): built before the first, removed after the last,
 * under a name of its own, so that test files run side by side. Call the result inside a test to have the lab.
 */
export function cluster(options: Omit<LabOptions, "name"> = {}): () => Lab {
	let lab: Lab | null = null;
	const name = uniqueName();
	before(async () => {
		lab = await Lab.up({ ...options, name });
	});
	after(async () => {
		await Lab.down(name);
	});
	return () => {
		if (lab === null) throw new Error(`the lab ${name} is not up: call this inside a test`);
		return lab;
	};
}

/** A lab name nobody else on this machine uses now. */
export function uniqueName(): string {
	count++;
	return `t${process.pid}x${count}`;
}

let count = 0;
