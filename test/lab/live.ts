import assert from "node:assert/strict";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Lab } from "../../src/lab/lab.js";
import { packet } from "../bpf/packet.js";
import { DATAGRAM_BYTES } from "./numbered.js";

const LIVE = fileURLToPath(new URL("live", import.meta.url));

export interface LiveOptions {
	readonly port: number;
	readonly count: number;
	/** Packets at once, and the pause behind them: what the rings can hold, and the time to empty them. */
	readonly burst: number;
	readonly pauseMs: number;
}

/**
 * Numbered datagrams (see numbered.ts) as if client's veth had received them, on all CPUs at once, several times as fast as
 * sockets send; the far pod, of the same node, drops them unread. What the sender says of it, see live.c.
 */
export async function sendLive(lab: Lab, to: string, { port, count, burst, pauseMs }: LiveOptions): Promise<string> {
	const [client, far, node] = [lab.pod("default/client"), lab.pod(to), lab.node("node-a")];
	assert.equal(await lab.ping("default/client", far.pod.address.ipv4), 1, "precondition: the bridge knows both");
	const link = { source: client.pod.mac, destination: far.pod.mac };
	const ends = { source: client.pod.address.ipv4, destination: far.pod.address.ipv4, id: 1, dontFragment: true };
	const frame = packet()
		.ethernet(link)
		.ipv4(ends)
		.udp({ source: 4500, destination: port })
		.payload(new Uint8Array(DATAGRAM_BYTES))
		.build();
	await far.run("tc", "qdisc", "add", "dev", "eth0", "clsact");
	const discard = ["bpf", "direct-action", "obj", `${LIVE}.bpf.o`, "sec", "tc"];
	await far.run("tc", "filter", "add", "dev", "eth0", "ingress", ...discard);
	await node.run("ethtool", "-K", client.pod.device, "gro", "on");
	await lab.setBridgeNetfilter("node-a", false);
	try {
		const words = [`${LIVE}.bpf.o`, client.pod.device, String(count), String(burst), String(pauseMs)];
		const child = node.spawn([LIVE, ...words], { stdio: ["pipe", "pipe", "inherit"] });
		const closed = once(child, "close");
		let told = "";
		child.stdout?.setEncoding("utf8").on("data", (text: string) => {
			told += text;
		});
		child.stdin?.end(frame);
		assert.deepEqual(await closed, [0, null]);
		return told;
	} finally {
		await lab.setBridgeNetfilter("node-a", true);
		await node.run("ethtool", "-K", client.pod.device, "gro", "off");
		await far.run("tc", "qdisc", "del", "dev", "eth0", "clsact");
	}
}
