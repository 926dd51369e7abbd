import type { EndService } from "../filter/resolve.js";
import type { Tuple } from "../packet/tuple.js";
import type { Destination, Translation } from "../wiring/translation.js";
import type { Cluster } from "./cluster.js";

const PROTOCOLS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };

/** What kube-proxy's services make of a packet: any of the endpoints, for which one is chosen is conntrack's knowledge. */
export class ServiceTranslation implements Translation {
	readonly #services = new Map<string, EndService>();
	readonly #nodePorts = new Map<string, EndService>();
	readonly #endpoints = new Set<string>();

	constructor(cluster: Cluster) {
		for (const service of cluster.services) {
			this.#services.set(`${service.protocol} ${service.ip} ${service.port}`, service);
			if (service.nodePort !== null) this.#nodePorts.set(`${service.protocol} ${service.nodePort}`, service);
			for (const { ip, port } of service.endpoints) this.#endpoints.add(`${service.protocol} ${ip} ${port}`);
		}
	}

	destinations(tuple: Tuple): { readonly exact: boolean; readonly destinations: readonly Destination[] } {
		const protocol = PROTOCOLS[tuple.protocol] ?? "";
		const { destination, destinationPort } = tuple;
		const service =
			this.#services.get(`${protocol} ${destination} ${destinationPort}`) ??
			this.#nodePorts.get(`${protocol} ${destinationPort}`);
		return { exact: false, destinations: service?.endpoints ?? [] };
	}

	fromEndpoint(tuple: Tuple): boolean {
		const protocol = PROTOCOLS[tuple.protocol] ?? "";
		return this.#endpoints.has(`${protocol} ${tuple.source} ${tuple.sourcePort}`);
	}
}
