import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allocateSightings } from "../../src/packet/columns.js";
import { assertBalance, finish, newJoiner } from "./run.js";
import { Simulator } from "./simulator.js";

/** Rows as nobody would send them: few values for every field, so that everything collides with everything. */
const row = fc.record({
	node: fc.nat({ max: 1 }),
	step: fc.constantFrom(0, 1, 700, 20_000, 1e6, 150e6, 1.5e9),
	skb: fc.nat({ max: 2 }),
	hook: fc.nat({ max: 11 }),
	ports: fc.nat({ max: 2 }),
	protocol: fc.constantFrom(0, 1, 6, 17, 58),
	family: fc.nat({ max: 3 }),
	ingress: fc.constantFrom(0, 2, 4, 5, 7, 8, 9),
	sequence: fc.constantFrom(0, 1000, 2000, 0xfffffc18, 1392),
	payload: fc.constantFrom(0, 1, 1000, 1392, 3000, 65_000),
	gsoSize: fc.constantFrom(0, 0, 1, 1000, 1448),
	ipId: fc.constantFrom(0, 1, 2, 0xffff),
	hash: fc.nat({ max: 1 }),
	tsval: fc.nat({ max: 1 }),
	/** Fragment, later fragment, more fragments; inner; parse errors. */
	flags: fc.constantFrom(0, 0, 0, 0x28, 0x38, 0x18, 0x04, 0x1000),
	lost: fc.constantFrom(0, 0, 0, 0, 1, 65_535),
	/** The tuple's id is retired behind this row. */
	forget: fc.constantFrom(false, false, false, true),
	drop: fc.constantFrom(false, false, false, false, true),
});

test("law: whatever comes, every sighting is accounted for, nothing stays open, and no path is empty", () => {
	fc.assert(
		fc.property(
			fc.array(row, { minLength: 1, maxLength: 200 }),
			fc.integer({ min: 1, max: 50 }),
			fc.constantFrom(2, 5, 40, 4096),
			fc.boolean(),
			(rows, size, maxPaths, skewed) => {
				const simulator = new Simulator();
				const { joiner, told } = newJoiner(simulator, {
					expectation: null,
					limits: { maxPaths, rangesPerDirection: 4, closedPaths: 8 },
				});
				const sources = [simulator.source("node-a"), simulator.source("node-b")] as const;
				if (skewed) joiner.clock(sources[1], { offsetNs: -5000, errorNs: 10_000 });
				let now = 1e6;
				for (let start = 0; start < rows.length; start += size) {
					const batches = [allocateSightings(size), allocateSightings(size)] as const;
					for (const fields of rows.slice(start, start + size)) {
						now += fields.step;
						const source = sources[fields.node] ?? sources[0];
						const batch = batches[fields.node] ?? batches[0];
						const i = batch.count++;
						batch.time[i] = now;
						batch.skbLow[i] = fields.skb;
						batch.hook[i] = fields.hook + 12 * fields.node;
						batch.tuple[i] = simulator.tuples.intern({
							family: fields.family,
							protocol: fields.protocol,
							source: `10.0.0.${fields.ports + 1}`,
							destination: "10.0.0.9",
							sourcePort: 1000 + fields.ports,
							destinationPort: 80,
						});
						batch.ingress[i] = fields.ingress;
						batch.length[i] = fields.payload + 54;
						batch.sequence[i] = fields.sequence;
						batch.payload[i] = fields.payload;
						batch.gsoSize[i] = fields.gsoSize;
						batch.segments[i] =
							fields.gsoSize === 0 ? 1 : Math.max(1, Math.ceil(fields.payload / fields.gsoSize)) & 0xffff;
						batch.ipId[i] = fields.ipId;
						batch.hash[i] = fields.hash;
						batch.tsval[i] = fields.tsval;
						batch.flags[i] = fields.flags | fields.family | 0x200;
						batch.lost[i] = fields.lost;
						if (!fields.drop) continue;
						joiner.drop(source, { timeNs: now + 1, skbLow: fields.skb, skbHigh: 0, reason: "X", function: null });
					}
					batches.forEach((batch, n) => {
						joiner.batch(sources[n] ?? sources[0], batch);
					});
					for (const source of sources) joiner.watermark(source, now);
					rows.slice(start, start + size).forEach(({ forget, ports }) => {
						if (forget) joiner.forgetTuple(1 + ports);
					});
					assertBalance(joiner.counters());
				}
				const { accounts, paths } = finish(joiner, told);
				assert.equal(accounts.joined, rows.length);
				assert.equal(
					Object.values(accounts.paths).reduce((sum, count) => sum + count, 0),
					paths.length,
				);
				for (const path of paths) {
					assert.ok(path.hops.length > 0);
					assert.ok(path.hops.every((hop) => hop.packets > 0));
				}
			},
		),
		{ numRuns: 1000 },
	);
});
