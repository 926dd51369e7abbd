import type { ResolvedEnd } from "../filter/resolve.js";

/** Packets through a device since the trace began, traced or not. */
export interface DevicePackets {
	readonly node: string;
	readonly ifindex: number;
	readonly packets: number;
}

/** What an END's own veths saw; null: no watched node has one. */
export function endPackets({ devices }: ResolvedEnd, seen: readonly DevicePackets[]): number | null {
	const own = seen.filter(({ node, ifindex }) => devices.some((one) => one.node === node && one.ifindex === ifindex));
	return own.length === 0 ? null : own.reduce((sum, { packets }) => sum + packets, 0);
}
