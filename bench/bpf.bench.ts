/** What a run of the programs costs over an empty one, by BPF_PROG_TEST_RUN: node dist/bench/bpf.bench.js. Needs root. */
import { measure } from "../test/bpf/cost.js";
import { row, title } from "./table.js";

const costs = await measure();
title("A hook over an empty program, by BPF_PROG_TEST_RUN, median of 61 rounds");
for (const { name, ns, budgetNs } of costs) {
	row(name, ns.toFixed(0), "ns", budgetNs === null ? "this machine's own" : `≤ ${budgetNs}`);
}
