import type { Expression } from "../filter/ast.js";
import type { NameResolver } from "../filter/evaluate.js";
import { type PathContext, pathTest } from "../filter/path.js";
import { PathMemo } from "../filter/path-memo.js";
import { type EndLookup, type ResolvedEnd, resolveEnd, resolveName, translations } from "../filter/resolve.js";
import { kernelRules } from "../filter/rules.js";
import type { FilterOf, InstanceFilter } from "../kernel/hooks.js";
import { MOST_TUNNEL_PORTS } from "../kernel/knobs.js";
import { formatPrefix, formatWords } from "../packet/addresses.js";
import { type EndScope, hookPoints } from "../wiring/hookpoints.js";
import type { HookSite, Wiring } from "../wiring/model.js";
import { tunnelPorts } from "../wiring/roles.js";
import { type Cluster, lookupOver } from "./cluster.js";
import type { World } from "./protocol.js";
import type { Question } from "./question.js";

/** What a question comes to in the world as it is now. */
export interface Plan {
	readonly from: ResolvedEnd;
	readonly to: ResolvedEnd;
	readonly nodes: readonly NodePlan[];
}

export interface NodePlan {
	readonly wiring: Wiring;
	readonly sites: readonly HookSite[];
	/** Rules are made when they are first asked for: hooks can be placed before. */
	readonly filterOf: FilterOf;
	/** Changes when any program's rules do. */
	readonly fingerprint: string;
}

/** The only subscriber of a trace in one process. */
const SUBSCRIBER = 1;

export function planFor(question: Question, world: World): Plan {
	const lookup = lookupOver(world.cluster);
	const from = resolveEnd(question.from, lookup);
	const to = resolveEnd(question.to, lookup);
	const holding = nodesOf(from, to);
	const asked = world.nodes.filter(({ name }) => holding === null || holding.has(name));
	const resolve: NameResolver = ({ what, name }) => resolveName(what, name, lookup);
	return {
		from,
		to,
		nodes: asked.map(({ wiring }) => planNode(question.filter, wiring, { from, to, resolve, lookup })),
	};
}

/** The exact filter, for joined paths. */
export function exactTest({ from, to, filter }: Question, cluster: Cluster, hook: PathContext["hook"]): PathMemo {
	const lookup = lookupOver(cluster);
	const resolve: NameResolver = ({ what, name }) => resolveName(what, name, lookup);
	const context = { from: resolveEnd(from, lookup), to: resolveEnd(to, lookup), resolve, hook };
	return new PathMemo(pathTest(filter, context), filter);
}

/** Two pods are asked for on their own nodes alone; anything wider may cross any node. */
function nodesOf(from: ResolvedEnd, to: ResolvedEnd): ReadonlySet<string> | null {
	const isPods = (end: ResolvedEnd) => end.kind === "pod" && end.devices.length > 0;
	if (!isPods(from) || !isPods(to)) return null;
	return new Set([...from.devices, ...to.devices].map(({ node }) => node));
}

interface Ends {
	readonly from: ResolvedEnd;
	readonly to: ResolvedEnd;
	readonly resolve: NameResolver;
	readonly lookup: EndLookup;
}

function planNode(filter: Expression, wiring: Wiring, { from, to, resolve, lookup }: Ends): NodePlan {
	const node = wiring.node;
	const common = {
		from,
		to,
		resolve,
		translations: translations(lookup),
		subscribers: SUBSCRIBER,
		scope: "path" as const,
	};
	let known: InstanceFilter | null = null;
	const host = () => {
		known ??= {
			rules: kernelRules(filter, { ...common, place: { kind: "host", node } }),
			matchAll: 0,
			tunnelPorts: tunnelPorts(wiring.host).slice(0, MOST_TUNNEL_PORTS),
		};
		return known;
	};
	const filterOf: FilterOf = (netns) =>
		netns === wiring.host.cookie
			? host()
			: { rules: kernelRules(filter, { ...common, place: { kind: "inside", netns } }), matchAll: 0, tunnelPorts: [] };
	return {
		wiring,
		sites: hookPoints(wiring, { from: scopeOf(from, node), to: scopeOf(to, node) }),
		filterOf,
		get fingerprint() {
			return JSON.stringify(host(), (_, value) => (value instanceof Uint8Array ? [...value] : value));
		},
	};
}

function scopeOf(end: ResolvedEnd, node: string): EndScope | null {
	if (end.kind === "any") return null;
	const faces = [...end.faces, ...end.endpoints].map(({ address }) => formatWords(...address));
	const prefixes = end.prefixes.map((prefix) =>
		prefix.bits === 128 ? formatWords(...prefix.words) : formatPrefix(prefix),
	);
	return {
		addresses: [...new Set([...prefixes, ...faces])],
		ifindexes: end.devices.filter((device) => device.node === node).map(({ ifindex }) => ifindex),
	};
}
