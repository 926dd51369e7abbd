import { DUMP, request, word } from "./netlink.js";
import { Af, Rtm } from "./rtnetlink-values.js";

/** Requests of rtnetlink, as bytes for Netlink.request. */
export const Request = {
	/** All links. */
	links: () => request(Rtm.getLink, DUMP, header(16), [WITHOUT_FAMILY_STATISTICS]),
	/** One link, with its counters of this moment. */
	link: (ifindex: number) => {
		const message = header(16);
		new DataView(message.buffer).setInt32(4, ifindex, true);
		return request(Rtm.getLink, 0, message);
	},
	/** All links of another namespace, by its id as seen from the socket's. */
	linksOf: (nsid: number) =>
		request(Rtm.getLink, DUMP, header(16), [
			{ type: IFLA_TARGET_NETNSID, payload: word(nsid) },
			WITHOUT_FAMILY_STATISTICS,
		]),
	addresses: () => request(Rtm.getAddress, DUMP, header(8)),
	/** Every table, both families. */
	routes: () => [request(Rtm.getRoute, DUMP, header(12, Af.inet)), request(Rtm.getRoute, DUMP, header(12, Af.inet6))],
	neighbours: () => request(Rtm.getNeighbour, DUMP, header(12)),
	/** Forwarding tables of bridges (NTF_MASTER) and tunnels (NTF_SELF). */
	fdb: () => request(Rtm.getNeighbour, DUMP, header(12, Af.bridge)),
	/** The id that the socket's namespace has given to the one that descriptor `fd` of this process holds. */
	nsid: (fd: number) => request(Rtm.getNsid, 0, header(4), [{ type: NETNSA_FD, payload: word(fd) }]),
};

const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
/** IPv6 counts hundreds of things for each device (inet6_fill_ifla6_attrs), which nobody here reads. */
const WITHOUT_FAMILY_STATISTICS = { type: IFLA_EXT_MASK, payload: word(RTEXT_FILTER_SKIP_STATS) };
const IFLA_TARGET_NETNSID = 46;
const NETNSA_FD = 3;

/** A struct of `size` bytes whose first is the family, else zero. */
function header(size: number, family: number = Af.unspecified): Uint8Array {
	const bytes = new Uint8Array(size);
	bytes[0] = family;
	return bytes;
}
