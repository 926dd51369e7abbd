import { bounded, type Claim, type Claims, elements, members, text, UNCLAIMED } from "./claim.js";
import { type FileText, onHost } from "./files.js";
import { ParsedFiles } from "./parsed-files.js";

const RESULTS = "/var/lib/cni/results";

/**
 * Pods by libcni's result cache, one file per sandbox and interface: names, namespaces, veths and addresses, without
 * asking any daemon. Root's own, and it can be stale: a runtime that was killed leaves files behind.
 */
export class CniCache {
	readonly #directory: string;
	readonly #files = new ParsedFiles<Claim | string | null>(parseFile);
	#parsed: readonly (Claim | string | null)[] = [];
	#claims: Claims = { claims: [], warnings: [] };

	constructor(hostRoot: string | null) {
		this.#directory = onHost(hostRoot, RESULTS);
	}

	/** The same object as before when no file has changed. */
	read(): Claims {
		const parsed = this.#files.read(this.#directory);
		if (parsed === this.#parsed) return this.#claims;
		this.#parsed = parsed;
		this.#claims = {
			claims: parsed.filter((one) => one !== null && typeof one !== "string"),
			warnings: bounded(parsed.filter((one) => typeof one === "string")),
		};
		return this.#claims;
	}
}

function parseFile(name: string, file: FileText, path: string): Claim | string | null {
	if (file.kind === "unreadable") {
		return file.reason === "ENOENT" || file.reason === "is no file" ? null : `${path}: ${file.reason}`;
	}
	const parsed = parseCniResult(name, file.text, file.modifiedMs);
	return typeof parsed === "string" ? `${path}: ${parsed}` : parsed;
}

/**
 * One file: `kind: cniCacheV1` (libcni since 2019) with the arguments that name the pod, or the bare result before it,
 * whose file name alone tells the sandbox. Null: of no pod (the loopback's own); a string: why it makes no sense.
 */
export function parseCniResult(fileName: string, json: string, modifiedMs: number): Claim | string | null {
	let file: unknown;
	try {
		file = JSON.parse(json);
	} catch {
		return "is no JSON (half written?)";
	}
	const cache = members(file);
	const isCache = cache["kind"] === "cniCacheV1" || "result" in cache;
	const result = isCache ? members(cache["result"]) : cache;
	const interfaces = elements(result["interfaces"], 16).map(members);
	const addresses = addressesOf(result);
	if (interfaces.length === 0 && addresses.length === 0) return "has no interface and no address";
	const ifname = text(cache["ifName"]) ?? /-([^-]+)$/.exec(fileName)?.[1] ?? null;
	if (ifname === "lo") return null;
	const inside = interfaces.find((one) => text(one["sandbox"]) !== null && one["name"] === ifname);
	// Both ends are listed, and the bridge: the veth's host end is the one that is neither.
	const host = interfaces.find((one) => text(one["sandbox"]) === null && /^(veth|cali|lxc)/.test(String(one["name"])));
	const args = new Map(
		elements(cache["cniArgs"], 64).map((pair) => [text(elements(pair)[0]), text(elements(pair)[1])]),
	);
	const namespace = args.get("K8S_POD_NAMESPACE");
	const name = args.get("K8S_POD_NAME");
	return {
		...UNCLAIMED,
		source: "cni-cache",
		pod: namespace == null || name == null ? null : { namespace, name },
		uid: args.get("K8S_POD_UID") ?? null,
		sandbox: text(cache["containerId"]) ?? /-([0-9a-f]{12,64})-[^-]+$/.exec(fileName)?.[1] ?? null,
		netnsPath: text(inside?.["sandbox"]),
		device: text(host?.["name"]),
		addresses,
		sinceMs: modifiedMs,
	};
}

/** `ips` since CNI 0.3, `ip4` and `ip6` before. */
function addressesOf(result: Readonly<Record<string, unknown>>): readonly string[] {
	const listed = elements(result["ips"], 16).map((ip) => members(ip)["address"]);
	const old = ["ip4", "ip6"].map((key) => members(result[key])["ip"]);
	return [...listed, ...old].flatMap((address) => text(address)?.split("/")[0] ?? []);
}
