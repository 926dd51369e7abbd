import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Path } from "../../src/path/path.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { checksummed, inject, linkAddresses } from "./frames.js";
import { assertNothingLost, hookName, recorded } from "./recorded.js";
import type { Sighting } from "./sightings.js";
import { dropSome } from "./victims.js";

const PORT = 9100;
const COUNT = 6;

/**
 * Datagrams that nothing tells apart: no IP ID, the same ports, the same bytes. On a node their pointers do; across the
 * wire only their order is left, and a path must not claim more.
 */
describe("identical datagrams", () => {
	const lab = cluster();

	before(async () => {
		await lab().serve("default/server", { protocol: "udp", port: PORT, as: "sink" });
	});

	/** The same frame several times, from a packet socket in default/client to default/server. */
	async function sendAlike(family: "ipv4" | "ipv6"): Promise<void> {
		const client = lab().pod("default/client");
		const server = lab().pod("default/server").pod.address[family];
		const link = packet().ethernet(await linkAddresses(client, server));
		const ends = { source: client.pod.address[family], destination: server };
		const network = family === "ipv4" ? link.ipv4({ ...ends, id: 0, dontFragment: true }) : link.ipv6(ends);
		const frame = checksummed(network.udp({ source: 4500, destination: PORT }).payload("again and again").build());
		await inject(client, "eth0", Array(COUNT).fill(frame));
	}

	async function traced(family: "ipv4" | "ipv6") {
		const trace = await recorded(lab(), `udp port ${PORT}`, () => sendAlike(family));
		assertNothingLost(trace);
		const paths = trace.paths
			.filter(({ flow }) => flow.destination.port === PORT)
			.sort((a, b) => (a.hops[0]?.first ?? "").localeCompare(b.hops[0]?.first ?? ""));
		const seen = (hook: string) =>
			trace.sightings.filter((one) => one.tuple.destinationPort === PORT && hookName(lab(), one.hook) === hook);
		const alike = new Set(seen("cA→i a").map(({ ipId, hash, payload }) => `${ipId} ${hash} ${payload}`));
		assert.equal(alike.size, 1, "precondition: nothing tells them apart");
		assert.equal([...alike][0]?.split(" ")[0], "0", "precondition: they have no ID");
		assert.equal(paths.length, COUNT, "each has its path");
		return { paths, seen };
	}

	for (const family of ["ipv4", "ipv6"] as const) {
		test(`over ${family} are joined by their order, and say so`, async () => {
			const { paths, seen } = await traced(family);
			for (const [n, path] of paths.entries()) {
				assert.deepEqual([path.verdict, path.hops.length], ["delivered", 8]);
				for (const hop of path.hops) {
					assert.equal(hop.first, (seen(hookName(lab(), hop))[n] as Sighting).at, `${n}: the ${n}th at each hook`);
				}
				// When the first was told there was none like it yet.
				if (n > 0) assert.equal(path.evidence, "order");
			}
		});
	}

	test("of which one was lost on the wire: which one, nothing says, and the path says so", async () => {
		// The switch's port to node-b: behind eth0→e of one node, before eth0→i of the other.
		const dropping = await dropSome(lab().outside, "sw2", {
			port: PORT,
			every: 3,
			most: 1,
			egress: true,
			tunnelled: true,
		});
		try {
			const { paths, seen } = await traced("ipv4");
			assert.deepEqual(
				dropping.stop().map(({ index }) => index),
				[2],
				"precondition: the third was dropped",
			);
			assert.deepEqual([seen("eth0→e a").length, seen("eth0→i b").length], [COUNT, COUNT - 1]);
			const verdicts = count(paths, ({ verdict }) => verdict);
			assert.deepEqual(verdicts, { delivered: COUNT - 1, lost: 1 });
			// By their order it is the last one that is missing; and those before it, told before that was known, may each
			// have the next one's rest.
			const last = paths.at(-1);
			assert.deepEqual([last?.verdict, last?.evidence, last?.hops.length], ["lost", "ambiguous", 4]);
			for (const { evidence, revision } of paths.slice(2, -1)) assert.deepEqual([evidence, revision], ["ambiguous", 1]);
		} finally {
			dropping.stop();
		}
	});
});

function count(paths: readonly Path[], by: (path: Path) => string): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const path of paths) counts[by(path)] = (counts[by(path)] ?? 0) + 1;
	return counts;
}
