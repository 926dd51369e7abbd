import { readFileSync } from "node:fs";
import { addon } from "../../src/kernel/addon.js";
import type { Space } from "../../src/lab/space.js";

const OBJECT = readFileSync(new URL("victims.bpf.o", import.meta.url));

/** struct victim of victims.bpf.c. */
export interface Victim {
	/** Which of the packets with payload it was that came by, from 0. */
	readonly index: number;
	readonly sequence: number;
	readonly payload: number;
	/** 0 on IPv6. */
	readonly ipId: number;
}

export interface Dropping {
	/** Lets everything pass again, and says who was dropped. */
	stop(): readonly Victim[];
}

export interface Drops {
	readonly port: number;
	readonly every: number;
	readonly most: number;
	/** By default on ingress. */
	readonly egress?: boolean;
	/** The device carries flannel's tunnel: the outer header's family; true: IPv4. */
	readonly tunnelled?: boolean | "ipv4" | "ipv6";
}

/** Ethernet, IPv4 or IPv6, UDP, VXLAN. */
const TUNNEL_BYTES = { ipv4: 50, ipv6: 70 } as const;

/**
 * Drops one packet in `every` with payload to a TCP or UDP port on a device, at most `most`. Attach it before weft
 * comes: weft goes before whatever is there, and so sees the victims.
 */
export async function dropSome(
	node: Space,
	device: string,
	{ port, every, most, egress = false, tunnelled = false }: Drops,
): Promise<Dropping> {
	const ifindex = Number(await node.run("cat", `/sys/class/net/${device}/ifindex`));
	const object = addon().openObject(OBJECT);
	const tunnel = tunnelled === false ? 0 : TUNNEL_BYTES[tunnelled === true ? "ipv4" : tunnelled];
	object.setRodata(0, new Uint8Array(Uint32Array.of(port, every, most, tunnel).buffer));
	object.load();
	const program = object.program("drop_some");
	const [tallies, victims] = [object.map("tallies"), object.map("victims")];
	const netns = addon().openNetns(node.path);
	const link = await addon().attachTcx({ program, netns, ifindex, egress });
	const words = (map: typeof victims, key: number) =>
		new Uint32Array((map.lookup(new Uint8Array(Uint32Array.of(key).buffer)) as Uint8Array).slice().buffer);
	let stopped: readonly Victim[] | null = null;
	return {
		stop: () => {
			if (stopped !== null) return stopped;
			stopped = Array.from({ length: words(tallies, 0)[1] as number }, (_, key) => {
				const [index = 0, sequence = 0, payload = 0, ipId = 0] = words(victims, key);
				return { index, sequence, payload, ipId };
			});
			for (const each of [link, netns, program, tallies, victims, object]) each.close();
			return stopped;
		},
	};
}
