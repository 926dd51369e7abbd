import assert from "node:assert/strict";
import { it } from "node:test";
import { isSampled } from "../../src/rpc/agent/sampled.js";
import { type PacketBuilder, packet, timestamps } from "./packet.js";
import { type Event, trace } from "./tracer.js";

/** Packets of which each is told from others by another of the fields that sampling goes by. */
function packets(): PacketBuilder[] {
	return Array.from({ length: 120 }, (_, i) => {
		const n = Math.imul(i + 1, 0x9e3779b1) >>> 0;
		const ipv4 = (id: number) => packet().ethernet().ipv4({ id });
		switch (i % 6) {
			case 0:
				return ipv4(7)
					.tcp({ seq: n, options: timestamps(n) })
					.payload(100);
			case 1:
				return ipv4(7).tcp({ seq: n }).payload(100);
			case 2:
				return ipv4(i + 1)
					.udp()
					.payload(9);
			case 3:
				return ipv4(0)
					.udp()
					.payload(9 + i);
			case 4:
				return ipv4(0).icmp({ sequence: i }).payload(9);
			default:
				return packet()
					.ethernet()
					.ipv6()
					.udp()
					.payload(9 + i);
		}
	});
}

const keyOf = ({ flags, protocol, tsval, sequence, ipId, payloadHash }: Event) =>
	[flags, protocol, tsval, sequence, ipId, payloadHash].join(" ");

it("what is kept of all records is what the kernel keeps, whatever the rate", async () => {
	const bytes = packets().map((builder) => builder.build());
	const { events } = await trace(bytes, { matchAll: 1, sample: 1 });
	assert.equal(events.length, bytes.length, "precondition: all are seen");
	const rows = {
		flags: Uint16Array.from(events, ({ flags }) => flags),
		tsval: Uint32Array.from(events, ({ tsval }) => tsval),
		sequence: Uint32Array.from(events, ({ sequence }) => sequence),
		ipId: Uint32Array.from(events, ({ ipId }) => ipId),
		hash: Uint32Array.from(events, ({ payloadHash }) => payloadHash),
	};
	for (const sample of [2, 3, 7, 16]) {
		const kernel = await trace(bytes, { matchAll: 1, sample });
		const kept = events.filter(({ protocol }, row) => isSampled(rows, row, protocol, sample));
		assert.deepEqual(kept.map(keyOf), kernel.events.map(keyOf));
		assert.ok(kept.length > 0 && kept.length < events.length, `${kept.length} of ${events.length}`);
	}
});
