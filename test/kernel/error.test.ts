import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { explained, KernelError } from "../../src/kernel/error.js";

const ADDON = fileURLToPath(new URL("../../src/kernel/addon.js", import.meta.url));
const HOOKS = fileURLToPath(new URL("../../src/kernel/hooks.js", import.meta.url));
const OPTIONS = "{ attach: 'auto', ringBytes: null, hashSalt: 1n, sample: 0, follow: false }";

function native(code: string, operation: string, detail = ""): Error {
	return Object.assign(new Error(`${operation}: words (${code})`), { name: "NativeError", code, operation, detail });
}

describe("explained", () => {
	const cases: [code: string, operation: string, detail: string, remedy: RegExp][] = [
		["ENODEV", "attach TCX program to ingress of device 7", "", /device is gone/],
		["EINVAL", "attach TCX program to ingress of device 7", "", /before 6\.6 have no TCX: use --attach clsact/],
		["EACCES", "load BPF object", "processed 23 insns", /verifier refused/],
		["EMFILE", "open netlink socket", "", /ulimit -n/],
		["ENOMEM", "create ring of 16777216 bytes", "", /smaller rings/],
	];
	for (const [code, operation, detail, remedy] of cases) {
		it(`has a remedy for ${code} at "${operation}"`, () => {
			const cause = native(code, operation, detail);
			assert.throws(
				() =>
					explained("do this", () => {
						throw cause;
					}),
				(error: KernelError) => {
					assert.ok(error instanceof KernelError);
					assert.match(error.remedy, remedy);
					assert.equal(error.cause, cause);
					assert.equal(error.message.split("\n").length, 1);
					assert.match(error.message, /^cannot do this: /);
					return true;
				},
			);
		});
	}

	it("explains what comes later, too", async () => {
		await assert.rejects(
			explained("do this", async () => {
				throw native("ENODEV", "attach");
			}),
			KernelError,
		);
	});

	it("leaves other errors as they are", async () => {
		const mine = new RangeError("mine");
		const fail = () => {
			throw mine;
		};
		assert.throws(() => explained("do this", fail), mine);
		await assert.rejects(
			explained("do this", async () => fail()),
			mine,
		);
	});
});

describe("without what it needs", () => {
	it("does not load the addon before it is asked for", () => {
		const { stdout } = run(
			`await import(${JSON.stringify(HOOKS)}); console.log(process.report.getReport().sharedObjects.join())`,
		);
		assert.doesNotMatch(stdout, /weft\.node/);
	});

	it("says that root is needed", () => {
		const { stdout } = run(`
			const { Hooks } = await import(${JSON.stringify(HOOKS)});
			process.setgroups([]); process.setgid(65534); process.setuid(65534);
			try { new Hooks(${OPTIONS}); } catch (error) { console.log(error.name, error.message); }
		`);
		assert.match(stdout, /^KernelError cannot .*\(EPERM\); needs root, or CAP_BPF.*sudo\n$/);
	});

	it("says how to build an addon that is not there", () => {
		const { stdout } = run(`
			import Module from "node:module";
			const resolve = Module._resolveFilename;
			Module._resolveFilename = (name, ...rest) => resolve(name.replace("weft.node", "none.node"), ...rest);
			const { addon } = await import(${JSON.stringify(ADDON)});
			try { addon(); } catch (error) { console.log(error.name, error.message); }
		`);
		assert.match(stdout, /^KernelError cannot load the addon: .*; it has not been built: run `make build`\n$/);
	});
});

function run(script: string): { stdout: string } {
	const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
		encoding: "utf8",
	});
	assert.equal(status, 0, stderr);
	return { stdout };
}
