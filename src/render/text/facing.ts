import type { Ready, ResolvedName } from "../../collector/report.js";
import type { Endpoint, Path } from "../../path/path.js";

/** How many connections are remembered; the oldest is forgotten. */
const REMEMBERED = 4096;

/**
 * Tells requests from replies, so that replies can be read from right to left. What the user called FROM and TO
 * decides; between ends that nobody named, it is who opened the connection, and if that was before the trace, the
 * lower port is the server's.
 */
export class Facing {
	readonly #ready: Ready | null;
	/** Connection → its opener's face. */
	readonly #openers = new Map<string, string>();

	constructor(ready: Ready | null) {
		this.#ready = ready;
	}

	isReply(path: Path): boolean {
		const { source, destination } = path.flow;
		if (this.#ready !== null) {
			const { from, to } = this.#ready;
			const onward = Number(isAt(source, from)) + Number(isAt(destination, to));
			const back = Number(isAt(destination, from)) + Number(isAt(source, to));
			if (onward !== back) return back > onward;
		}
		return this.#opener(path) !== face(source);
	}

	#opener(path: Path): string {
		const [source, destination] = [face(path.flow.source), face(path.flow.destination)];
		const key = `${path.flow.protocol} ${[source, destination].sort().join(" ")}`;
		const known = this.#openers.get(key);
		if (known !== undefined) return known;
		const opener = looksLikeReply(path) ? destination : source;
		if (this.#openers.size >= REMEMBERED) {
			for (const oldest of this.#openers.keys()) {
				this.#openers.delete(oldest);
				break;
			}
		}
		this.#openers.set(key, opener);
		return opener;
	}
}

function looksLikeReply({ flow, packet }: Path): boolean {
	const flags = packet.flags ?? "";
	if (flags.includes("S")) return flags.includes("A") || flags.includes(".");
	if (packet.icmp) return packet.icmp.type === (flow.protocol === "icmp" ? 0 : 129);
	const [source, destination] = [flow.source.port, flow.destination.port];
	return source !== null && destination !== null && source < destination;
}

/** Whether an endpoint is the END. "any" is everybody, which tells nothing. */
function isAt(endpoint: Endpoint, end: ResolvedName): boolean {
	if (end.name === "any") return false;
	if (endpoint.pod !== null && end.name === `${endpoint.namespace ?? ""}/${endpoint.pod}`) return true;
	return endpoint.ip !== null && end.addresses.includes(endpoint.ip);
}

function face(endpoint: Endpoint): string {
	return `${endpoint.ip ?? ""} ${endpoint.port ?? ""}`;
}
