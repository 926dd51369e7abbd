/**
 * Following without a datapath: BPF_PROG_TEST_RUN allocates an skb for each run and frees it, and the next run is
 * mostly given the same one. What is a trap for a tracer, a reused pointer, is here the way to show one skb at two hooks.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { EventFlag } from "../../src/packet/sightings.js";
import { type PacketBuilder, packet } from "./packet.js";
import { persistently } from "./persistently.js";
import { type Event, type Instance, type Knobs, prefix, Tracer } from "./tracer.js";

const CLIENT = "10.244.1.2";
const SERVICE = "10.96.0.11";
const SERVER = "10.244.2.3";
const TO_SERVICE: Knobs["rules"] = [{ subscribers: 2, destination: prefix(SERVICE), eitherWay: true }];

/** Two hooks of one namespace. The first has the rules, the second none: what it shows was followed. */
interface Hooks {
	readonly first: Instance;
	readonly second: Instance;
	readonly tracer: Tracer;
}

/** See persistently. */
function again(attempt: () => Promise<void>): () => Promise<void> {
	return () => persistently(attempt);
}

async function follow(script: (hooks: Hooks) => void, knobs: Knobs = {}): Promise<readonly Event[]> {
	execFileSync("taskset", ["-acp", "0", String(process.pid)]);
	const tracer = new Tracer();
	try {
		const first = tracer.load({ follow: true, rules: TO_SERVICE ?? [], hookSet: 1, netns: 7 });
		const second = tracer.load({ follow: true, hookSet: 2, netns: 7, egress: true, ...knobs });
		script({ first, second, tracer });
		return await tracer.finish();
	} finally {
		tracer.close();
	}
}

function segment(destination: string, fields: { seq?: number; id?: number; port?: number } = {}): PacketBuilder {
	return packet()
		.ethernet()
		.ipv4({ source: CLIENT, destination, id: fields.id ?? 5 })
		.tcp({ source: 40000, destination: fields.port ?? 80, seq: fields.seq ?? 1000 })
		.payload("hello");
}

function reply(source: string, seq = 5000, sourcePort = 80): PacketBuilder {
	return packet()
		.ethernet()
		.ipv4({ source, destination: CLIENT, id: 77 })
		.tcp({ source: sourcePort, destination: 40000, seq })
		.payload("world");
}

/** Of the slots that are filled (bpf/slots.h: the third word holds the hook set in bits 32 to 47). */
function hookSetsOfSlots(tracer: Tracer): readonly number[] {
	const slots = tracer.map("slots");
	return Array.from({ length: slots.maxEntries }, (_, at) =>
		slots.lookup(new Uint8Array(Uint32Array.of(at).buffer)),
	).flatMap((slot) => (slot?.some((byte) => byte !== 0) ? [(slot[20] ?? 0) | ((slot[21] ?? 0) << 8)] : []));
}

/** Asserts what the whole file rests on: these events had one skb pointer. */
function assertSamePointer(events: readonly Event[]): void {
	assert.equal(new Set(events.map((event) => event.skb)).size, 1, "the kernel gave another skb: nothing is shown");
}

describe("following", () => {
	it(
		"finds a packet that matched behind its DNAT, for the same subscribers",
		again(async () => {
			const events = await follow(({ first, second }) => {
				first.run(segment(SERVICE).build());
				second.run(segment(SERVER, { port: 8080 }).build());
			});
			assertSamePointer(events);
			assert.deepEqual(
				events.map((event) => [event.hookSet, event.destination, event.subscribers, event.flags & EventFlag.followed]),
				[
					[1, SERVICE, 2, 0],
					[2, SERVER, 2, EventFlag.followed],
				],
			);
		}),
	);

	for (const [what, other] of [
		["another sequence number", segment(SERVER, { seq: 1001 })],
		["another IP ID", segment(SERVER, { id: 6 })],
		["another length", segment(SERVER).payload("!")],
		["its own reply, which reuses the pointer", reply(SERVER)],
	] as const) {
		it(
			`does not take for it a packet with ${what}`,
			again(async () => {
				const events = await follow(({ first, second, tracer }) => {
					first.run(segment(SERVICE).build());
					second.run(other.build());
					first.run(segment(SERVICE).build());
					assert.equal(tracer.counters(2).seen, 1);
				});
				assertSamePointer(events);
				assert.deepEqual(
					events.map((event) => event.hookSet),
					[1, 1],
				);
			}),
		);
	}

	it(
		"stays within a namespace",
		again(async () => {
			const events = await follow(
				({ first, second }) => {
					first.run(segment(SERVICE).build());
					second.run(segment(SERVER).build());
					first.run(segment(SERVICE).build());
				},
				{ netns: 8 },
			);
			assertSamePointer(events);
			assert.deepEqual(
				events.map((event) => event.hookSet),
				[1, 1],
			);
		}),
	);

	it(
		"goes on from hook to hook",
		again(async () => {
			const events = await follow(({ first, second }) => {
				first.run(segment(SERVICE).build());
				for (let i = 0; i < 3; i++) {
					second.run(segment(SERVER).build());
				}
			});
			assertSamePointer(events);
			assert.equal(events.length, 4);
		}),
	);

	it(
		"goes on where only the hook is new: the slot says by which one it was seen last",
		again(async () => {
			const events = await follow(({ first, second, tracer }) => {
				const third = tracer.load({ follow: true, hookSet: 3, netns: 7 });
				first.run(segment(SERVICE).build());
				for (const hook of [second, third, second, third]) hook.run(segment(SERVER).build());
				assert.deepEqual(hookSetsOfSlots(tracer), [3]);
			});
			assertSamePointer(events);
			assert.deepEqual(
				events.map(({ hookSet }) => hookSet),
				[1, 2, 3, 2, 3],
			);
		}),
	);

	it(
		"survives reassembly and fragmentation, which keep pointer, protocol and IP ID",
		again(async () => {
			const events = await follow(({ first, second }) => {
				first.run(
					packet()
						.ethernet()
						.ipv4({ destination: SERVICE, id: 9, fragmentOffset: 1480, protocol: 17 })
						.payload(48)
						.build(),
				);
				second.run(packet().ethernet().ipv4({ destination: SERVER, id: 9 }).udp().payload(1600).build());
				second.run(
					packet()
						.ethernet()
						.ipv4({ destination: SERVER, id: 9, moreFragments: true })
						.udp({ length: 1608 })
						.payload(1472)
						.build(),
				);
			});
			assertSamePointer(events);
			assert.deepEqual(
				events.map((event) => event.subscribers),
				[2, 2, 2],
			);
		}),
	);
});

