import type { Naming } from "../collector/naming.js";
import { TcpFlag } from "../packet/sightings.js";
import type { Outer, Tuple } from "../packet/tuple.js";
import { flagLetters } from "../path/materialise.js";
import type { Hop, PacketSummary } from "../path/path.js";
import type { JoinedPath, PathView } from "../path/path-view.js";
import { encode } from "./codec.js";
import { HOP_SEEN, PACKET, PATH, TRACE } from "./field-numbers.js";
import { EVIDENCE, hopMessage, pathMessage, VERDICTS } from "./path-message.js";
import { WireReader, WireWriter } from "./wire.js";

export interface PathEncoderOptions {
	/** As Naming's. */
	readonly wallClockBase: bigint;
	readonly naming: Naming;
	/** When answers of `naming` change, ms since 1970, sorted: see turningPoints. */
	readonly turningPoints: readonly number[];
}

/**
 * A path of the Joiner → TraceResponse, the same as pathMessage(naming.path(path)) by protobufjs at a tenth of its cost:
 * what is the same for many paths (devices, faces, tunnels, the names of both ends) is encoded once. Paths that ended
 * before their time, which are few, take the long way. When names or wirings change, make a new one.
 */
export class PathEncoder {
	readonly #options: PathEncoderOptions;
	readonly #idPrefix: string;
	readonly #baseMs: number;
	readonly #baseRestNs: number;
	readonly #baseLow: number;
	readonly #baseHigh: number;
	/** Of the call. */
	#writer = new WireWriter();
	/** By their first tuple: paths that begin alike mostly end alike. A tuple's object lives as long as its id means it. */
	readonly #ends = new WeakMap<Tuple, Ends>();
	readonly #faces = new WeakMap<Tuple, Uint8Array>();
	/** By hook. */
	readonly #places: Place[] = [];
	/** Of the latest path. */
	#epoch = 0;

	constructor(options: PathEncoderOptions) {
		this.#options = options;
		const { wallClockBase: base } = options;
		this.#idPrefix = `${base.toString(36)}-`;
		this.#baseMs = Number(base / 1_000_000n);
		this.#baseRestNs = Number(base % 1_000_000n);
		this.#baseLow = Number(BigInt.asUintN(32, base));
		this.#baseHigh = Number(BigInt.asUintN(32, base >> 32n));
	}

