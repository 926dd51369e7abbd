import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Path } from "../../src/path/path.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { checksummed, inject, linkAddresses } from "./frames.js";
import { assertNothingLost, countByHook, hookName, packetsByHook, recorded } from "./recorded.js";
import type { Sighting } from "./sightings.js";

const SIZE = 3000;

/** Hooks that see whole packets, because conntrack has put the fragments together before them. */
const WHOLE = new Set(["cni0→i a", "cni0→i b"]);

/**
 * What is cut into fragments, put together and cut again on the way is one packet, and one path; only first fragments
 * have ports. Counts come from the recording of the same trace.
 */
describe("fragments", () => {
	const lab = cluster({ servers: true });

	for (const family of ["ipv4", "ipv6"] as const) {
		for (const [to, hops] of [
			["default/server", "cA→i a, cni0→i a, flannel→e a, eth0→e a, eth0→i b, flannel→i b, cni0→e b, sB→e b"],
			["default/neighbor", "cA→i a, nA→e a"],
		] as const) {
			test(`a ping of ${SIZE} bytes to ${to} over ${family}`, async () => {
				const address = lab().pod(to).pod.address[family];
				const client = lab().pod("default/client").pod.address[family];
				await lab().ping("default/client", address);
				const trace = await recorded(lab(), `host ${client} and host ${address}`, async () => {
					assert.equal(await lab().ping("default/client", address, { size: SIZE }), 1, "precondition: it is answered");
				});
				assertNothingLost(trace);
				const { paths, sightings } = trace;
				const isEcho = ({ packet }: Path) => [8, 128, 0, 129].includes(packet.icmp?.type ?? -1);
				const pings = paths.filter((path) => isEcho(path) || path.packet.length > 1000);
				assert.equal(pings.length, 2, `a request and a reply: ${pings.map(({ packet }) => JSON.stringify(packet))}`);
				for (const path of pings) {
					const request = path.flow.source.ip === client;
					const parts = sightings.filter((one) => isFragmentOf(one, request ? client : address));
					const counts = countByHook(lab(), parts);
					assert.equal(counts[request ? "cA→i a" : (Object.keys(counts)[0] ?? "")], 3, "precondition: three fragments");
					if (to === "default/server") {
						const whole = Object.keys(counts).filter((hook) => counts[hook] === 1);
						assert.ok(whole.length > 0 && whole.every((hook) => WHOLE.has(hook)), "precondition: whole in between");
					}
					assert.deepEqual(packetsByHook(lab(), path), counts, "every fragment is in its hop");
					const names = path.hops.map((hop) => hookName(lab(), hop));
					if (request) assert.equal(names.join(", "), hops);
					for (const [n, hop] of path.hops.entries()) {
						const there = parts.filter(({ hook }) => hookName(lab(), hook) === names[n]);
						assert.equal(
							hop.bytes,
							there.reduce((sum, { length }) => sum + length, 0),
							"every byte",
						);
						assert.deepEqual([hop.first, hop.last], [there[0]?.at, there.at(-1)?.at]);
					}
					assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
				}
			});
		}

		test(`datagrams of ${SIZE} bytes over ${family} keep their ports`, async () => {
			const address = lab().pod("default/server").pod.address[family];
			const order = { protocol: "udp", address, port: 5353, size: SIZE, count: 5, intervalMs: 5 } as const;
			const trace = await recorded(lab(), `host ${address}`, async () => {
				const sent = await lab().send("default/client", order);
				assert.equal(sent.sent, 5);
			});
			assertNothingLost(trace);
			const requests = trace.paths.filter(({ flow }) => flow.protocol === "udp" && flow.destination.port === 5353);
			assert.equal(requests.length, 5, "one path each");
			const fragments = trace.sightings.filter(
				({ hook, tuple }) => hookName(lab(), hook) === "sB→e b" && tuple.protocol === 17,
			);
			assert.equal(fragments.length, 15, "precondition: three each, at the end as well");
			for (const path of requests) {
				assert.equal(path.hops.length, 8);
				const packets = path.hops.map((hop) => hop.packets);
				assert.deepEqual(packets, [3, 1, 3, 3, 3, 3, 3, 3]);
				assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
			}
		});
	}

	test("a datagram for which only the tunnel is too small: whole until there, one path", async () => {
		const [client, node] = [lab().pod("default/client"), lab().node("node-a")];
		const server = lab().pod("default/server").pod.address.ipv4;
		await lab().serve("default/server", { protocol: "udp", port: 9300, as: "sink" });
		const setMtu = async (mtu: number) => {
			await client.ip([`link set eth0 mtu ${mtu}`]);
			await node.ip([`link set ${client.pod.device} mtu ${mtu}`, `link set cni0 mtu ${mtu}`]);
		};
		const ends = { source: client.pod.address.ipv4, destination: server };
		const frame = packet()
			.ethernet(await linkAddresses(client, server))
			.ipv4({ ...ends, id: 77 })
			.udp({ source: 4800, destination: 9300 })
			.payload(1440)
			.build();
		await setMtu(1500);
		try {
			const trace = await recorded(lab(), `host ${server}`, () => inject(client, "eth0", [checksummed(frame)]));
			assertNothingLost(trace);
			const parts = trace.sightings.filter(({ tuple, ipId }) => tuple.destination === server && ipId === 77);
			const counts = countByHook(lab(), parts);
			assert.deepEqual([counts["cni0→i a"], counts["flannel→e a"]], [1, 2], "precondition: it was cut at the tunnel");
			const paths = trace.paths.filter(({ packet: { ipId } }) => ipId === 77);
			assert.equal(paths.length, 1, JSON.stringify(paths.map((path) => packetsByHook(lab(), path))));
			const [path] = paths as [Path];
			assert.deepEqual(packetsByHook(lab(), path), counts, "every fragment is in its hop");
			assert.deepEqual([path.hops.length, path.verdict, path.evidence], [8, "delivered", "exact"]);
			assert.deepEqual([path.flow.destination.port, path.packet.payload], [9300, 1440]);
		} finally {
			await setMtu(1450);
		}
	});
});

function isFragmentOf({ tuple, length, flags }: Sighting, source: string): boolean {
	const icmp = tuple.protocol === 1 || tuple.protocol === 58;
	return tuple.source === source && icmp && (length > 1000 || (flags & 0x18) !== 0);
}
