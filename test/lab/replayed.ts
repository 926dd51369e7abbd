import type { Cluster } from "../../src/collector/cluster.js";
import { Pipeline } from "../../src/collector/pipeline.js";
import { askQuestion } from "../../src/collector/question.js";
import type { FlowRecord } from "../../src/flow/record.js";
import { FlowTable } from "../../src/flow/table.js";
import type { Hook } from "../../src/packet/hook.js";
import type { PathView } from "../../src/path/path-view.js";
import { replayFrom } from "../../src/recording/file.js";
import type { Wiring } from "../../src/wiring/model.js";

/** The flows of what a `weft trace -w FILE` saw. */
export async function flowsOf(file: string): Promise<readonly FlowRecord[]> {
	const hooks = new Map<number, Hook>();
	const wirings = new Map<string, Wiring>();
	let cluster: Cluster | null = null;
	const question = askQuestion({ from: "any", to: "any", filter: "", namespace: "default" });
	const tell = (view: PathView) => (view.revision === 0 ? flows.path(view) : flows.revise(view));
	const pipeline = new Pipeline({ questions: [question], everyPath: true, path: tell });
	const flows: FlowTable = new FlowTable({
		tuples: pipeline.tuples,
		outers: pipeline.outers,
		hook: (id) => hooks.get(id) as Hook,
		idPrefix: "t",
		wallClockBase: 0n,
	});
	const { sink } = pipeline;
	await replayFrom(
		file,
		{
			...sink,
			hook: (id, hook, sinceNs) => {
				hooks.set(hook.id, hook);
				sink.hook(id, hook, sinceNs);
			},
			drop: (id, drop) => pipeline.drop(id, drop),
			snapshot(kind, value) {
				const said = value as unknown;
				if (kind === "wiring") wirings.set((said as Wiring).node, said as Wiring);
				if (kind === "cluster") cluster = said as Cluster;
				if (kind === "world" && cluster !== null) pipeline.world([...wirings.values()], cluster);
			},
		},
		pipeline,
	);
	pipeline.finish();
	return [...flows.snapshots()].map(({ record }) => record);
}
