import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { columnTest } from "../../src/filter/column.js";
import { compilePacket } from "../../src/filter/evaluate.js";
import { formatAddress } from "../../src/packet/addresses.js";
import { allocateSightings } from "../../src/packet/columns.js";
import { Family } from "../../src/packet/sightings.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { expression, packet } from "./arbitrary.js";
import { resolve } from "./directory.js";
import { facesOf } from "./packet.js";

describe("the column test", () => {
	it("reads a batch and its tuple table as the packets that went into them", () => {
		const tuples = new TupleTable(2 ** 16);
		const rows = allocateSightings(16);
		let passed = 0;
		fc.assert(
			fc.property(expression, fc.array(packet, { minLength: 16, maxLength: 16 }), (random, packets) => {
				const faces = facesOf(packets);
				packets.forEach((each, i) => {
					const hasAddresses = each.family !== Family.other;
					rows.tuple[i] = tuples.intern({
						family: each.family,
						protocol: each.protocol,
						source: hasAddresses ? formatAddress(each.source) : null,
						destination: hasAddresses ? formatAddress(each.destination) : null,
						sourcePort: each.sourcePort,
						destinationPort: each.destinationPort,
					});
					rows.flags[i] = faces.flags(i);
					rows.length[i] = each.length;
					rows.tcpFlags[i] = each.tcpFlags;
					rows.ttl[i] = each.ttl;
					rows.vlan[i] = each.vlan ?? 0;
					rows.sequence[i] = each.sequence;
					rows.acknowledgement[i] = each.acknowledgement;
					rows.window[i] = each.window;
					rows.ipId[i] = each.ipId;
				});
				const test = columnTest(random, resolve);
				const model = compilePacket(random, resolve);
				for (let i = 0; i < packets.length; i++) {
					const expected = model(faces, i);
					if (expected) passed++;
					assert.equal(test(rows, i, tuples), expected);
				}
			}),
			{ numRuns: 1000 },
		);
		assert.ok(passed > 1000);
	});
});
