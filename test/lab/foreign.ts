import { credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";

/* Clients that share no code with weft: grpc-js over the shipped .proto, or over what the server itself tells of it. */

// biome-ignore lint/suspicious/noExplicitAny: a foreign client has no types of ours
export type Any = any;

/** As `protoc` for another language would do it. */
export const LOADING = { longs: String, enums: String, defaults: true, oneofs: true } as const;

/** A connection of its own: what one of them leaves unread does not stop another. */
export function foreign(address: string): Any {
	const definition = loadSync("weft/v1/tracer.proto", { includeDirs: ["src/rpc/proto"], ...LOADING });
	const { weft } = loadPackageDefinition(definition) as Any;
	return new weft.v1.TracerService(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
}

/** Asks the server what it serves (grpc.reflection.v1), and speaks that. */
export async function byReflection(address: string): Promise<Any> {
	const reflection = loadSync("reflection.proto", {
		includeDirs: ["node_modules/@grpc/reflection/build/proto/grpc/reflection/v1"],
	});
	const { grpc } = loadPackageDefinition(reflection) as Any;
	const asking = new grpc.reflection.v1.ServerReflection(address, credentials.createInsecure());
	const call = asking.ServerReflectionInfo();
	call.write({ fileContainingSymbol: "weft.v1.TracerService" });
	const [answer] = await listen(call, (all) => all.length > 0);
	asking.close();
	const files: Buffer[] = answer.fileDescriptorResponse.fileDescriptorProto;
	// A FileDescriptorSet is its files as field 1.
	const set = Buffer.concat(files.flatMap((file) => [Buffer.from([0x0a]), varint(file.length), file]));
	const { weft } = loadPackageDefinition(loadFileDescriptorSetFromBuffer(set, LOADING)) as Any;
	return new weft.v1.TracerService(address, credentials.createInsecure());
}

function varint(value: number): Buffer {
	const bytes: number[] = [];
	for (let n = value; ; n >>>= 7) {
		bytes.push(n > 127 ? (n & 127) | 128 : n);
		if (n < 128) return Buffer.from(bytes);
	}
}

export function ask(client: Any, method: string, request: object): Promise<Any> {
	return new Promise((resolve, reject) => {
		client[method](request, { deadline: Date.now() + 5000 }, (error: ServiceError | null, answer: Any) =>
			error === null ? resolve(answer) : reject(error),
		);
	});
}

/** Messages of a stream until `enough`. */
export function listen(call: Any, enough: (messages: Any[]) => boolean, patienceMs = 30_000): Promise<Any[]> {
	return new Promise((resolve, reject) => {
		const messages: Any[] = [];
		const timer = setTimeout(() => {
			call.cancel();
			const told = messages.map((message) => message.message);
			reject(new Error(`not enough within ${patienceMs} ms: ${JSON.stringify(told)}`));
		}, patienceMs);
		const done = (how: () => void) => {
			clearTimeout(timer);
			how();
		};
		call.on("data", (message: Any) => {
			messages.push(message);
			if (!enough(messages)) return;
			done(() => resolve(messages));
			call.cancel();
		});
		call.on("error", (error: ServiceError) => done(() => reject(error)));
		call.on("end", () => done(() => resolve(messages)));
	});
}

/** A foreign ledger: in = out + what was lost. Gives what was lost. */
export function lostOf({ in: received, out, lost, stage }: Any): number {
	const sum = lost.reduce((total: number, { count }: Any) => total + Number(count), 0);
	if (Number(received) !== Number(out) + sum) {
		throw new Error(`stage ${stage} does not balance: ${received} = ${out} + ${sum}`);
	}
	return sum;
}
