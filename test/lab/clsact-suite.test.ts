import { attachBy } from "./attach.js";

/**
 * What kernels before 6.6 have: the end-to-end suite once more, over filters of clsact qdiscs. Each of these files adds
 * its tests to this process, whose traces are all told `--attach=clsact`.
 */
attachBy("clsact");

for (const suite of [
	"trace",
	"offloads-trace",
	"retransmission",
	"fragments",
	"identical",
	"flooding",
	"l3",
	"trace-drops",
	"latency",
	"agents",
	"recording",
	"churn",
]) {
	await import(`./${suite}.test.js`);
}
