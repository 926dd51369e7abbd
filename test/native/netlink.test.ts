import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import type { Netns } from "../../src/kernel/native.js";
import { nativeError } from "./fixture.js";
import { inSpaces, Space } from "./space.js";
import { eventually } from "./spawn.js";

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_DUMP = 0x300;
const RTNLGRP_LINK = 1;

describe("netlink", () => {
	let space: Space;
	let netns: Netns;
	inSpaces((made, opened) => {
		space = made;
		netns = opened;
	});

	it("dumps what is in the namespace it was opened in", () => {
		const netlink = addon().openNetlink(netns);
		const links = messages(netlink.request(linkRequest({ flags: NLM_F_DUMP })));
		assert.ok(links.every(({ type }) => type === RTM_NEWLINK));
		assert.deepEqual(links.map(({ ifindex }) => ifindex).sort(), [1, space.near, space.far].sort());
		netlink.close();
		netlink.close();
		assert.throws(() => netlink.request(linkRequest({ flags: NLM_F_DUMP })), nativeError("EBADF"));
	});

	it("answers a single question without waiting for more", () => {
		const netlink = addon().openNetlink(netns);
		const [link, ...others] = messages(netlink.request(linkRequest({ ifindex: space.far })));
		assert.equal(link?.ifindex, space.far);
		assert.deepEqual(others, []);
		netlink.close();
	});

	it("says what the kernel said, and goes on", () => {
		const netlink = addon().openNetlink(netns);
		assert.throws(() => netlink.request(linkRequest({ ifindex: 4711 })), nativeError("ENODEV", /request 18/));
		// Neither an index nor a name: the kernel has words for that since 4.20 (strict checking).
		assert.throws(() => netlink.request(linkRequest({ ifindex: 0 })), nativeError("EINVAL", /./));
		assert.throws(() => netlink.request(new Uint8Array(3)), nativeError("EINVAL", /shorter than a header/));
		assert.equal(messages(netlink.request(linkRequest({ flags: NLM_F_DUMP }))).length, 3);
		netlink.close();
	});

	it("survives dumps that grow and change under it", async () => {
		for (let index = 0; index < 150; index++) {
			space.ip("link", "add", `v${index}`, "type", "veth", "peer", "name", `w${index}`);
		}
		const netlink = addon().openNetlink(netns);
		const churn = (async () => {
			for (let index = 0; index < 20; index++) {
				space.ip("link", "del", `v${index}`);
				await delay(1);
			}
		})();
		for (let round = 0; round < 50; round++) {
			const found = messages(netlink.request(linkRequest({ flags: NLM_F_DUMP }))).map(({ ifindex }) => ifindex);
			assert.equal(new Set(found).size, found.length, "a link was listed twice");
			await delay(1);
		}
		await churn;
		netlink.close();
	});

	it("hears of links in its namespace, until it is closed", async () => {
		const heard: { type: number; ifindex: number; nsid: number }[] = [];
		const monitor = addon().monitorNetlink(netns, [RTNLGRP_LINK], false, (bytes, nsid) => {
			for (const message of bytes === null ? [] : messages(bytes)) heard.push({ ...message, nsid });
		});
		space.ip("link", "set", "far", "mtu", "1400");
		assert.ok(await eventually(() => heard.length > 0));
		assert.ok(heard.every(({ ifindex, nsid }) => ifindex === space.far && nsid === -1));
		monitor.close();
		monitor.close();
		heard.length = 0;
		space.ip("link", "set", "far", "mtu", "1300");
		await delay(50);
		assert.deepEqual(heard, []);
	});

	it("hears of other namespaces by their id", async () => {
		const other = new Space();
		space.ip("netns", "set", other.name, "77");
		const heard: number[] = [];
		const monitor = addon().monitorNetlink(netns, [RTNLGRP_LINK], true, (_, nsid) => heard.push(nsid));
		other.ip("link", "set", "far", "mtu", "1400");
		assert.ok(await eventually(() => heard.includes(77)), `heard ${heard}`);
		monitor.close();
		other.close();
	});

	it("says when it missed something", async () => {
		let overrun = false;
		const monitor = addon().monitorNetlink(netns, [RTNLGRP_LINK], false, (bytes) => {
			overrun ||= bytes === null;
		});
		// More than queue and socket buffer hold, while nobody is here to take it.
		const flap = "for i in $(seq 4000); do echo link set far mtu 1400; echo link set far mtu 1500; done | ip -batch -";
		for (let round = 0; round < 4; round++) space.run("sh", "-c", flap);
		assert.ok(await eventually(() => overrun));
		monitor.close();
	});

	it("knows a namespace by its cookie", () => {
		const [again, own] = [addon().openNetns(space.path), addon().openNetns(null)];
		assert.equal(again.cookie, netns.cookie);
		assert.notEqual(own.cookie, netns.cookie);
		assert.ok(netns.hasCookie);
		assert.match(netns.cookie, /^\d+$/);
		again.close();
		own.close();
		assert.throws(() => addon().openNetlink(again), nativeError("EBADF"));
		assert.throws(() => addon().openNetns("/proc/self/exe"), nativeError("EINVAL", /not a namespace/));
		assert.throws(() => addon().openNetns("/run/netns/wf-nat-none"), nativeError("ENOENT", /wf-nat-none/));
	});
});

/** struct nlmsghdr, struct ifinfomsg. */
function linkRequest({ flags = 0, ifindex = 0 }: { flags?: number; ifindex?: number }): Uint8Array {
	const message = new DataView(new ArrayBuffer(32));
	message.setUint32(0, 32, true);
	message.setUint16(4, RTM_GETLINK, true);
	message.setUint16(6, flags, true);
	message.setUint32(20, ifindex, true);
	return new Uint8Array(message.buffer);
}

function messages(bytes: Uint8Array): { type: number; ifindex: number }[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const found = [];
	for (let at = 0; at < bytes.length; at += (view.getUint32(at, true) + 3) & ~3) {
		found.push({ type: view.getUint16(at + 4, true), ifindex: view.getUint32(at + 20, true) });
	}
	return found;
}
