/**
 * What kernels before 6.6 have: the end-to-end suite once more, over filters of clsact qdiscs. Each file adds its tests to
 * the process of its suite, whose commands are all told `--attach=clsact`; every trace is proved to have a filter for each
 * hook, every agent of `Agents` too. Several suites, as a file of tests has 15 minutes.
 */
export const CLSACT_SUITES = {
	packets: [
		"trace",
		"offloads-trace",
		"retransmission",
		"fragments",
		"identical",
		"flooding",
		"l3",
		"trace-drops",
		"recording",
		"churn",
		"vlan",
	],
	/** And floods, filters and lives that are hard on hooks. */
	latency: ["latency", "latency-churn", "latency-ports", "floods", "oracle", "reuse", "robust"],
	agents: ["agents", "agents-bulk", "agents-drops", "agents-faults", "agents-matrix"],
	/** Whatever else asks agents. */
	watches: [
		"agents-ends",
		"agents-million",
		"agents-recording",
		"agents-sample",
		"agents-service",
		"agents-slow",
		"agents-watch-drops",
		"agents-watches",
		"metrics",
		"topology",
		"wire",
	],
} as const;

/** Files that would show nothing more by clsact, and why. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
	clsact: "is about the filters themselves",
	datapath: "the lab under tcpdump: weft hooks nothing",
	drops: "a tracepoint tells of drops; its one question to hooks is asked by clsact there",
	lab: "the lab itself",
	"lab-agents": "how agents are begun and ended; once they run they are those of the other files",
	offloads: "the lab under tcpdump: weft hooks nothing",
	runtime: "who the pods are: no device is hooked",
};
