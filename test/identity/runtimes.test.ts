import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { parseCgroup } from "../../src/identity/cgroup.js";
import { CriSource, parseSandboxInfo } from "../../src/identity/runtime/cri.js";
import { decodeCri, encodeCri } from "../../src/identity/runtime/cri-proto.js";
import { claimsOf, DockerSource, inspectedOf } from "../../src/identity/runtime/docker.js";
import { RuntimeFollower } from "../../src/identity/runtime/follower.js";

const ID = "c0ffee".padEnd(64, "0");
const UID = "b7a1e6f0-6a0c-4a8e-9a55-0c1d2e3f4a5b";

test("cgroups: v1 and v2, cgroupfs and systemd, each quality of service, static pods, and what is no pod's", () => {
	const systemd = UID.replaceAll("-", "_");
	for (const [line, container] of [
		[`0::/kubepods/burstable/pod${UID}/${ID}`, ID],
		[`0::/kubepods/pod${UID}/${ID}`, ID],
		[`11:memory:/kubepods/besteffort/pod${UID}/${ID}`, ID],
		[
			`0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${systemd}.slice/cri-containerd-${ID}.scope`,
			ID,
		],
		[`0::/kubepods.slice/kubepods-pod${systemd}.slice/crio-${ID}.scope`, ID],
		[`4:cpu:/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${systemd}.slice/docker-${ID}.scope`, ID],
		[`0::/kubepods/burstable/pod${UID}`, null],
	] as const) {
		assert.deepEqual(parseCgroup(`12:pids:/other\n${line}\n`), { uid: UID, container }, line);
	}
	const staticPod = "1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";
	assert.equal(parseCgroup(`0::/kubepods/burstable/pod${staticPod}/${ID}`)?.uid, staticPod);
	for (const none of ["0::/system.slice/docker.service", "0::/", "", `0::/docker/${ID}`, "0::/kubepods/burstable"]) {
		assert.equal(parseCgroup(none), null, none);
	}
});

test("CRI: a verbose status with and without what may be missing", () => {
	const info = {
		pid: 4711,
		runtimeSpec: { linux: { namespaces: [{ type: "pid" }, { type: "network", path: "/run/netns/cni-1" }] } },
	};
	assert.deepEqual(parseSandboxInfo(JSON.stringify(info)), { pid: 4711, netnsPath: "/run/netns/cni-1" });
	assert.deepEqual(parseSandboxInfo('{"pid":0}'), { pid: null, netnsPath: null });
	assert.deepEqual(parseSandboxInfo("{"), { pid: null, netnsPath: null });
	fc.assert(
		fc.property(fc.json(), (json) => {
			assert.ok(parseSandboxInfo(json));
		}),
		{ seed: 1 },
	);
});

test("CRI: messages keep the protocol's numbers", () => {
	assert.equal(encodeCri("PodSandboxStatus", { podSandboxId: "ab", verbose: true }).toString("hex"), "0a0261621001");
	// items[0]: id "s", metadata { name "p", uid "u", namespace "n" }, state 1.
	const listed = Buffer.from("0a100a01731209" + "0a0170" + "120175" + "1a016e" + "1801", "hex");
	const { items } = decodeCri("ListPodSandbox", listed);
	assert.deepEqual(
		[items[0]?.id, items[0]?.metadata?.name, items[0]?.metadata?.uid, items[0]?.metadata?.namespace, items[0]?.state],
		["s", "p", "u", "n", 1],
	);
});

test("Docker: sandboxes by label and by name, plain containers, and those that share a namespace", () => {
	const inspect = (mode: string, address = "") =>
		inspectedOf({
			State: { Pid: 2 ** 30, StartedAt: "2026-11-22T12:00:00Z" },
			HostConfig: { NetworkMode: mode },
			NetworkSettings: { SandboxKey: "/nowhere", Networks: { bridge: { IPAddress: address } } },
		});
	const labels = {
		"io.kubernetes.pod.name": "web",
		"io.kubernetes.pod.namespace": "default",
		"io.kubernetes.pod.uid": UID,
		"io.kubernetes.docker.type": "podsandbox",
	};
	const claims = claimsOf([
		{ listed: { Id: ID, Names: ["/k8s_POD_web_default_x_0"], Labels: labels }, inspected: inspect("none") },
		{
			listed: {
				Id: "a1",
				Names: ["/k8s_main_web_default_x_0"],
				Image: "busybox",
				State: "running",
				Labels: {
					"io.kubernetes.docker.type": "container",
					"io.kubernetes.sandbox.id": ID,
					"io.kubernetes.container.name": "main",
				},
			},
			inspected: inspect(`container:${ID}`),
		},
		{ listed: { Id: "b2", Names: [`/k8s_POD_old_kube-system_${UID}_3`], Labels: {} }, inspected: inspect("none") },
		{
			listed: { Id: "c3", Names: ["/redis"], Image: "redis", State: "running" },
			inspected: inspect("default", "172.17.0.2"),
		},
		{ listed: { Id: "d4", Names: ["/side"], State: "running" }, inspected: inspect("container:c3") },
		{ listed: { Id: "e5", Names: ["/hosty"] }, inspected: inspect("host") },
	]);
	assert.deepEqual(
		claims.map(({ pod, uid, addresses, containers }) => [
			`${pod?.namespace}/${pod?.name}`,
			uid,
			addresses,
			containers.map(({ name }) => name),
		]),
		[
			["default/web", UID, [], ["main"]],
			["kube-system/old", UID, [], []],
			["docker/redis", null, ["172.17.0.2"], ["redis", "side"]],
		],
	);
});

