import type { NetnsCookie } from "../packet/hook.js";
import { addon } from "./addon.js";
import { explained, explainedAs, isNativeError, KernelError } from "./error.js";
import type { BpfProgram, Link, NativeError, Netns, TcAttach } from "./native.js";
import type { HookPlace } from "./place.js";

/** How hooks are put on devices: TCX links (Linux 6.6), or filters of a clsact qdisc (older). */
export type AttachType = "tcx" | "clsact";

/** "auto" is what the kernel offers. @throws KernelError when it cannot be asked */
export function attachTypeOf(asked: AttachType | "auto"): AttachType {
	return asked === "auto" ? explained("ask for TCX", preferredAttachType) : asked;
}

function preferredAttachType(): AttachType {
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

/**
 * Hooks devices of one namespace. Each gets its link, or the reason why there is none: device gone, not permitted, no
 * TCX. Most of the time is the kernel's, 12 ms a TCX link: it is spent on another thread.
 */
export async function attachAll(
	type: AttachType,
	program: BpfProgram,
	places: readonly HookPlace[],
	netns: Netns,
): Promise<readonly (Link | KernelError)[]> {
	const wheres = places.map(({ ifindex, direction }) => ({ program, ifindex, egress: direction === "egress", netns }));
	const results = type === "tcx" ? await addon().attachTcxAll(wheres) : wheres.map(attachClsact);
	return results.map((result, index) => {
		const { device, direction } = places[index] as HookPlace;
		return isNativeError(result) ? explainedAs(`attach to ${device} ${direction}`, result) : result;
	});
}

function attachClsact(where: TcAttach): Link | NativeError {
	try {
		return addon().attachClsact(where);
	} catch (cause) {
		if (!isNativeError(cause)) throw cause;
		return cause;
	}
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
