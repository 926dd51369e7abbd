import { attachBy } from "./attach.js";

/**
 * What kernels before 6.6 have: the end-to-end suite once more, over filters of clsact qdiscs. Each of these files adds
 * its tests to this process, whose commands are all told `--attach=clsact`, and whose every trace is proved to have a
 * filter for each hook. Those with agents are in clsact-agents-suite and clsact-watches-suite: a file has 15 minutes.
 *
 * Left out is what hooks no device: drops (a tracepoint alone), datapath, lab, offloads and runtime (the lab itself,
 * under tcpdump), lab-agents (how they are begun and ended; once they run they are the agents of the other suites).
 * clsact.test.ts is about the filters themselves.
 */
attachBy("clsact");

for (const suite of [
	"trace",
	"offloads-trace",
	"retransmission",
	"fragments",
	"identical",
	"flooding",
	"floods",
	"l3",
	"trace-drops",
	"latency",
	"latency-churn",
	"recording",
	"churn",
	"oracle",
	"reuse",
	"robust",
	"vlan",
]) {
	await import(`./${suite}.test.js`);
}
