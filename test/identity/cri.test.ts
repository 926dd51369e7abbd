import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { CriSource } from "../../src/identity/runtime/cri.js";
import { RuntimeFollower } from "../../src/identity/runtime/follower.js";
import { until } from "../until.js";

/** As k8s.io/cri-api has it; weft's own excerpt is another. */
const proto = protobuf
	.parse(`
syntax = "proto3";
package runtime.v1;
message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
message PodSandbox {
	string id = 1;
	PodSandboxMetadata metadata = 2;
	int32 state = 3;
	int64 created_at = 4;
	map<string, string> labels = 5;
	map<string, string> annotations = 6;
	string runtime_handler = 7;
}
message ListPodSandboxResponse { repeated PodSandbox items = 1; }
message PodIP { string ip = 1; }
message PodSandboxNetworkStatus { string ip = 1; repeated PodIP additional_ips = 2; }
message PodSandboxStatus {
	string id = 1;
	PodSandboxMetadata metadata = 2;
	int32 state = 3;
	int64 created_at = 4;
	PodSandboxNetworkStatus network = 5;
}
message PodSandboxStatusRequest { string pod_sandbox_id = 1; bool verbose = 2; }
message PodSandboxStatusResponse { PodSandboxStatus status = 1; map<string, string> info = 2; }
message ContainerMetadata { string name = 1; uint32 attempt = 2; }
message ImageSpec { string image = 1; map<string, string> annotations = 2; }
message Container {
	string id = 1;
	string pod_sandbox_id = 2;
	ContainerMetadata metadata = 3;
	ImageSpec image = 4;
	string image_ref = 5;
	int32 state = 6;
}
message ListContainersResponse { repeated Container containers = 1; }
message ContainerEventResponse { string container_id = 1; int32 container_event_type = 2; }
`)
	.root.lookup("runtime.v1") as protobuf.Namespace;

interface Sandbox {
	readonly name: string;
	readonly ip: string;
	/** The runtime's own JSON about it; null: it gives none. */
	readonly info: object | null;
	/** 0: ready. */
	readonly state?: number;
}

/** A container runtime that says what it is told to. */
class Runtime {
	readonly sandboxes: Sandbox[] = [];
	readonly #events = new Set<ServerWritableStream<Buffer, Buffer>>();
	readonly #server = new Server();

	static async start(socket: string, { events }: { readonly events: boolean }): Promise<Runtime> {
		mkdirSync(dirname(socket), { recursive: true });
		rmSync(socket, { force: true });
		const runtime = new Runtime(events);
		await new Promise<void>((resolve, reject) => {
			runtime.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
				error === null ? resolve() : reject(error),
			);
		});
		return runtime;
	}

	private constructor(events: boolean) {
		const unary = (name: string, answer: (request: Buffer) => object) => ({
			[name]: (call: { request: Buffer }, done: (error: null, bytes: Buffer) => void) => {
				const type = proto.lookupType(`${name}Response`);
				done(null, Buffer.from(type.encode(type.fromObject(answer(call.request))).finish()));
			},
		});
		this.#server.addService(
			Object.fromEntries([
				...["ListPodSandbox", "ListContainers", "PodSandboxStatus"].map((name) => [name, method(name, false)] as const),
				...(events ? [["GetContainerEvents", method("GetContainerEvents", true)] as const] : []),
			]),
			{
				...unary("ListPodSandbox", () => ({ items: this.sandboxes.map(listed) })),
				...unary("ListContainers", () => ({ containers: this.sandboxes.map(container) })),
				...unary("PodSandboxStatus", (bytes) => this.#status(bytes)),
				GetContainerEvents: (call: ServerWritableStream<Buffer, Buffer>) => {
					this.#events.add(call);
					call.on("cancelled", () => this.#events.delete(call));
				},
			},
		);
	}

	get listeners(): number {
		return this.#events.size;
	}

	/** As the kubelet would hear it. */
	tell(): void {
		const type = proto.lookupType("ContainerEventResponse");
		for (const call of this.#events) call.write(Buffer.from(type.encode({ containerId: "c" }).finish()));
	}

	stop(): void {
		this.#server.forceShutdown();
	}

	#status(bytes: Buffer): object {
		const { podSandboxId } = proto.lookupType("PodSandboxStatusRequest").decode(bytes) as unknown as {
			podSandboxId: string;
		};
		const sandbox = this.sandboxes.find(({ name }) => idOf(name) === podSandboxId);
		return {
			status: { id: podSandboxId, network: { ip: sandbox?.ip ?? "", additionalIps: [{ ip: "fd00::7" }] } },
			info: sandbox?.info == null ? {} : { info: JSON.stringify(sandbox.info) },
		};
	}
}

function method(name: string, responseStream: boolean) {
	const same = (bytes: Buffer) => bytes;
	return {
		...{ path: `/runtime.v1.RuntimeService/${name}`, originalName: name, requestStream: false, responseStream },
		...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
	};
}

function idOf(name: string): string {
	return Buffer.from(name).toString("hex").padEnd(64, "0");
}

