/**
 * Broken packets by the thousand: the kernel's parser must say of each what the reference says. The seed is fixed;
 * `WEFT_FUZZ=100000 WEFT_SEED=$RANDOM node --test dist/test/bpf/fuzz.test.js` looks longer and elsewhere.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type PacketBuilder, packet, synOptions, timestamps } from "./packet.js";
import { type Parsed, type ParseOptions, parse } from "./reference.js";
import { type Event, Tracer } from "./tracer.js";

const RUNS = Number(process.env["WEFT_FUZZ"] ?? 4000);
const SEED = Number(process.env["WEFT_SEED"] ?? 20261122);

const INSIDE = packet()
	.ethernet()
	.ipv4()
	.tcp({ options: timestamps(5) })
	.payload(30);

/** What a tunnel carries, up to where its own packet was cut. */
const CUT_INSIDE = (inside: PacketBuilder) => inside.payload(400).build().subarray(0, 250);

/** What is broken, from behind the link header. */
const SOUND: readonly PacketBuilder[] = [
	packet()
		.ipv4()
		.tcp({ options: synOptions(9) })
		.payload(20),
	packet()
		.ipv4({ options: [7, 7, 4, 10, 0, 0, 1] })
		.tcp({ options: timestamps(3) })
		.payload(40),
	packet().ipv4().udp({ destination: 8472 }).vxlan().payload(INSIDE.build()),
	packet()
		.ipv4()
		.udp({ destination: 8472 })
		.vxlan({ flags: 0x88 })
		.ethernet()
		.vlan()
		.ipv6()
		.extension(0)
		.udp()
		.payload(9),
	packet().ipv4({ moreFragments: true }).udp({ length: 1400 }).payload(64),
	...[
		packet()
			.ethernet()
			.ipv4({ options: [7, 7, 4, 10, 0, 0, 1] })
			.tcp({ options: timestamps(5) }),
		packet().ethernet().ipv4({ moreFragments: true }).udp(),
		packet().ethernet().ipv6().extension(60, { size: 24 }).extension(0).udp(),
	].map((inside) =>
		packet().ipv4({ moreFragments: true }).udp({ destination: 8472, length: 1400 }).vxlan().payload(CUT_INSIDE(inside)),
	),
	packet().ipv4({ fragmentOffset: 1480, protocol: 6 }).payload(48),
	packet().ipv4().icmp({ id: 7, sequence: 8 }).payload(32),
	packet().ipv4().sctp().payload(16),
	packet()
		.ipv6()
		.tcp({ options: timestamps(1) })
		.payload(8),
	packet().ipv6().extension(0).extension(43, { size: 24 }).authentication(16).fragment({ id: 9 }).udp().payload(12),
	packet()
		.ipv6()
		.extension(60)
		.extension(60)
		.extension(60)
		.extension(60)
		.extension(60)
		.extension(60)
		.extension(60)
		.icmpv6(),
	packet().ipv6().udp({ destination: 8472 }).vxlan().ethernet().arp(),
	packet().arp(),
	packet().vlan({ id: 5 }).vlan({ id: 6 }).ipv4().udp().payload(4),
];

type Change =
	| { readonly kind: "set"; readonly at: number; readonly value: number }
	| { readonly kind: "flip"; readonly at: number; readonly bit: number }
	| { readonly kind: "cut"; readonly at: number }
	| { readonly kind: "pad"; readonly size: number }
	| { readonly kind: "copy"; readonly from: number; readonly to: number; readonly size: number };

const POSITION = fc.nat(130);
const CHANGE: fc.Arbitrary<Change> = fc.oneof(
	fc.record({
		kind: fc.constant("set" as const),
		at: POSITION,
		value: fc.constantFrom(0, 1, 4, 5, 6, 17, 44, 51, 60, 255),
	}),
	fc.record({ kind: fc.constant("flip" as const), at: POSITION, bit: fc.nat(7) }),
	fc.record({ kind: fc.constant("cut" as const), at: POSITION }),
	fc.record({ kind: fc.constant("pad" as const), size: fc.nat(40) }),
	fc.record({ kind: fc.constant("copy" as const), from: POSITION, to: POSITION, size: fc.nat(24) }),
);

