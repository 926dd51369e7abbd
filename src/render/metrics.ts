import type { LedgerStage } from "../collector/report.js";
import type { DropSummary } from "../latency/drop-report.js";
import type { LatencyReport, Segment } from "../latency/report.js";
import { sanitize } from "./sanitize.js";

/** Drops alike, since the agent began. */
export interface DropCount {
	readonly node: string;
	readonly diagnosis: string;
	/** namespace/name of the pod that lost the packet: its receiver, else its sender; "" without one, "other" for the rest. */
	readonly pod: string;
	readonly count: number;
}

/** All that an agent tells Prometheus; null: not asked for with --always. */
export interface Metrics {
	readonly build: { readonly version: string; readonly kernel: string };
	readonly latency: LatencyReport | null;
	readonly drops: readonly DropCount[] | null;
	/** Of drops: what is no loss, and what could not be told. */
	readonly dropAccount: Pick<DropSummary, "consumed" | "unknown" | "ringFull" | "missed"> | null;
	readonly ledger: readonly LedgerStage[];
}

/** The text format that Prometheus reads (version 0.0.4). Label sets are bounded by what is given. */
export function metricsText({ build, latency, drops, dropAccount, ledger }: Metrics): string {
	const families = [
		family("weft_build_info", "gauge", "What is running.", [sample("weft_build_info", build, 1)]),
		...(latency === null ? [] : latencyFamilies(latency)),
		...(drops === null ? [] : [dropFamily(drops)]),
		...(dropAccount === null ? [] : [accountFamily(dropAccount)]),
		...ledgerFamilies(ledger),
	];
	return families.join("");
}

function latencyFamilies({ segments, packets }: LatencyReport): string[] {
	const wholes = segments.filter(({ from, group }) => from === null && group === null);
	const name = "weft_segment_duration_seconds";
	return [
		family(
			name,
			"histogram",
			"How long packets took from one hook to the next, by what they did in between.",
			wholes.filter(({ count }) => count > 0).flatMap((segment) => histogram(name, segment)),
		),
		family(
			"weft_segment_unmatched_packets_total",
			"counter",
			"Packets whose way to a hook is not known, by reason.",
			wholes.flatMap((segment) =>
				Object.entries(segment.unmatched).map(([reason, count]) =>
					sample("weft_segment_unmatched_packets_total", { ...labelsOf(segment), reason }, count),
				),
			),
		),
		family("weft_hook_packets_total", "counter", "Packets at all hooks that are timed.", [
			sample("weft_hook_packets_total", {}, packets?.seen ?? 0),
		]),
	];
}

/** Powers of two of nanoseconds, where the kernel's buckets have borders: a quarter of a microsecond to four seconds. */
const BORDERS_NS: readonly number[] = Array.from({ length: 25 }, (_, i) => 2 ** (8 + i));

function histogram(name: string, segment: Segment): string[] {
	const labels = labelsOf(segment);
	const { buckets, count, sumNs } = segment;
	const below = BORDERS_NS.map((border) => {
		const within = buckets.filter(({ toNs }) => toNs <= border).reduce((sum, bucket) => sum + bucket.count, 0);
		return sample(`${name}_bucket`, { ...labels, le: String(border / 1e9) }, within);
	});
	return [
		...below,
		sample(`${name}_bucket`, { ...labels, le: "+Inf" }, count),
		sample(`${name}_sum`, labels, sumNs / 1e9),
		sample(`${name}_count`, labels, count),
	];
}

function labelsOf({ node, kind, device }: Segment): Readonly<Record<string, string>> {
	return { node, kind, device: device ?? "" };
}

function dropFamily(drops: readonly DropCount[]): string {
	const name = "weft_dropped_packets_total";
	const samples = drops.map(({ node, diagnosis, pod, count }) => sample(name, { node, diagnosis, pod }, count));
	return family(
		name,
		"counter",
		"Packets that the kernel threw away, by weft's diagnosis and whose they were.",
		samples,
	);
}

function accountFamily(account: NonNullable<Metrics["dropAccount"]>): string {
	const name = "weft_freed_packets_total";
	const samples = Object.entries(account).map(([fate, count]) => sample(name, { fate }, count));
	return family(name, "counter", "Packets that the kernel freed as dropped and that are not told as drops.", samples);
}

function ledgerFamilies(ledger: readonly LedgerStage[]): string[] {
	if (ledger.length === 0) return [];
	const flow = ledger.flatMap(({ stage, in: entered, out }) => [
		sample("weft_stage_sightings_total", { stage, way: "in" }, entered),
		sample("weft_stage_sightings_total", { stage, way: "out" }, out),
	]);
	const lost = ledger.flatMap(({ stage, lost: causes }) =>
		Object.entries(causes).map(([cause, count]) =>
			sample("weft_stage_lost_sightings_total", { stage, cause }, count ?? 0),
		),
	);
	return [
		family("weft_stage_sightings_total", "counter", "Sightings through each stage: in = out + lost.", flow),
		family("weft_stage_lost_sightings_total", "counter", "Sightings lost in each stage, by cause.", lost),
	];
}

function family(
	name: string,
	type: "counter" | "gauge" | "histogram",
	help: string,
	samples: readonly string[],
): string {
	if (samples.length === 0) return "";
	return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.join("")}`;
}

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
	const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
	return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
}

function escaped(text: string): string {
	return sanitize(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
