/** IPPROTO numbers that joining tells apart. */
export const enum Protocol {
	icmp = 1,
	tcp = 6,
	udp = 17,
	icmpv6 = 58,
	sctp = 132,
}