function listed({ name, state = 0 }: Sandbox): object {
	const metadata = { name, uid: `uid-${name}`, namespace: "default", attempt: 0 };
	return { id: idOf(name), metadata, state, createdAt: 1_700_000_000_000_000_000, runtimeHandler: "runc" };
}

function container({ name }: Sandbox): object {
	return {
		...{ id: `c-${name}`, podSandboxId: idOf(name), metadata: { name: "main" }, state: 1, imageRef: "sha256:0" },
		image: { image: "busybox:1" },
	};
}

const network = { linux: { namespaces: [{ type: "pid" }, { type: "network", path: "/var/run/netns/cni-1" }] } };

describe("container runtimes, wherever they listen", () => {
	let root: string;
	const running: Runtime[] = [];
	const sources: { close(): void }[] = [];
	let count = 0;

	before(() => {
		root = mkdtempSync(join(tmpdir(), "wf-cri-"));
	});
	afterEach(() => {
		for (const source of sources.splice(0)) source.close();
		for (const runtime of running.splice(0)) runtime.stop();
	});
	after(() => {
		rmSync(root, { recursive: true, force: true });
	});

	const host = () => join(root, String(count++));

	async function start(hostRoot: string, socket: string, events = false): Promise<Runtime> {
		const runtime = await Runtime.start(join(hostRoot, socket), { events });
		running.push(runtime);
		return runtime;
	}

	function source(hostRoot: string, onEvent = () => {}): CriSource {
		const made = new CriSource(hostRoot, onEvent);
		sources.push(made);
		return made;
	}

	for (const [who, socket, info, pid, netnsPath] of [
		["containerd", "run/containerd/containerd.sock", { pid: 4711, runtimeSpec: network }, 4711, "/var/run/netns/cni-1"],
		["k3s and RKE2", "run/k3s/containerd/containerd.sock", { pid: 4711 }, 4711, null],
		["CRI-O without an infra container", "run/crio/crio.sock", { runtimeSpec: network }, null, "/var/run/netns/cni-1"],
		["cri-dockerd, which tells nothing of its own", "run/cri-dockerd.sock", null, null, null],
	] as const) {
		test(`${who}: pods with names, addresses, containers`, async () => {
			const hostRoot = host();
			const runtime = await start(hostRoot, socket);
			runtime.sandboxes.push({ name: "web", ip: "10.244.1.7", info }, { name: "ended", ip: "", info, state: 1 });
			const { claims, warnings } = await source(hostRoot).read();
			assert.deepEqual(warnings, []);
			assert.deepEqual(
				claims.map(({ inode, sinceMs, device, ...known }) => known),
				[
					{
						source: "cri",
						pod: { namespace: "default", name: "web" },
						uid: "uid-web",
						sandbox: idOf("web"),
						addresses: ["10.244.1.7", "fd00::7"],
						containers: [{ id: "c-web", name: "main", image: "busybox:1", running: true }],
						pid,
						netnsPath,
					},
				],
			);
		});
	}

	test("two runtimes on one node: the pods of both", async () => {
		const hostRoot = host();
		for (const [name, socket] of [
			["old", "run/containerd/containerd.sock"],
			["new", "run/crio/crio.sock"],
		] as const) {
			(await start(hostRoot, socket)).sandboxes.push({ name, ip: "10.244.1.8", info: null });
		}
		const { claims } = await source(hostRoot).read();
		assert.deepEqual(claims.map(({ pod }) => pod?.name).sort(), ["new", "old"]);
	});

	test("a runtime with events: a new pod is known at once, though nobody asks again", async () => {
		const hostRoot = host();
		const runtime = await start(hostRoot, "run/containerd/containerd.sock", true);
		const follower: RuntimeFollower = new RuntimeFollower(
			source(hostRoot, () => void follower.ask()),
			() => {},
		);
		await follower.ask();
		await until(() => runtime.listeners === 1, 10_000);
		runtime.sandboxes.push({ name: "fresh", ip: "10.244.1.9", info: null });
		runtime.tell();
		await until(() => follower.claims.claims.some(({ pod }) => pod?.name === "fresh"), 10_000);
	});

	test("a runtime that comes late, dies and comes again is taken up each time, events and all", async () => {
		const hostRoot = host();
		const path = "run/containerd/containerd.sock";
		let told = 0;
		const late = source(hostRoot, () => {
			told++;
		});
		const names = async () => {
			const { claims, warnings } = await late.read();
			return [claims.map(({ pod }) => pod?.name), warnings.length];
		};
		assert.deepEqual(await names(), [[], 0], "not there yet");
		const first = await start(hostRoot, path, true);
		first.sandboxes.push({ name: "one", ip: "10.244.1.10", info: null });
		assert.deepEqual(await names(), [["one"], 0]);
		first.stop();
		const second = await start(hostRoot, path, true);
		second.sandboxes.push({ name: "two", ip: "10.244.1.11", info: null });
		await until(async () => (await names()).flat().includes("two"), 10_000);
		await until(async () => {
			await late.read();
			return second.listeners === 1;
		}, 10_000);
		second.tell();
		await until(() => told > 0, 10_000);
	});
});
