import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const fake = fileURLToPath(new URL("./fake-trace.js", import.meta.url));

/** Starts the endless trace and waits for its first row. */
async function start(
	...args: readonly string[]
): Promise<{ child: ChildProcess; text(): string; ended: Promise<unknown[]> }> {
	const child = spawn(process.execPath, [fake, ...args], { stdio: ["ignore", "pipe", "pipe"] });
	let text = "";
	child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
		text += chunk;
	});
	const ended = once(child, "close");
	while (!/SYN|"type":"path"/.test(text))
		await Promise.race([once(child.stdout as NonNullable<typeof child.stdout>, "data"), ended]);
	return { child, text: () => text, ended };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
	test(`${signal} ends a trace with its summary and status 0`, async () => {
		const { child, text, ended } = await start("text");
		child.kill(signal);
		assert.deepEqual(await ended, [0, null]);
		assert.match(text(), /\nevents 489,660 seen = 489,660 joined \+ 0 unjoined \+ 0 lost\n$/);
	});
}

test("a second Ctrl-C does not wait", async () => {
	const { child, ended } = await start("text", "stuck");
	child.kill("SIGINT");
	await sleep(200);
	assert.equal(child.exitCode, null, "the first one waits for the trace to end");
	child.kill("SIGINT");
	assert.deepEqual(await ended, [1, null]);
});

test("JSON begins with ready and ends with the summary, one object a line; warnings go elsewhere", async () => {
	const { child, text, ended } = await start("json");
	child.kill("SIGINT");
	assert.deepEqual(await ended, [0, null]);
	const types = text()
		.trimEnd()
		.split("\n")
		.map((line) => (JSON.parse(line) as { readonly type: string }).type);
	assert.equal(types[0], "ready");
	assert.equal(types.at(-1), "summary");
	assert.deepEqual([...new Set(types.slice(1, -1))], ["path"]);
});

test("when the reader goes away the trace ends quietly, with status 0", async () => {
	for (const form of ["text", "json"]) {
		const shell = spawn("bash", ["-c", '"$@" | head -1; exit $PIPESTATUS', "bash", process.execPath, fake, form]);
		let errors = "";
		shell.stderr.setEncoding("utf8").on("data", (chunk: string) => {
			errors += chunk;
		});
		assert.deepEqual(await once(shell, "close"), [0, null]);
		assert.equal(errors, "weft: a warning\n");
	}
});

test("on a terminal: colour, rows that fit, and the summary behind the ^C", async () => {
	const command = `stty cols 81; exec ${process.execPath} ${fake} text`;
	const env = { PATH: process.env["PATH"], TERM: "xterm", SHELL: "/bin/sh" };
	const terminal = spawn("script", ["-qec", command, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] });
	let text = "";
	let interrupted = false;
	terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => {
		text += chunk;
		// Once: a second one would not wait for the summary.
		if (text.includes("SYN") && !interrupted) {
			interrupted = true;
			terminal.stdin.write("\x03");
		}
	});
	assert.deepEqual(await once(terminal, "close"), [0, null]);
	// A row may have been on its way when the terminal showed the ^C.
	const end = text.slice(text.indexOf("^C"));
	assert.match(end, /^\^C(.*SYN.*\r\n)* 12\.4 s, 3 flows, 8 hooks removed\r\n/);
	// biome-ignore lint/suspicious/noControlCharactersInRegex: colour is what is looked for.
	assert.match(text, /\x1b\[32m✓\x1b\[39m\r\n/);
});
