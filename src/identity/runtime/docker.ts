import { statSync } from "node:fs";
import { type ClientRequest, request } from "node:http";
import { bounded, type Claim, type Claims, type Container, elements, members, text, UNCLAIMED } from "../claim.js";
import { onHost } from "../files.js";
import { netnsInode } from "./inode.js";
import type { RuntimeSource } from "./source.js";

const SOCKETS = ["/run/docker.sock", "/var/run/docker.sock"];
const PATIENCE_MS = 2000;
const LARGEST_ANSWER = 32 * 1024 * 1024;
const AT_ONCE = 16;
/** An event stream that ends (the daemon was restarted) is opened again with the next reading. */
const EVENTS = `/events?filters=${encodeURIComponent(JSON.stringify({ type: ["container"], event: ["start", "die", "destroy"] }))}`;

/** Namespace under which plain containers are listed: docker/web. */
export const DOCKER = "docker";

/** Containers by the Docker Engine API: those of docker0 and user bridges, and pods of the Docker era. */
export class DockerSource implements RuntimeSource {
	readonly #hostRoot: string | null;
	readonly #onEvent: () => void;
	/** What inspecting told, by container id and start. */
	readonly #inspected = new Map<string, Inspected>();
	#events: ClientRequest | null = null;

	constructor(hostRoot: string | null, onEvent: () => void) {
		this.#hostRoot = hostRoot;
		this.#onEvent = onEvent;
	}

