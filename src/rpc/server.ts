import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
	type handleUnaryCall,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type ServerUnaryCall,
	type ServerWritableStream,
	type sendUnaryData,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import type { RpcAddress } from "./address.js";
import { answers } from "./answers.js";
import { PROTO_ROOT, SERVICE_FILE } from "./codec.js";
import { type Protection, serverCredentials, unwatchCertificates } from "./credentials.js";
import { serviceErrorOf } from "./refusal.js";
import { methods, SERVICE } from "./service.js";

export type Reply = ServerWritableStream<Buffer, Buffer>;
export type Conversation = ServerDuplexStream<Buffer, Buffer>;

/** Who answers: an agent or a relay. Requests come as bytes; what is thrown becomes the call's status. */
export interface Responder {
	trace(call: Reply): void;
	streamSightings(call: Conversation): void;
	watchFlows(call: Reply): void;
	watchLatency(call: Reply): void;
	watchDrops(call: Reply): void;
	watchTopology(call: Reply): void;
	watchDevice(call: Reply): void;
	resolveEndpoint(request: Buffer): Promise<Buffer>;
	syncClock(request: Buffer): Promise<Buffer>;
	getStatus(request: Buffer): Promise<Buffer>;
}

/** A socket that cannot be served on. The message names the remedy. */
export class ListenError extends Error {
	override readonly name = "ListenError";
}

const OPTIONS = {
	"grpc.max_receive_message_length": 4 << 20,
	"grpc.max_concurrent_streams": 256,
	// A client that vanished without a word is found out.
	"grpc.keepalive_time_ms": 5000,
	"grpc.keepalive_timeout_ms": 5000,
} as const;
const SHUTDOWN_MS = 500;

/** The gRPC server of an agent or relay: TracerService, health, reflection. */
export class RpcServer {
	readonly #server = new Server(OPTIONS);
	readonly #health = new HealthImplementation({ "": "SERVING", [SERVICE]: "SERVING" });
	readonly #sockets: string[] = [];
	readonly #folders: string[] = [];
	#own: Promise<string> | null = null;

	constructor(responder: Responder) {
		this.#server.addService(methods, {
			trace: streaming((call: Reply) => responder.trace(call)),
			streamSightings: streaming((call: Conversation) => responder.streamSightings(call)),
			watchFlows: streaming((call: Reply) => responder.watchFlows(call)),
			watchLatency: streaming((call: Reply) => responder.watchLatency(call)),
			watchDrops: streaming((call: Reply) => responder.watchDrops(call)),
			watchTopology: streaming((call: Reply) => responder.watchTopology(call)),
			watchDevice: streaming((call: Reply) => responder.watchDevice(call)),
			resolveEndpoint: unary((request) => responder.resolveEndpoint(request)),
			syncClock: unary((request) => responder.syncClock(request)),
			getStatus: unary((request) => responder.getStatus(request)),
		});
		this.#health.addToServer(this.#server);
		const definition = loadSync(SERVICE_FILE, { includeDirs: [PROTO_ROOT] });
		new ReflectionService(definition).addToServer(this.#server);
	}

	/** @throws ListenError, CredentialsError */
	async listen(address: RpcAddress, protection: Protection): Promise<void> {
		if (address.kind === "unix") await this.#listenUnix(address.path);
		else
			await this.#bind(
				address.text.startsWith(":") ? `[::]${address.text}` : address.text,
				serverCredentials(address, protection),
			);
	}

	/** A socket of this process's own, for calls to itself. */
	own(): Promise<string> {
		this.#own ??= this.#listenOwn();
		return this.#own;
	}

	async close(): Promise<void> {
		this.#health.setStatus("", "NOT_SERVING");
		unwatchCertificates();
		const graceful = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
		// Streams do not end by themselves.
		await Promise.race([graceful, new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS))]);
		this.#server.forceShutdown();
		for (const path of this.#sockets) rmSync(path, { force: true });
		for (const path of this.#folders) rmSync(path, { force: true, recursive: true });
	}

	async #listenOwn(): Promise<string> {
		const folder = mkdtempSync(join(tmpdir(), "weft-"));
		this.#folders.push(folder);
		const path = join(folder, "own.sock");
		await this.#listenUnix(path);
		return `unix:${path}`;
	}

	async #listenUnix(path: string): Promise<void> {
		mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
		if (await answers(path)) throw new ListenError(`somebody serves ${path} already: stop it, or listen elsewhere`);
		if (isSocket(path)) rmSync(path);
		// From its first moment on nobody else may connect.
		const before = process.umask(0o177);
		try {
			await this.#bind(`unix:${path}`, ServerCredentials.createInsecure());
			chmodSync(path, 0o600);
		} finally {
			process.umask(before);
		}
		this.#sockets.push(path);
	}

	#bind(target: string, credentials: ServerCredentials): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#server.bindAsync(target, credentials, (error) => {
				if (error === null) resolve();
				else reject(new ListenError(`cannot listen on ${target}: ${error.message}`, { cause: error }));
			});
		});
	}
}

function streaming<Call extends Reply | Conversation>(handle: (call: Call) => void): (call: Call) => void {
	return (call) => {
		// Without a listener, a client that goes away would end the process.
		call.on("error", () => undefined);
		try {
			handle(call);
		} catch (cause) {
			call.emit("error", serviceErrorOf(cause));
		}
	};
}

function unary(handle: (request: Buffer) => Promise<Buffer>): handleUnaryCall<Buffer, Buffer> {
	return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
		Promise.resolve()
			.then(() => handle(call.request))
			.then(
				(answer) => callback(null, answer),
				(cause: unknown) => callback(serviceErrorOf(cause)),
			);
	};
}

function isSocket(path: string): boolean {
	try {
		return statSync(path).isSocket();
	} catch {
		return false;
	}
}
