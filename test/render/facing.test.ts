import assert from "node:assert/strict";
import { test } from "node:test";
import { Facing } from "../../src/render/text/facing.js";
import { client, crossNode, pathOf, readyOf, server } from "./paths.js";

const any = { text: "any", name: "any", node: null, addresses: [] };

test("FROM and TO decide which way is forth", () => {
	const facing = new Facing(readyOf());
	assert.equal(facing.isReply(pathOf(crossNode, { flags: "PA" })), false);
	assert.equal(facing.isReply(pathOf(crossNode, { source: server, destination: client, flags: "S" })), true);
});

test("one named END is enough", () => {
	const facing = new Facing(readyOf({ from: any }));
	assert.equal(facing.isReply(pathOf(crossNode)), false);
	assert.equal(facing.isReply(pathOf(crossNode, { source: server, destination: client })), true);
});

test("between unnamed ends, whoever opened the connection asks", () => {
	const facing = new Facing(readyOf({ from: any, to: any }));
	const [request, reply] = [
		{ source: server, destination: client },
		{ source: client, destination: server },
	];
	assert.equal(facing.isReply(pathOf(crossNode, { ...request, flags: "S" })), false);
	assert.equal(facing.isReply(pathOf(crossNode, { ...reply, flags: "SA" })), true);
	assert.equal(facing.isReply(pathOf(crossNode, { ...request, flags: "PA" })), false);
});

test("a SYN,ACK, an echo reply or the server's port alone tell a reply", () => {
	const reply = { source: server, destination: client };
	const fresh = () => new Facing(null);
	assert.equal(fresh().isReply(pathOf(crossNode, { ...reply, flags: "SA" })), true);
	assert.equal(fresh().isReply(pathOf(crossNode, { ...reply, flags: "PA" })), true);
	assert.equal(fresh().isReply(pathOf(crossNode, { flags: "PA" })), false);
	const echo = { protocol: "icmp", flags: null };
	assert.equal(fresh().isReply(pathOf(crossNode, { ...echo, icmp: { type: 0, code: 0 } })), true);
	assert.equal(fresh().isReply(pathOf(crossNode, { ...echo, icmp: { type: 8, code: 0 } })), false);
});

test("memory of connections is bounded", () => {
	const facing = new Facing(null);
	const odd = { ...server, port: 9999 };
	const reply = pathOf(crossNode, { source: odd, destination: { ...client, port: 1025 }, flags: "PA" });
	facing.isReply(pathOf(crossNode, { source: { ...client, port: 1025 }, destination: odd, flags: "S" }));
	assert.equal(facing.isReply(reply), true, "its SYN was seen");
	for (let port = 1026; port <= 10_000; port++) {
		facing.isReply(pathOf(crossNode, { source: { ...client, port }, destination: odd, flags: "S" }));
	}
	assert.equal(facing.isReply(reply), false, "forgotten, and judged anew, by its ports");
});