	async read(): Promise<Claims> {
		const socket = SOCKETS.map((path) => onHost(this.#hostRoot, path)).find(isSocket);
		if (socket === undefined) return { claims: [], warnings: [] };
		try {
			const listed = elements(await get(socket, "/containers/json"), 10_000).map(members);
			await this.#inspect(
				socket,
				listed.flatMap((one) => text(one["Id"]) ?? []),
			);
			this.#listen(socket);
			return {
				claims: claimsOf(
					listed.map((one) => ({ listed: one, inspected: this.#inspected.get(String(one["Id"])) ?? null })),
				),
				warnings: [],
			};
		} catch (cause) {
			const warning = `${socket}: ${(cause as Error).message.slice(0, 120)}; containers are named without it`;
			return { claims: [], warnings: bounded([warning]) };
		}
	}

	close(): void {
		this.#events?.destroy();
		this.#events = null;
	}

	async #inspect(socket: string, ids: readonly string[]): Promise<void> {
		for (const id of this.#inspected.keys()) if (!ids.includes(id)) this.#inspected.delete(id);
		const asked = ids.filter((id) => /^[0-9a-f]{12,64}$/.test(id) && this.#inspected.get(id)?.pid == null);
		for (let i = 0; i < asked.length; i += AT_ONCE) {
			await Promise.all(
				asked.slice(i, i + AT_ONCE).map(async (id) => {
					try {
						this.#inspected.set(id, inspectedOf(await get(socket, `/containers/${id}/json`)));
					} catch {
						// It went between the list and the question.
					}
				}),
			);
		}
	}

	#listen(socket: string): void {
		if (this.#events !== null) return;
		const events = request({ socketPath: socket, path: EVENTS }, (response) => {
			response.on("data", this.#onEvent);
			response.on("error", () => {});
			response.on("close", () => {
				if (this.#events === events) this.#events = null;
			});
		});
		events.on("error", () => {
			if (this.#events === events) this.#events = null;
		});
		// It must not keep the process alive.
		events.on("socket", (connection) => connection.unref());
		events.end();
		this.#events = events;
	}
}

/** The part of an inspection that is needed. */
export interface Inspected {
	readonly pid: number | null;
	readonly netnsPath: string | null;
	readonly addresses: readonly string[];
	/** "default", "host", "none", "container:<id>", or a network's name. */
	readonly networkMode: string;
	readonly startedMs: number | null;
}

export function inspectedOf(answer: unknown): Inspected {
	const { State, NetworkSettings, HostConfig } = members(answer);
	const settings = members(NetworkSettings);
	const networks = Object.values(members(settings["Networks"])).map(members);
	const pid = members(State)["Pid"];
	const started = Date.parse(String(members(State)["StartedAt"]));
	return {
		pid: typeof pid === "number" && Number.isInteger(pid) && pid > 0 ? pid : null,
		netnsPath: text(settings["SandboxKey"]),
		addresses: networks.flatMap((network) => [
			...(text(network["IPAddress"]) === null ? [] : [String(network["IPAddress"])]),
			...(text(network["GlobalIPv6Address"]) === null ? [] : [String(network["GlobalIPv6Address"])]),
		]),
		networkMode: text(members(HostConfig)["NetworkMode"]) ?? "default",
		startedMs: Number.isNaN(started) ? null : started,
	};
}

interface One {
	/** A row of /containers/json. */
	readonly listed: Readonly<Record<string, unknown>>;
	readonly inspected: Inspected | null;
}

/**
 * A claim for each container that has a namespace of its own: a pod's sandbox (by its labels, or its name before there
 * were labels), or a plain container. Those that joined another's namespace are told with it. Pure but for inodes.
 */
export function claimsOf(containers: readonly One[]): readonly Claim[] {
	const joined = new Map<string, Container[]>();
	const owners: One[] = [];
	for (const one of containers) {
		const sandbox = sandboxOf(one);
		if (sandbox === null) owners.push(one);
		else joined.set(sandbox, [...(joined.get(sandbox) ?? []), containerOf(one.listed)]);
	}
	return owners.flatMap(({ listed, inspected }): Claim[] => {
		if (inspected?.networkMode === "host") return [];
		const labels = members(listed["Labels"]);
		const id = text(listed["Id"]);
		const name = nameOf(listed);
		const pod = podOf(labels, name) ?? { namespace: DOCKER, name };
		const others = id === null ? [] : (joined.get(id) ?? []);
		return [
			{
				...UNCLAIMED,
				source: "docker",
				pod,
				uid: text(labels["io.kubernetes.pod.uid"]) ?? /^k8s_POD_[^_]+_[^_]+_([^_]+)_/.exec(name)?.[1] ?? null,
				sandbox: id,
				pid: inspected?.pid ?? null,
				netnsPath: null,
				inode: netnsInode(inspected?.pid ?? null, inspected?.netnsPath ?? null),
				addresses: inspected?.addresses ?? [],
				sinceMs: inspected?.startedMs ?? null,
				containers: pod.namespace === DOCKER ? [containerOf(listed), ...others] : others,
			},
		];
	});
}

/** Whose namespace a container has joined; null: it has its own. */
function sandboxOf({ listed, inspected }: One): string | null {
	const labels = members(listed["Labels"]);
	if (labels["io.kubernetes.docker.type"] === "container") return text(labels["io.kubernetes.sandbox.id"]);
	return /^container:([0-9a-f]+)$/.exec(inspected?.networkMode ?? "")?.[1] ?? null;
}

function podOf(labels: Readonly<Record<string, unknown>>, name: string): { namespace: string; name: string } | null {
	const pod = text(labels["io.kubernetes.pod.name"]);
	const namespace = text(labels["io.kubernetes.pod.namespace"]);
	if (pod !== null && namespace !== null) return { namespace, name: pod };
	const old = /^k8s_POD_([^_]+)_([^_]+)_/.exec(name);
	return old?.[1] === undefined || old[2] === undefined ? null : { namespace: old[2], name: old[1] };
}

function nameOf(listed: Readonly<Record<string, unknown>>): string {
	return text(elements(listed["Names"])[0])?.replace(/^\//, "") ?? text(listed["Id"])?.slice(0, 12) ?? "?";
}

function containerOf(listed: Readonly<Record<string, unknown>>): Container {
	const labels = members(listed["Labels"]);
	return {
		id: text(listed["Id"]) ?? "",
		name: text(labels["io.kubernetes.container.name"]) ?? nameOf(listed),
		image: text(listed["Image"]),
		running: listed["State"] === "running",
	};
}

/** GET over a unix socket: parsed JSON, within 2 s and 32 MiB. */
function get(socketPath: string, path: string): Promise<unknown> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let length = 0;
		const sent = request({ socketPath, path, headers: { Host: "docker" } }, (response) => {
			response.on("data", (chunk: Buffer) => {
				length += chunk.length;
				if (length > LARGEST_ANSWER) sent.destroy(new Error("its answer is longer than 32 MiB"));
				else chunks.push(chunk);
			});
			response.on("error", reject);
			response.on("end", () => {
				clearTimeout(timer);
				if (response.statusCode !== 200) {
					reject(new Error(`answered ${response.statusCode}`));
					return;
				}
				try {
					resolve(JSON.parse(Buffer.concat(chunks).toString("utf8")));
				} catch {
					reject(new Error("its answer is no JSON"));
				}
			});
		});
		// From the first byte to the last: a daemon that trickles is as bad as one that is silent.
		const timer = setTimeout(() => sent.destroy(new Error("did not answer within 2 s")), PATIENCE_MS);
		sent.on("error", (cause) => {
			clearTimeout(timer);
			reject(cause);
		});
		sent.end();
	});
}

function isSocket(path: string): boolean {
	try {
		return statSync(path).isSocket();
	} catch {
		return false;
	}
}