test("a source that is asked while it answers is asked once more, not many times", async () => {
	let asked = 0;
	let told = 0;
	const follower = new RuntimeFollower(
		{
			async read() {
				asked++;
				await new Promise((resolve) => setTimeout(resolve, 10));
				return { claims: [], warnings: [String(Math.min(asked, 2))] };
			},
			close() {},
		},
		() => told++,
	);
	await Promise.all([follower.ask(), follower.ask(), follower.ask()]);
	assert.deepEqual([asked, told], [2, 2]);
	await follower.ask();
	assert.deepEqual([asked, told], [3, 2], "the same answer is no change");
});

describe("sockets that are not what they seem", () => {
	let root: string;
	const servers: { close(): void }[] = [];
	const sockets: Socket[] = [];

	before(() => {
		root = mkdtempSync(join(tmpdir(), "wf-wir-"));
	});
	after(() => {
		for (const socket of sockets) socket.destroy();
		for (const server of servers) server.close();
		rmSync(root, { recursive: true, force: true });
	});

	/** A filesystem with a socket in it, served by what `answer` writes; null: never a byte. */
	async function serving(name: string, path: string, answer: Buffer | string | null): Promise<string> {
		const directory = join(root, name);
		const socket = join(directory, path);
		mkdirSync(join(socket, ".."), { recursive: true });
		const server: Server = createServer((connection) => {
			sockets.push(connection);
			connection.on("error", () => {});
			connection.on("data", () => {
				if (answer !== null) connection.write(answer);
			});
		});
		servers.push(server);
		await new Promise<void>((resolve) => server.listen(socket, resolve));
		return directory;
	}

	const DOCKER = "run/docker.sock";
	const CRI = "run/containerd/containerd.sock";

	for (const [what, path, answer] of [
		["Docker that never answers", DOCKER, null],
		["Docker that trickles", DOCKER, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["],
		["Docker that answers something else", DOCKER, "SSH-2.0-OpenSSH_9.2\r\n"],
		["Docker whose JSON is none", DOCKER, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[{"],
		["Docker that refuses", DOCKER, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"],
		["a runtime that never answers", CRI, null],
		["a runtime that speaks no HTTP/2", CRI, "HTTP/1.1 400 Bad Request\r\n\r\n"],
	] as const) {
		test(`${what}: a warning, in time, and no claim`, async () => {
			const directory = await serving(what.replaceAll(" ", "-"), path, answer);
			const source = path === DOCKER ? new DockerSource(directory, () => {}) : new CriSource(directory, () => {});
			try {
				const started = performance.now();
				const { claims, warnings } = await source.read();
				assert.ok(performance.now() - started < 4000, "bounded");
				assert.equal(claims.length, 0);
				assert.equal(warnings.length, 1);
				assert.match(
					warnings[0] ?? "",
					path === DOCKER ? /containers are named without it/ : /pods are named without it/,
				);
			} finally {
				source.close();
			}
		});
	}

	test("Docker with rows of any shape gives claims or none", async () => {
		const rows = [
			null,
			3,
			"x",
			[],
			{},
			{ Id: 5, Names: 7, Labels: [] },
			{ Id: "zz", Names: ["/\u001b[2J"], Labels: { a: 1 } },
		];
		const directory = join(root, "odd");
		mkdirSync(join(directory, "run"), { recursive: true });
		const server = createHttp((_, response) => response.end(JSON.stringify(rows)));
		servers.push(server);
		await new Promise<void>((resolve) => server.listen(join(directory, DOCKER), resolve));
		const source = new DockerSource(directory, () => {});
		const { claims, warnings } = await source.read();
		assert.equal(warnings.length, 0);
		assert.ok(claims.length <= rows.length);
		source.close();
		server.closeAllConnections();
	});

	test("no socket: nothing to say", async () => {
		assert.deepEqual(await new DockerSource(join(root, "none"), () => {}).read(), { claims: [], warnings: [] });
		assert.deepEqual(await new CriSource(join(root, "none"), () => {}).read(), { claims: [], warnings: [] });
	});
});
