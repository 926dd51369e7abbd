import type { Direction, Hook, NetnsCookie, Role } from "../packet/hook.js";
import type { HookMessage } from "./messages.js";

/** enum weft.v1.Direction and weft.v1.Role, by number. */
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];
export const ROLES: readonly Role[] = ["pod", "inside", "bridge", "tunnel", "nic", "host"];

export function directionNumber(direction: Direction): number {
	return DIRECTIONS.indexOf(direction) + 1;
}

export function roleNumber(role: Role): number {
	return ROLES.indexOf(role) + 1;
}

export function hookMessage(hook: Omit<Hook, "hookSet">): HookMessage {
	const { id, node, netns, ifindex, device, direction, role, l3, master } = hook;
	return {
		...{ id, node, netns, ifindex, device, l3, master },
		direction: directionNumber(direction),
		role: roleNumber(role),
	};
}

/** Without an id: that is the stream's, and each Joiner has its own. */
export function hookOf(message: HookMessage): Omit<Hook, "id" | "hookSet"> {
	const { node, netns, ifindex, device, direction, role, l3, master } = message;
	return {
		...{ node, ifindex, device, l3, master },
		netns: netns as NetnsCookie,
		direction: DIRECTIONS[direction - 1] ?? "ingress",
		role: ROLES[role - 1] ?? "host",
	};
}
