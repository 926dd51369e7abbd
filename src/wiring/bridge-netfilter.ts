import { isNativeError } from "../kernel/error.js";
import type { Netns } from "../kernel/native.js";
import type { Namespace } from "./model.js";

type BridgeNetfilter = NonNullable<Namespace["bridgeNetfilter"]>;

/** Does a namespace run iptables on what its bridges forward? Null when that cannot be read. */
export function bridgeNetfilterOf(netns: Pick<Netns, "readFile">): BridgeNetfilter | null {
	const isOn = (family: string) => netns.readFile(`/proc/sys/net/bridge/bridge-nf-call-${family}`).trim() === "1";
	try {
		return { ipv4: isOn("iptables"), ipv6: isOn("ip6tables") };
	} catch (cause) {
		// Without the module there are no files, and bridges forward untouched.
		return isNativeError(cause) && cause.code === "ENOENT" ? { ipv4: false, ipv6: false } : null;
	}
}
