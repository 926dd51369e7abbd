import type { Verdict } from "../path/path.js";
import type { Devices } from "./devices.js";
import type { WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";
import type { Segment } from "./tcp.js";

/** A path as TCP sees it. One object for all paths: `over` shows the next. */
export class PathSegment implements Segment {
	readonly #devices: Devices;
	#path: FlowPath | null = null;
	way: WayIndex = 0;
	serial = 0;
	time = 0;
	device = 0;
	flags = 0;
	sequence = 0;
	acknowledgement = 0;
	payload = 0;
	lostAt: string | null | undefined = undefined;

	constructor(devices: Devices) {
		this.#devices = devices;
	}

	over(path: FlowPath, way: WayIndex): this {
		this.#path = path;
		this.way = way;
		this.serial = path.serial;
		this.time = path.first(0);
		this.device = this.#devices.of(path.hook(0));
		this.flags = path.tcpFlags;
		this.sequence = path.sequence;
		this.acknowledgement = path.acknowledgement;
		this.payload = path.payload;
		this.lostAt = isBad(path.verdict) ? placeOf(path) : undefined;
		return this;
	}

	timeAt(device: number): number | null {
		return this.#path === null ? null : this.#devices.timeAt(this.#path, device);
	}
}

export function isBad(verdict: Verdict): verdict is "lost" | "dropped" {
	return verdict === "lost" || verdict === "dropped";
}

/** As "flannel.1→e @node-a". */
function placeOf(path: FlowPath): string | null {
	const { blame } = path;
	if (blame === null || blame.device === null) return null;
	return `${blame.device}→${blame.direction === "egress" ? "e" : "i"} @${blame.node}`;
}
