import type { LabState } from "../lab/state.js";

/** The lab as a picture: for two nodes with two pods each it is eight lines. */
export function clusterLines(state: LabState): string[] {
	const lines = state.nodes.flatMap((node) => {
		const pods = state.pods.filter((pod) => pod.node === node.name);
		const width = Math.max(...pods.map((pod) => pod.device.length));
		const others = state.nodes.filter((other) => other !== node).map((other) => `${other.name} ${other.address.ipv4}`);
		return [
			`${node.name}  eth0 ${node.address.ipv4} ═ flannel.1 ═ ${others.join(", ")}`,
			...pods.map((pod, at) => {
				const bridge = at === 0 ? "cni0 ─┬─" : at === pods.length - 1 ? "      └─" : "      ├─";
				return `  ${bridge} ${pod.device.padEnd(width)} ─ ${`${pod.namespace}/${pod.name}`.padEnd(18)} ${pod.address.ipv4}`;
			}),
		];
	});
	const services = state.services
		.filter((service) => service.name === "default/web" || service.name === "default/dns")
		.map((service) => {
			const backend = state.pods.find((pod) => service.backends.includes(`${pod.namespace}/${pod.name}`));
			const where = backend === undefined ? "nobody" : `${backend.namespace}/${backend.name} on ${backend.node}`;
			return `svc:${service.name} ${service.clusterIp.ipv4}:${service.port}/${service.protocol} → ${where}, port ${service.targetPort}`;
		});
	return [...lines, ...services];
}
