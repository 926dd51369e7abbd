import type { Naming } from "../collector/naming.js";
import { TcpFlag } from "../packet/sightings.js";
import type { Outer, Tuple } from "../packet/tuple.js";
import { flagLetters } from "../path/materialise.js";
import type { Hop, PacketSummary } from "../path/path.js";
import type { JoinedHop, JoinedPath } from "../path/path-view.js";
import { HOP_SEEN, PACKET, PATH, TRACE } from "./field-numbers.js";
import { encode } from "./messages.js";
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
 * JoinedPath → TraceResponse, the same as pathMessage(naming.path(path)) by protobufjs at a tenth of its cost: what is
 * the same for many paths (devices, faces, tunnels, the names of both ends) is encoded once. Paths that ended before
 * their time, which are few, take the long way. When names or wirings change, make a new one.
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
	encode(path: JoinedPath, writer: WireWriter): void {
		const first = path.hops[0];
		const last = path.hops[path.hops.length - 1];
		if (path.blame !== null || first === undefined || last === undefined) {
			writer.raw(encode("TraceResponse", { paths: [pathMessage(this.#options.naming.path(path))] }));
			return;
		}
		this.#writer = writer;
		const start = writer.begin(TRACE.paths);
		writer.string(PATH.id, this.#idPrefix + path.serial.toString(36));
		writer.uint32(PATH.revision, path.revision);
		const ends = this.#endsOf(path, first, last);
		writer.raw(ends.encoded);
		this.#packet(path, ends);
		for (let n = 0; n < path.hops.length; n++) {
			this.#hop(path, path.hops[n] as JoinedHop, path.hops[Math.max(0, n - 1)] as JoinedHop);
		}
		writer.uint32(PATH.verdict, VERDICTS.indexOf(path.verdict) + 1);
		writer.uint32(PATH.evidence, EVIDENCE.indexOf(path.evidence) + 1);
		writer.sint53(PATH.latencyNs, Math.round(path.latencyNs));
		writer.uint53(PATH.clockErrorNs, Math.round(path.clockErrorNs));
		writer.end(start);
	}

	#endsOf(path: JoinedPath, first: JoinedHop, last: JoinedHop): Ends {
		const epoch = this.#epochOf(first);
		const known = this.#ends.get(first.tuple);
		const isAlike = known?.firstHook === first.hook && known.lastHook === last.hook && known.lastTuple === last.tuple;
		if (known !== undefined && isAlike && known.epoch === epoch) return known;
		const named = this.#options.naming.path(path);
		const { protocol, source, destination, service } = pathMessage(named);
		const { ipId, seq, flags, icmp } = named.packet;
		const ends: Ends = {
			...{ epoch, firstHook: first.hook, lastHook: last.hook, lastTuple: last.tuple },
			encoded: within(encode("TraceResponse", { paths: [{ protocol, source, destination, service }] }), 1),
			...{ hasIpId: ipId !== null, hasSequence: seq !== null, isTcp: flags !== null, icmp: icmp ?? null },
		};
		this.#ends.set(first.tuple, ends);
		return ends;
	}

	/** How many turning points of the names a path was after. */
	#epochOf({ first }: JoinedHop): number {
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

	#packet(path: JoinedPath, { hasIpId, hasSequence, isTcp, icmp }: Ends): void {
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

	#hop(path: JoinedPath, hop: JoinedHop, previous: JoinedHop): void {
		const writer = this.#writer;
		const place = this.#placeOf(path, hop);
		const start = writer.begin(PATH.hops);
		writer.raw(place.encoded);
		this.#time(HOP_SEEN.firstNs, hop.first);
		this.#time(HOP_SEEN.lastNs, hop.last);
		writer.sint53(HOP_SEEN.sincePreviousNs, Math.round(hop.first - previous.first));
		writer.uint32(HOP_SEEN.packets, hop.packets);
		writer.uint53(HOP_SEEN.bytes, hop.bytes);
		writer.raw(this.#facesOf(path, hop));
		if (hop.outer !== null) writer.raw(this.#outerOf(path, hop, hop.outer, place));
		writer.uint32(HOP_SEEN.branch, hop.branch);
		writer.end(start);
	}

	/** ns on the Joiner's line → since 1970, in two words: a BigInt for each would cost more than all else. */
	#time(field: number, ns: number): void {
		const rounded = Math.round(ns);
		const high = Math.floor(rounded / 2 ** 32);
		const low = rounded - high * 2 ** 32 + this.#baseLow;
		this.#writer.fixed64Words(field, low >>> 0, (this.#baseHigh + high + (low >= 2 ** 32 ? 1 : 0)) >>> 0);
	}

	#placeOf(path: JoinedPath, hop: JoinedHop): Place {
		const known = this.#places[hop.hook];
		if (known !== undefined) return known;
		const { node, device, ifindex, direction, role } = this.#message(path, hop);
		const place: Place = { encoded: hopFields({ node, device, ifindex, direction, role }), outers: new WeakMap() };
		this.#places[hop.hook] = place;
		return place;
	}

	#facesOf(path: JoinedPath, hop: JoinedHop): Uint8Array {
		const known = this.#faces.get(hop.tuple);
		if (known !== undefined) return known;
		const { source, destination } = this.#message(path, hop);
		const encoded = hopFields({ source, destination });
		this.#faces.set(hop.tuple, encoded);
		return encoded;
	}

	#outerOf(path: JoinedPath, hop: JoinedHop, outer: Outer, place: Place): Uint8Array {
		const known = place.outers.get(outer);
		if (known !== undefined) return known;
		const encoded = hopFields({ outer: this.#message(path, hop).outer });
		place.outers.set(outer, encoded);
		return encoded;
	}

	#message(path: JoinedPath, hop: JoinedHop): ReturnType<typeof hopMessage> {
		return hopMessage(this.#options.naming.path(path).hops[path.hops.indexOf(hop)] as Hop);
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
