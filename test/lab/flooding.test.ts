import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Path } from "../../src/path/path.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { inject } from "./frames.js";
import { recorded } from "./recorded.js";

/** An address of the node's subnet that no pod has: nobody answers. */
const NOBODY = "10.244.1.250";

/** A bridge floods what it does not know and what is for many: one packet in, copies out of all ports, a tree. */
describe("flooded frames", () => {
	const lab = cluster({ servers: true });

	function nameOf({ device, direction }: { readonly device: string; readonly direction: string }): string {
		return `${device}→${direction === "ingress" ? "i" : "e"}`;
	}

	/** Hooks of the trunk, then of each branch. */
	function tree(path: Path): readonly (readonly string[])[] {
		const branches: string[][] = [];
		for (const hop of path.hops) {
			branches[hop.branch] ??= [];
			branches[hop.branch]?.push(nameOf(hop));
		}
		return branches;
	}

	/** What client's own device sends by itself, from a packet socket. */
	async function send(destination: string, build: "udp" | "arp") {
		const client = lab().pod("default/client");
		const [link] = JSON.parse(await client.run("ip", "-j", "link", "show", "eth0")) as { address: string }[];
		const ethernet = packet().ethernet({ source: link?.address ?? "", destination });
		const frame =
			build === "arp"
				? ethernet.arp({ sender: client.pod.address.ipv4, target: NOBODY })
				: ethernet
						.ipv4({ source: client.pod.address.ipv4, destination: target(destination), id: 77 })
						.udp({ source: 4600, destination: 9200 })
						.payload("to whom it may concern");
		const filter = build === "arp" ? "arp" : "udp port 9200";
		const trace = await recorded(lab(), filter, () => inject(client, "eth0", [frame.build()]));
		const from = `${client.pod.device}→i`;
		return {
			paths: trace.paths.filter((path) => path.hops.some((hop) => nameOf(hop) === from)),
			seen: trace.sightings.filter(({ hook }) => hook.node === "node-a"),
		};
	}

	function target(mac: string): string {
		if (mac === "ff:ff:ff:ff:ff:ff") return "10.244.1.255";
		return mac.startsWith("01:00:5e") ? "239.1.2.3" : lab().pod("default/neighbor").pod.address.ipv4;
	}

	before(async () => {
		await lab().addPod("node-a", { name: "another" });
	});

	for (const [what, mac, build] of [
		["an ARP request", "ff:ff:ff:ff:ff:ff", "arp"],
		["unknown unicast", "02:de:ad:be:ef:01", "udp"],
		["broadcast", "ff:ff:ff:ff:ff:ff", "udp"],
		["multicast", "01:00:5e:01:02:03", "udp"],
	] as const) {
		test(`${what} is one tree with a branch for each port`, async () => {
			const { device } = lab().pod("default/client").pod;
			const ports = lab().pods.filter(({ pod }) => pod.node === "node-a");
			assert.ok(ports.length >= 3, "precondition: there are ports to flood");
			const { paths, seen } = await send(mac, build);
			// The bridge itself takes what is for everybody; hairpin sends it back to where it came from as well.
			const expected = [`${device}→i`, ...ports.map(({ pod }) => `${pod.device}→e`)];
			if (what !== "unknown unicast") expected.push("cni0→i");
			const names = seen.map(({ hook }) => nameOf(hook));
			assert.deepEqual([...names].sort(), expected.sort(), "precondition: it was flooded, once to each");
			assert.equal(paths.length, 1, JSON.stringify(paths.map(tree)));
			const [path] = paths as [Path];
			assert.deepEqual(tree(path).flat().sort(), expected, "one tree has them all");
			assert.equal(
				new Set(path.hops.map(({ branch }) => branch)).size,
				what === "unknown unicast" ? ports.length : ports.length + 1,
			);
			assert.deepEqual([path.verdict, path.evidence], ["delivered", "exact"]);
		});
	}
});
