/** What BPF_PROG_TEST_RUN refuses, on real devices: short and jumbo frames, tags in the skb, headers in fragments, TUN. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { addon } from "../../src/kernel/addon.js";
import { EventFlag, Family } from "../../src/packet/sightings.js";
import { TestNamespace } from "./namespace.js";
import { type PacketBuilder, packet, timestamps } from "./packet.js";
import { parse } from "./reference.js";
import { type Event, type Knobs, Tracer } from "./tracer.js";

const FRAMES = fileURLToPath(new URL("frames", import.meta.url));

interface Wire {
	/** Device that the tracer watches, on ingress. */
	readonly watched: string;
	readonly kind: "packet" | "tun" | "tap";
	/** Device that the frames are put onto. */
	readonly sender: string;
	readonly setUp: readonly string[];
}

const VETH: Wire = {
	kind: "packet",
	sender: "va",
	watched: "vb",
	setUp: ["ip link add name va mtu 9000 type veth peer name vb mtu 9000", "ip link set va up", "ip link set vb up"],
};
const TUN: Wire = {
	kind: "tun",
	sender: "tun0",
	watched: "tun0",
	setUp: ["ip tuntap add mode tun name tun0", "ip link set tun0 up"],
};
const TAP: Wire = {
	kind: "tap",
	sender: "tap0",
	watched: "tap0",
	setUp: ["ip tuntap add mode tap name tap0", "ip link set tap0 up"],
};
/** Nobody but the test sends. */
const QUIET = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1";

/** Sends frames, each in pieces, and returns what the tracer saw of them. */
async function send(
	wire: Wire,
	frames: readonly (readonly Uint8Array[])[],
	knobs: Knobs = {},
): Promise<readonly Event[]> {
	const namespace = new TestNamespace();
	const tracer = new Tracer();
	try {
		namespace.run("sh", "-ec", [QUIET, ...wire.setUp].join("\n"));
		const ifindex = Number(namespace.run("cat", `/sys/class/net/${wire.watched}/ifindex`));
		const { trace } = tracer.load({ matchAll: 1, ...knobs });
		const link = await addon().attachTcx({ program: trace, ifindex, egress: false, netns: namespace.netns });
		try {
			execFileSync("ip", ["netns", "exec", namespace.name, FRAMES, wire.kind, wire.sender], {
				input: Buffer.concat(frames.flatMap((pieces) => [header(pieces), ...pieces])),
			});
		} finally {
			link.close();
		}
		return await tracer.finish();
	} finally {
		tracer.close();
		namespace.close();
	}
}

function header(pieces: readonly Uint8Array[]): Uint8Array {
	return new Uint8Array(Uint16Array.of(pieces.length, ...pieces.map((piece) => piece.length)).buffer);
}

/** In two, behind so many bytes. */
function split(bytes: Uint8Array, at: number): readonly Uint8Array[] {
	return [bytes.subarray(0, at), bytes.subarray(at)];
}

/** As the reference says of the same bytes. */
function assertAsReference(event: Event | undefined, bytes: Uint8Array, knobs: Knobs = {}): void {
	const { tsval, ...expected } = parse(bytes, {
		l3: knobs.l3 ?? false,
		egress: false,
		tunnelPorts: knobs.tunnelPorts ?? [],
	});
	for (const [field, value] of Object.entries(expected)) {
		assert.equal(event?.[field as keyof Event], value, `${field} of ${bytes.length} bytes`);
	}
	assert.equal(event?.tsval, expected.parse === 0 ? tsval : 0);
}

const TCP = packet()
	.ethernet()
	.ipv4()
	.tcp({ options: timestamps(11) })
	.payload(60);
const UDP6 = packet().ethernet().ipv6().extension(60).udp().payload(20);

