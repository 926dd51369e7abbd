import type { DeviceInterval } from "../collector/device-watch.js";
import { numberOf } from "./codec.js";
import type { DeviceCountersMessage, DeviceIntervalMessage } from "./messages.js";

/** An interval as WatchDevice tells it. */
export function deviceIntervalMessage({
	node,
	ifindex,
	seconds,
	before,
	after,
	hooked,
}: DeviceInterval): DeviceIntervalMessage {
	return { node, ifindex, durationMs: Math.round(seconds * 1000), before, after, hooked };
}

/** What was told. */
export function deviceIntervalOf(message: DeviceIntervalMessage): DeviceInterval {
	const { node, ifindex, durationMs, before, after, hooked } = message;
	return {
		...{ node, ifindex, seconds: durationMs / 1000 },
		before: countersOf(before),
		after: countersOf(after),
		hooked: hooked == null ? null : numberOf(hooked),
	};
}

function countersOf(message: DeviceCountersMessage | null): DeviceInterval["before"] {
	const count = (key: keyof DeviceCountersMessage) => numberOf(message?.[key] ?? 0);
	return {
		rxPackets: count("rxPackets"),
		txPackets: count("txPackets"),
		rxBytes: count("rxBytes"),
		txBytes: count("txBytes"),
		rxDropped: count("rxDropped"),
		txDropped: count("txDropped"),
	};
}
