import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import { answering, nativeError, PACKET, PROGRAMS } from "./fixture.js";

describe("BPF objects", () => {
	it("runs a program with the read-only data it was given", () => {
		const object = answering(42);
		const program = object.program("answer");
		const run = program.testRun(PACKET, { repeat: 100 });
		assert.equal(run.returned, 42);
		assert.ok(run.durationNs >= 0);
		assert.deepEqual(run.packet, PACKET);
		program.close();
		object.close();
	});

	it("gives what a program returns its sign", () => {
		const object = answering(-1);
		assert.equal(object.program("answer").testRun(PACKET).returned, -1);
		object.close();
	});

	it("keeps maps and programs alive beyond their object", () => {
		const object = answering(7);
		const [map, program] = [object.map("table"), object.program("answer")];
		object.close();
		assert.equal(map.lookup(new Uint8Array(4)), null);
		assert.equal(program.testRun(PACKET).returned, 7);
	});

	it("reads and writes maps", () => {
		const object = answering(0);
		const map = object.map("table");
		assert.deepEqual([map.name, map.keySize, map.valueSize, map.maxEntries], ["table", 4, 32, 64]);
		const [one, two] = [Uint8Array.of(1, 0, 0, 0), Uint8Array.of(2, 0, 0, 0)];
		const value = Uint8Array.from({ length: 32 }, (_, index) => index);
		map.update(one, value);
		map.update(two, value);
		assert.deepEqual(map.lookup(one), value);
		assert.deepEqual([...new Uint32Array(map.keys().buffer)].sort(), [1, 2]);
		assert.equal(map.delete(one), true);
		assert.equal(map.delete(one), false);
		assert.equal(map.lookup(one), null);
		assert.throws(() => map.lookup(new Uint8Array(3)), nativeError("EINVAL", /key has 3 bytes, not 4/));
		assert.throws(() => map.update(one, new Uint8Array(31)), nativeError("EINVAL", /value has 31 bytes, not 32/));
		map.close();
		map.close();
		assert.throws(() => map.lookup(one), nativeError("EBADF"));
		object.close();
	});

	it("shows all CPUs' values of a per-CPU map", () => {
		const object = answering(0);
		const counters = object.map("counters");
		assert.equal(counters.lookup(new Uint8Array(4))?.length, addon().possibleCpus * 32);
		object.close();
	});

	it("lists the maps that the source declares", () => {
		const object = addon().openObject(PROGRAMS);
		assert.deepEqual([...object.mapNames()].sort(), ["counters", "rings", "table"]);
		object.close();
	});

	it("refuses what comes too early, too late, or has no such name", () => {
		const object = addon().openObject(PROGRAMS);
		assert.throws(() => object.map("table"), nativeError("EINVAL", /not loaded/));
		assert.throws(() => object.setAutoload("nothing", false), nativeError("ENOENT", /nothing/));
		assert.throws(() => object.setRodata(1 << 20, new Uint8Array(1)), nativeError("ERANGE"));
		object.setMaxEntries("table", 8);
		object.load();
		assert.equal(object.map("table").maxEntries, 8);
		assert.throws(() => object.load(), nativeError("EBUSY"));
		assert.throws(() => object.setRodata(0, new Uint8Array(1)), nativeError("EBUSY"));
		assert.throws(() => object.map("nothing"), nativeError("ENOENT", /nothing/));
		assert.throws(() => object.program("nothing"), nativeError("ENOENT", /nothing/));
		object.close();
		object.close();
		assert.throws(() => object.map("table"), nativeError("EBADF"));
	});

	it("says what the kernel's verifier or libbpf said", () => {
		assert.throws(() => addon().openObject(new Uint8Array(100)), nativeError("ENOEXEC", /not a proper ELF/));
		const object = addon().openObject(PROGRAMS);
		// A ring cannot be reserved in what is no ring.
		const other = answering(0);
		object.reuseMap("rings", other.map("counters"));
		assert.throws(() => object.load(), nativeError("EACCES", /expected=map_ptr/));
		object.close();
		other.close();
	});

	it("loads in the background, hands off meanwhile", async () => {
		const object = addon().openObject(PROGRAMS);
		const loading = object.loadInBackground();
		assert.throws(() => object.map("table"), nativeError("EBUSY"));
		assert.throws(() => object.close(), nativeError("EBUSY"));
		await loading;
		assert.equal(object.map("table").keySize, 4);
		object.close();
		const broken = addon().openObject(PROGRAMS);
		const other = answering(0);
		broken.reuseMap("rings", other.map("counters"));
		await assert.rejects(broken.loadInBackground(), nativeError("EACCES"));
		broken.close();
	});

	it("does not take one handle for another", () => {
		const object = addon().openObject(PROGRAMS);
		const netns = addon().openNetns(null);
		assert.throws(() => object.reuseMap("table", netns as never), TypeError);
		assert.throws(() => object.setRodata(-1, new Uint8Array(1)), TypeError);
		assert.throws(() => object.setRodata(0, [1] as never), TypeError);
		const empty = new (netns.constructor as new () => { close(): void })();
		empty.close();
		assert.throws(() => addon().openNetlink(empty as never), nativeError("EBADF"));
		netns.close();
		object.close();
	});
});

describe("layouts from BTF", () => {
	it("places members, those of nested structs too", () => {
		const { record, counters } = addon().btfLayouts(PROGRAMS);
		assert.equal(record?.size, 32);
		assert.deepEqual(record?.members, {
			time_ns: { offset: 0, size: 8 },
			number: { offset: 8, size: 8 },
			cpu: { offset: 16, size: 4 },
			mark: { offset: 20, size: 4 },
			nested: { offset: 24, size: 4 },
			"nested.low": { offset: 24, size: 2 },
			"nested.high": { offset: 26, size: 2 },
			length: { offset: 28, size: 4 },
		});
		assert.deepEqual(counters?.members["mood"], { offset: 24, size: 4 });
	});

	it("lists enums", () => {
		assert.deepEqual(addon().btfEnums(PROGRAMS)["mood"], { MOOD_CALM: 3, MOOD_WILD: 7 });
	});
});

describe("clocks", () => {
	it("reads both clocks together", () => {
		const { monotonicNs, realtimeNs, errorNs } = addon().clocks();
		assert.ok(Math.abs(Number(monotonicNs - process.hrtime.bigint())) < 1e9);
		assert.ok(Math.abs(Number(realtimeNs / 1_000_000n) - Date.now()) < 1000);
		assert.ok(errorNs >= 0 && errorNs < 1e6);
	});
});
