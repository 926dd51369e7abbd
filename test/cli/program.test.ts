import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./run.js";

test("help teaches by example, on stdout, with status 0", async () => {
	for (const args of [["--help"], ["-h"], ["help"]]) {
		const { status, stdout, stderr } = await run(args);
		assert.deepEqual([status, stderr], [0, ""]);
		assert.match(stdout, /^Usage: weft COMMAND/);
		assert.match(stdout, /Examples:\n {2}sudo weft trace default\/client default\/server /);
		assert.match(stdout, /trace \[FROM\] \[TO\] \[FILTER\] +packets between two ends, live, hop by hop/);
	}
});

test("each command's help has its own examples", async () => {
	for (const args of [
		["trace", "--help"],
		["help", "trace"],
	]) {
		const { status, stdout, stderr } = await run(args);
		assert.deepEqual([status, stderr], [0, ""]);
		assert.match(stdout, /^Usage: weft trace \[FROM\] \[TO\] \[FILTER\] \[OPTIONS\]/);
		assert.match(stdout, /Examples:\n {2}weft trace default\/client default\/server/);
	}
});

test("the version is the package's", async () => {
	const { status, stdout } = await run(["--version"]);
	assert.equal(status, 0);
	assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("no command at all shows the help, on stderr, as bad usage", async () => {
	const { status, stdout, stderr } = await run([]);
	assert.deepEqual([status, stdout], [2, ""]);
	assert.match(stderr, /^Usage: weft COMMAND/);
});

test("bad usage: status 2, nothing on stdout, one line that names what is wrong and what to do", async () => {
	const cases: readonly (readonly [args: readonly string[], said: RegExp])[] = [
		[["trcae"], /unknown command 'trcae' \(Did you mean trace\?\)/],
		[["trace", "--lap"], /unknown option '--lap' \(Did you mean --lab\?\)/],
		[["trace", "-d", "10"], /'10' is invalid\. It has no unit: say 10s for seconds/],
		[["trace", "-d", "soon"], /'soon' is invalid\. Say a time with its unit/],
		[["trace", "-d", "0s"], /between 1ms and 24 days/],
		[["trace", "-c", "0"], /whole number from 1 up/],
		[["trace", "-c"], /argument missing/],
		[["trace", "--sample", "8"], /Say a ratio from 1\/1/],
		[["trace", "--sample", "1/0"], /Say a ratio from 1\/1/],
		[["trace", "--attach", "xdp"], /Allowed choices are tcx, clsact/],
		[["trace", "-o", "yaml"], /Allowed choices are text, json/],
		[["trace", "--agent", "nowhere"], /Say unix:\/path\/to\/socket or host:port/],
		[["trace", "--lab", "--netns", "x"], /'--lab \[name\]' cannot be used with option '--netns <name>'/],
		[["trace", "--lab", "--agent", "a:1"], /'--lab \[name\]' cannot be used with option '--agent <addr>'/],
		[["trace", "--agent", "a:1", "--attach", "tcx"], /'--agent <addr>' cannot be used with option '--attach <how>'/],
		[["trace", "--lab", "10.0.0.0/99"], /"10.0.0.0\/99", column/],
		[["trace", "a", "b", "tcp and and"], /column \d+: expected/],
		[["drops", "--attach", "clsact"], /--attach says which hooks, and there are none: give --hooks, too/],
		[["trace", "-r", "x", "-w", "y"], /'-r, --read <file>' cannot be used with option '-w, --write <file>'/],
	];
	for (const [args, said] of cases) {
		const { status, stdout, stderr } = await run(args);
		assert.deepEqual([status, stdout], [2, ""], args.join(" "));
		assert.match(stderr, said);
		assert.match(stderr, /^weft: [^\n]+\n$/);
	}
});

test("escape sequences in arguments do not reach the terminal through the error", async () => {
	const { status, stderr } = await run(["trace", "-d", "\x1b[2J"]);
	assert.equal(status, 2);
	assert.match(stderr, /'\\x1b\[2J'/);
});

test("a closed pipe is quiet", async () => {
	const { status, stderr } = await run(["help", "trace"], '"$@" | head -1; exit $PIPESTATUS');
	assert.deepEqual([status, stderr], [0, ""]);
});

test("a full disk is told", async () => {
	const { status, stderr } = await run(["--help"], '"$@" > /dev/full');
	assert.equal(status, 1);
	assert.match(stderr, /^weft: cannot write the output: .*ENOSPC[^\n]*\n$/);
});

test("without the rights to trace it says so, and how", {
	skip: process.getuid?.() !== 0 && "needs root to drop rights",
}, async () => {
	const { status, stdout, stderr } = await run(
		["trace", "a", "b"],
		'setpriv --bounding-set=-all --inh-caps=-all --reuid 65534 --clear-groups -- "$@"',
	);
	assert.deepEqual([status, stdout], [1, ""]);
	assert.match(
		stderr,
		/^weft: tracing on this machine needs root \(CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing\): run it with sudo, or ask an agent[^\n]*\n$/,
	);
});
