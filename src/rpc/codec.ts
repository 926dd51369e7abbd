import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import type { Count, MessageName, MessageTypes, Word64 } from "./messages.js";

/*
 * The bytes of the messages of weft.v1. The .proto files are the source; they are read when the first message is met.
 * Batches of sightings, which are many, have a codec of their own (batch-encoder.ts).
 */

/** The folder in which the package's .proto files lie; compiled, this file is dist/src/rpc/codec.js. */
export const PROTO_ROOT = fileURLToPath(new URL("../../../src/rpc/proto/", import.meta.url));
export const SERVICE_FILE = "weft/v1/tracer.proto";

/** The bytes of a message. What is left out has its default. */
export function encode<Name extends MessageName>(name: Name, message: Partial<MessageTypes[Name]>): Buffer {
	const bytes = typeOf(name).encode(message).finish();
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @throws DecodeError when the bytes are no such message */
export function decode<Name extends MessageName>(name: Name, bytes: Uint8Array): MessageTypes[Name] {
	try {
		return typeOf(name).decode(bytes) as unknown as MessageTypes[Name];
	} catch (cause) {
		throw new DecodeError(name, cause);
	}
}

/** Bytes that are not the message they should be. */
export class DecodeError extends Error {
	override readonly name = "DecodeError";

	constructor(message: string, cause: unknown) {
		super(`these bytes are no weft.v1.${message}: ${cause instanceof Error ? cause.message : String(cause)}`, {
			cause,
		});
	}
}

export function word64(value: bigint): Word64 {
	return {
		low: Number(BigInt.asIntN(32, value)),
		high: Number(BigInt.asIntN(32, value >> 32n)),
		unsigned: value >= 0n,
	};
}

export function bigOf({ low, high, unsigned }: Word64): bigint {
	const bits = (BigInt(high) << 32n) | BigInt(low >>> 0);
	return unsigned ? BigInt.asUintN(64, bits) : BigInt.asIntN(64, bits);
}

/** Exact up to 2⁵³. */
export function numberOf(count: Count): number {
	if (typeof count === "number") return count;
	const high = count.unsigned ? count.high >>> 0 : count.high;
	return high * 2 ** 32 + (count.low >>> 0);
}

const types = new Map<string, protobuf.Type>();
let root: protobuf.Root | null = null;

function typeOf(name: MessageName): protobuf.Type {
	const known = types.get(name);
	if (known !== undefined) return known;
	const type = rootOfAll().lookupType(`weft.v1.${name}`);
	types.set(name, type);
	return type;
}

function rootOfAll(): protobuf.Root {
	if (root !== null) return root;
	root = new protobuf.Root();
	root.resolvePath = (_origin, target) => PROTO_ROOT + target;
	root.loadSync(SERVICE_FILE).resolveAll();
	return root;
}
