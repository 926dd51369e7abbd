import type { NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { explained, isNativeError, KernelError } from "./error.js";
import type { BpfProgram, Link, Netns } from "./native.js";
import type { HookPlace } from "./place.js";

/** How hooks are put on devices: TCX links (Linux 6.6), or filters of a clsact qdisc (older). */
export type AttachType = "tcx" | "clsact";

/** What the kernel offers, when nobody says otherwise. */
export function preferredAttachType(): AttachType {
	const netns = addon().openNetns(null);
	try {
		addon().queryTcx(LOOPBACK, false, netns);
		return "tcx";
	} catch (cause) {
		if (isNativeError(cause) && cause.code === "EINVAL") return "clsact";
		throw cause;
	} finally {
		netns.close();
	}
}

/** lo has this index in every namespace. */
const LOOPBACK = 1;

/** @throws KernelError: device or namespace gone, not permitted, no TCX */
export async function attach(type: AttachType, program: BpfProgram, place: HookPlace, netns: Netns): Promise<Link> {
	const where = { program, ifindex: place.ifindex, egress: place.direction === "egress", netns };
	return await explained(`attach to ${place.device} ${place.direction}`, async () =>
		type === "tcx" ? await addon().attachTcx(where) : addon().attachClsact(where),
	);
}

/** Opens a namespace and makes sure that it still is the one that was meant: paths are reused, cookies are not. */
export function openNetns(path: string, cookie: NetnsCookie): Netns {
	const netns = explained(`open network namespace ${path}`, () => addon().openNetns(path));
	if (netns.cookie === cookie) return netns;
	netns.close();
	throw new KernelError(
		`open network namespace ${path}`,
		"list the namespaces again",
		new Error(`it has another cookie (${netns.cookie}) than the one that was meant (${cookie})`),
	);
}
