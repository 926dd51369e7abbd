import { elements, members } from "./claim.js";
import { NO_PORTALS, type Portals, protocolOf, serviceNamed } from "./kube-proxy.js";
import type { Service } from "./owner.js";

/**
 * Services by kube-proxy's nftables mode, from `nft -j list ruleset`. The tables `ip kube-proxy` and `ip6 kube-proxy`
 * have a map `service-ips` from address, protocol and port to a chain called `service-<hash>-<namespace>/<name>/<protocol>/<port name>`,
 * `service-nodeports` to `external-…` of the same tail, and chains `endpoint-<hash>-…__<address>/<port>`.
 */
export function parseNftRuleset(json: string): Portals {
	let ruleset: unknown;
	try {
		ruleset = JSON.parse(json);
	} catch {
		return NO_PORTALS;
	}
	const objects = elements(members(ruleset)["nftables"], MOST_OBJECTS).map(members);
	const own = (kind: string) =>
		objects.map((object) => members(object[kind])).filter((object) => object["table"] === "kube-proxy");
	const endpoints = new Map<string, { ip: string; port: number }[]>();
	for (const chain of own("chain")) {
		const match = /^endpoint-[0-9A-Z]+-(.+)__(\[?[0-9a-fA-F.:]+\]?)\/(\d+)$/.exec(String(chain["name"]));
		if (match?.[1] === undefined || match[2] === undefined) continue;
		const list = endpoints.get(match[1]) ?? [];
		list.push({ ip: match[2].replace(/[[\]]/g, ""), port: Number(match[3]) });
		endpoints.set(match[1], list);
	}
	const nodePorts = new Map<string, number>();
	const services: Service[] = [];
	for (const map of own("map")) {
		for (const [key, chain] of verdicts(map)) {
			const tail = tailOf(chain);
			if (map["name"] === "service-nodeports" && tail !== null) nodePorts.set(tail, Number(key[1]));
			if (map["name"] !== "service-ips" || tail === null || !chain.startsWith("service-")) continue;
			const [namespace, name, protocolName, portName] = tail.split("/");
			const protocol = protocolOf(protocolName);
			if (protocol === null) continue;
			const full = `${namespace}/${name}${portName === undefined || portName === "" ? "" : `:${portName}`}`;
			const service = serviceNamed(full, String(key[0]), Number(key[2]), protocol, null);
			services.push({ ...service, endpoints: endpoints.get(tail) ?? [] });
		}
	}
	const withPorts = services.map((service) => ({
		...service,
		nodePort: nodePorts.get(`${service.name}/${service.protocol}/${service.portName ?? ""}`) ?? null,
	}));
	return { services: withPorts, hostPorts: [] };
}

const MOST_OBJECTS = 200_000;

/** Elements of a verdict map: key parts → chain. */
function verdicts(map: Readonly<Record<string, unknown>>): readonly (readonly [readonly unknown[], string])[] {
	return elements(map["elem"], MOST_OBJECTS).flatMap((element) => {
		const [key, verdict] = elements(element);
		const target = members(members(verdict)["goto"])["target"];
		if (typeof target !== "string") return [];
		// With a counter or a timeout, nft wraps the key.
		const value = members(members(key)["elem"])["val"] ?? key;
		return [[elements(members(value)["concat"]), target] as const];
	});
}

/** default/web/tcp/http of `service-ABCD-default/web/tcp/http`. */
function tailOf(chain: string): string | null {
	return /^(?:service|external)-[0-9A-Z]+-(.+)$/.exec(chain)?.[1] ?? null;
}
