import type { Devices } from "./devices.js";
import type { Flow, WayIndex } from "./flow.js";
import type { FlowPath } from "./flow-path.js";

/** How far the clocks of two nodes may be apart when nothing is known of them yet, ns. */
const MOST_SKEW_NS = 100e6;

/**
 * Keeps which way a flow's first packet went. Clocks of two nodes may be apart by more than an answer takes: which came
 * first, a device tells that saw both.
 */
export function noteFirst(view: FlowPath, flow: Flow, way: WayIndex, devices: Devices): void {
	const time = view.first(0);
	if (time >= flow.firstNs + MOST_SKEW_NS) return;
	const known =
		way === flow.firstWay ? undefined : flow.firstHops.find(({ device }) => devices.timeAt(view, device) !== null);
	const isFirst = known === undefined ? time < flow.firstNs : (devices.timeAt(view, known.device) ?? time) < known.time;
	if (isFirst) {
		flow.firstWay = way;
		flow.firstHops = Array.from({ length: view.hopCount }, (_, n) => ({
			device: devices.of(view.hook(n)),
			time: view.first(n),
		}));
	}
	flow.firstNs = Math.min(flow.firstNs, time);
}
