/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A face is what a connection looks like at one place: its addresses and ports. When a followed packet
 * shows another face than at its last hook, it was translated (NAT), and both faces and their reverses are
 * remembered here, so that the other packets of the connection and its replies are seen wherever they pass.
 *
 * A look-up in an LRU map costs more than a packet may that nobody asked for. So each face leaves a mark in a
 * table of bytes, by hash, and only behind a mark is looked up. A mark is the time, coarse: marks of the dead
 * fade, those of the living are renewed.
 */
#ifndef WEFT_FACES_H
#define WEFT_FACES_H

#define WEFT_FACES 16384
#define WEFT_MARKS 65536

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
