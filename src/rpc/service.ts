import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

/*
 * weft.v1.TracerService as grpc-js wants it. Requests and responses stay bytes: each handler decodes what it is for, and
 * batches of sightings, encoded on another thread, are written as they are.
 */

export const SERVICE = "weft.v1.TracerService";

type BytesMethod = MethodDefinition<Buffer, Buffer>;

export const methods = {
	trace: method("Trace", false, true),
	streamSightings: method("StreamSightings", true, true),
	watchFlows: method("WatchFlows", false, true),
	watchLatency: method("WatchLatency", false, true),
	watchDrops: method("WatchDrops", false, true),
	watchTopology: method("WatchTopology", false, true),
	watchDevice: method("WatchDevice", false, true),
	resolveEndpoint: method("ResolveEndpoint", false, false),
	syncClock: method("SyncClock", false, false),
	getStatus: method("GetStatus", false, false),
} as const satisfies ServiceDefinition;

function method(name: string, requestStream: boolean, responseStream: boolean): BytesMethod {
	return {
		path: `/${SERVICE}/${name}`,
		originalName: name,
		requestStream,
		responseStream,
		requestSerialize: identity,
		requestDeserialize: identity,
		responseSerialize: identity,
		responseDeserialize: identity,
	};
}

function identity(bytes: Buffer): Buffer {
	return bytes;
}
