import assert from "node:assert/strict";
import { it } from "node:test";
import { allocateSightings } from "../../src/packet/columns.js";
import { fanOut } from "../../src/packet/fanout.js";
import type { Hook } from "../../src/packet/hook.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";

it("fanOut: witnesses hear each call before its owner, with the same values", () => {
	const calls: unknown[][] = [];
	const listener = (name: string): SourceSink =>
		new Proxy({} as SourceSink, {
			get:
				(_, method) =>
				(...values: unknown[]) => {
					calls.push([name, method, ...values]);
				},
		});
	const sink = fanOut([listener("first"), listener("second")], listener("owner"));
	const source = "a" as SourceId;
	const said: readonly (readonly [keyof SourceSink, ...unknown[]])[] = [
		["hook", source, { id: 1 } as unknown as Hook, 5],
		["unhook", source, { id: 1 } as unknown as Hook],
		["batch", source, allocateSightings(1)],
		["lost", source, "ringFull", 3],
		["watermark", source, 4],
		["clock", source, { offsetNs: 1, errorNs: 2 }],
		["end", source],
	];
	for (const [method, ...values] of said) (sink[method] as (...values: unknown[]) => void)(...values);
	assert.deepEqual(
		calls,
		said.flatMap((call) => ["first", "second", "owner"].map((name) => [name, ...call])),
	);
});
