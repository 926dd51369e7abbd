import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { parseAddress } from "../../src/rpc/address.js";
import { Relay } from "../../src/rpc/relay/relay.js";
import { RpcServer } from "../../src/rpc/server.js";
import { until } from "../until.js";
import { Agents, agentsOf, end, serving } from "./agents.js";
import { cluster } from "./cluster.js";
import { type Any, ask, byReflection, foreign, listen, lostOf } from "./foreign.js";
import { serveTable } from "./hop-table.js";
import { assertBalanced, runWeft, startWeft } from "./weft.js";

/* Clients here share no code with weft: grpc-js over the shipped .proto, or over what reflection tells. */

describe("an agent's API", () => {
	const lab = cluster();
	let agents: Agents;
	let client: Any;

	before(async () => {
		await serveTable(lab());
		agents = await Agents.start(lab());
		client = foreign(agents.address("node-a"));
	});

	after(async () => {
		client.close();
		await agents.stop();
	});

	const ping = () => lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4);

	test("its socket is root's alone", () => {
		assert.equal(statSync(agents.address("node-a").slice("unix:".length)).mode & 0o777, 0o600);
	});

	const CLIENTS: readonly (readonly [string, (address: string) => Promise<Any>])[] = [
		["the shipped .proto alone", async (address) => foreign(address)],
		["reflection alone", byReflection],
	];

	for (const [name, connectTo] of CLIENTS) {
		describe(`to a client by ${name}`, () => {
			let other: Any;

			before(async () => {
				other = await connectTo(agents.address("node-a"));
			});

			after(() => other.close());

			test("StreamSightings, with one request", async () => {
				const call = other.StreamSightings();
				call.write({ from: { end: "default/client" }, to: { end: "default/neighbor" }, filter: "icmp" });
				let asked = false;
				const messages = await listen(call, (all) => {
					if (!asked && all.some(({ state }) => state?.phase === "PHASE_READY")) {
						asked = true;
						ping().catch(() => undefined);
					}
					return all.flatMap(({ batch }) => batch?.skb ?? []).length >= 4;
				});
				const rows = messages
					.flatMap(({ batch }) => batch ?? [])
					.flatMap((batch) => {
						let time = BigInt(batch.baseTimeNs);
						return batch.skb.map((_: unknown, i: number) => {
							time += BigInt(batch.timeDeltaNs[i] ?? 0);
							const tuple = batch.tuples[batch.tuple[i] ?? 0];
							return { time, device: batch.hooks[batch.hook[i] ?? 0].device, type: tuple.destinationPort >> 8 };
						});
					});
				assert.deepEqual(rows.map(({ type }) => type).sort(), [0, 0, 8, 8]);
				const device = lab().pod("default/client").pod.device;
				assert.equal(rows[0]?.device, device, "the request leaves the client's veth first");
				assert.ok(rows.every(({ time }, i) => i === 0 || time >= (rows[i - 1]?.time ?? 0n)));
			});

			test("Trace and WatchFlows", async () => {
				const request = { from: { end: "default/client" }, to: { end: "default/neighbor" }, filter: "icmp" };
				const pinging = setInterval(() => ping().catch(() => undefined), 300);
				try {
					const traced = await listen(other.Trace(request), (all) => all.some(({ paths }) => paths.length > 0));
					assert.equal(traced[0].state.phase, "PHASE_READY");
					const [path] = traced.flatMap(({ paths }) => paths);
					assert.deepEqual([path.verdict, path.hops.length, path.source.pod], ["VERDICT_DELIVERED", 2, "client"]);
					const flows = await listen(other.WatchFlows({ filter: "icmp" }), (all) => all.some(({ flow }) => flow));
					const { flow } = flows.find((message) => message.flow);
					assert.deepEqual([flow.protocol, flow.source.pod, flow.destination.pod], ["icmp", "client", "neighbor"]);
				} finally {
					clearInterval(pinging);
				}
			});

			test("WatchTopology, ResolveEndpoint, SyncClock, GetStatus", async () => {
				const [topology] = await listen(other.WatchTopology({}), (all) => all.length > 0);
				const [node] = topology.snapshot.nodes;
				assert.equal(node.node, "node-a");
				assert.ok(node.pods.some(({ name, ifindex }: Any) => name === "client" && ifindex > 0));
				assert.equal(node.evidence.length, 0, "not asked for");
				const resolved = await ask(other, "ResolveEndpoint", { end: { end: "client" }, namespace: "default" });
				assert.equal(resolved.endpoints[0].addresses[0], lab().pod("default/client").pod.address.ipv4);
				const clock = await ask(other, "SyncClock", { clientTimeNs: "12345678901234567" });
				assert.equal(clock.clientTimeNs, "12345678901234567", "64 bits come back whole");
				assert.ok(BigInt(clock.sentNs) >= BigInt(clock.receivedNs) && BigInt(clock.receivedNs) > 10n ** 18n);
				const { agents: statuses } = await ask(other, "GetStatus", {});
				assert.equal(statuses[0].node, "node-a");
				for (const stage of statuses[0].ledger) lostOf(stage);
			});

			test("WatchLatency and WatchDrops", async () => {
				const pinging = setInterval(() => ping().catch(() => undefined), 200);
				try {
					const measured = await listen(other.WatchLatency({}), (all) => all.some(({ delta }) => delta), 20_000);
					const { delta } = measured.find((message) => message.delta);
					assert.equal(delta.node, "node-a");
					const counted = delta.bucketCount.reduce((sum: number, count: string) => sum + Number(count), 0);
					assert.equal(counted, Number(delta.count), "every sample is in a bucket");
				} finally {
					clearInterval(pinging);
				}
				const address = lab().pod("default/neighbor").pod.address.ipv4;
				const order = { protocol: "udp", address, port: 5999, size: 40, count: 1, timeoutMs: 100 } as const;
				const knock = () => lab().send("default/client", order);
				const knocking = setInterval(() => knock().catch(() => undefined), 300);
				try {
					const request = { filter: "udp port 5999" };
					const told = await listen(other.WatchDrops(request), (all) => all.some(({ drop }) => drop), 20_000);
					const { drop } = told.find((message) => message.drop);
					assert.deepEqual([drop.node, drop.protocol, drop.destination.pod], ["node-a", "udp", "neighbor"]);
					assert.notEqual(drop.kernelReason, "");
				} finally {
					clearInterval(knocking);
				}
			});

			test("WatchDevice", async () => {
				const request = { device: "cni0", intervalMs: 200 };
				const watched = await listen(other.WatchDevice(request), (all) => all.some(({ interval }) => interval), 20_000);
				assert.equal(watched[0].state.phase, "PHASE_READY");
				const { interval } = watched.find((message) => message.interval);
				assert.equal(interval.node, "node-a");
				assert.ok(Number(interval.after.rxPackets) >= Number(interval.before.rxPackets) && interval.hooked !== null);
			});

			test("these are all methods that there are", () => {
				const used = [
					...["StreamSightings", "Trace", "WatchFlows", "WatchTopology", "ResolveEndpoint", "SyncClock", "GetStatus"],
					...["WatchLatency", "WatchDrops", "WatchDevice"],
				];
				assert.deepEqual(Object.keys(other.constructor.service).sort(), used.sort());
			});
		});
	}

	test("health", async () => {
		const health = loadSync("health.proto", {
			includeDirs: ["node_modules/grpc-health-check/proto/health/v1"],
			enums: String,
		});
		const { grpc } = loadPackageDefinition(health) as Any;
		const asking = new grpc.health.v1.Health(agents.address("node-a"), credentials.createInsecure());
		assert.equal((await ask(asking, "Check", { service: "weft.v1.TracerService" })).status, "SERVING");
		asking.close();
	});

	test("bad requests are refused with the field named", async () => {
		const rules = Array.from({ length: 10_000 }, (_, i) => `port ${i + 1}`).join(" or ");
		for (const [request, expected] of [
			[{ filter: rules }, /^filter: /],
			[{ from: { end: "10.244.1.300" } }, /^from\.end: /],
			[{ sample: 2 ** 20 + 1 }, /^sample: /],
			[{ hashSalt: Buffer.from([1]), hash_salt: Buffer.from([1]) }, /^hash_salt: /],
		] as const) {
			const call = client.StreamSightings();
			call.write(request);
			await assert.rejects(
				listen(call, () => false),
				(error: ServiceError) => error.code === 3 && expected.test(error.details),
			);
		}
		await assert.rejects(
			listen(client.Trace({ filter: "tcp prot 80" }), () => false),
			(error: ServiceError) => error.code === 3 && /^filter: /.test(error.details),
		);
	});

	test("the thirty-third subscriber is refused, and the limit named", async () => {
		const calls = Array.from({ length: 33 }, () => client.StreamSightings());
		const refused: ServiceError[] = [];
		for (const call of calls) {
			call.on("error", (error: ServiceError) => {
				if (error.code === 8) refused.push(error);
			});
			call.on("data", () => undefined);
			call.write({ from: { end: "default/client" }, to: { end: "default/neighbor" } });
		}
		for (const stop = Date.now() + 10_000; refused.length === 0 && Date.now() < stop; ) await sleep(20);
		for (const call of calls) call.cancel();
		assert.deepEqual(
			refused.map(({ details }) => details),
			["32 subscribers are served already"],
		);
	});

	test("garbage on the socket is survived", async () => {
		await sendGarbage({ path: agents.address("node-a").slice("unix:".length) });
		assert.equal((await ask(client, "GetStatus", {})).agents[0].node, "node-a");
	});

	test("ten subscribers with different filters: each gets its own, from one set of hooks", async () => {
		const address = lab().pod("default/neighbor").pod.address.ipv4;
		const ports = Array.from({ length: 10 }, (_, i) => 6000 + i);
		const weft = await Promise.all(
			ports.map((port) =>
				startWeft(
					"trace",
					"default/client",
					"default/neighbor",
					"udp",
					"dst",
					"port",
					String(port),
					"--agent",
					agents.address("node-a"),
				),
			),
		);
		const { agents: statuses } = await ask(client, "GetStatus", {});
		assert.equal(statuses[0].subscribers.length, 10);
		const hooks = statuses[0].hooks.length;
		assert.equal(hooks, weft[0]?.ready.hooks.length, "one set of hooks");
		for (const port of ports) {
			const order = {
				protocol: "udp",
				address,
				port,
				size: 50 + port - 6000,
				count: 3,
				answers: false,
				from: 40_000,
			} as const;
			await lab()
				.send("default/client", order)
				.catch(() => undefined);
		}
		const summaries = await Promise.all(
			weft.map(async (each) => {
				for (const stop = Date.now() + 5000; each.paths.length < 3 && Date.now() < stop; ) await sleep(20);
				return each.stop();
			}),
		);
		weft.forEach(({ paths }, i) => {
			// Nobody listens there: once the kernel has said so, a path is told again under its id.
			const newest = [...new Map(paths.map((path) => [path.id, path])).values()];
			assert.deepEqual(
				newest.filter(({ flow }) => flow.protocol === "udp").map(({ flow }) => flow.destination.port),
				[ports[i], ports[i], ports[i]],
			);
			assertBalanced(summaries[i] ?? assert.fail());
		});
	});
});

