import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allocateSightings, COLUMNS, copyRow } from "../../src/packet/columns.js";
import {
	fingerprintHash,
	fingerprintStrength,
	samePacketFingerprint,
	sameSkbFingerprint,
} from "../../src/packet/fingerprint.js";
import { EventFlag, type Sightings, TcpFlag } from "../../src/packet/sightings.js";

const TCP = 6;
const UDP = 17;
const ICMP = 1;

type Column = (typeof COLUMNS)[number];

function row(values: Partial<Record<Column, number>>): Sightings {
	const rows = allocateSightings(1);
	for (const [name, value] of Object.entries(values)) rows[name as Column][0] = value;
	rows.count = 1;
	return rows;
}

/** What one skb keeps from hook to hook (facts: datapath). Everything else may change on the way. */
const KEPT: readonly Column[] = [
	"sequence",
	"acknowledgement",
	"tsval",
	"ipId",
	"payload",
	"hash",
	"gsoSize",
	"window",
	"tcpFlags",
];

describe("the fingerprint of an skb", () => {
	for (const name of COLUMNS) {
		const kept = KEPT.includes(name);
		it(`${kept ? "differs" : "is the same"} when ${name} differs`, () => {
			const a = row({ sequence: 1, ipId: 2, payload: 3 });
			const b = allocateSightings(1);
			copyRow(a, 0, b, 0);
			assert.ok(sameSkbFingerprint(a, 0, b, 0));
			const before = fingerprintHash(b, 0);
			b[name][0] = name === "flags" ? EventFlag.inner | EventFlag.followed | EventFlag.vlan : 99;
			assert.equal(sameSkbFingerprint(a, 0, b, 0), !kept);
			if (!kept) assert.equal(fingerprintHash(b, 0), before);
		});
	}

	it("differs between a fragment and the whole", () => {
		assert.ok(!sameSkbFingerprint(row({ flags: EventFlag.fragment }), 0, row({}), 0));
		assert.ok(samePacketFingerprint(row({ flags: EventFlag.fragment, gsoSize: 1448 }), 0, row({}), 0));
	});
});

describe("the strength of a fingerprint", () => {
	const ts = EventFlag.hasPorts | EventFlag.hasTsval;
	const cases: [string, number, Partial<Record<Column, number>>, "exact" | "order"][] = [
		["UDP with an ID", UDP, { ipId: 7 }, "exact"],
		["UDP with ID 0", UDP, { hash: 9, payload: 8 }, "order"],
		["TCP data with TSval, no ID (IPv6)", TCP, { flags: ts, payload: 10 }, "exact"],
		["TCP data without either", TCP, { flags: EventFlag.hasPorts, payload: 10 }, "order"],
		["SYN,ACK with ID 0", TCP, { flags: ts, tcpFlags: TcpFlag.syn | TcpFlag.ack }, "exact"],
		["a pure ACK over IPv6", TCP, { flags: ts, tcpFlags: TcpFlag.ack }, "order"],
		["an echo with a sequence number", ICMP, { sequence: 1 }, "exact"],
		["an ICMP error without ID", ICMP, {}, "order"],
	];
	for (const [name, protocol, values, strength] of cases) {
		it(`${name}: ${strength}`, () => assert.equal(fingerprintStrength(row(values), 0, protocol), strength));
	}
});