describe("faces", () => {
	it(
		"show the whole connection after one translated packet: later packets and replies, at any hook",
		again(async () => {
			const events = await follow(({ first, second, tracer }) => {
				first.run(segment(SERVICE).build());
				second.run(segment(SERVER, { port: 8080 }).build());
				assert.equal(tracer.map("faces").keys().length / tracer.map("faces").keySize, 4);
				second.run(segment(SERVER, { port: 8080, seq: 2000, id: 6 }).build());
				second.run(reply(SERVER, 5000, 8080).build());
				second.run(reply(SERVICE).build());
				second.run(segment(SERVER, { port: 8081, seq: 1 }).build());
				second.run(reply("10.244.2.4", 6000).build());
			});
			assert.deepEqual(
				events.map((event) => `${event.source} > ${event.destination}:${event.destinationPort}`),
				[
					`${CLIENT} > ${SERVICE}:80`,
					`${CLIENT} > ${SERVER}:8080`,
					`${CLIENT} > ${SERVER}:8080`,
					`${SERVER} > ${CLIENT}:40000`,
					`${SERVICE} > ${CLIENT}:40000`,
				],
			);
			assert.ok(events.every((event) => event.subscribers === 2));
		}),
	);

	it(
		"are not looked for, nor made, while nothing is translated",
		again(async () => {
			const events = await follow(({ first, second, tracer }) => {
				first.run(segment(SERVICE).build());
				second.run(segment(SERVICE).build());
				assert.equal(tracer.map("faces").keys().length, 0);
				assert.equal(tracer.map("shared").lookup(new Uint8Array(4))?.[0], 0);
			});
			assert.equal(events.length, 2);
		}),
	);

	it(
		"of an echo have the id on both sides, whose masquerading they show",
		again(async () => {
			const echo = (source: string, type: number, id: number, sequence: number) =>
				packet()
					.ethernet()
					.ipv4(type === 8 ? { source, destination: SERVICE, id: 3 } : { source: SERVICE, destination: source, id: 4 })
					.icmp({ type, id, sequence })
					.payload("ping")
					.build();
			const events = await follow(({ first, second }) => {
				first.run(echo(CLIENT, 8, 0x1234, 1));
				second.run(echo("192.168.66.11", 8, 0x0174, 1));
				second.run(echo("192.168.66.11", 0, 0x0174, 1));
				second.run(echo("192.168.66.11", 0, 0x0175, 2));
			});
			assert.deepEqual(
				events.map((event) => event.sourcePort),
				[0x1234, 0x0174, 0x0174],
			);
		}),
	);
});

describe("what leaves the kernel of a pointer", () => {
	it(
		"is one to one under a key, and another under another key",
		again(async () => {
			const one = await follow(({ first }) => {
				first.run(segment(SERVICE).build());
				first.run(segment(SERVICE).build());
			});
			assertSamePointer(one);
			const tracer = new Tracer();
			try {
				const keyed = tracer.load({ matchAll: 1, pointerKey: 0xdeadbeefcafef00dn });
				keyed.run(segment(SERVICE).build());
				const [event] = await tracer.finish();
				assert.ok(event !== undefined && one[0] !== undefined);
				assert.notEqual(event.skb, one[0].skb);
				assert.notEqual(event.skb >> 47n, 0x1ffffn, "not a kernel address");
			} finally {
				tracer.close();
			}
		}),
	);
});
