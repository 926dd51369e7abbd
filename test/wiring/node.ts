import { execFileSync } from "node:child_process";

/**
 * A small flannel node in namespaces of its own, for tests with root: bridge, VXLAN, NIC to a switch, pods on demand.
 * Everything is named after this process and removed by `remove`, which may be called at any time.
 */
export class LiveNode {
	readonly #prefix: string;
	readonly #made: string[] = [];

	constructor(label: string) {
		this.#prefix = `wf-wir-${process.pid}-${label}`;
		try {
			this.namespace("a");
			this.namespace("sw");
			ip(`link add eth0 netns ${this.name("a")} type veth peer name sw1 netns ${this.name("sw")}`);
			ip(`-n ${this.name("sw")} link set sw1 up`);
			this.ip("link set lo up");
			this.ip("addr add 192.168.66.11/24 dev eth0");
			this.ip("link set eth0 up");
			this.ip("link add cni0 type bridge");
			this.ip("addr add 10.244.1.1/24 dev cni0");
			this.ip("link set cni0 up");
			this.ip(
				"link add flannel.1 address 8e:01:00:00:00:01 mtu 1450 type vxlan id 1 dev eth0 local 192.168.66.11 dstport 8472 nolearning",
			);
			this.ip("addr add 10.244.1.0/32 dev flannel.1");
			this.ip("link set flannel.1 up");
			this.remote(2);
		} catch (cause) {
			this.remove();
			throw cause;
		}
	}

	/** Path of the node's namespace. */
	get path(): string {
		return `/run/netns/${this.name("a")}`;
	}

	/** Full name of one of the namespaces. */
	name(label: string): string {
		return `${this.#prefix}-${label}`;
	}

	/** `ip` in the node's namespace. */
	ip(command: string): void {
		ip(`-n ${this.name("a")} ${command}`);
	}

	/** `bridge` in the node's namespace. */
	bridge(command: string): void {
		run("bridge", `-n ${this.name("a")} ${command}`);
	}

	/** A command in one of the namespaces. */
	exec(label: string, command: string): void {
		run("ip", `netns exec ${this.name(label)} ${command}`);
	}

	/** Flannel's entries for another node. */
	remote(node: number): void {
		const mac = `8e:0${node}:00:00:00:0${node}`;
		this.ip(`neigh replace 10.244.${node}.0 lladdr ${mac} dev flannel.1 nud permanent`);
		this.bridge(`fdb replace ${mac} dev flannel.1 dst 192.168.66.1${node} self permanent`);
		this.ip(`route replace 10.244.${node}.0/24 via 10.244.${node}.0 dev flannel.1 onlink`);
	}

	/** A pod's namespace and its veth, `veth<label>`, on the bridge. */
	pod(label: string, address: string): void {
		this.namespace(label);
		const pod = this.name(label);
		ip(`link add eth0 netns ${pod} type veth peer name veth${label} netns ${this.name("a")}`);
		ip(`-n ${pod} addr add ${address}/24 dev eth0`);
		ip(`-n ${pod} link set eth0 up`);
		ip(`-n ${pod} route add default via 10.244.1.1`);
		this.ip(`link set veth${label} master cni0 up`);
	}

	/** Deletes a namespace of this node's. */
	unnamespace(label: string): void {
		ip(`netns del ${this.name(label)}`);
		this.#made.splice(this.#made.indexOf(label), 1);
	}

	namespace(label: string): void {
		ip(`netns add ${this.name(label)}`);
		this.#made.push(label);
	}

	remove(): void {
		for (const label of this.#made.splice(0).reverse()) {
			try {
				ip(`netns del ${this.name(label)}`);
			} catch {
				// Gone already: what matters is that the others go as well.
			}
		}
	}
}

function ip(command: string): void {
	run("ip", command);
}

function run(program: string, command: string): void {
	execFileSync(program, command.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}
