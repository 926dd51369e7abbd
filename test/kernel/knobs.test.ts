import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KernelRule } from "../../src/filter/rule.js";
import { encodeKnobs, type Knobs } from "../../src/kernel/knobs.js";

const KNOBS: Knobs = {
	pointerKey: 0x1122334455667789n,
	hashSalt: 0xffeeddccbbaa9988n,
	hookSet: 0x0102,
	netns: 3,
	egress: true,
	l3: false,
	generation: 200,
	follow: true,
	sample: 0xf,
	matchAll: 0x80000001,
	tunnelPorts: [8472, 4789],
	rules: [],
};

const RULE: KernelRule = {
	ifindex: 7,
	subscribers: 0x80000000,
	source: mapped(10, 244, 1, 2),
	sourceMask: new Uint8Array(16).fill(0xff),
	destination: mapped(10, 244, 2, 0),
	destinationMask: Uint8Array.from({ length: 16 }, (_, index) => (index < 15 ? 0xff : 0)),
	lengthMin: 1000,
	lengthMax: 65535,
	sourcePortMin: 1024,
	sourcePortMax: 65535,
	destinationPortMin: 80,
	destinationPortMax: 81,
	vlan: 0xffff,
	family: 2,
	protocol: 6,
	tcpFlagsAny: 2,
	tcpFlagsMask: 0x12,
	tcpFlagsValue: 0x02,
	eitherWay: true,
	icmpType: null,
	icmpCode: null,
};

function mapped(...bytes: number[]): Uint8Array {
	return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
}

/** struct weft_knobs up to its rules, as the compiler lays it out. */
const HEAD = [
	[0x89, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], // pointer_key
	[0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff], // hash_salt
	[0x02, 0x01, 0, 0], // hook_set
	[3, 0, 0, 0], // netns
	[1], // egress
	[0], // l3
	[200], // generation
	[1], // follow
	[0x0f, 0, 0, 0], // sample
	[0, 0, 0, 0], // rule_count
	[1, 0, 0, 0x80], // match_all_subscribers
	[2, 0, 0, 0], // tunnel_port_count
	[0x18, 0x21, 0xb5, 0x12, 0, 0, 0, 0], // tunnel_ports
].flat();

/** struct weft_rule. */
const RULE_BYTES = [
	[7, 0, 0, 0], // ifindex
	[0, 0, 0, 0x80], // subscribers
	[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 1, 2], // source
	new Array<number>(16).fill(0xff), // source_mask
	[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 2, 0], // destination
	[...new Array<number>(15).fill(0xff), 0], // destination_mask
	[0xe8, 3, 0, 0], // length_min
	[0xff, 0xff, 0, 0], // length_max
	[0, 4], // source_port_min
	[0xff, 0xff], // source_port_max
	[80, 0], // destination_port_min
	[81, 0], // destination_port_max
	[0xff, 0xff], // vlan
	[2], // family
	[6], // protocol
	[2], // tcp_flags_any
	[0x12], // tcp_flags_mask
	[0x02], // tcp_flags_value
	[0x01], // flags: WEFT_RULE_EITHER_WAY
	[0xff, 0xff], // icmp_code: any
	[0], // icmp_type
	[0], // padding
].flat();

describe("encodeKnobs", () => {
	it("writes what the C struct says", () => {
		assert.deepEqual([...encodeKnobs(KNOBS).subarray(0, HEAD.length)], HEAD);
	});

	it("writes rules one after the other", () => {
		const bytes = encodeKnobs({ ...KNOBS, rules: [RULE, { ...RULE, ifindex: 8 }] });
		const start = HEAD.length;
		assert.deepEqual([...bytes.subarray(start, start + RULE_BYTES.length)], RULE_BYTES);
		assert.equal(bytes[start + RULE_BYTES.length], 8);
		assert.equal(bytes[32], 2);
		assert.ok(bytes.subarray(start + 2 * RULE_BYTES.length).every((byte) => byte === 0));
	});

	it("tells an ICMP type of 0 from none", () => {
		const [type, code] = [
			{ icmpType: 0, icmpCode: null },
			{ icmpType: 3, icmpCode: 4 },
		].map((icmp) => {
			const bytes = encodeKnobs({ ...KNOBS, rules: [{ ...RULE, eitherWay: false, ...icmp }] });
			const start = HEAD.length + RULE_BYTES.length;
			return [...bytes.subarray(start - 5, start - 1)];
		});
		assert.deepEqual(type, [2, 0xff, 0xff, 0]);
		assert.deepEqual(code, [2, 4, 0, 3]);
	});

	it("refuses what does not fit", () => {
		assert.throws(() => encodeKnobs({ ...KNOBS, rules: new Array<KernelRule>(17).fill(RULE) }), /table holds 16/);
		assert.throws(() => encodeKnobs({ ...KNOBS, tunnelPorts: [1, 2, 3, 4, 5] }), /room for 4/);
		assert.throws(() => encodeKnobs({ ...KNOBS, generation: 256 }), /256 does not fit 1 bytes/);
		assert.throws(() => encodeKnobs({ ...KNOBS, rules: [{ ...RULE, source: new Uint8Array(4) }] }), /16 bytes/);
	});
});
