import { attachBy } from "./attach.js";

/** clsact-suite.test.ts, with agents: each of theirs is told `--attach=clsact`, and proved to hook by filters. */
attachBy("clsact");

for (const suite of ["agents", "agents-bulk", "agents-drops", "agents-faults", "agents-matrix", "agents-million"]) {
	await import(`./${suite}.test.js`);
}
