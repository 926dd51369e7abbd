import assert from "node:assert/strict";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Space } from "../../src/lab/space.js";

const FRAMES = fileURLToPath(new URL("../bpf/frames", import.meta.url));

/** Puts frames onto a device from a packet socket. */
export async function inject(space: Space, device: string, frames: readonly Uint8Array[]): Promise<void> {
	const child = space.spawn([FRAMES, "packet", device], { stdio: ["pipe", "inherit", "inherit"] });
	const closed = once(child, "close");
	for (const frame of frames) {
		const header = Uint16Array.of(1, frame.length);
		child.stdin?.write(Buffer.concat([new Uint8Array(header.buffer), frame]));
	}
	child.stdin?.end();
	assert.deepEqual(await closed, [0, null]);
}

/** The pod's own MAC and that of its gateway to an address, which is pinged to learn it. */
export async function linkAddresses(space: Space, far: string) {
	await space.attempt("ping", "-c", "1", "-W", "1", far);
	const [link] = JSON.parse(await space.run("ip", "-j", "link", "show", "eth0")) as { address: string }[];
	const [route] = JSON.parse(await space.run("ip", "-j", "route", "get", far)) as { gateway: string }[];
	const neighbours = JSON.parse(await space.run("ip", "-j", "neigh", "show", "dev", "eth0")) as {
		dst: string;
		lladdr?: string;
	}[];
	const gateway = neighbours.find(({ dst }) => dst === route?.gateway)?.lladdr;
	assert.ok(link && gateway, "precondition: the gateway answers");
	return { source: link.address, destination: gateway };
}

/** With the checksum of TCP or UDP, behind an IP header without options: conntrack and sockets take no other. */
export function checksummed(frame: Uint8Array): Uint8Array {
	const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
	const ipv4 = view.getUint16(12) === 0x0800;
	const protocol = view.getUint8(ipv4 ? 23 : 20);
	const at = ipv4 ? 34 : 54;
	const field = at + (protocol === 6 ? 16 : 6);
	view.setUint16(field, 0);
	let sum = protocol + frame.length - at;
	// The addresses end the IP header; the segment, padded, follows.
	for (let i = at - (ipv4 ? 8 : 32); i < frame.length; i += 2) {
		sum += i + 1 < frame.length ? view.getUint16(i) : view.getUint8(i) << 8;
	}
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	view.setUint16(field, ~sum & 0xffff);
	return frame;
}
