/**
 * The whole surface of the addon, declared once; nothing else touches the binary. Mechanism only: it knows no pod
 * and no flow. Every method may throw a NativeError; file descriptors are owned by the handle that returned them and
 * closed with it (idempotent), or when it is collected, or when the environment ends.
 */

/** What the addon throws: the operation that failed and errno, as `code` "EPERM" and so on. */
export interface NativeError extends Error {
	readonly operation: string;
	readonly code: string;
	readonly errno: number;
	/** The verifier's or libbpf's last lines, where there are any. */
	readonly detail: string;
}

export interface Closeable {
	close(): void;
}

/** A loaded object: `bpf_object__open_mem`, knobs, load. Not loaded until `load()`. */
export interface BpfObject extends Closeable {
	/** Writes bytes of the .rodata map before load, at an offset from LAYOUT. */
	setRodata(offset: number, bytes: Uint8Array): void;
	/** Before load: share a map with another object. */
	reuseMap(name: string, map: BpfMap): void;
	setMaxEntries(name: string, entries: number): void;
	/** Before load: which programs to load; all by default. */
	setAutoload(program: string, load: boolean): void;
	load(): void;
	/** The same on another thread; several objects verify at once. The object answers EBUSY meanwhile. */
	loadInBackground(): Promise<void>;
	/** Of the maps that the C source declares; not .rodata and its like. */
	mapNames(): readonly string[];
	/** The handle keeps its own descriptor: it outlives the object. */
	map(name: string): BpfMap;
	program(name: string): BpfProgram;
}

export interface BpfMap extends Closeable {
	readonly name: string;
	readonly keySize: number;
	/** Of one value; a per-CPU map's look-up returns cpus × (valueSize rounded up to 8). */
	readonly valueSize: number;
	readonly maxEntries: number;
	lookup(key: Uint8Array): Uint8Array | null;
	update(key: Uint8Array, value: Uint8Array): void;
	delete(key: Uint8Array): boolean;
	/** All keys, concatenated; a moving target is tolerated. */
	keys(): Uint8Array;
	/** A map-in-map's slot. */
	updateInner(key: Uint8Array, inner: BpfMap): void;
}

export interface BpfProgram extends Closeable {
	readonly name: string;
	/** Kernel id of the program. */
	readonly id: number;
	/** How often it was skipped because it would have interrupted itself (recursion_misses); tracepoints only. */
	missed(): number;
	/** BPF_PROG_TEST_RUN. `ifindex`, `gsoSize` and so on go through `context`, a raw struct __sk_buff. */
	testRun(packet: Uint8Array, options?: { repeat?: number; context?: Uint8Array }): TestRun;
}

export interface TestRun {
	/** Signed: TCX_NEXT is −1. */
	readonly returned: number;
	/** Of one run, in ns, as the kernel measured. */
	readonly durationNs: number;
	readonly packet: Uint8Array;
}

/** An attached hook: gone when closed or when the process dies (TCX), see `cleanup` for clsact. */
export interface Link extends Closeable {
	/** BPF_LINK_UPDATE (TCX) or replace (clsact): microseconds, no gap. */
	update(program: BpfProgram): void;
}

export interface ClsactLink extends Link {
	/** At how many priorities foreign filters run before this one: each may end a packet's way unseen. */
	readonly behind: number;
}

export interface TcAttach {
	readonly program: BpfProgram;
	readonly ifindex: number;
	readonly egress: boolean;
	/** In which namespace `ifindex` is meant. */
	readonly netns: Netns;
}

/** A network namespace held open by a descriptor; it lives on, with its devices, until this is closed. */
export interface Netns extends Closeable {
	/** SO_NETNS_COOKIE, decimal; `device:inode` on kernels before 5.14, which have no cookies. */
	readonly cookie: string;
	readonly hasCookie: boolean;
	readonly inode: number;
	readonly device: number;
	/** A small file (up to 4 KiB) that shows the namespace of whoever reads it: /proc/sys/net and the like. */
	readFile(path: string): string;
}

/** A route netlink socket inside a namespace. Messages are raw struct nlmsghdr, as the kernel sent them. */
export interface Netlink extends Closeable {
	/**
	 * Sends one request (a whole nlmsghdr; sequence, NLM_F_REQUEST and NLM_F_ACK are filled in) and returns all
	 * messages of its answer without NLMSG_DONE; interrupted dumps are repeated; NLMSG_ERROR is thrown, the kernel's
	 * extended acknowledgement in `detail`.
	 */
	request(message: Uint8Array): Uint8Array;
}

/**
 * Multicast events: calls back with raw messages until closed. An overrun calls with null: dump again. nsid −1: from the
 * monitor's own namespace. Keeps the event loop alive.
 */
export interface NetlinkMonitor extends Closeable {}

export interface RingOptions {
	/**
	 * `records`: the rings of bpf/ring.h, for programs that nothing interrupts on their CPU, as in tc. `ringbuf`:
	 * BPF_MAP_TYPE_RINGBUF, for those that may be interrupted by themselves, as on a tracepoint.
	 */
	readonly kind: "ringbuf" | "records";
	/** One ring per CPU; bytes, a power of two. */
	readonly bytesPerRing: number;
	readonly recordSize: number;
	/** Records a batch at the most. */
	readonly batchRecords: number;
	/** Batches that may be out at once: the native thread waits for `release` beyond it. */
	readonly credits: number;
	/** A batch that is not full goes after this many ms; an empty one too, as a watermark. */
	readonly intervalMs: number;
	/** How fast one CPU's programs write at the most: the rings are looked at as often as that asks for. Default 2 M. */
	readonly recordsPerSecond?: number;
}

