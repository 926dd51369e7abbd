import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Path } from "../../src/path/path.js";
import { packet, timestamps } from "../bpf/packet.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";
import { isCovered } from "./found.js";
import { checksummed, inject, linkAddresses } from "./frames.js";
import { assertNothingLost, recorded } from "./recorded.js";
import { placeOf, type Sighting } from "./sightings.js";
import { dropSome } from "./victims.js";

const PORT = 9000;
/** Also of packets as large as they get, every fourth is there five times. */
const BYTES = 1_600_000;

/** Copies are packets of their own: each has its path, the lost ones end where they were dropped, and nothing is mixed. */
describe("what is sent more than once", () => {
	const lab = cluster();

	before(async () => {
		// Small segments that come together would be put together behind the tunnel, now and then.
		for (const node of lab().nodes) {
			for (const tunnel of ["flannel.1", "flannel-v6.1"]) await node.run("ethtool", "-K", tunnel, "gro", "off");
		}
		await lab().serve("default/server", { protocol: "tcp", port: PORT, as: "sink" });
	});

	async function traced(filter: string, send: () => Promise<void>) {
		const trace = await recorded(lab(), filter, send);
		assertNothingLost(trace);
		return trace;
	}

	for (const [family, tunnel] of [
		["ipv4", "flannel.1"],
		["ipv6", "flannel-v6.1"],
	] as const) {
		test(`retransmissions over ${family}: the lost ones end where they were dropped, their copies arrive`, async () => {
			// Behind weft's hook on the tunnel: filters of clsact come after TCX, so there it is before the next one.
			const filtered = attach() === "clsact";
			const where = { port: PORT, every: 4, most: 5, egress: filtered };
			const dropping = await dropSome(lab().node("node-b"), filtered ? "cni0" : tunnel, where);
			const { paths, sightings, flows } = await traced(`tcp port ${PORT}`, async () => {
				const address = lab().pod("default/server").pod.address[family];
				const order = { protocol: "tcp", address, port: PORT, bytes: BYTES, timeoutMs: 20_000 } as const;
				const sent = await lab().send("default/client", order);
				assert.equal(sent.error, null);
			}).finally(() => void dropping.stop());
			const victims = dropping.stop();
			assert.equal(victims.length, 5, "precondition: five were dropped");
			const data = paths.filter(({ flow, packet }) => flow.destination.port === PORT && packet.payload > 0);
			const seen = sightings.filter(({ tuple, payload }) => tuple.destinationPort === PORT && payload > 0);
			assertOnePathEach(data, seen);

			const place = `${tunnel}→i @node-b`;
			const passing = seen.filter(({ hook }) => placeOf(hook) === place);
			const killed = victims.map(({ index, sequence, payload }) => {
				const victim = passing[index] as Sighting;
				assert.deepEqual([victim.sequence, victim.payload], [sequence, payload], "precondition: the logs agree");
				return pathThrough(data, victim);
			});
			for (const path of killed) {
				assert.ok(path.verdict === "lost" || path.verdict === "dropped", `${path.verdict} at ${path.hops.length}`);
				const last = path.hops.at(-1);
				assert.equal(last && placeOf(last), place);
				assert.equal(path.blame?.expected?.replace(/@.*/, "").trim(), "cni0→e");
			}
			const others = data.filter((path) => !killed.includes(path));
			for (const { verdict, hops } of others) assert.deepEqual([verdict, hops.length], ["delivered", 8]);
			for (const { packet } of killed) assert.ok(isCovered(packet, others), "what was lost has arrived at last");

			// Which loss caused which copy is the flow's knowledge.
			const [flow] = flows.filter(({ flow: { destination } }) => destination.port === PORT);
			assert.equal(flow?.forward.lost, killed.filter(({ verdict }) => verdict === "lost").length);
			const tied = flow?.retransmissions.find((each) => each.place === place)?.count ?? 0;
			assert.ok(tied >= 1, JSON.stringify(flow?.retransmissions));
			const copies = data.filter((path) => data.some((other) => isLater(path, other) && overlap(path, other) > 0));
			assert.ok((flow?.forward.retransmissions ?? 0) >= 1 && (flow?.forward.retransmissions ?? 0) <= copies.length);
		});
	}

	for (const [family, tsvals] of [
		["ipv4", [1000, 1000, 1000, 1000]],
		["ipv6", [1000, 1001, 1002, 1003]],
	] as const) {
		test(`duplicates and disorder from a raw socket over ${family}: each frame its own path`, async () => {
			const client = lab().pod("default/client");
			const { source, destination } = await linkAddresses(client, lab().pod("default/server").pod.address[family]);
			const addresses = {
				source: client.pod.address[family],
				destination: lab().pod("default/server").pod.address[family],
			};
			// Segments of a connection that nobody has, out of order, one of them twice: "which, when, numbered".
			const order = [2, 0, 1, 1];
			const frames = order.map((segment, n) => {
				const link = packet().ethernet({ source, destination });
				const network = family === "ipv4" ? link.ipv4({ ...addresses, id: 100 + n }) : link.ipv6(addresses);
				const options = timestamps(tsvals[n] as number);
				return checksummed(
					network
						.tcp({ source: 4321, destination: 4322, seq: 5000 + segment * 100, ack: 1, flags: 0x18, options })
						.payload(String(segment).repeat(100))
						.build(),
				);
			});
			const { paths, sightings } = await traced("tcp port 4322", () => inject(client, "eth0", frames));
			const seen = sightings.filter(({ tuple }) => tuple.destinationPort === 4322);
			assert.equal(seen.length, order.length * 8, "precondition: all of them went all the way");
			const data = paths.filter(({ flow }) => flow.destination.port === 4322);
			assertOnePathEach(data, seen);
			for (const { verdict, hops, evidence, blame } of data) {
				// All the way; and there the server's TCP knows no such connection.
				assert.deepEqual([verdict, hops.length, evidence], ["dropped", 8, "exact"]);
				assert.match(blame?.reason ?? "", /^closed port/);
			}
			assert.deepEqual(
				[...data].sort(byTime).map((path) => ((path.packet.seq ?? 0) - 5000) / 100),
				order,
				"in the order of sending",
			);
		});
	}
});

