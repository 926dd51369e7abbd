import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Path } from "../../src/path/path.js";
import { packet } from "../bpf/packet.js";
import { cluster } from "./cluster.js";
import { assertBalanced, type RunningWeft, startWeft } from "./weft.js";

const FRAMES = fileURLToPath(new URL("../bpf/frames", import.meta.url));
const DEVICE = "wftun";
const FAR = { ipv4: "10.99.0.5", ipv6: "fd99::5" } as const;

/** A TUN device of a node has no link header: what comes by it and what leaves by it is read right nevertheless. */
describe("a device without link headers", () => {
	const lab = cluster({ servers: true });
	let weft: RunningWeft;

	before(async () => {
		await lab()
			.node("node-a")
			.ip([
				`tuntap add dev ${DEVICE} mode tun`,
				`link set ${DEVICE} up`,
				`route add 10.99.0.0/24 dev ${DEVICE}`,
				`route add fd99::/64 dev ${DEVICE}`,
			]);
		weft = await startWeft("trace", "any", "any", `--lab=${lab().name}`);
	});
	after(async () => {
		assertBalanced(await weft.stop());
	});

	const hopsOf = (path: Path | undefined) =>
		path?.hops.map(({ device, direction }) => `${device}→${direction === "ingress" ? "i" : "e"}`).join(" ");

	async function pathOf(matches: (path: Path) => boolean): Promise<Path | undefined> {
		for (const end = Date.now() + 5000; Date.now() < end; await sleep(20)) {
			const found = weft.paths.find(matches);
			if (found !== undefined) return found;
		}
		return undefined;
	}

	for (const family of ["ipv4", "ipv6"] as const) {
		test(`what comes by it, over ${family}`, async () => {
			const { device, address } = lab().pod("default/client").pod;
			const ends = { source: FAR[family], destination: address[family] };
			const network = family === "ipv4" ? packet().ipv4({ ...ends, id: 99 }) : packet().ipv6(ends);
			const bytes = network.udp({ source: 5500, destination: 5501 }).payload("without a link header").build();
			const child = lab()
				.node("node-a")
				.spawn([FRAMES, "tun", DEVICE], { stdio: ["pipe", "inherit", "inherit"] });
			const closed = once(child, "close");
			child.stdin?.end(Buffer.concat([new Uint8Array(Uint16Array.of(1, bytes.length).buffer), bytes]));
			assert.deepEqual(await closed, [0, null]);
			const path = await pathOf(
				({ flow }) => flow.destination.port === 5501 && flow.destination.ip === address[family],
			);
			assert.equal(hopsOf(path), `${DEVICE}→i cni0→e ${device}→e`);
			assert.deepEqual([path?.flow.source.ip, path?.flow.source.port], [FAR[family], 5500]);
			assert.deepEqual([path?.hops[0]?.bytes, path?.hops[1]?.bytes], [bytes.length, bytes.length + 14]);
			assert.equal(path?.packet.payload, "without a link header".length);
			assert.deepEqual([path?.verdict, path?.evidence], ["delivered", "exact"]);
		});

		test(`what leaves by it, over ${family}`, async () => {
			const { device } = lab().pod("default/client").pod;
			// Somebody holds the device open, or it has no carrier.
			const holder = lab()
				.node("node-a")
				.spawn([FRAMES, "tun", DEVICE], { stdio: ["pipe", "inherit", "inherit"] });
			const closed = once(holder, "close");
			await sleep(200);
			const order = { protocol: "udp", address: FAR[family], port: 5600, size: 30, count: 1 } as const;
			await lab().send("default/client", order);
			holder.stdin?.end();
			await closed;
			const path = await pathOf(({ flow }) => flow.destination.port === 5600 && flow.destination.ip === FAR[family]);
			assert.equal(hopsOf(path), `${device}→i cni0→i ${DEVICE}→e`);
			const [first, , last] = path?.hops ?? [];
			assert.equal(last?.bytes, (first?.bytes ?? 0) - 14, "less the link header");
			assert.equal(path?.packet.payload, 30);
			assert.equal(path?.flow.source.pod, "client");
			assert.equal(path?.verdict, "forwarded", JSON.stringify(path?.blame));
		});
	}
});
