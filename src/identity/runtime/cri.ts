import { statSync } from "node:fs";
import type * as Grpc from "@grpc/grpc-js";
import { bounded, type Claim, type Claims, type Container, elements, members, text, UNCLAIMED } from "../claim.js";
import { onHost } from "../files.js";
import type * as Proto from "./cri-proto.js";
import type { CriCalls, CriNetwork, CriSandbox } from "./cri-proto.js";
import { netnsInode } from "./inode.js";
import type { RuntimeSource } from "./source.js";

/** Where runtimes listen: containerd, k3s and RKE2, CRI-O, cri-dockerd. */
const SOCKETS = [
	"/run/containerd/containerd.sock",
	"/run/k3s/containerd/containerd.sock",
	"/run/crio/crio.sock",
	"/run/cri-dockerd.sock",
	"/var/run/cri-dockerd.sock",
];

/** For one answer; a runtime under load takes its time, one that hangs must not hold us up. */
const PATIENCE_MS = 2000;
const AT_ONCE = 16;
const LARGEST_ANSWER = 32 * 1024 * 1024;
const READY = 0;
const RUNNING = 1;

/** Sandboxes by the runtimes' own word, over whichever sockets are there. */
export class CriSource implements RuntimeSource {
	readonly #hostRoot: string | null;
	readonly #onEvent: () => void;
	readonly #runtimes = new Map<string, Runtime>();

	/** `onEvent`: a runtime tells of a container that came or went (where it does: CRI 1.26 and later). */
	constructor(hostRoot: string | null, onEvent: () => void) {
		this.#hostRoot = hostRoot;
		this.#onEvent = onEvent;
	}