function changed(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
	let out = Uint8Array.from(bytes);
	for (const change of changes) {
		switch (change.kind) {
			case "set":
				if (change.at < out.length) out[change.at] = change.value;
				break;
			case "flip":
				if (change.at < out.length) out[change.at] = (out[change.at] ?? 0) ^ (1 << change.bit);
				break;
			case "cut":
				out = out.slice(0, Math.max(change.at, 14));
				break;
			case "pad":
				out = Uint8Array.from([...out, ...new Uint8Array(change.size)]);
				break;
			case "copy":
				out.copyWithin(change.to, change.from, change.from + change.size);
		}
	}
	return out;
}

/** BPF_PROG_TEST_RUN looks at what it takes for an Ethernet header, and refuses short IP packets behind it. */
function isRefused(bytes: Uint8Array): boolean {
	const ethertype = ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);
	return (
		bytes.length < 15 || (ethertype === 0x0800 && bytes.length < 34) || (ethertype === 0x86dd && bytes.length < 54)
	);
}

/** Of anything else the kernel knows the type from the device, which BPF_PROG_TEST_RUN has not. */
function isIp(bytes: Uint8Array): boolean {
	const version = (bytes[0] ?? 0) >> 4;
	return version === 4 || version === 6;
}

const FIELDS: readonly (keyof Parsed & keyof Event)[] = [
	"parse",
	"flags",
	"source",
	"destination",
	"outerPeer",
	"protocol",
	"ttl",
	"ipId",
	"sourcePort",
	"destinationPort",
	"sequence",
	"acknowledgement",
	"tcpFlags",
	"window",
	"tsval",
	"vlan",
	"vni",
	"payloadLength",
];

/** TSval and payload are read of packets that parse to their end; of others the reference may know more. */
function comparable(parsed: Parsed): Parsed {
	if (parsed.parse === 0) return parsed;
	return { ...parsed, tsval: 0, flags: parsed.flags & ~0x0200, payloadLength: 0 };
}

async function fuzz(options: ParseOptions, link: (inner: PacketBuilder) => PacketBuilder): Promise<void> {
	const sound = SOUND.map((each) => link(each).build());
	const packets = fc
		.sample(fc.tuple(fc.nat(sound.length - 1), fc.array(CHANGE, { minLength: 1, maxLength: 5 })), {
			numRuns: RUNS,
			seed: SEED,
		})
		.map(([index, changes]) => changed(sound[index] ?? new Uint8Array(0), changes))
		.filter((bytes) => !isRefused(bytes) && (!options.l3 || isIp(bytes)));
	const tracer = new Tracer(1 << 22);
	try {
		const { trace } = tracer.load({ ...options, matchAll: 1 });
		tracer.drain();
		for (const [i, bytes] of packets.entries()) {
			trace.testRun(bytes);
			// The rings are emptied while the event loop turns.
			if (i % 2000 === 1999) await sleep(5);
		}
		const counters = tracer.counters();
		const events = await tracer.finish();
		assert.equal(events.length, packets.length);
		const causes = new Map<number, number>();
		for (const [i, event] of events.entries()) {
			const bytes = packets[i] ?? new Uint8Array(0);
			const expected = comparable(parse(bytes, options));
			const seen = comparable({ ...event });
			causes.set(event.parse, (causes.get(event.parse) ?? 0) + 1);
			for (const field of FIELDS) {
				assert.equal(seen[field], expected[field], `${field} of ${Buffer.from(bytes).toString("hex")}`);
			}
		}
		for (const [cause, count] of causes) {
			if (cause !== 0) assert.equal(counters.unparseable[cause], count, `cause ${cause}`);
		}
		assert.ok(causes.size >= (options.l3 ? 6 : 7), `most causes came up: ${[...causes.keys()].toSorted().join()}`);
	} finally {
		tracer.close();
	}
}

describe("broken packets", () => {
	it("behind Ethernet", () => fuzz({ l3: false, egress: false, tunnelPorts: [8472] }, (inner) => framed(inner)));
	it("leaving a tunnel's underlay", () => fuzz({ l3: false, egress: true, tunnelPorts: [4789, 8472] }, framed));
	it("on devices without a link header", () =>
		fuzz({ l3: true, egress: false, tunnelPorts: [8472] }, (inner) => inner));
});

/** An Ethernet header whose type is that of what it carries. */
function framed(inner: PacketBuilder): PacketBuilder {
	return inner.behind(packet().ethernet());
}
