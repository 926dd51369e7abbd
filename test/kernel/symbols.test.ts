import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KernelSymbols } from "../../src/kernel/symbols.js";

const TEXT = `ffffffff81000000 T _text
ffffffff81000100 t first
ffffffff81000100 T alias
ffffffff81000180 D table
ffffffff81000200 W second
ffffffffa0001000 t inside	[module]
ffffffff82000000 t initial
`;

describe("the kernel's symbols", () => {
	const symbols = new KernelSymbols(() => Buffer.from(TEXT));
	for (const [address, name, why] of [
		[0xffffffff81000000n, "_text", "its first byte"],
		[0xffffffff810001ffn, "alias", "its last byte, and the last of two names; no variable in between"],
		[0xffffffff81000200n, "second", "a weak one"],
		[0xffffffffa0001010n, "inside", "a module's, without the module's name"],
		[0xffffffff82000004n, "initial", "behind the modules: the file is not sorted"],
		[0xffffffff80ffffffn, null, "before all"],
		[0xffffffffb0000000n, null, "far behind the last"],
	] as const) {
		it(`${address.toString(16)} is ${name}: ${why}`, () => assert.equal(symbols.functionAt(address), name));
	}

	it("hidden addresses name nothing", () => {
		const hidden = new KernelSymbols(() => Buffer.from("0000000000000000 T _text\n0000000000000000 t first\n"));
		assert.equal(hidden.functionAt(0xffffffff81000100n), null);
		assert.equal(hidden.functionAt(0n), null);
	});

	it("the file is read once, and only when something is asked", () => {
		let reads = 0;
		const counted = new KernelSymbols(() => {
			reads++;
			return Buffer.from(TEXT);
		});
		assert.equal(reads, 0);
		counted.functionAt(0xffffffff81000100n);
		counted.functionAt(0xffffffff81000200n);
		assert.equal(reads, 1);
	});
});