	async read(): Promise<Claims> {
		const present = SOCKETS.map((socket) => onHost(this.#hostRoot, socket)).filter(isSocket);
		for (const [path, runtime] of this.#runtimes) {
			if (present.includes(path)) continue;
			runtime.close();
			this.#runtimes.delete(path);
		}
		const all = await Promise.all(present.map((path) => this.#readOne(path)));
		return {
			claims: all.flatMap(({ claims }) => claims),
			warnings: bounded(all.flatMap(({ warnings }) => warnings)),
		};
	}

	close(): void {
		for (const runtime of this.#runtimes.values()) runtime.close();
		this.#runtimes.clear();
	}

	async #readOne(path: string): Promise<Claims> {
		try {
			let runtime = this.#runtimes.get(path);
			if (runtime === undefined) {
				// Together as long to import as the rest of a trace, and most nodes' names come without them.
				const [grpc, proto] = await Promise.all([import("@grpc/grpc-js"), import("./cri-proto.js")]);
				runtime = new Runtime(path, grpc, proto, this.#onEvent);
				this.#runtimes.set(path, runtime);
			}
			return { claims: await runtime.claims(), warnings: [] };
		} catch (cause) {
			return { claims: [], warnings: [`${path}: ${wordsOf(cause)}; pods are named without it`] };
		}
	}
}

/** What is not going to change of a sandbox: asked once. */
interface Known {
	readonly pid: number | null;
	readonly netnsPath: string | null;
	readonly addresses: readonly string[];
}

/** One runtime behind one socket. */
class Runtime {
	readonly #client: Grpc.Client;
	readonly #proto: typeof Proto;
	readonly #known = new Map<string, Known>();
	readonly #onEvent: () => void;
	#events: Grpc.ClientReadableStream<unknown> | null = null;
	#hasEvents = true;
	readonly #unimplemented: Grpc.status;

	constructor(socket: string, grpc: typeof Grpc, proto: typeof Proto, onEvent: () => void) {
		this.#proto = proto;
		this.#onEvent = onEvent;
		this.#unimplemented = grpc.status.UNIMPLEMENTED;
		this.#client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure(), {
			"grpc.max_receive_message_length": LARGEST_ANSWER,
			// One channel for one runtime: a socket made anew behind the same path is another runtime.
			"grpc.use_local_subchannel_pool": 1,
		});
	}

	async claims(): Promise<readonly Claim[]> {
		this.#listen();
		const [sandboxes, containers] = await Promise.all([
			this.#call("ListPodSandbox", {}),
			this.#call("ListContainers", {}),
		]);
		const bySandbox = new Map<string, Container[]>();
		for (const { id, podSandboxId, metadata, image, state } of containers.containers) {
			const list = bySandbox.get(podSandboxId) ?? [];
			list.push({
				id: text(id) ?? "",
				name: text(metadata?.name) ?? "?",
				image: text(image?.image),
				running: state === RUNNING,
			});
			bySandbox.set(podSandboxId, list);
		}
		const ready = sandboxes.items.filter(({ state }) => state === READY);
		await this.#learn(ready);
		return ready.flatMap((sandbox) => this.#claim(sandbox, bySandbox.get(sandbox.id) ?? []) ?? []);
	}

	close(): void {
		this.#hasEvents = false;
		this.#events?.cancel();
		this.#client.close();
	}

	/** A stream that broke off (the runtime was restarted) is opened again with the next reading. */
	#listen(): void {
		if (this.#events !== null || !this.#hasEvents) return;
		const events: Grpc.ClientReadableStream<unknown> = this.#client.makeServerStreamRequest(
			"/runtime.v1.RuntimeService/GetContainerEvents",
			() => Buffer.alloc(0),
			(bytes) => bytes,
			{},
		);
		const over = () => {
			if (this.#events === events) this.#events = null;
		};
		events.on("data", this.#onEvent);
		events.on("end", over);
		events.on("error", (error: Grpc.ServiceError) => {
			// Not every runtime has them (containerd 1.6 does not): then links and time tell.
			if (error.code === this.#unimplemented) this.#hasEvents = false;
			over();
		});
		this.#events = events;
	}

	/** Asks for what is not known yet, a few at a time; forgets what is gone. */
	async #learn(sandboxes: readonly CriSandbox[]): Promise<void> {
		const ids = new Set(sandboxes.map(({ id }) => id));
		for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
		const asked = [...ids].filter((id) => !this.#known.has(id));
		for (let i = 0; i < asked.length; i += AT_ONCE) {
			await Promise.all(asked.slice(i, i + AT_ONCE).map((id) => this.#learnOne(id)));
		}
	}

	async #learnOne(podSandboxId: string): Promise<void> {
		try {
			const { status, info } = await this.#call("PodSandboxStatus", { podSandboxId, verbose: true });
			const known = { ...parseSandboxInfo(info["info"] ?? ""), addresses: addressesOf(status?.network ?? null) };
			// An address comes a moment after the sandbox: until then it is asked again.
			if (known.addresses.length > 0) this.#known.set(podSandboxId, known);
		} catch {
			// It went between the list and the question.
		}
	}

	#claim({ id, metadata, createdAt }: CriSandbox, containers: readonly Container[]): Claim | null {
		const namespace = text(metadata?.namespace);
		const name = text(metadata?.name);
		if (namespace === null || name === null) return null;
		const known = this.#known.get(id) ?? { pid: null, netnsPath: null, addresses: [] };
		return {
			...UNCLAIMED,
			source: "cri",
			pod: { namespace, name },
			uid: text(metadata?.uid),
			sandbox: text(id),
			...known,
			inode: netnsInode(known.pid, known.netnsPath),
			sinceMs: Number(createdAt) > 0 ? Number(createdAt) / 1e6 : null,
			containers,
		};
	}

	#call<M extends keyof CriCalls>(method: M, request: CriCalls[M]["request"]): Promise<CriCalls[M]["response"]> {
		return new Promise((resolve, reject) => {
			this.#client.makeUnaryRequest(
				`/runtime.v1.RuntimeService/${method}`,
				(message: object) => this.#proto.encodeCri(method, message),
				(bytes: Buffer) => this.#proto.decodeCri(method, bytes),
				request,
				{ deadline: Date.now() + PATIENCE_MS },
				(error, answer) => {
					if (error === null && answer !== undefined) resolve(answer);
					else reject(error ?? new Error("no answer"));
				},
			);
		});
	}
}

/** `info.info` of a verbose status: the runtime's own JSON. runtimeSpec may be absent, CRI-O may have no pid. Pure. */
export function parseSandboxInfo(json: string): { readonly pid: number | null; readonly netnsPath: string | null } {
	let info: unknown;
	try {
		info = JSON.parse(json);
	} catch {
		return { pid: null, netnsPath: null };
	}
	const { pid, runtimeSpec } = members(info);
	const network = elements(members(members(runtimeSpec)["linux"])["namespaces"])
		.map(members)
		.find((one) => one["type"] === "network");
	return {
		pid: typeof pid === "number" && Number.isInteger(pid) && pid > 0 ? pid : null,
		netnsPath: text(network?.["path"]),
	};
}

/** None for a pod in the node's own network: what the runtime tells then is the node's. */
function addressesOf(network: CriNetwork | null): readonly string[] {
	if (network === null) return [];
	return [network.ip, ...network.additionalIps.map(({ ip }) => ip)].filter((ip) => text(ip) !== null);
}

function isSocket(path: string): boolean {
	try {
		return statSync(path).isSocket();
	} catch {
		return false;
	}
}

function wordsOf(cause: unknown): string {
	const { details, message } = cause as { details?: string; message?: string };
	return (details || message || String(cause)).slice(0, 120);
}