/**
 * Nothing cut or merged these packets: every sighting is one hop of one path, and all hops of a path are one packet, as
 * its sequence, length, TSval and IP ID say.
 */
function assertOnePathEach(paths: readonly Path[], sightings: readonly Sighting[]): void {
	const free = new Map(sightings.map((sighting) => [nameOf(sighting), sighting]));
	assert.equal(free.size, sightings.length, "precondition: times tell them apart");
	for (const path of paths) {
		const parts = path.hops.map((hop) => {
			assert.equal(hop.packets, 1, "precondition: as it was sent");
			const name = `${placeOf(hop)} ${hop.first}`;
			const part = free.get(name);
			assert.ok(part, `${name} is of no path yet`);
			free.delete(name);
			return [part.sequence, part.payload, part.tsval, part.ipId].join();
		});
		assert.equal(new Set(parts).size, 1, `one packet: ${parts}`);
	}
	assert.deepEqual([...free.keys()], [], "no packet is without a path");
}

function pathThrough(paths: readonly Path[], sighting: Sighting): Path {
	const found = paths.filter((path) => path.hops.some((hop) => `${placeOf(hop)} ${hop.first}` === nameOf(sighting)));
	assert.equal(found.length, 1);
	return found[0] as Path;
}

function nameOf({ hook, at }: Sighting): string {
	return `${placeOf(hook)} ${at}`;
}

function overlap({ packet: a }: Path, { packet: b }: Path): number {
	const ahead = ((b.seq ?? 0) - (a.seq ?? 0)) | 0;
	return Math.max(0, Math.min(a.payload, ahead + b.payload) - Math.max(0, ahead));
}

function isLater(a: Path, b: Path): boolean {
	return byTime(a, b) > 0;
}

function byTime(a: Path, b: Path): number {
	return (a.hops[0]?.first ?? "").localeCompare(b.hops[0]?.first ?? "");
}
