/** Addresses, ports and protocol of a packet, as seen at one hook. */
export interface Tuple {
	readonly family: number;
	/** IPPROTO; 0 for ARP and non-IP. */
	readonly protocol: number;
	/** Text form (RFC 5952 for IPv6); null when the packet is not IP or ARP. */
	readonly source: string | null;
	readonly destination: string | null;
	/** Host order; ICMP: the echo id; 0 when unknown. */
	readonly sourcePort: number;
	/** Host order; ICMP: type << 8 | code; 0 when unknown. */
	readonly destinationPort: number;
}

/** The tunnel header around a packet: only the peer is on the wire of one hook; the near end is the device's own. */
export interface Outer {
	/** The outer source on ingress, the outer destination on egress. */
	readonly peer: string;
	readonly vni: number;
}
