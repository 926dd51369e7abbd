import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LatencyWatch } from "../../src/collector/latency.js";
import { nodeOf } from "../../src/collector/node-observer.js";
import { LIMITS } from "../../src/kernel/layout.generated.js";
import { attempt, run } from "../../src/lab/command.js";
import { Space } from "../../src/lab/space.js";
import type { LatencyReport, Segment } from "../../src/latency/report.js";
import { until } from "../until.js";
import { attach } from "./attach.js";
import { assertAccounted, isWhole } from "./latency.js";

/** Containers that are there at the same time; each asks all others, and the bridge. */
const AT_ONCE = 8;
const PINGS = 2;
const PAIRS = AT_ONCE * (AT_ONCE - 1);
/** Pairs of ports alone would fill the kernel's table twice over. */
const WAVES = Math.ceil((2 * LIMITS.segments) / PAIRS);
const BRIDGE = { device: "br0", address: "172.18.0.1", mac: "02:00:00:00:ff:01" };

describe("containers come and go", () => {
	const node = new Space("node", `wf-lch-${process.pid}`);

	before(async () => {
		await run(["ip", "netns", "add", node.netns]);
		await quiet(node);
		await node.ip([
			// With snooping it would join a group, and say so.
			`link add ${BRIDGE.device} address ${BRIDGE.mac} type bridge mcast_snooping 0`,
			`addr add ${BRIDGE.address}/16 dev ${BRIDGE.device}`,
			`link set ${BRIDGE.device} up`,
		]);
	});

	after(async () => {
		await attempt(["ip", "netns", "delete", node.netns]);
	});

	test(`${WAVES * AT_ONCE} of them: the last is timed as the first, and every packet of each is counted once`, async () => {
		const spec = { ...nodeOf(node.netns, "/nonexistent"), name: "node" };
		const watch = await LatencyWatch.start({
			...{ nodes: [spec], bridge: BRIDGE.device, by: null, inside: false, attach: attach() },
		});
		const told = { forward: 0, up: 0, down: 0, seen: 0 };
		let total = watch.total();
		try {
			const { hooks } = watch.ready;
			for (let number = 0; number < WAVES; number++) {
				const wave = await Wave.start(node, number);
				let report: LatencyReport;
				try {
					await until(() => watch.ready.hooks === hooks + 2 * AT_ONCE);
					await wave.ask();
					total = grown(total, watch.total());
					if (number % 2 === 0) await wave.end();
					if (number % 2 === 0) await until(() => watch.ready.hooks === hooks);
					// Also of those that are gone when it is asked for, an interval has the names.
					report = watch.interval();
				} finally {
					await wave.end();
				}
				await until(() => watch.ready.hooks === hooks);
				total = grown(total, watch.total());
				const pairs = report.segments.filter(({ kind, from, group }) => kind === "bridge-forward" && from && !group);
				assert.deepEqual(
					pairs.map(({ from, to }) => `${from?.device} ${to?.device}`).sort(),
					wave.pairs,
					`wave ${number} of ${WAVES}`,
				);
				assert.equal(report.packets?.untracked, 0);
				told.forward += packets(whole(report, "bridge-forward"));
				told.up += packets(whole(report, "bridge-up"));
				told.down += packets(whole(report, "bridge-down"));
				told.seen += report.packets?.seen ?? 0;
			}
			await watch.stop();
			total = grown(total, watch.total());
		} finally {
			await watch.close();
		}
		// Each ping is asked and answered.
		const [forward, up] = [WAVES * PAIRS * PINGS * 2, WAVES * AT_ONCE * PINGS];
		const sent = { forward, up, down: up, seen: 2 * (forward + 2 * up) };
		assert.deepEqual(told, sent, "in all intervals together");
		assert.deepEqual(
			{
				forward: packets(whole(total, "bridge-forward")),
				up: packets(whole(total, "bridge-up")),
				down: packets(whole(total, "bridge-down")),
				seen: total.packets?.seen,
			},
			sent,
			"in all",
		);
		assertAccounted(total);
		const parts = total.segments.filter((each) => each.kind === "bridge-forward" && !isWhole(each));
		assert.ok(parts.length <= 101, `${parts.length} pairs are kept`);
		assert.equal(
			parts.reduce((sum, { count }) => sum + count, 0),
			whole(total, "bridge-forward").count,
		);
	});
});

/** Containers, as `docker run` makes them: namespaces and veths. Nothing of theirs speaks but what is asked. */
class Wave {
	readonly #members: readonly Member[];
	#ended = false;

	private constructor(members: readonly Member[]) {
		this.#members = members;
	}