/** Records of all rings merged by time, whole up to `watermarkNs`. */
export interface RawBatch {
	/** Give it back with `release`; the addon's memory, no copy: not transferable, and the same object comes again. */
	readonly buffer: ArrayBuffer;
	readonly records: number;
	/** CLOCK_MONOTONIC, ns: every record older than this has been given. */
	readonly watermarkNs: bigint;
	/** Records taken out of the rings since the start, this batch included. */
	readonly drained: bigint;
}

export interface Rings extends Closeable {
	/**
	 * Put them into an object with reuseMap, by their names. `ringbuf`: "rings", an ARRAY_OF_MAPS of ring buffers, index
	 * = CPU. `records`: "rings", an ARRAY of struct weft_ring, index = CPU, and "records", the ARRAY of all their records.
	 */
	readonly maps: readonly BpfMap[];
	/** Starts the native thread that drains into batches; one consumer at a time. */
	drain(onBatch: (batch: RawBatch) => void): void;
	release(batch: RawBatch): void;
	/** Delivers everything that was committed before the call, then a last batch, then stops the thread. */
	stop(): Promise<void>;
}

/** A struct of the object's BTF: offsets and sizes in bytes; members of nested structs as `outer.inner`. */
export interface StructLayout {
	readonly size: number;
	readonly members: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

export interface Native {
	/** bpf_object__open_mem; nothing reaches the kernel yet. */
	openObject(elf: Uint8Array): BpfObject;
	createRings(options: RingOptions): Rings;
	/** TCX, before all others (BPF_F_BEFORE), on another thread: the kernel takes 12 ms. ENOTSUP or EINVAL where the kernel has no TCX. */
	attachTcx(attach: TcAttach): Promise<Link>;
	/** The same for many, one after the other on one other thread; each its link, or why there is none. */
	attachTcxAll(attaches: readonly TcAttach[]): Promise<readonly (Link | NativeError)[]>;
	/**
	 * A clsact filter, first of all where others leave room for that, its owner's mark in its name; the qdisc is made
	 * only where none is, and removed again only then, and when nobody else's filter is on it. A watchdog process
	 * removes what is left when this one is killed.
	 */
	attachClsact(attach: TcAttach): ClsactLink;
	/** A program of SEC "tp_btf/…" on its tracepoint: for the whole machine. */
	attachTracing(program: BpfProgram): Closeable;
	/** Removes filters whose owner is dead from the devices of a namespace; how many. Those of the living stay. */
	removeStaleClsact(netns: Netns): number;
	/** `/proc/1/ns/net`, `/run/netns/x`; null: the caller's own. */
	openNetns(path: string | null): Netns;
	openNetlink(netns: Netns, protocol?: number): Netlink;
	/** rtnetlink multicast groups (RTNLGRP_*); `allNamespaces`: NETLINK_LISTEN_ALL_NSID, then nsid is given. */
	monitorNetlink(
		netns: Netns,
		groups: readonly number[],
		allNamespaces: boolean,
		onMessages: (messages: Uint8Array | null, nsid: number) => void,
	): NetlinkMonitor;
	/** The structs of an object's BTF, by name. */
	btfLayouts(elf: Uint8Array): Readonly<Record<string, StructLayout>>;
	/** The named enums of an object's BTF: name → value name → value. */
	btfEnums(elf: Uint8Array): Readonly<Record<string, Readonly<Record<string, number>>>>;
	/** Values of an enum of the running kernel, from its BTF; null: it has none of that name. */
	kernelEnum(name: string): Readonly<Record<string, number>> | null;
	/** Resolved when every program that ran at the time of the call has ended (an RCU grace period, 10 to 20 ms). */
	synchronizePrograms(): Promise<void>;
	/** CLOCK_MONOTONIC and CLOCK_REALTIME read together, ns; the bracket's width is their error. */
	clocks(): { readonly monotonicNs: bigint; readonly realtimeNs: bigint; readonly errorNs: number };
	/**
	 * Copies members of records into columns: of `records` the records [first, first + count), to the rows from `row` on.
	 * A compiler makes of each copy two instructions, V8 seventeen.
	 * @param moves three words each: where the member is in a record, its size (1, 2, 4, or 8: a time), and where its
	 *   column begins in `columns`, all in bytes. Times become doubles, ns since the base.
	 * @throws RangeError when anything lies outside of its buffer: nothing was written then
	 */
	transpose(
		records: ArrayBuffer,
		recordSize: number,
		first: number,
		count: number,
		columns: ArrayBuffer,
		moves: Uint32Array,
		row: number,
		baseNs: bigint,
	): void;
	/** TCX programs on a hook, in order (BPF_PROG_QUERY): program ids. */
	queryTcx(ifindex: number, egress: boolean, netns: Netns): readonly number[];
	readonly possibleCpus: number;
	readonly onlineCpus: number;
}
