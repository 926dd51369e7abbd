import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LocalSource } from "../../src/collector/local-source.js";
import { columnTest } from "../../src/filter/column.js";
import { parseFilter } from "../../src/filter/grammar.js";
import { type ResolvedEnd, resolveEnd } from "../../src/filter/resolve.js";
import { kernelRules } from "../../src/filter/rules.js";
import { addon } from "../../src/kernel/addon.js";
import type { FilterOf } from "../../src/kernel/hooks.js";
import type { HookId } from "../../src/packet/hook.js";
import { OuterTable } from "../../src/packet/outers.js";
import type { Sightings } from "../../src/packet/sightings.js";
import type { SourceId, SourceSink } from "../../src/packet/source.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { hookPoints } from "../../src/wiring/hookpoints.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { EXPRESSIONS } from "../filter/expressions.js";
import { until } from "../until.js";
import { attach } from "./attach.js";
import { cluster } from "./cluster.js";

/**
 * tcpdump on the same device is the oracle of every filter: what the kernel's rules let through and the column test
 * keeps must be, packet by packet, what tcpdump finds in the same traffic.
 */
describe("filters on live traffic", () => {
	const lab = cluster({ servers: true });
	const folder = mkdtempSync(join(tmpdir(), "weft-oracle-"));
	const pcap = join(folder, "all.pcap");
	const nobody = { pods: () => [], services: () => [], nodes: () => [] };
	const any: ResolvedEnd = resolveEnd({ kind: "any" }, nobody);
	const resolve = () => any;
	const bursts: { expression: string; from: number; to: number; lengths: number[] }[] = [];

	before(async () => {
		const node = lab().node("node-a");
		const { device } = lab().pod("default/client").pod;
		const tcpdump = node.spawn(
			["tcpdump", "-i", device, "-U", "--immediate-mode", "-s", "200", "-B", "32768", "-w", pcap],
			{
				stdio: ["ignore", "ignore", "pipe"],
			},
		);
		let said = "";
		tcpdump.stderr?.on("data", (text: Buffer) => {
			said += text.toString();
		});
		while (!said.includes("listening on")) await sleep(5);

		const tuples = new TupleTable();
		let keep: (rows: Sightings, row: number) => boolean = () => false;
		const rowsKept: { time: number; length: number }[] = [];
		/** Everything before has been given, ns since the base. */
		let passed = 0;
		const clock = addon().clocks();
		const now = () => Number(addon().clocks().monotonicNs - clock.monotonicNs);
		/** Seconds since 1970, as tcpdump tells. */
		const wallClock = (ns: number) => Number(clock.realtimeNs) / 1e9 + ns / 1e9;
		let nextId = 0;
		const sink: SourceSink = {
			hook() {},
			unhook() {},
			batch(_, rows) {
				for (let row = 0; row < rows.count; row++) {
					if (!keep(rows, row)) continue;
					rowsKept.push({ time: rows.time[row] as number, length: rows.length[row] as number });
				}
				source.release(rows);
			},
			lost: (_, cause, count) => assert.equal(count, 0, cause),
			watermark: (_, timeNs) => {
				passed = timeNs;
			},
			clock() {},
			end() {},
		};
		const source: LocalSource = new LocalSource(
			{
				id: "node-a" as SourceId,
				node: "node-a",
				attach: attach(),
				ringBytes: 1 << 20,
				sample: 0,
				hashSalt: 1n,
				tuples,
				outers: new OuterTable(),
				baseNs: clock.monotonicNs,
				nextHookId: () => nextId++ as HookId,
			},
			sink,
		);
		const { wiring } = readWiring({ native: addon(), node: "node-a", netns: node.path, hostRoot: null });
		const sites = hookPoints(wiring, { from: null, to: null }).filter((site) => site.device === device);
		assert.equal(sites.length, 2, "both directions of the veth");
		const nothing: FilterOf = () => ({ rules: [], matchAll: 0, tunnelPorts: [] });
		assert.deepEqual(await source.watch(sites, nothing), []);

		await burst();
		for (const expression of EXPRESSIONS) {
			const ast = parseFilter(expression);
			const exact = columnTest(ast, resolve);
			const rules = kernelRules(ast, {
				place: { kind: "host", node: "node-a" },
				from: any,
				to: any,
				resolve,
				translations: [],
				subscribers: 1,
				scope: "hook",
			});
			rowsKept.length = 0;
			keep = (rows, row) => exact(rows, row, tuples);
			await source.refilter(() => ({ rules, matchAll: 0, tunnelPorts: [] }));
			const from = now();
			await burst();
			await sleep(60);
			const to = now();
			await until(() => passed > to);
			const seen = rowsKept.filter(({ time }) => time >= from && time <= to).map(({ length }) => length);
			bursts.push({ expression, from: wallClock(from), to: wallClock(to), lengths: seen });
		}
		await source.stop();
		await source.close();
		tcpdump.kill("SIGINT");
		await once(tcpdump, "close");
	});

	after(() => {
		rmSync(folder, { recursive: true, force: true });
	});

	/** Some of everything, with answers: TCP and UDP by service and directly, pings small, large, fragmented, short-lived. */
	async function burst(): Promise<void> {
		const [neighbor, server] = ["default/neighbor", "default/server"].map((name) => lab().pod(name).pod.address);
		const web = lab().service("default/web").clusterIp.ipv4;
		const ping = "ping -q -c 1 -W 1";
		await lab()
			.pod("default/client")
			.attempt(
				...["bash", "-c"],
				[
					`${ping} ${neighbor?.ipv4}`,
					`${ping} -t 5 ${neighbor?.ipv4}`,
					`${ping} -s 3000 ${server?.ipv4}`,
					`${ping} ${server?.ipv6}`,
					`${ping} -s 1300 ${neighbor?.ipv6}`,
					`exec 3<>/dev/tcp/${web}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3 && exec 3>&-`,
					`(exec 4<>/dev/tcp/${neighbor?.ipv4}/9) 2>/dev/null`,
					`echo dns >/dev/udp/${lab().service("default/dns").clusterIp.ipv4}/53`,
					`echo echo >/dev/udp/${server?.ipv6}/5353`,
					`ip neigh flush dev eth0`,
					`${ping} 10.244.1.1`,
				].join("; "),
			);
	}

	test("agree with tcpdump, packet by packet", async () => {
		let telling = 0;
		for (const { expression, from, to, lengths } of bursts) {
			const { stdout, stderr, status } = await lab()
				.node("node-a")
				.attempt("tcpdump", "-r", pcap, "-tt", "-e", "-nn", "-q", ...(expression === "" ? [] : [expression]));
			assert.equal(status, 0, `${expression}: ${stderr}`);
			const expected = stdout
				.split("\n")
				.map((line) => /^(\d+\.\d+) .*?, length (\d+):/.exec(line))
				.filter((match) => match !== null && Number(match[1]) >= from && Number(match[1]) <= to)
				.map((match) => Number(match?.[2]));
			assert.deepEqual(sorted(lengths), sorted(expected), `"${expression}"`);
			const everything = bursts[0]?.lengths.length ?? 0;
			if (expected.length > 0 && expected.length < everything) telling++;
		}
		assert.ok(bursts.length >= 50, `${bursts.length} filters`);
		assert.ok(telling >= 35, `only ${telling} filters tell some packets from others`);
	});
});

function sorted(numbers: readonly number[]): number[] {
	return [...numbers].sort((a, b) => a - b);
}
