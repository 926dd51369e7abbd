import { type ClientReadableStream, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** A SegmentDelta, as the shipped .proto says; counts are decimal. */
export interface Delta {
	readonly node: string;
	readonly kind: string;
	readonly from: { readonly node: string } | null;
	readonly to: { readonly node: string } | null;
	readonly count: string;
	readonly bucketCount: readonly string[];
	readonly clockErrorNs: string;
}

interface Message {
	readonly state?: { readonly phase: string };
	readonly delta?: Delta;
}

type Client = new (
	address: string,
	how: object,
) => {
	WatchLatency(request: object): ClientReadableStream<Message>;
	close(): void;
};

/** WatchLatency by a client that shares no code with weft: grpc-js over the shipped .proto. */
export function watchLatency(
	address: string,
	request: object,
): { readonly deltas: Delta[]; readonly ready: Promise<void>; readonly stop: () => void } {
	const definition = loadSync("weft/v1/tracer.proto", {
		includeDirs: ["src/rpc/proto"],
		...{ longs: String, enums: String, defaults: true, oneofs: true },
	});
	const { weft } = loadPackageDefinition(definition) as unknown as {
		weft: { v1: { TracerService: Client } };
	};
	const client = new weft.v1.TracerService(address, credentials.createInsecure());
	const call = client.WatchLatency(request);
	const deltas: Delta[] = [];
	const ready = new Promise<void>((resolve, reject) => {
		call.on("error", reject);
		call.on("data", ({ state, delta }: Message) => {
			if (delta) deltas.push(delta);
			if (state?.phase === "PHASE_READY") resolve();
		});
	});
	return {
		deltas,
		ready,
		stop: () => {
			call.cancel();
			client.close();
		},
	};
}
