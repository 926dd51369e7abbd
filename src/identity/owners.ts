import type { NetnsCookie } from "../packet/hook.js";
import type { Owner, Pod } from "./owner.js";

/** How long a pod that is gone keeps its name: packets of its last seconds are reported late. */
const KEEP_MS = 60_000;
/** A link appears before its sandbox is known: packets this much older than a pod's beginning may be its first. */
const PENDING_MS = 5_000;

const NONE: ReadonlyMap<string, NetnsCookie> = new Map();

/** A pod as of now, and since when it holds what it holds. */
export interface PodSince {
	readonly pod: Pod;
	/** ms since 1970; null: not known, it may have been there always. */
	readonly sinceMs: number | null;
}

/**
 * Who held an address, a namespace or a device, and when. An address that a new pod has taken over never gives the old
 * name for the new pod's packets; where neither can be excluded, nobody is named. Pure: times are passed in.
 */
export class Owners {
	#current = new Map<string, Owner>();
	#gone: Owner[] = [];
	/** What is there at first may have been there always. */
	#begun = false;
	readonly #byAddress = new Map<string, Owner[]>();
	readonly #byNetns = new Map<NetnsCookie, Owner[]>();
	readonly #byDevice = new Map<string, Owner[]>();

	/**
	 * All pods that are there now. Those that are not in it are gone as of `nowMs`.
	 * @param nameless addresses of namespaces that no source names (yet)
	 */
	replace(pods: readonly PodSince[], nowMs: number, nameless: ReadonlyMap<string, NetnsCookie> = NONE): void {
		const before = this.#current;
		this.#current = new Map();
		for (const { pod, sinceMs } of pods) {
			const identity = identityOf(pod);
			const known = before.get(identity);
			const fromMs = known?.fromMs ?? Math.min(sinceMs ?? (this.#begun ? nowMs : 0), nowMs);
			this.#current.set(identity, { pod, fromMs, untilMs: null });
			// What it has given up (an address, a veth that was made anew) it held until now.
			if (known !== undefined && held(known.pod) !== held(pod)) {
				const { addresses, ifindex, device } = known.pod;
				this.#gone.push({ pod: { ...pod, addresses, ifindex, device }, fromMs, untilMs: nowMs });
			}
			before.delete(identity);
		}
		for (const owner of before.values()) this.#gone.push({ ...owner, untilMs: nowMs });
		this.#begun = true;
		this.#gone = this.#gone
			.filter(({ untilMs }) => untilMs !== null && untilMs > nowMs - KEEP_MS)
			.map((owner) => (hasNamelessSuccessor(owner, nameless) ? { ...owner, hasSuccessor: true } : owner));
		this.#index();
	}

	/** Those there are now and those that are remembered. */
	all(): readonly Owner[] {
		return [...this.#gone, ...this.#current.values()];
	}

	/** As `all` gave them. */
	restore(owners: readonly Owner[]): void {
		this.#gone = owners.filter(({ untilMs }) => untilMs !== null);
		const present = owners.filter(({ untilMs }) => untilMs === null);
		this.#current = new Map(present.map((owner) => [identityOf(owner.pod), owner]));
		this.#begun = true;
		this.#index();
	}

	current(): readonly Pod[] {
		return [...this.#current.values()].map(({ pod }) => pod);
	}

	byAddress(address: string, atMs: number): Pod | null {
		return holder(this.#byAddress.get(address), atMs, ({ hasSuccessor }) => hasSuccessor !== true);
	}

	byNetns(netns: NetnsCookie, atMs: number): Pod | null {
		return holder(this.#byNetns.get(netns), atMs);
	}

	byDevice(node: string, ifindex: number, atMs: number): Pod | null {
		return holder(this.#byDevice.get(`${node} ${ifindex}`), atMs);
	}

	#index(): void {
		for (const index of [this.#byAddress, this.#byNetns, this.#byDevice]) index.clear();
		for (const owner of this.all()) {
			const { addresses, netns, node, ifindex } = owner.pod;
			for (const address of addresses) append(this.#byAddress, address, owner);
			if (netns !== null) append(this.#byNetns, netns, owner);
			if (ifindex !== null) append(this.#byDevice, `${node} ${ifindex}`, owner);
		}
	}
}

/**
 * The owner as of a time: who held it then; else who took it within 5 s or had given it up not more than a minute
 * before, when only one of the two comes into question. Two holders at once are a conflict: nobody is named. Of what is
 * nobody else's ever the last holder is; of an address only he whom nobody without a name has followed.
 */
function holder(
	owners: readonly Owner[] | undefined,
	atMs: number,
	mayStillBe: (gone: Owner) => boolean = () => true,
): Pod | null {
	if (owners === undefined) return null;
	const then = owners.filter(({ fromMs, untilMs }) => fromMs <= atMs && (untilMs === null || atMs < untilMs));
	const candidates =
		then.length > 0
			? then
			: owners.filter(
					(owner) =>
						(owner.fromMs > atMs && owner.fromMs <= atMs + PENDING_MS) ||
						(owner.untilMs !== null && owner.untilMs <= atMs && atMs < owner.untilMs + KEEP_MS && mayStillBe(owner)),
				);
	const [one, ...others] = candidates;
	if (one === undefined || others.some(({ pod }) => nameOf(pod) !== nameOf(one.pod))) return null;
	// The latest of several lives of one pod: it knows the most.
	return candidates[candidates.length - 1]?.pod ?? null;
}

/**
 * One life of a pod: its namespace, which is never used again, whatever it was called before its name was found; else
 * all that tells two pods apart.
 */
function identityOf(pod: Pod): string {
	return pod.netns !== null
		? `${pod.node} ${pod.netns}`
		: `${nameOf(pod)} ${pod.uid ?? ""} ${pod.sandbox ?? ""} ${pod.ifindex ?? ""}`;
}

function nameOf({ node, namespace, name }: Pod): string {
	return `${node} ${namespace}/${name}`;
}

/** By another namespace: one whose own name is not known any more keeps what it has. */
function hasNamelessSuccessor(
	{ pod: { netns, addresses } }: Owner,
	nameless: ReadonlyMap<string, NetnsCookie>,
): boolean {
	if (netns === null || nameless.size === 0) return false;
	return addresses.some((address) => (nameless.get(address) ?? netns) !== netns);
}

function held({ addresses, netns, ifindex }: Pod): string {
	return `${[...addresses].sort().join(" ")} ${netns} ${ifindex}`;
}

function append<K>(index: Map<K, Owner[]>, key: K, owner: Owner): void {
	const owners = index.get(key);
	if (owners === undefined) index.set(key, [owner]);
	else owners.push(owner);
}

/** When the answers of a directory of these may change, ms since 1970, sorted: in between they are the same. */
export function turningPoints(owners: readonly Owner[]): readonly number[] {
	const points = owners.flatMap(({ fromMs, untilMs }) => [
		...[fromMs - PENDING_MS, fromMs],
		...(untilMs === null ? [] : [untilMs, untilMs + KEEP_MS]),
	]);
	return [...new Set(points)].sort((a, b) => a - b);
}
