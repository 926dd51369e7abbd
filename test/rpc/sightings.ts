import fc from "fast-check";
import { allocateSightings } from "../../src/packet/columns.js";
import type { Hook, HookId, NetnsCookie } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import type { Sightings } from "../../src/packet/sightings.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { BatchDecoder, type DecodedBatch, readResponse } from "../../src/rpc/batch-decoder.js";
import { BatchEncoder } from "../../src/rpc/batch-encoder.js";
import { WireReader } from "../../src/rpc/wire.js";

/** An agent's and a client's end of the codec, with tables of their own. */
export function ends(wallBase = 1_790_000_000_123_456_789n, scale = 1, capacity = 1024) {
	const theirs = { tuples: new TupleTable(256), outers: new OuterTable(64) };
	const ours = { tuples: new TupleTable(capacity), outers: new OuterTable(64) };
	const encoder = new BatchEncoder({
		node: "node-a",
		...theirs,
		hook,
		wall: (timeNs) => wallBase + BigInt(Math.round(timeNs)),
		scale,
	});
	const decoder = new BatchDecoder({
		...ours,
		hook: (message) => message.id + 100,
		line: (wallNs) => ({ timeNs: Number(wallNs - wallBase), rate: 1 }),
	});
	return { theirs, ours, encoder, decoder, wallBase };
}

export function hook(id: number): Hook {
	return {
		id: id as HookId,
		node: "node-a",
		netns: String(4026531840 + id) as NetnsCookie,
		ifindex: 7 + id,
		device: `veth${id}`,
		direction: id % 2 === 0 ? "ingress" : "egress",
		role: "pod",
		l3: false,
		master: 3,
		hookSet: id,
	};
}

export interface Heard {
	readonly batches: DecodedBatch[];
	watermarkNs: bigint | null;
	losses: ReadonlyMap<string, number>;
}

export function hear(decoder: BatchDecoder, bytes: Uint8Array): Heard {
	const heard: Heard = { batches: [], watermarkNs: null, losses: new Map() };
	readResponse(new WireReader(bytes), {
		batch: (reader) => heard.batches.push(decoder.decode(reader)),
		progress: (watermarkNs, losses) => {
			heard.watermarkNs = watermarkNs;
			heard.losses = losses;
		},
		other: () => undefined,
	});
	return heard;
}

export interface Row {
	readonly step: number;
	readonly hook: number;
	readonly tuple: number;
	readonly outer: number;
	readonly words: readonly number[];
	readonly halves: readonly number[];
	readonly bytes: readonly number[];
}

const word = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1, 127, 128, 0x7fffffff, 0x80000000, 0xffffffff));

export const row: fc.Arbitrary<Row> = fc.record({
	step: fc.nat(2 ** 33),
	hook: fc.nat(5),
	tuple: fc.nat(9),
	outer: fc.nat(3),
	words: fc.array(word, { minLength: 9, maxLength: 9 }),
	halves: fc.array(fc.nat(0xffff), { minLength: 5, maxLength: 5 }),
	bytes: fc.array(fc.nat(0xff), { minLength: 2, maxLength: 2 }),
});

/** Ids in `theirs`: ten tuples of both families and others, three outer headers and none. */
export function names({ tuples, outers }: { readonly tuples: TupleTable; readonly outers: OuterTable }) {
	const family = (n: number) => [1, 2, 3, 0][n % 4] as number;
	const address = (n: number, kind: number) => (kind === 0 ? null : kind === 2 ? `fd00::${n + 1}` : `10.244.1.${n}`);
	return {
		tuples: Array.from({ length: 10 }, (_, n) =>
			tuples.intern({
				family: family(n),
				protocol: n % 4 < 2 ? 6 : 0,
				source: address(n, family(n)),
				destination: address(n + 20, family(n)),
				sourcePort: 1000 + n,
				destinationPort: n,
			}),
		),
		outers: [0, ...[1, 2, 3].map((n) => outers.intern({ peer: n === 3 ? "fd00::66" : `192.168.66.${n}`, vni: n }))],
	};
}

export function sightingsOf(rows: readonly Row[], ids: ReturnType<typeof names>): Sightings {
	const batch = allocateSightings(Math.max(1, rows.length));
	let time = 1000;
	rows.forEach((each, i) => {
		time += each.step;
		batch.time[i] = time;
		batch.hook[i] = each.hook;
		batch.tuple[i] = ids.tuples[each.tuple] as number;
		batch.outer[i] = ids.outers[each.outer] as number;
		const [a, b, c, d, e, f, g, h, j] = each.words;
		batch.skbLow[i] = a as number;
		batch.skbHigh[i] = b as number;
		batch.ingress[i] = c as number;
		batch.length[i] = d as number;
		batch.sequence[i] = e as number;
		batch.acknowledgement[i] = f as number;
		batch.tsval[i] = g as number;
		batch.ipId[i] = h as number;
		batch.hash[i] = j as number;
		batch.payload[i] = (d as number) >>> 8;
		const [k, l, m, n, o] = each.halves;
		batch.gsoSize[i] = k as number;
		batch.window[i] = l as number;
		batch.flags[i] = m as number;
		batch.vlan[i] = n as number;
		batch.lost[i] = o as number;
		batch.tcpFlags[i] = each.bytes[0] as number;
		batch.ttl[i] = each.bytes[1] as number;
	});
	batch.count = rows.length;
	return batch;
}
