/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A face is what a connection looks like at one place: its addresses and ports. When a followed packet
 * shows another face than at its last hook, it was translated (NAT), and both faces and their reverses are
 * remembered here, so that the other packets of the connection and its replies are seen wherever they pass.
 */
#ifndef WEFT_FACES_H
#define WEFT_FACES_H

#define WEFT_FACES 16384

struct weft_face {
	unsigned int source[4];
	unsigned int destination[4];
	unsigned int netns;         /* weft_knobs.netns */
	unsigned short source_port; /* ICMP: the echo id, in both; 0 in both for later fragments */
	unsigned short destination_port;
	unsigned int protocol;
	unsigned int padding;
} __attribute__((aligned(8)));

#endif
