import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { attempt, run } from "../../src/lab/command.js";
import { Space } from "../../src/lab/space.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { inject } from "./frames.js";
import { latencyOf, segmentOf } from "./latency.js";
import { startWeft } from "./weft.js";

const VLAN = 10;
const COUNT = 40;

/**
 * A bridge with VLAN filtering where the kernel can make one (CONFIG_BRIDGE_VLAN_FILTERING). One that cannot, as that of
 * some CI machines, refuses it by every way there is, which is asserted; its bridges forward tagged frames as they are.
 */
describe("tagged frames through a bridge", () => {
	const lab = cluster();
	const containers: Space[] = [];
	let filters = false;

	after(async () => {
		for (const { netns } of containers) await run(["ip", "netns", "delete", netns]);
	});

	/** A bridge br10 on node-a with two ports that are members of the VLAN. */
	async function bridge(): Promise<readonly [Space, Space]> {
		const node = lab().node("node-a");
		const made = await node.attempt(..."ip link add br10 type bridge vlan_filtering 1".split(" "));
		filters = made.status === 0;
		if (!filters) {
			await assertNoFiltering(made.stderr);
			await node.ip(["link add br10 type bridge"]);
		}
		await node.ip(["link set br10 up"]);
		return [await port(1), await port(2)];
	}

	/** It is the kernel that cannot, and not the way of asking: no attribute, no file, no VLAN device either. */
	async function assertNoFiltering(words: string): Promise<void> {
		const node = lab().node("node-a");
		assert.match(words, /Operation not supported/);
		await node.ip(["link add br10 type bridge"]);
		const asked = await node.attempt(..."ip link set br10 type bridge vlan_filtering 1".split(" "));
		assert.match(asked.stderr, /Operation not supported/);
		const file = await node.attempt("cat", "/sys/class/net/br10/bridge/vlan_filtering");
		assert.notEqual(file.status, 0);
		await node.ip(["link delete br10"]);
	}

	async function port(index: number): Promise<Space> {
		const space = new Space(`container ${index}`, `wf-vlan-${process.pid}-${index}`);
		await run(["ip", "netns", "add", space.netns]);
		containers.push(space);
		const node = lab().node("node-a");
		await node.ip([
			`link add vlan${index} type veth peer name eth0 netns ${space.netns}`,
			`link set vlan${index} master br10 up`,
		]);
		if (filters) await node.run(..."bridge vlan add vid 10 dev".split(" "), `vlan${index}`);
		await space.ip([`link set eth0 address 02:00:00:00:10:0${index} up`]);
		return space;
	}

	test("are timed from port to port, and traced with their tag", async () => {
		const [from] = await bridge();
		const frames = Array.from({ length: COUNT }, (_, id) =>
			packet()
				.ethernet({ source: "02:00:00:00:10:01", destination: "02:00:00:00:10:02" })
				.vlan({ id: VLAN })
				.ipv4({ source: "172.20.0.1", destination: "172.20.0.2", id: id + 1 })
				.udp({ source: 4000, destination: 9000 })
				.payload(`tagged ${id}`)
				.build(),
		);
		const weft = await startWeft("trace", "any", "any", "vlan", String(VLAN), `--lab=${lab().name}`);
		const report = await latencyOf(["--bridge", "br10", "--by", "protocol", `--lab=${lab().name}`], async () => {
			await inject(from, "eth0", frames);
			await inject(from, "eth0", frames);
		});
		await weft.stop();
		const forward = segmentOf(report, "node-a", "bridge-forward", "br10");
		// The bridge floods the first ones, until it has heard of the other port: to that port alone, here.
		const reasons = Object.values(forward.unmatched).reduce((a, b) => a + b, 0);
		assert.ok(forward.count >= COUNT && forward.count + reasons >= 2 * COUNT, JSON.stringify(forward.unmatched));
		const udp = report.segments.find(
			({ kind, device, group }) => kind === "bridge-forward" && device === "br10" && group === "udp",
		);
		assert.ok((udp?.count ?? 0) >= COUNT, "what is behind the tag is read");
		const tagged = weft.paths.filter(({ flow, revision }) => flow.destination.port === 9000 && revision === 0);
		assert.equal(tagged.length, 2 * COUNT);
		for (const { hops, flow } of tagged) {
			assert.equal(flow.source.ip, "172.20.0.1");
			assert.deepEqual(
				hops.slice(0, 2).map(({ device, direction }) => `${device} ${direction}`),
				["vlan1 ingress", "vlan2 egress"],
			);
		}
	});

	test("and those of another VLAN, or of none, are no part of the question", async () => {
		const { status } = await attempt(["ip", "netns", "exec", containers[0]?.netns ?? "", "true"]);
		assert.equal(status, 0, "precondition: the ports are there");
		const weft = await startWeft("trace", "any", "any", "vlan", String(VLAN), `--lab=${lab().name}`);
		const frame = (id: number | null) => {
			const link = packet().ethernet({ source: "02:00:00:00:10:01", destination: "02:00:00:00:10:02" });
			return (id === null ? link : link.vlan({ id }))
				.ipv4({ source: "172.20.0.1", destination: "172.20.0.2", id: 77 })
				.udp({ source: 4000, destination: 9001 })
				.payload("other")
				.build();
		};
		await inject(containers[0] as Space, "eth0", [frame(VLAN + 1), frame(null), frame(VLAN)]);
		await new Promise((resolve) => setTimeout(resolve, 500));
		await weft.stop();
		const seen = weft.paths.filter(({ flow, revision }) => flow.destination.port === 9001 && revision === 0);
		assert.equal(seen.length, 1);
	});
});