describe("a relay", () => {
	const lab = cluster();
	before(() => serveTable(lab()));
	const agents = agentsOf(lab);

	test("whole paths through one address; with one of two agents gone the other goes on, and it comes back", async () => {
		const address = `unix:${agents().folder}/relay.sock`;
		const relay = await serving("relay", "--listen", address, ...agents().options);
		try {
			const client = foreign(address);
			const server = lab().pod("default/server").pod.address.ipv4;
			const weft = await startWeft("trace", "default/client", "default/server", "icmp", "--agent", address);
			assert.equal(await lab().ping("default/client", server), 1);
			await until(() => weft.paths.length >= 2);
			assert.ok(weft.paths.every(({ hops, verdict }) => hops.length === 8 && verdict === "delivered"));
			const statuses = await ask(client, "GetStatus", {});
			assert.deepEqual(statuses.agents.map(({ node }: Any) => node).sort(), ["node-a", "node-b"]);
			await agents().kill("node-b");
			await until(() => weft.warnings.some((line) => /node-b is not watched since/.test(line)));
			await agents().begin("node-b");
			await until(() => weft.warnings.some((line) => /node-b is watched again/.test(line)), 20_000);
			const again = weft.paths.length;
			assert.equal(await lab().ping("default/client", server), 1);
			await until(() => weft.paths.slice(again).some(({ hops }) => hops.length === 8));
			const summary = await weft.stop();
			assertBalanced(summary);
			assert.equal(summary.paths.lost, 0);
			const pinging = setInterval(
				() =>
					lab()
						.ping("default/client", server)
						.catch(() => undefined),
				300,
			);
			try {
				const request = { from: { end: "default/client" }, to: { end: "default/server" }, filter: "icmp" };
				const pathsOf = (all: Any[]) => all.flatMap(({ paths }) => paths);
				const whole = (all: Any[]) => pathsOf(all).some(({ hops }) => hops.length === 8);
				const traced = await listen(client.Trace(request), whole);
				assert.ok(pathsOf(traced).some(({ verdict }) => verdict === "VERDICT_DELIVERED"));
			} finally {
				clearInterval(pinging);
			}
			client.close();
		} finally {
			await end(relay, "SIGTERM");
		}
	});

	test("a Trace goes on with agents that come onto its list, and without those that leave it", async () => {
		const protection = { tls: null, insecure: false };
		const relay = new Relay({ protection, log: () => undefined });
		const server = new RpcServer(relay);
		const [a, b] = ["node-a", "node-b"].map((node) => agents().address(node)) as [string, string];
		const address = parseAddress(`unix:${agents().folder}/own-relay.sock`) ?? assert.fail();
		relay.follow([a]);
		await server.listen(address, protection);
		const client = foreign(address.text);
		const pinging = setInterval(
			() =>
				lab()
					.ping("default/client", lab().pod("default/server").pod.address.ipv4)
					.catch(() => undefined),
			300,
		);
		try {
			const pathsOf = (all: Any[]) => all.flatMap(({ paths }) => paths);
			let listed = 1;
			const all = await listen(client.Trace({ filter: "icmp" }), (so) => {
				const hops = pathsOf(so).map((path) => path.hops.length);
				if (listed === 1 && hops.includes(4)) {
					relay.follow([a, b]);
					listed = 2;
				}
				if (listed === 2 && hops.includes(8)) {
					relay.follow([a]);
					listed = 3;
				}
				return listed === 3 && so.some(({ state }) => /node-b.*off the list/.test(state?.warnings.join() ?? ""));
			});
			assert.ok(pathsOf(all).some(({ verdict }) => verdict === "VERDICT_DELIVERED"));
		} finally {
			clearInterval(pinging);
			client.close();
			relay.close();
			await server.close();
		}
	});

	test("takes questions that leave out all they can, as an agent does", async () => {
		const address = `unix:${agents().folder}/relay.sock`;
		const relay = await serving("relay", "--listen", address, ...agents().options);
		try {
			for (const asked of [agents().address("node-a"), address]) {
				const client = foreign(asked);
				const first = (all: readonly Any[]) => all.length > 0;
				const ready = (all: readonly Any[]) => all.some(({ state }) => state?.phase === "PHASE_READY");
				for (const method of ["Trace", "WatchFlows", "WatchLatency", "WatchDrops"]) {
					assert.ok(ready(await listen(client[method]({}), ready)), `${method} of ${asked}`);
				}
				const [{ snapshot }] = await listen(client.WatchTopology({}), first);
				assert.ok(snapshot.nodes.length > 0);
				const sightings = client.StreamSightings();
				sightings.write({});
				assert.ok(ready(await listen(sightings, ready)));
				await assert.rejects(listen(client.WatchDevice({}), first), /NOT_FOUND|INVALID_ARGUMENT/);
				assert.ok((await ask(client, "GetStatus", {})).agents.length > 0);
				client.close();
			}
		} finally {
			await end(relay, "SIGTERM");
		}
	});
});

