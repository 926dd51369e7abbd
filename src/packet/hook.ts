/** A place where packets are seen: one direction of one device in one network namespace of one node. */

export type Direction = "ingress" | "egress";

/**
 * What a device is to the pod network.
 * `pod`: the host end of a pod's veth; `inside`: the pod's own end; `bridge`: the bridge device itself (cni0);
 * `tunnel`: VXLAN, ipip, WireGuard; `nic`: the underlay; `host`: anything else.
 */
export type Role = "pod" | "inside" | "bridge" | "tunnel" | "nic" | "host";

/** Dense, starts at 0, unique within one Joiner; never reused for another device. */
export type HookId = number & { readonly __brand: "HookId" };

/** Identity of a network namespace: its cookie (SO_NETNS_COOKIE) in decimal. Inodes are reused, cookies are not. */
export type NetnsCookie = string & { readonly __brand: "NetnsCookie" };

export interface Hook {
	readonly id: HookId;
	/** Name of the node. */
	readonly node: string;
	readonly netns: NetnsCookie;
	/** Index of the device in `netns`. */
	readonly ifindex: number;
	readonly device: string;
	readonly direction: Direction;
	readonly role: Role;
	/** No link header: the packet starts with IP. */
	readonly l3: boolean;
	/** ifindex of the bridge this device is a port of, in `netns`; 0: none. */
	readonly master: number;
	/** The kernel's id of the program instance (`hook_set` of an event). */
	readonly hookSet: number;
}

/** Out of a pod: into the host through its veth, or seen inside already. */
export function leavesPod({ role, direction }: Pick<Hook, "role" | "direction">): boolean {
	return role === "pod" ? direction === "ingress" : role === "inside" && direction === "egress";
}

/** Into a pod, the other way round. */
export function reachesPod({ role, direction }: Pick<Hook, "role" | "direction">): boolean {
	return role === "pod" ? direction === "egress" : role === "inside" && direction === "ingress";
}
