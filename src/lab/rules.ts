import { createHash } from "node:crypto";
import { type NodePlan, POD_NETWORK, type ServicePlan } from "./plan.js";

export type Family = "ipv4" | "ipv6";

/** A service with its backends' addresses, those that are known. */
export interface ResolvedService extends ServicePlan {
	readonly endpoints: readonly { readonly ipv4: string; readonly ipv6: string }[];
}

/**
 * The rules a node has before its first pod, in iptables-restore's format: kube-proxy's frame, then flannel's chains (as
 * of flannel 0.28). To be restored once, with --noflush.
 */
export function nodeRules(node: NodePlan, family: Family): string {
	const network = POD_NETWORK[family];
	const subnet = node.subnet[family];
	const multicast = family === "ipv4" ? "224.0.0.0/4" : "ff00::/8";
	const masq = `-m comment --comment "flanneld masq"`;
	const forward = `-m comment --comment "flanneld forward"`;
	return lines(
		"*nat",
		...KUBE_NAT_CHAINS,
		":FLANNEL-POSTRTG - [0:0]",
		`-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
		`-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`,
		`-A POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
		`-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN`,
		`-A FLANNEL-POSTRTG -s ${subnet} -d ${network} ${masq} -j RETURN`,
		`-A FLANNEL-POSTRTG -s ${network} -d ${subnet} ${masq} -j RETURN`,
		`-A FLANNEL-POSTRTG ! -s ${network} -d ${subnet} ${masq} -j RETURN`,
		`-A FLANNEL-POSTRTG -s ${network} ! -d ${multicast} ${masq} -j MASQUERADE --random-fully`,
		`-A FLANNEL-POSTRTG ! -s ${network} -d ${network} ${masq} -j MASQUERADE --random-fully`,
		"COMMIT",
		"*filter",
		":KUBE-FORWARD - [0:0]",
		":FLANNEL-FWD - [0:0]",
		`-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`,
		`-A FORWARD ${forward} -j FLANNEL-FWD`,
		`-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP`,
		`-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT`,
		`-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule"` +
			` -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
		`-A FLANNEL-FWD -s ${network} ${forward} -j ACCEPT`,
		`-A FLANNEL-FWD -d ${network} ${forward} -j ACCEPT`,
		"COMMIT",
	);
}

/**
 * kube-proxy's chains for the services, in iptables-restore's format. Restored with --noflush it replaces the services
 * that were there: naming a chain empties it.
 */
export function serviceRules(services: readonly ResolvedService[], family: Family): string {
	const reachable = services.filter((service) => service.endpoints.length > 0);
	return lines(
		"*nat",
		...KUBE_NAT_CHAINS,
		...reachable.flatMap((service) => serviceChains(service, family).map((chain) => `:${chain} - [0:0]`)),
		"-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
		"-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
		"-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
		`-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
		...reachable.flatMap((service) => rulesOf(service, family)),
		`-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"` +
			" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
		"COMMIT",
	);
}

const KUBE_NAT_CHAINS = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"].map(
	(chain) => `:${chain} - [0:0]`,
);

function serviceChains(service: ResolvedService, family: Family): string[] {
	const endpoints = service.endpoints.map((endpoint) => endpointChain(service, target(service, endpoint[family])));
	const external = service.nodePort === null ? [] : [externalChain(service)];
	return [serviceChain(service), ...external, ...endpoints];
}

function rulesOf(service: ResolvedService, family: Family): string[] {
	const { name, protocol, port, nodePort } = service;
	const chain = serviceChain(service);
	const host = family === "ipv4" ? "32" : "128";
	const portal =
		`-d ${service.clusterIp[family]}/${host} -p ${protocol} -m comment --comment "${name} cluster IP"` +
		` -m ${protocol} --dport ${port}`;
	const count = service.endpoints.length;
	return [
		`-A KUBE-SERVICES ${portal} -j ${chain}`,
		`-A ${chain} ! -s ${POD_NETWORK[family]} ${portal} -j KUBE-MARK-MASQ`,
		...service.endpoints.flatMap((endpoint, index) => {
			const to = target(service, endpoint[family]);
			const sep = endpointChain(service, to);
			const left = count - index;
			const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
			return [
				`-A ${chain} -m comment --comment "${name} -> ${to}"${chance} -j ${sep}`,
				`-A ${sep} -s ${endpoint[family]}/${host} -m comment --comment "${name}" -j KUBE-MARK-MASQ`,
				`-A ${sep} -p ${protocol} -m comment --comment "${name}" -m ${protocol} -j DNAT --to-destination ${to}`,
			];
		}),
		...(nodePort === null ? [] : nodePortRules(service, nodePort)),
	];
}

function nodePortRules(service: ResolvedService, nodePort: number): string[] {
	const { name, protocol } = service;
	const external = externalChain(service);
	return [
		`-A KUBE-NODEPORTS -p ${protocol} -m comment --comment "${name}" -m ${protocol} --dport ${nodePort} -j ${external}`,
		`-A ${external} -m comment --comment "masquerade traffic for ${name} external destinations" -j KUBE-MARK-MASQ`,
		`-A ${external} -j ${serviceChain(service)}`,
	];
}

function target(service: ServicePlan, address: string): string {
	return `${address.includes(":") ? `[${address}]` : address}:${service.targetPort}`;
}

function serviceChain(service: ServicePlan): string {
	return `KUBE-SVC-${chainHash(service.name + service.protocol)}`;
}

function externalChain(service: ServicePlan): string {
	return `KUBE-EXT-${chainHash(service.name + service.protocol)}`;
}

function endpointChain(service: ServicePlan, to: string): string {
	return `KUBE-SEP-${chainHash(service.name + service.protocol + to)}`;
}

/** kube-proxy's way to name chains: the first 16 characters of the SHA-256 in base 32 (RFC 4648). */
function chainHash(text: string): string {
	const digest = createHash("sha256").update(text).digest();
	let hash = "";
	let bits = 0;
	let held = 0;
	for (const byte of digest) {
		held = (held << 8) | byte;
		bits += 8;
		while (bits >= 5) {
			bits -= 5;
			hash += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(held >> bits) & 31];
		}
		held &= (1 << bits) - 1;
		if (hash.length >= 16) break;
	}
	return hash.slice(0, 16);
}

function lines(...rows: readonly string[]): string {
	return `${rows.join("\n")}\n`;
}