	static async start(node: Space, number: number): Promise<Wave> {
		const members = Array.from({ length: AT_ONCE }, (_, at): Member => {
			const hex = (byte: number) => byte.toString(16).padStart(2, "0");
			return {
				space: new Space(`container ${number}.${at}`, `${node.netns}-${at}`),
				device: `v${number}x${at}`,
				address: `172.18.${number + 1}.${at + 1}`,
				mac: `02:00:00:00:${hex(number)}:${hex(at)}`,
			};
		});
		const wave = new Wave(members);
		try {
			await run(["ip", "-batch", "-"], { input: members.map(({ space }) => `netns add ${space.netns}\n`).join("") });
			await node.ip(
				members.flatMap(({ device, mac, address, space }) => [
					`link add ${device} type veth peer name eth0 address ${mac} netns ${space.netns}`,
					`link set ${device} master ${BRIDGE.device} up`,
					`neigh replace ${address} lladdr ${mac} dev ${BRIDGE.device} nud permanent`,
				]),
			);
			const known = members.map(({ mac, device }) => `fdb replace ${mac} dev ${device} master static\n`);
			await run(["bridge", "-n", node.netns, "-batch", "-"], { input: known.join("") });
			await Promise.all(members.map((member) => configure(member, members)));
			await forwarding(node, members);
			return wave;
		} catch (cause) {
			await wave.end();
			throw cause;
		}
	}

	/** What each pair of ports is called, sorted. */
	get pairs(): readonly string[] {
		return this.#members
			.flatMap((from) => this.#members.map((to) => (from === to ? "" : `${from.device} ${to.device}`)))
			.filter((pair) => pair !== "")
			.sort();
	}

	async ask(): Promise<void> {
		await Promise.all(
			this.#members.map(async ({ space, address }) => {
				const others = this.#members.filter((other) => other.address !== address);
				for (const to of [BRIDGE.address, ...others.map((other) => other.address)]) {
					const { status, stdout } = await space.attempt("ping", "-nqc", String(PINGS), "-i", "0.005", to);
					const answered = status === 0 && stdout.includes(` ${PINGS} received`);
					assert.ok(answered, `precondition: ${space.name} reaches ${to}: ${stdout}`);
				}
			}),
		);
	}

	/** Devices go with their namespaces, as when a container ends. */
	async end(): Promise<void> {
		if (this.#ended) return;
		this.#ended = true;
		await Promise.all(this.#members.map(({ space }) => attempt(["ip", "netns", "delete", space.netns])));
	}
}

interface Member {
	readonly space: Space;
	readonly device: string;
	readonly address: string;
	readonly mac: string;
}

async function configure({ space, address }: Member, all: readonly Member[]): Promise<void> {
	await quiet(space);
	await space.ip([
		`addr add ${address}/16 dev eth0`,
		"link set eth0 up",
		...[...all, BRIDGE].map((other) => `neigh replace ${other.address} lladdr ${other.mac} dev eth0 nud permanent`),
	]);
}

/**
 * A port forwards once the kernel has told its bridge of its carrier, from a work queue (net/core/link_watch.c), which may
 * be later than weft hooks it: what comes before that is seen at the port and goes nowhere.
 */
async function forwarding(node: Space, members: readonly Member[]): Promise<void> {
	for (const deadline = performance.now() + 30_000; ; await sleep(5)) {
		const ports = JSON.parse(await node.run("bridge", "-j", "link")) as { ifname: string; state: string }[];
		const ready = new Set(ports.filter(({ state }) => state === "forwarding").map(({ ifname }) => ifname));
		if (members.every(({ device }) => ready.has(device))) return;
		assert.ok(performance.now() < deadline, "precondition: the ports forward");
	}
}

/** No packets but those that the test sends: neighbours are known, and IPv6 looks for none. */
async function quiet(space: Space): Promise<void> {
	await space.sysctl({ "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 });
}

function whole(report: LatencyReport, kind: Segment["kind"]): Segment {
	const found = report.segments.filter((each) => each.kind === kind && isWhole(each));
	assert.equal(found.length, 1, `${kind} is there once`);
	return found[0] as Segment;
}

/** With a sample, or with a reason. */
function packets({ count, unmatched }: Segment): number {
	return Object.values(unmatched).reduce((sum, more) => sum + more, count);
}

/** What Prometheus is given never falls. */
function grown(before: LatencyReport, now: LatencyReport): LatencyReport {
	for (const was of before.segments.filter(isWhole)) {
		const is = whole(now, was.kind);
		assert.ok(is.count >= was.count && is.sumNs >= was.sumNs, `${was.kind} fell from ${was.count} to ${is.count}`);
		for (const [reason, count] of Object.entries(was.unmatched)) assert.ok((is.unmatched[reason] ?? 0) >= count);
	}
	assert.ok((now.packets?.seen ?? 0) >= (before.packets?.seen ?? 0));
	return now;
}