describe("frames from a packet socket", () => {
	for (const [name, builder] of [
		["IPv4", TCP],
		["IPv6", UDP6],
		["ARP", packet().ethernet().arp()],
	] as const) {
		it(`${name}, cut off at every byte`, async () => {
			const whole = builder.build();
			const cuts = Array.from({ length: whole.length - 14 }, (_, i) => whole.subarray(0, i + 15));
			const events = await send(
				VETH,
				cuts.map((cut) => [cut]),
			);
			assert.equal(events.length, cuts.length);
			for (const [i, cut] of cuts.entries()) {
				assert.equal(events[i]?.length, cut.length);
				assertAsReference(events[i], cut);
			}
		});
	}

	it("jumbo frames", async () => {
		const bytes = packet().ethernet().ipv4().udp().payload(8900).build();
		const [event] = await send(VETH, [[bytes]]);
		assert.equal(event?.length, bytes.length);
		assertAsReference(event, bytes);
	});

	it("one tag, which the kernel moves into the skb, and QinQ, of which it moves the outer one", async () => {
		const one = packet().ethernet().vlan({ id: 100 }).ipv4().udp({ source: 9 }).payload(30);
		const two = packet().ethernet().vlan({ tpid: 0x88a8, id: 7 }).vlan({ id: 8 }).ipv6().tcp({ seq: 5 }).payload(9);
		const three = packet().ethernet().vlan({ id: 1 }).vlan({ id: 2 }).vlan({ id: 3 }).ipv4().udp().payload(30);
		const builders: readonly PacketBuilder[] = [one, two, three];
		const events = await send(
			VETH,
			builders.map((each) => [each.build()]),
		);
		assert.deepEqual(
			events.map((event) => event.length - (builders[events.indexOf(event)]?.build().length ?? 0)),
			[-4, -4, -4],
			"the outer tag is not among the bytes",
		);
		for (const [i, event] of events.entries()) {
			assertAsReference(event, builders[i]?.build() ?? new Uint8Array(0));
		}
	});
});

describe("frames whose headers are outside the linear part", () => {
	const knobs: Knobs = { tunnelPorts: [8472] };
	const tunnelled = packet()
		.ethernet()
		.ipv4()
		.udp({ destination: 8472 })
		.vxlan({ vni: 9 })
		.ethernet()
		.ipv4({ source: "10.244.1.2", options: [1, 1, 1, 1] })
		.tcp({ options: timestamps(3) })
		.payload(80)
		.build();
	const extended = packet()
		.ethernet()
		.ipv6()
		.extension(60, { size: 64 })
		.extension(60)
		.udp({ source: 77 })
		.payload(40)
		.build();
	const tagged = packet()
		.ethernet()
		.vlan({ id: 4 })
		.vlan({ id: 5 })
		.ipv4()
		.tcp({ options: timestamps(6) })
		.payload(40)
		.build();

	for (const [name, bytes] of [
		["VXLAN", tunnelled],
		["IPv6 extensions", extended],
		["QinQ", tagged],
		["TCP", TCP.build()],
	] as const) {
		it(`${name}, wherever the linear part ends`, async () => {
			const ends = Array.from({ length: bytes.length - 15 }, (_, i) => i + 14);
			const events = await send(
				TAP,
				ends.map((end) => split(bytes, end)),
				knobs,
			);
			assert.equal(events.length, ends.length);
			for (const event of events) {
				assertAsReference(event, bytes, knobs);
				assert.equal(event.payloadHash, events[0]?.payloadHash);
			}
		});
	}
});

describe("a TUN device", () => {
	it("has no link header: IPv4, IPv6, and every cut of them", async () => {
		const knobs: Knobs = { l3: true };
		const sound = [
			packet()
				.ipv4()
				.tcp({ options: timestamps(2) })
				.payload(33),
			packet().ipv6().udp({ source: 5 }).payload(33),
		];
		const frames = sound.flatMap((each) => {
			const bytes = each.build();
			return Array.from({ length: bytes.length }, (_, i) => bytes.subarray(0, i + 1));
		});
		const events = await send(
			TUN,
			frames.map((frame) => [frame]),
			knobs,
		);
		assert.equal(events.length, frames.length);
		for (const [i, frame] of frames.entries()) {
			assert.equal(events[i]?.length, frame.length);
			assertAsReference(events[i], frame, knobs);
		}
		const families = new Set(events.map((event) => event.flags & EventFlag.familyMask));
		assert.ok(families.has(Family.ipv4) && families.has(Family.ipv6));
	});
});
