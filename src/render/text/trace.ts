import type { HookChange, Ready, Status, Summary } from "../../collector/report.js";
import type { Path } from "../../path/path.js";
import { Clock, type TimeForm, type UtcOffset } from "./clock.js";
import { type Colours, coloursFor } from "./colours.js";
import { Facing } from "./facing.js";
import { headerRow, type Layout, layOut } from "./layout.js";
import { Line } from "./line.js";
import { nameOfEnd, nameOfFlow, nameOfTunnel, nameWithService, outerOf } from "./names.js";
import { type Rewriting, rewritings } from "./nat.js";
import { describePacket } from "./packet.js";
import { type Placement, place, shapeOf, trunk } from "./shape.js";
import { silenceLines } from "./silence.js";
import { summaryLines } from "./summary.js";
import { duration, grouped, microseconds, plusMinus } from "./units.js";
import { blameLines, verdictMark } from "./verdict.js";

export interface TraceTableOptions {
	readonly colour: boolean;
	/** Columns of the terminal now; Infinity for pipes. */
	readonly width: () => number;
	readonly time: TimeForm;
	/** For tests: else the machine's time zone. */
	readonly utcOffset?: UtcOffset;
}

/** How many NAT mappings are remembered as already explained. */
const EXPLAINED = 1024;

/**
 * The live table of `weft trace`: one row a path, hops as columns. Turns what a TraceListener hears into lines;
 * writing them is the caller's.
 */
export class TraceTable {
	readonly #options: TraceTableOptions;
	readonly #colours: Colours;
	readonly #clock: Clock;
	#facing = new Facing(null);
	#watched: ReadonlySet<string> = new Set();
	#ready: Ready | null = null;
	/** Both ends as the user asked for them. */
	#asked = "";
	/** What the last line above the columns said. */
	#flow = "";
	#tunnel = "";
	/** Another flow in the row before: when it goes on, it gets the line above to itself. */
	#otherFlow = "";
	/** Lost and dropped paths that got a row since the last status. */
	#brokenShown = 0;
	#layout: Layout | null = null;
	#layoutWidth = 0;
	#explained = new Set<string>();
	#silentSeconds = 0;
	#silenceTold = false;
	#anyPath = false;
	/** Packets that the ends' veths had seen when the silence began. */
	#seenBefore = 0;

	constructor(options: TraceTableOptions) {
		this.#options = options;
		this.#colours = coloursFor(options.colour);
		this.#clock = new Clock(options.time, options.utcOffset);
	}