	/** Appends the message to what `writer` holds. */
	encode(path: PathView, writer: WireWriter): void {
		if (path.isBlamed || path.hopCount === 0) {
			this.encodeJoined(path.toPath(), writer);
			return;
		}
		this.#writer = writer;
		const start = writer.begin(TRACE.paths);
		writer.string(PATH.id, this.#idPrefix + path.serial.toString(36));
		writer.uint32(PATH.revision, path.revision);
		const ends = this.#endsOf(path);
		writer.raw(ends.encoded);
		this.#packet(path, ends);
		for (let n = 0; n < path.hopCount; n++) this.#hop(path, n);
		writer.uint32(PATH.verdict, VERDICTS.indexOf(path.verdict) + 1);
		writer.uint32(PATH.evidence, EVIDENCE.indexOf(path.evidence) + 1);
		writer.sint53(PATH.latencyNs, Math.round(path.latencyNs));
		writer.uint53(PATH.clockErrorNs, Math.round(path.clockErrorNs));
		writer.end(start);
	}

	/** The same for one that was kept, which takes longer. */
	encodeJoined(path: JoinedPath, writer: WireWriter): void {
		writer.raw(encode("TraceResponse", { paths: [pathMessage(this.#options.naming.path(path))] }));
	}

	#endsOf(path: PathView): Ends {
		const last = path.hopCount - 1;
		const [firstHook, lastHook, firstTuple, lastTuple] = [path.hook(0), path.hook(last), path.face(0), path.face(last)];
		const epoch = this.#epochOf(path.first(0));
		const known = this.#ends.get(firstTuple);
		const isAlike = known?.firstHook === firstHook && known.lastHook === lastHook && known.lastTuple === lastTuple;
		if (known !== undefined && isAlike && known.epoch === epoch) return known;
		const named = this.#options.naming.path(path.toPath());
		const { protocol, source, destination, service } = pathMessage(named);
		const { ipId, seq, flags, icmp } = named.packet;
		const ends: Ends = {
			...{ epoch, firstHook, lastHook, lastTuple },
			encoded: within(encode("TraceResponse", { paths: [{ protocol, source, destination, service }] }), 1),
			...{ hasIpId: ipId !== null, hasSequence: seq !== null, isTcp: flags !== null, icmp: icmp ?? null },
		};
		this.#ends.set(firstTuple, ends);
		return ends;
	}

	/** How many turning points of the names a path was after. */
	#epochOf(first: number): number {
		const { turningPoints: points } = this.#options;
		// As Naming has it: whole ms.
		const atMs = this.#baseMs + Math.floor((this.#baseRestNs + Math.round(first)) / 1e6);
		const [low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY] = [
			points[this.#epoch - 1],
			points[this.#epoch],
		];
		if (atMs >= low && atMs < high) return this.#epoch;
		const next = points.findIndex((point) => point > atMs);
		this.#epoch = next === -1 ? points.length : next;
		return this.#epoch;
	}

	#packet(path: PathView, { hasIpId, hasSequence, isTcp, icmp }: Ends): void {
		const writer = this.#writer;
		const start = writer.begin(PATH.packet);
		if (hasIpId) writer.present(PACKET.ipId, path.ipId);
		if (hasSequence) writer.present(PACKET.seq, path.sequence);
		if (isTcp) {
			if ((path.tcpFlags & TcpFlag.ack) !== 0) writer.present(PACKET.ack, path.acknowledgement);
			writer.string(PACKET.flags, flagLetters(path.tcpFlags));
		}
		writer.uint32(PACKET.length, path.length);
		writer.uint32(PACKET.payload, path.payload);
		if (icmp !== null) {
			writer.present(PACKET.icmpType, icmp.type);
			writer.present(PACKET.icmpCode, icmp.code);
		}
		writer.end(start);
	}

	#hop(path: PathView, n: number): void {
		const writer = this.#writer;
		const place = this.#placeOf(path, n);
		const tunnel = path.tunnel(n);
		const first = path.first(n);
		const start = writer.begin(PATH.hops);
		writer.raw(place.encoded);
		this.#time(HOP_SEEN.firstNs, first);
		this.#time(HOP_SEEN.lastNs, path.last(n));
		writer.sint53(HOP_SEEN.sincePreviousNs, n === 0 ? 0 : Math.round(first - path.first(n - 1)));
		writer.uint32(HOP_SEEN.packets, path.packets(n));
		writer.uint53(HOP_SEEN.bytes, path.bytes(n));
		writer.raw(this.#facesOf(path, n));
		if (tunnel !== null) writer.raw(this.#outerOf(path, n, tunnel, place));
		writer.uint32(HOP_SEEN.branch, path.branch(n));
		writer.end(start);
	}

	/** ns on the Joiner's line → since 1970, in two words: a BigInt for each would cost more than all else. */
	#time(field: number, ns: number): void {
		const rounded = Math.round(ns);
		const high = Math.floor(rounded / 2 ** 32);
		const low = rounded - high * 2 ** 32 + this.#baseLow;
		this.#writer.fixed64Words(field, low >>> 0, (this.#baseHigh + high + (low >= 2 ** 32 ? 1 : 0)) >>> 0);
	}

	#placeOf(path: PathView, n: number): Place {
		const hook = path.hook(n);
		const known = this.#places[hook];
		if (known !== undefined) return known;
		const { node, device, ifindex, direction, role } = this.#message(path, n);
		const place: Place = { encoded: hopFields({ node, device, ifindex, direction, role }), outers: new WeakMap() };
		this.#places[hook] = place;
		return place;
	}

	#facesOf(path: PathView, n: number): Uint8Array {
		const face = path.face(n);
		const known = this.#faces.get(face);
		if (known !== undefined) return known;
		const { source, destination } = this.#message(path, n);
		const encoded = hopFields({ source, destination });
		this.#faces.set(face, encoded);
		return encoded;
	}

	#outerOf(path: PathView, n: number, tunnel: Outer, place: Place): Uint8Array {
		const known = place.outers.get(tunnel);
		if (known !== undefined) return known;
		const encoded = hopFields({ outer: this.#message(path, n).outer });
		place.outers.set(tunnel, encoded);
		return encoded;
	}

	#message(path: PathView, n: number): ReturnType<typeof hopMessage> {
		return hopMessage(this.#options.naming.path(path.toPath()).hops[n] as Hop);
	}
}

/** What paths between the same ends have in common. */
interface Ends {
	readonly epoch: number;
	readonly firstHook: number;
	readonly lastHook: number;
	readonly lastTuple: Tuple;
	/** Protocol, both ends and the service. */
	readonly encoded: Uint8Array;
	readonly hasIpId: boolean;
	readonly hasSequence: boolean;
	readonly isTcp: boolean;
	readonly icmp: NonNullable<PacketSummary["icmp"]> | null;
}

/** What hops at one hook have in common. */
interface Place {
	readonly encoded: Uint8Array;
	readonly outers: WeakMap<Outer, Uint8Array>;
}

/** Some fields of a hop, by protobufjs. */
function hopFields(fields: object): Uint8Array {
	return within(encode("TraceResponse", { paths: [{ hops: [fields] }] }), 2);
}

/** The content of the only field, so many levels deep. */
function within(bytes: Uint8Array, levels: number): Uint8Array {
	let reader = new WireReader(bytes);
	for (let level = 0; level < levels; level++) {
		if (!reader.next()) throw new RangeError("nothing was encoded");
		reader = reader.nested();
	}
	return bytes.slice(reader.at, reader.end);
}
