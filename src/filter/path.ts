import type { Hook, HookId } from "../packet/hook.js";
import type { Expression } from "./ast.js";
import { compilePrimitive, endAt, type NameResolver, type Packets } from "./evaluate.js";
import type { ResolvedEnd } from "./resolve.js";

/**
 * A joined path as the exact filter sees it: Packets by hop, in order. The Joiner's flyweight is one. Where several skbs
 * of a hop overlap the path's range, the hop speaks for the first of them.
 */
export interface PathFaces extends Packets {
	readonly hops: number;
	/** HookId of hop `index`. */
	hook(index: number): number;
}

export type PathTest = (path: PathFaces) => boolean;

export interface PathContext {
	readonly from: ResolvedEnd;
	readonly to: ResolvedEnd;
	readonly resolve: NameResolver;
	/** null: the hook is not known (any more); then its device says nothing. */
	readonly hook: (id: HookId) => Hook | null;
}

/**
 * The exact filter. Compile it again when what the ends or names resolve to has changed.
 *
 * FILTER: a path passes when the whole expression holds at one hop, so `src host A and dst port 8080` is never put
 * together from two faces of it. `not X` holds when X holds at no hop: NAT gives a packet several faces, and `not port 80`
 * must keep out what went to ClusterIP:80 although its later hops show 8080. `port 8080 and not port 80` is thus what
 * went to the pod directly.
 *
 * Ends: the path runs from FROM to TO or from TO to FROM. It comes from a pod when it entered by the pod's veth (or left
 * the pod's own device), and goes to a pod when it left by it; or when the END's address, or a service's face, is its
 * source or destination at any hop.
 */
export function pathTest(expression: Expression, context: PathContext): PathTest {
	const filter = compileHop(expression, context.resolve);
	const ends = compileEnds(context);
	return (path) => ends(path) && someHop(filter, path);
}

type HopTest = (path: PathFaces, index: number) => boolean;

function someHop(test: HopTest, path: PathFaces): boolean {
	for (let i = 0; i < path.hops; i++) {
		if (test(path, i)) return true;
	}
	return false;
}

/** As compilePacket, but `not` asks all hops; two of them cancel out. */
function compileHop(expression: Expression, resolve: NameResolver): HopTest {
	switch (expression.kind) {
		case "true":
			return () => true;
		case "and":
		case "or": {
			const left = compileHop(expression.left, resolve);
			const right = compileHop(expression.right, resolve);
			if (expression.kind === "and") return (path, i) => left(path, i) && right(path, i);
			return (path, i) => left(path, i) || right(path, i);
		}
		case "not": {
			if (expression.term.kind === "not") return compileHop(expression.term.term, resolve);
			const term = compileHop(expression.term, resolve);
			return (path) => !someHop(term, path);
		}
		default:
			return compilePrimitive(expression, resolve);
	}
}

function compileEnds(context: PathContext): PathTest {
	const { from, to } = context;
	if (from.kind === "any" && to.kind === "any") return () => true;
	const fromSource = comesFrom(from, context);
	const fromDestination = goesTo(from, context);
	const toSource = comesFrom(to, context);
	const toDestination = goesTo(to, context);
	return (path) =>
		(someHop(fromSource, path) && someHop(toDestination, path)) ||
		(someHop(toSource, path) && someHop(fromDestination, path));
}

function comesFrom(end: ResolvedEnd, context: PathContext): HopTest {
	return either(ownHooks(end, context.hook, "from"), endAt(end, 0));
}

function goesTo(end: ResolvedEnd, context: PathContext): HopTest {
	return either(ownHooks(end, context.hook, "to"), endAt(end, 4));
}

function either(own: HopTest | null, address: HopTest): HopTest {
	return own === null ? address : (path, i) => own(path, i) || address(path, i);
}

/** A packet from a pod comes in by the host's end of its veth and goes out by the pod's own; a packet to it, vice versa. */
function ownHooks(end: ResolvedEnd, lookup: PathContext["hook"], way: "from" | "to"): HopTest | null {
	if (end.devices.length === 0 && end.netns.length === 0) return null;
	const devices = new Set(end.devices.map(({ node, ifindex }) => `${node}/${ifindex}`));
	const namespaces = new Set(end.netns);
	const answers = new Map<number, boolean>();
	const answer = (id: number): boolean => {
		const hook = lookup(id as HookId);
		if (hook === null) return false;
		const atHost = hook.role === "pod" && devices.has(`${hook.node}/${hook.ifindex}`);
		const inside = hook.role === "inside" && namespaces.has(hook.netns);
		const leavesPod = hook.direction === (atHost ? "ingress" : "egress");
		const own = (atHost || inside) && leavesPod === (way === "from");
		answers.set(id, own);
		return own;
	};
	return (path, i) => {
		const id = path.hook(i);
		return answers.get(id) ?? answer(id);
	};
}
