import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Path } from "../../src/path/path.js";
import { until } from "../until.js";
import { cluster } from "./cluster.js";
import { serveTable } from "./hop-table.js";
import { keep } from "./recorded.js";
import { runWeft, startWeft } from "./weft.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** What a user shows to others is what they saw: `weft trace -w` and `-r`, and the JSON of both side by side. */
describe("a recording of a trace of two nodes", () => {
	const lab = cluster();
	const folder = mkdtempSync(join(tmpdir(), "weft-recording-"));
	const plain = join(folder, "plain.weft");
	const anonymous = join(folder, "anonymous.weft");
	let live: readonly Path[] = [];
	let liveAnonymous: readonly Path[] = [];

	before(async () => {
		await serveTable(lab());
		live = await recorded("-w", plain);
		keep(plain, live);
		liveAnonymous = await recorded("-w", anonymous, "--anonymize");
	});
	after(() => rmSync(folder, { recursive: true }));

	/** Some of everything: a service, a loss, fragments, an unfinished end, a pod that appears. */
	async function recorded(...options: string[]): Promise<readonly Path[]> {
		// Of a glob the replay needs to know whom it means.
		const [from, filter] = options.includes("--anonymize") ? ["default/?l*", "not pod n?b*/x"] : ["any", "not port 9"];
		const weft = await startWeft("trace", from, "any", filter, `--lab=${lab().name}`, ...options);
		const server = lab().pod("default/server").pod.address;
		const web = lab().service("default/web").clusterIp.ipv4;
		await lab().send("default/client", { protocol: "tcp", address: web, port: 80, bytes: 300_000 });
		await lab().send("default/client", { protocol: "tcp", address: server.ipv6, port: 8080, bytes: 100 });
		await lab().ping("default/client", server.ipv4, { size: 3000 });
		const late = await lab().addPod("node-a", { name: "late" });
		if (from === "any") await until(() => weft.changes.some(({ device }) => device === late.pod.device));
		await sleep(300);
		assert.equal(await lab().ping("default/late", lab().pod("default/neighbor").pod.address.ipv4), 1);
		await lab().deletePod(`default/${late.pod.name}`);
		await lab().removeFdb("node-a", "node-b");
		await lab().ping("default/client", server.ipv4);
		await lab().restoreFdb("node-a", "node-b");
		const refused = ["FORWARD", "-d", server.ipv4, "-p", "icmp", "-j", "DROP"];
		await lab()
			.node("node-a")
			.run("iptables", "-I", ...refused);
		await lab().ping("default/client", server.ipv4);
		await lab()
			.node("node-a")
			.run("iptables", "-D", ...refused);
		await sleep(2500);
		await weft.stop();
		return weft.paths;
	}

	test("replays to the same paths, byte for byte", async () => {
		assert.ok(live.length > 50, `${live.length} paths`);
		for (const why of [/^no FDB entry/, /^iptables/]) {
			const dropped = live.filter(({ verdict, blame }) => verdict === "dropped" && why.test(blame?.reason ?? ""));
			assert.ok(dropped.length > 0, `precondition: it was dropped: ${why}`);
		}
		assert.ok(
			live.some(({ verdict }) => verdict === "delivered"),
			"precondition: the rest was delivered",
		);
		assert.ok(
			live.some(({ flow }) => flow.service?.name === "default/web"),
			"precondition: a service",
		);
		assert.ok(
			live.some(({ flow }) => flow.source.pod === "late"),
			"precondition: a pod came",
		);
		const { stdout, stderr, code } = await runWeft("trace", "-r", plain, "-o", "json");
		assert.equal(code, 0, stderr);
		assert.deepEqual(
			pathLines(stdout),
			live.map((path) => JSON.stringify(path)),
		);
		const lines = stdout.trim().split("\n");
		assert.match(lines[0] ?? "", /"type":"ready"/);
		const summary = JSON.parse(lines.at(-1) ?? "") as { paths: Record<string, number>; kernel: { emitted: number } };
		assert.equal(
			Object.values(summary.paths).reduce((a, b) => a + b, 0),
			live.length,
		);
		assert.ok(summary.kernel.emitted > live.length, "the kernel's counters are in it");
	});

	test("needs neither root nor the addon", () => {
		const open = join(folder, "open.weft");
		writeFileSync(open, readFileSync(plain));
		chmodSync(folder, 0o755);
		chmodSync(open, 0o644);
		const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
		const replay = [process.execPath, "--no-addons", MAIN, "trace", "-r", open, "-o", "json"];
		const { stdout, stderr, status } = spawnSync("setpriv", [...nobody, ...replay], {
			encoding: "utf8",
			maxBuffer: 1 << 28,
		});
		assert.equal(status, 0, stderr);
		assert.deepEqual(
			pathLines(stdout),
			live.map((path) => JSON.stringify(path)),
		);
	});

	test("that is cut off shows all that is whole, and says where it ends", async () => {
		const cut = join(folder, "cut.weft");
		writeFileSync(cut, readFileSync(plain));
		let shown = live.map((path) => JSON.stringify(path));
		// Where the packets are in the file is a matter of how long names and counters went on behind them.
		for (let share = 0.8; shown.length === live.length && share > 0; share -= 0.1) {
			truncateSync(cut, Math.floor(statSync(plain).size * share));
			const { stdout, stderr, code } = await runWeft("trace", "-r", cut, "-o", "json");
			assert.equal(code, 0, stderr);
			assert.match(stderr, /cut\.weft ends at byte \d+/);
			shown = [...pathLines(stdout)];
		}
		assert.ok(shown.length > 10 && shown.length < live.length, `${shown.length} of ${live.length}`);
		const whole = new Set(live.map((path) => JSON.stringify(path)));
		const changed = shown.filter((path) => !whole.has(path)).map((path) => JSON.parse(path) as Path);
		assert.ok(changed.length < 20, `${changed.length} were open when it was cut off`);
		for (const { id, verdict } of changed) {
			// What waited for more words was dropped all the same, if the words that say so were before the cut.
			const dropped = live.some((path) => path.id === id && path.verdict === "dropped");
			const isFitting = verdict === "incomplete" || (dropped && verdict === "dropped");
			assert.ok(isFitting, `nothing is concluded of what was open: ${verdict}`);
		}
	});

	test("is narrowed down by another question", async () => {
		const { stdout } = await runWeft("trace", "-r", plain, "any", "any", "icmp", "-o", "json");
		assert.deepEqual(
			pathLines(stdout),
			live.filter(({ flow }) => flow.protocol === "icmp").map((path) => JSON.stringify(path)),
		);
	});

	test("has other names when it was anonymized, and the same story", async () => {
		const bytes = readFileSync(anonymous);
		const secrets = ['"client"', '"server"', '"neighbor"', '"late"', "10.244.", "192.168.66", lab().name];
		const { stdout, stderr, code } = await runWeft("trace", "-r", anonymous, "-o", "json");
		assert.equal(code, 0, stderr);
		for (const secret of secrets) {
			assert.ok(!stdout.includes(secret), `${secret} is shown`);
			assert.ok(!bytes.includes(secret), `${secret} is in the file`);
		}
		const address = lab().pod("default/client").pod.address.ipv4.split(".").map(Number);
		const onTheWire = Buffer.from([0xff, 0xff, ...address]);
		assert.ok(readFileSync(plain).includes(onTheWire), "precondition: addresses are in the other file");
		assert.ok(!bytes.includes(onTheWire), "the client's address is in the file");
		const replayed = pathLines(stdout).map((line) => JSON.parse(line) as Path);
		assert.deepEqual(replayed.map(story), liveAnonymous.map(story));
		const named = replayed.filter(({ flow }) => flow.source.pod !== null).length;
		assert.equal(named, liveAnonymous.filter(({ flow }) => flow.source.pod !== null).length);
	});
});

/** All of a path but who it was about. */
function story({ verdict, evidence, packet, hops, latencyNs }: Path): unknown {
	return {
		verdict,
		evidence,
		packet,
		latencyNs,
		hops: hops.map(({ ifindex, direction, role, sincePreviousNs, packets, bytes }) => ({
			...{ ifindex, direction, role, sincePreviousNs, packets, bytes },
		})),
	};
}

function pathLines(stdout: string): readonly string[] {
	return stdout.split("\n").filter((line) => line.startsWith('{"type":"path"'));
}