	/** Who is traced, and that the hooks are on. */
	ready(ready: Ready): string[] {
		this.#ready = ready;
		this.#facing = new Facing(ready);
		this.#watched = new Set(ready.nodes);
		this.#asked = `${nameOfEnd(ready.from)} → ${nameOfEnd(ready.to)}`;
		this.#flow = this.#asked;
		this.#tunnel = ready.tunnel ? nameOfTunnel(ready.tunnel) : "";
		const hooks = `${grouped(ready.hooks.length)} ${ready.hooks.length === 1 ? "hook" : "hooks"}`;
		const nodes = `${ready.nodes.length} ${ready.nodes.length === 1 ? "node" : "nodes"}`;
		const lines = [
			this.#above(this.#flow, this.#tunnel),
			new Line().add(`${hooks}, ${nodes}, ready in ${duration(ready.readyMs)} · µs since previous hop`, "dim"),
			...ready.warnings.map((warning) => new Line().add(`note: ${warning}`, "yellow")),
		];
		return lines.map((line) => line.toString(this.#colours));
	}

	/** Its row, with whatever must stand above and below it. */
	path(path: Path): string[] {
		this.#silentSeconds = 0;
		this.#silenceTold = false;
		this.#anyPath = true;
		const reply = this.#facing.isReply(path);
		const above: Line[] = [];
		let placement = this.#fit(path, reply);
		if (placement === null) {
			const columns = shapeOf(path, reply);
			this.#layoutWidth = this.#options.width();
			this.#layout = layOut(columns, this.#layoutWidth);
			above.push(...this.#ends(path, reply), headerRow(this.#layout));
			placement = place(path, reply, columns) ?? { hops: [], behind: -1 };
		} else {
			above.push(...this.#goesOn(path, reply));
		}
		if (path.verdict === "lost" || path.verdict === "dropped") this.#brokenShown++;
		const changed = rewritings(path, reply);
		const row = this.#row(path, reply, this.#layout as Layout, placement, changed);
		const below = [...this.#natLines(changed), ...blameLines(path), ...branchLines(path), ...this.#revisionLines(path)];
		return [
			...above.map((line) => line.toString(this.#colours, this.#layoutWidth)),
			row.toString(this.#colours, this.#options.width()),
			// Not cut: a terminal wraps them, and a command stays whole when it is copied.
			...below.map((line) => line.toString(this.#colours)),
		];
	}

	/** How many were not shown, once a second; after 3 s without a packet, what to check. */
	status(status: Status): string[] {
		const lostUnseen = status.lost > this.#brokenShown;
		this.#brokenShown = 0;
		if (status.alike === 0 && !lostUnseen) return this.#silence(status);
		this.#silentSeconds = 0;
		const { latency } = status;
		const seconds = status.seconds < 1.5 ? "1 s" : `${Math.round(status.seconds)} s`;
		const line = new Line().add(`  +${grouped(status.alike)} alike in ${seconds}`, "dim");
		if (latency !== null) {
			const [p50, p99, max] = [latency.p50Ns, latency.p99Ns, latency.maxNs].map(microseconds);
			line.add(`   p50 ${p50}  p99 ${p99}  max ${max}`, "dim");
		}
		line.add(`   lost ${grouped(status.lost)}`, status.lost > 0 ? "red" : "dim");
		return [line.toString(this.#colours, this.#options.width())];
	}

	/** A pause between packets is no riddle: silence is told when there was none yet, or when others passed meanwhile. */
	#silence(status: Status): string[] {
		const seen = (status.fromSeen ?? 0) + (status.toSeen ?? 0);
		if (this.#silentSeconds === 0) this.#seenBefore = seen;
		this.#silentSeconds += status.seconds;
		if (this.#silentSeconds < 3 || this.#silenceTold || this.#ready === null) return [];
		if (this.#anyPath && seen <= this.#seenBefore) return [];
		this.#silenceTold = true;
		return silenceLines(this.#silentSeconds, status, this.#ready).map((line) => line.toString(this.#colours));
	}

	hook(change: HookChange): string[] {
		const pod = change.pod === null ? "" : ` of ${change.pod}`;
		const what = change.change === "added" ? "+ hooked" : "- gone:";
		return [new Line().add(`${what} ${change.device}${pod} @${change.node}`, "dim").toString(this.#colours)];
	}

	/** `notShown`: rows that a slow terminal did not take. */
	summary(summary: Summary, notShown: number): string[] {
		return summaryLines(summary, notShown).map((line) => line.toString(this.#colours));
	}

	#fit(path: Path, reply: boolean): Placement | null {
		if (this.#layout === null || this.#layoutWidth !== this.#options.width()) return null;
		return place(path, reply, this.#layout.columns);
	}

	/** The line above the columns, where it is not what was said already. */
	#ends(path: Path, reply: boolean): Line[] {
		const outer = outerOf(path, reply);
		const tunnel = outer === null ? "" : nameOfTunnel(outer);
		const flow = this.#flowOf(path, reply);
		if (flow === this.#flow && (tunnel === "" || tunnel === this.#tunnel)) return [];
		const known = flow === this.#flow;
		this.#flow = flow;
		this.#tunnel = tunnel;
		if (known) return [new Line().add(tunnel, "cyan")];
		return [this.#above(flow === this.#asked ? flow : nameWithService(path, reply), tunnel)];
	}

	/** Rows of another flow under the same columns say whose they are; from the second in a row on a line above does. */
	#goesOn(path: Path, reply: boolean): Line[] {
		const flow = this.#flowOf(path, reply);
		const again = flow === this.#otherFlow;
		this.#otherFlow = flow;
		return again && flow !== this.#flow ? this.#ends(path, reply) : [];
	}

	/** As the user called it, where both ends of the path are the very ones that were asked for. */
	#flowOf(path: Path, reply: boolean): string {
		const [client, server] = requestEnds(path, reply);
		const asked = this.#ready !== null && client === this.#ready.from.name && server === this.#ready.to.name;
		return asked ? this.#asked : nameOfFlow(path, reply);
	}

	#above(flow: string, tunnel: string): Line {
		const line = new Line().add(flow, "bold");
		return tunnel === "" ? line : line.add("   ").add(tunnel, "cyan");
	}

	#row(path: Path, reply: boolean, layout: Layout, placement: Placement, changed: readonly Rewriting[]): Line {
		const first = path.hops[0]?.first ?? "";
		const time = this.#clock.format(first);
		const line = new Line()
			.add(time.slice(layout.cutFront, time.length - layout.cutEnd), "dim")
			.add(reply ? " ← " : " → ")
			.add(describePacket(path));
		const broken = path.verdict === "lost" || path.verdict === "dropped";
		const mark = verdictMark(path, this.#watched);
		const rightmost = broken ? rightmostCell(placement) : layout.ends.length - 1;
		for (const [index, end] of layout.ends.slice(0, rightmost + 1).entries()) {
			const border = layout.borders.get(index);
			if (border !== undefined) line.endAt(border + 1, "║", "dim");
			const hop = placement.hops[index] ?? null;
			if (hop !== null) {
				const nat = changed.some((rewriting) => rewriting.hop === hop) ? "*" : "";
				line.endAt(end, cellOf(path, hop) + nat, nat === "" ? "reset" : "magenta");
			} else if (broken && index === placement.behind) {
				line.endAt(end, "✗", "red");
			}
		}
		if (!broken) line.endAt(layout.total, microseconds(path.latencyNs) + plusMinus(path.clockErrorNs));
		if (!broken || placement.behind === -1) line.add(" ").add(mark.text, mark.style);
		const flow = this.#flowOf(path, reply);
		return flow === this.#flow ? line : line.add(`   ${nameWithService(path, reply)}`, "dim");
	}

	#natLines(changed: readonly Rewriting[]): Line[] {
		const fresh = changed.flatMap(({ changes }) => changes).filter((change) => !this.#explained.has(change));
		if (this.#explained.size + fresh.length > EXPLAINED) this.#explained = new Set();
		for (const change of fresh) this.#explained.add(change);
		return fresh.map((change) => new Line().add(`  * ${change}`, "magenta"));
	}

	#revisionLines(path: Path): Line[] {
		if (path.revision === 0) return [];
		const time = this.#clock.format(path.hops[0]?.first ?? "").trim();
		return [new Line().add(`  corrects what was said of ${time}`, "yellow")];
	}
}

/** Names of both ends in the direction of requests, as ResolvedName has them. */
function requestEnds({ flow }: Path, reply: boolean): readonly (string | null)[] {
	const names = [flow.source, flow.destination].map(({ namespace, pod, ip }) =>
		pod === null ? ip : `${namespace ?? ""}/${pod}`,
	);
	return reply ? names.reverse() : names;
}

/** Nothing is drawn behind the last cell of a broken path. */
function rightmostCell({ hops, behind }: Placement): number {
	return Math.max(behind, ...hops.map((hop, index) => (hop === null ? -1 : index)));
}

/** µs since the hop before; "·" at the first one. Between two nodes with the error of their clocks. */
function cellOf(path: Path, hop: Path["hops"][number]): string {
	const hops = trunk(path);
	const previous = hops[hops.indexOf(hop) - 1];
	if (previous === undefined) return "·";
	return microseconds(hop.sincePreviousNs) + (previous.node === hop.node ? "" : plusMinus(path.clockErrorNs));
}

function branchLines(path: Path): Line[] {
	const copies = path.hops.filter((hop) => hop.branch > 0);
	if (copies.length === 0) return [];
	const shown = copies.slice(0, 8).map((hop) => `${hop.device}→${hop.direction[0] ?? ""} @${hop.node}`);
	const more = copies.length > shown.length ? ` and ${copies.length - shown.length} more` : "";
	return [new Line().add(`  flooded also to ${shown.join(", ")}${more}`, "dim")];
}
