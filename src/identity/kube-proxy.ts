import { text } from "./claim.js";
import type { Service } from "./owner.js";

/** What NAT rules tell: services with their names, and ports of the node that lead to a pod (CNI's portmap). */
export interface Portals {
	readonly services: readonly Service[];
	readonly hostPorts: readonly HostPort[];
}

export interface HostPort {
	readonly port: number;
	readonly protocol: Service["protocol"];
	readonly endpoint: { readonly ip: string; readonly port: number };
}

export const NO_PORTALS: Portals = { services: [], hostPorts: [] };

/**
 * Services by the comments of kube-proxy's rules, from the text of `iptables-save` or `ip6tables-save`:
 *
 *     -A KUBE-SERVICES -d 10.96.0.11/32 -p tcp -m comment --comment "default/web:http cluster IP" … --dport 80 -j KUBE-SVC-…
 *     -A KUBE-SVC-… -m comment --comment "default/web:http -> 10.244.2.3:8080" … -j KUBE-SEP-…
 *     -A KUBE-SEP-… -p tcp … -j DNAT --to-destination 10.244.2.3:8080
 */
export function parseIptablesSave(save: string): Portals {
	const chains = new Map<string, Rule[]>();
	for (const line of save.split("\n")) {
		const rule = parseRule(line);
		if (rule === null) continue;
		const rules = chains.get(rule.chain);
		if (rules === undefined) chains.set(rule.chain, [rule]);
		else rules.push(rule);
	}
	const nodePorts = new Map<string, number>();
	for (const rule of chains.get("KUBE-NODEPORTS") ?? []) {
		if (rule.name !== null && rule.port !== null) nodePorts.set(`${rule.name} ${rule.protocol}`, rule.port);
	}
	const services = (chains.get("KUBE-SERVICES") ?? []).flatMap((rule) => {
		const { name, destination, port, protocol, jump, comment } = rule;
		if (name === null || destination === null || port === null || protocol === null) return [];
		if (!comment.endsWith(" cluster IP") || !jump.startsWith("KUBE-SVC-")) return [];
		const service = serviceNamed(name, destination, port, protocol, nodePorts.get(`${name} ${protocol}`) ?? null);
		return [{ ...service, endpoints: endpoints(chains, jump) }];
	});
	const hostPorts = [...chains.entries()].flatMap(([chain, rules]) =>
		chain.startsWith("CNI-DN-") || chain === "CNI-HOSTPORT-DNAT" ? rules.flatMap(hostPort) : [],
	);
	return { services, hostPorts: distinctPorts(hostPorts) };
}

/** One `-A` line, as far as it is needed. */
interface Rule {
	readonly chain: string;
	readonly destination: string | null;
	readonly protocol: Service["protocol"] | null;
	readonly port: number | null;
	/** namespace/name, or namespace/name:port, of the comment. */
	readonly name: string | null;
	readonly comment: string;
	readonly jump: string;
	readonly target: { readonly ip: string; readonly port: number } | null;
}

function parseRule(line: string): Rule | null {
	const chain = /^-A (\S+) /.exec(line)?.[1];
	if (chain === undefined || !/^(KUBE-|CNI-)/.test(chain)) return null;
	const comment = /--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(line);
	const said = comment?.[1] ?? comment?.[2] ?? "";
	const destination = /(?<!! )-d ([0-9a-fA-F.:]+)(?:\/\d+)? /.exec(line)?.[1] ?? null;
	const protocol = protocolOf(/ -p (\w+)/.exec(line)?.[1]);
	const port = Number(/--dports? (\d+)/.exec(line)?.[1] ?? Number.NaN);
	const to = /--to-destination \[?([0-9a-fA-F.:]+?)\]?:(\d+)\s*$/.exec(line.trimEnd());
	return {
		chain,
		destination,
		protocol,
		port: Number.isInteger(port) ? port : null,
		name: text(/^([^\s/]+\/[^\s]+)/.exec(said)?.[1] ?? null),
		comment: said,
		jump: / -j (\S+)/.exec(line)?.[1] ?? "",
		target: to?.[1] === undefined ? null : { ip: to[1], port: Number(to[2]) },
	};
}

function endpoints(chains: ReadonlyMap<string, readonly Rule[]>, chain: string): Service["endpoints"] {
	return (chains.get(chain) ?? []).flatMap(({ jump }) =>
		jump.startsWith("KUBE-SEP-") ? (chains.get(jump) ?? []).flatMap(({ target }) => target ?? []) : [],
	);
}

function hostPort({ protocol, port, target }: Rule): HostPort[] {
	return protocol === null || port === null || target === null ? [] : [{ port, protocol, endpoint: target }];
}

function distinctPorts(ports: readonly HostPort[]): readonly HostPort[] {
	const key = ({ port, protocol, endpoint }: HostPort) => `${protocol} ${port} ${endpoint.ip} ${endpoint.port}`;
	return [...new Map(ports.map((one) => [key(one), one])).values()];
}

/** A service's name and port name, apart: default/web:http. */
export function serviceNamed(
	name: string,
	ip: string,
	port: number,
	protocol: Service["protocol"],
	nodePort: number | null,
): Service {
	const [full = name, portName] = name.split(":");
	return { name: full, ip, port, protocol, portName: portName ?? null, nodePort, endpoints: [] };
}

export function protocolOf(name: string | undefined): Service["protocol"] | null {
	return name === "tcp" || name === "udp" || name === "sctp" ? name : null;
}
