import {
	Client,
	type ClientDuplexStream,
	type ClientOptions,
	type ClientReadableStream,
	connectivityState,
	Metadata,
	type ServiceError,
} from "@grpc/grpc-js";
import { parseAddress, type RpcAddress } from "../address.js";
import { decode, encode } from "../codec.js";
import { CredentialsError, clientCredentials, type Protection } from "../credentials.js";
import type { MessageName, MessageTypes } from "../messages.js";
import { methods } from "../service.js";

/** Beyond it http2 waits for the reader: 1 GB/s needs some MB (facts: gRPC). */
const WINDOW = 4 << 20;
/** A snapshot of a busy node has some hundred KB. */
const MOST_MESSAGE = 32 << 20;
const UNARY_MS = 3000;

const OPTIONS: ClientOptions = {
	"grpc-node.flow_control_window": WINDOW,
	"grpc.max_receive_message_length": MOST_MESSAGE,
	"grpc.keepalive_time_ms": 5000,
	"grpc.keepalive_timeout_ms": 5000,
	"grpc.initial_reconnect_backoff_ms": 100,
	"grpc.max_reconnect_backoff_ms": 2000,
	// A connection of its own, that closes with it: so an agent knows at once who has gone.
	"grpc.use_local_subchannel_pool": 1,
	"grpc.enable_retries": 0,
};

/** A connection to an agent or relay. */
export class Channel {
	readonly address: RpcAddress;
	readonly #client: Client;

	/** @throws CredentialsError when the address is none, or may not be called like that */
	constructor(text: string, protection: Protection) {
		const address = parseAddress(text);
		if (address === null) {
			throw new CredentialsError(`${JSON.stringify(text)} is no address`, "say unix:/path/to/socket or host:port");
		}
		this.address = address;
		const target = address.kind === "unix" ? text : `dns:${text}`;
		this.#client = new Client(target, clientCredentials(address, protection), OPTIONS);
	}

	get isConnected(): boolean {
		return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
	}

	getStatus(): Promise<MessageTypes["GetStatusResponse"]> {
		return this.#unary("getStatus", "GetStatusRequest", {}, "GetStatusResponse");
	}

	syncClock(request: MessageTypes["SyncClockRequest"]): Promise<MessageTypes["SyncClockResponse"]> {
		return this.#unary("syncClock", "SyncClockRequest", request, "SyncClockResponse");
	}

	resolveEndpoint(request: MessageTypes["ResolveEndpointRequest"]): Promise<MessageTypes["ResolveEndpointResponse"]> {
		return this.#unary("resolveEndpoint", "ResolveEndpointRequest", request, "ResolveEndpointResponse");
	}

	watchTopology(request: MessageTypes["WatchTopologyRequest"]): ClientReadableStream<Buffer> {
		return this.#stream("watchTopology", encode("WatchTopologyRequest", request));
	}

	/** Write requests as bytes; responses come as bytes. */
	streamSightings(): ClientDuplexStream<Buffer, Buffer> {
		const { path, requestSerialize, responseDeserialize } = methods.streamSightings;
		return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), {});
	}

	stream(
		method: "trace" | "watchFlows" | "watchDrops" | "watchLatency" | "watchDevice",
		request: Buffer,
	): ClientReadableStream<Buffer> {
		return this.#stream(method, request);
	}

	close(): void {
		this.#client.close();
	}

	#stream(method: keyof typeof methods, request: Buffer): ClientReadableStream<Buffer> {
		const { path, requestSerialize, responseDeserialize } = methods[method];
		return this.#client.makeServerStreamRequest(
			path,
			requestSerialize,
			responseDeserialize,
			request,
			new Metadata(),
			{},
		);
	}

	#unary<Request extends MessageName, Response extends MessageName>(
		method: keyof typeof methods,
		requestName: Request,
		request: MessageTypes[Request],
		responseName: Response,
	): Promise<MessageTypes[Response]> {
		const { path, requestSerialize, responseDeserialize } = methods[method];
		const deadline = Date.now() + UNARY_MS;
		return new Promise((resolve, reject) => {
			this.#client.makeUnaryRequest(
				path,
				requestSerialize,
				responseDeserialize,
				encode(requestName, request),
				new Metadata(),
				{ deadline },
				(error: ServiceError | null, bytes?: Buffer) => {
					if (error !== null) reject(new RpcError(this.address.text, error));
					else resolve(decode(responseName, bytes ?? Buffer.alloc(0)));
				},
			);
		});
	}
}

/** An agent or relay that refused, or could not be reached. */
export class RpcError extends Error {
	override readonly name = "RpcError";
	readonly code: number;

	constructor(address: string, cause: Pick<ServiceError, "code" | "details"> & { readonly message?: string }) {
		super(`${address}: ${cause.details || cause.message}`, { cause });
		this.code = cause.code;
	}
}
