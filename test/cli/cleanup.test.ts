import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { cleanLabs, cleanSockets } from "../../src/cli/cleanup.js";
import { Lab } from "../../src/lab/lab.js";
import { labStatus } from "../../src/lab/status.js";

const root = { skip: process.getuid?.() !== 0 && "needs root" };

test("a socket that nobody serves goes, one that somebody serves stays", async () => {
	const directory = mkdtempSync(`${tmpdir()}/weft-cleanup-`);
	const [dead, alive] = [`${directory}/dead.sock`, `${directory}/alive.sock`];
	const server = createServer().listen(alive);
	const killed = "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))";
	spawnSync(process.execPath, ["-e", killed, dead]);
	try {
		assert.ok(existsSync(dead), "the precondition: a socket without a server");
		assert.deepEqual(await cleanSockets(directory), [`removed ${dead}: nobody served it`]);
		assert.deepEqual([existsSync(dead), existsSync(alive)], [false, true]);
	} finally {
		server.close();
		rmSync(directory, { recursive: true });
	}
});

test("a broken lab goes, a whole one stays", root, async () => {
	const name = `wfcli${process.pid}`;
	const lab = await Lab.up({ name });
	try {
		assert.deepEqual(await cleanLabs([name]), [
			`the lab ${name} is up and whole: it stays (weft lab down --name ${name} removes it)`,
		]);
		spawnSync("ip", ["netns", "delete", lab.pod("client").netns]);
		assert.equal((await labStatus(name)).state, "broken", "the precondition");
		assert.match((await cleanLabs([name]))[0] ?? "", new RegExp(`^removed what was left of the lab ${name}: `));
		assert.equal((await labStatus(name)).state, "down");
	} finally {
		await Lab.down(name);
	}
});
