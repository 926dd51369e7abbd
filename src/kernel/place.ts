import type { Direction, NetnsCookie } from "../packet/hook.js";

/** One direction of one device: what wiring calls a HookPoint. */
export interface HookPlace {
	readonly netns: NetnsCookie;
	/** In `netns`. */
	readonly ifindex: number;
	readonly device: string;
	readonly direction: Direction;
}

/** The same for the same direction of the same device. */
export function placeKey({ netns, ifindex, direction }: Omit<HookPlace, "device">): string {
	return `${netns}/${ifindex}/${direction}`;
}

/** With what is needed to attach there; wiring's HookSite has it all. */
export interface HookTarget extends HookPlace {
	/** The device has no link header. */
	readonly l3: boolean;
	/** A path that opens the namespace: /run/netns/x or /proc/N/ns/net. */
	readonly netnsPath: string;
}
