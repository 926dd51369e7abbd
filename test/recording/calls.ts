import { Writable } from "node:stream";
import { allocateSightings, COLUMNS } from "../../src/packet/columns.js";
import type { Hook, HookId, NetnsCookie } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId } from "../../src/packet/source.js";
import { TupleTable } from "../../src/packet/tuples.js";
import type { ReplaySink } from "../../src/recording/reader.js";

export interface Tables {
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
}

export function tables(capacity = 2 ** 12): Tables {
	return { tuples: new TupleTable(capacity), outers: new OuterTable(64) };
}

export const SOURCE = "node-a/1" as SourceId;

export const HOOK: Hook = {
	id: 3 as HookId,
	node: "node-a",
	netns: "4711" as NetnsCookie,
	ifindex: 7,
	device: "veth61dfc48a",
	direction: "ingress",
	role: "pod",
	l3: false,
	master: 5,
	hookSet: 2,
};

/** Rows with a different value in every cell that can hold one, from `seed` on; one tuple a row, every other tunnelled. */
export function rowsOf({ tuples, outers }: Tables, count: number, seed = 0): Sightings {
	const rows = allocateSightings(count);
	for (const name of COLUMNS) {
		const column = rows[name];
		for (let i = 0; i < count; i++) column[i] = Math.imul(seed + i + 1, 0x9e3779b1) >>> (i % 3 === 0 ? 0 : 20);
	}
	for (let i = 0; i < count; i++) {
		rows.time[i] = seed * 1e9 + i * 977;
		rows.tuple[i] = tuples.intern({
			family: 1,
			protocol: 6,
			source: `10.244.1.${(seed + i) % 200}`,
			destination: "10.244.2.3",
			sourcePort: 32768 + i,
			destinationPort: 80,
		});
		rows.outer[i] = i % 2 === 0 ? 0 : outers.intern({ peer: `192.168.66.${i % 5}`, vni: 1 });
	}
	rows.count = count;
	return rows;
}

/** A sink that writes down what it was called, ids spelled out, so that two of them can be compared. */
export function listing({ tuples, outers }: Tables): { readonly sink: ReplaySink; readonly calls: unknown[] } {
	const calls: unknown[] = [];
	const spelled = (rows: Sightings) => ({
		...Object.fromEntries(COLUMNS.map((name) => [name, [...rows[name].subarray(0, rows.count)]])),
		tuple: [...rows.tuple.subarray(0, rows.count)].map((id) => tuples.get(id)),
		outer: [...rows.outer.subarray(0, rows.count)].map((id) => (id === 0 ? null : outers.get(id))),
	});
	const sink: ReplaySink = {
		snapshot: (kind, value) => calls.push(["snapshot", kind, value]),
		hook: (source, hook, sinceNs) => calls.push(["hook", source, hook, sinceNs]),
		unhook: (source, hook) => calls.push(["unhook", source, hook]),
		batch: (source, rows) => calls.push(["batch", source, spelled(rows)]),
		lost: (source, cause, count) => calls.push(["lost", source, cause, count]),
		watermark: (source, time) => calls.push(["watermark", source, time]),
		clock: (source, clock) => calls.push(["clock", source, clock]),
		drop: (source, drop) => calls.push(["drop", source, drop]),
		end: (source) => calls.push(["end", source]),
	};
	return { sink, calls };
}

/** A stream that keeps what is written to it; `stall` holds every write back until `flow` is called. */
export class Kept extends Writable {
	readonly #pieces: Uint8Array[] = [];
	#held: (() => void) | null = null;
	stalled = false;

	override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
		this.#pieces.push(Uint8Array.from(chunk));
		if (this.stalled) this.#held = done;
		else done();
	}

	flow(): void {
		this.stalled = false;
		this.#held?.();
	}

	get bytes(): Uint8Array {
		return new Uint8Array(Buffer.concat(this.#pieces)); // a Buffer's slice() would be a view
	}
}