describe("TCP is mutual TLS", () => {
	const lab = cluster();
	const folder = mkdtempSync(join(tmpdir(), "weft-tls-"));
	const file = (name: string) => join(folder, name);

	before(() => {
		for (const authority of ["ca", "foreign-ca"]) makeAuthority(folder, authority);
		for (const [name, authority] of [
			["agent", "ca"],
			["me", "ca"],
			["stranger", "foreign-ca"],
		] as const) {
			makeCertificate(folder, name, authority);
		}
	});

	after(() => rmSync(folder, { recursive: true, force: true }));

	test("a certificate of ours is served; a foreign one and none are not; new files are taken up", async () => {
		const { node } = lab().node("node-a");
		const address = "127.0.0.1:17443";
		const own = ["--tls-cert", file("agent.pem"), "--tls-key", file("agent.key"), "--tls-ca", file("ca.pem")];
		const place = ["--netns", node.netns, "--host-root", node.root];
		const agent = await serving("agent", ...place, "--listen", address, ...own);
		const as = (name: string) => [
			"--tls-cert",
			file(`${name}.pem`),
			"--tls-key",
			file(`${name}.key`),
			"--tls-ca",
			file("ca.pem"),
		];
		try {
			const served = await runWeft("status", "--agent", address, ...as("me"));
			assert.equal(served.code, 0, served.stderr);
			assert.match(served.stdout, /node-a/);
			for (const args of [as("stranger"), []]) {
				const refused = await runWeft("status", "--agent", address, ...args);
				assert.notEqual(refused.code, 0, `${args.join(" ")}: ${refused.stdout}`);
				assert.notEqual(refused.stderr, "");
			}
			const insecure = await runWeft("status", "--agent", address, "--insecure");
			assert.equal(insecure.code, 1, "plain text is not answered");
			await sendGarbage({ host: "127.0.0.1", port: 17443 });
			assert.equal((await runWeft("status", "--agent", address, ...as("me"))).code, 0, "garbage is survived");
			// The other authority takes over: the files change, the agent stays.
			for (const name of ["agent", "me"]) makeCertificate(folder, name, "foreign-ca");
			writeFileSync(file("ca.pem"), execFileSync("cat", [file("foreign-ca.pem")]));
			await sleep(2500);
			const renewed = await runWeft("status", "--agent", address, ...as("me"));
			assert.equal(renewed.code, 0, renewed.stderr);
		} finally {
			await end(agent, "SIGTERM");
		}
	});

	test("without certificates only loopback, and only when asked", async () => {
		const { node } = lab().node("node-a");
		const place = ["--netns", node.netns, "--host-root", node.root];
		for (const args of [
			["--listen", "127.0.0.1:17444"],
			["--listen", "0.0.0.0:17444", "--insecure"],
		]) {
			const refused = await runWeft("agent", ...place, ...args);
			assert.equal(refused.code, 2, refused.stderr);
			assert.match(refused.stderr, /--tls-cert|127\.0\.0\.1/);
		}
		const agent = await serving("agent", ...place, "--listen", "127.0.0.1:17444", "--insecure");
		const served = await runWeft("status", "--agent", "127.0.0.1:17444", "--insecure");
		assert.equal(served.code, 0, served.stderr);
		await end(agent, "SIGTERM");
	});
});

async function sendGarbage(to: NetConnectOpts): Promise<void> {
	for (const garbage of [
		"GET / HTTP/1.1\r\n\r\n",
		"\0".repeat(5000),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".padEnd(3000, "\xff"),
	]) {
		const socket = connect(to);
		socket.on("error", () => undefined);
		socket.write(garbage, "latin1");
		await sleep(100);
		socket.destroy();
	}
}

function openssl(folder: string, ...args: string[]): void {
	execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
}

function makeAuthority(folder: string, name: string): void {
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
	openssl(folder, "req", "-x509", ...key, "-out", `${name}.pem`, "-days", "2", "-subj", `/CN=${name}`);
}

function makeCertificate(folder: string, name: string, authority: string): void {
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
	openssl(folder, "req", ...key, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
	writeFileSync(join(folder, "san.txt"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
	const by = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial", "-extfile", "san.txt"];
	openssl(folder, "x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, "-days", "2", ...by);
}
