import type { NodeSpec } from "../../collector/request.js";
import { RpcServer } from "../server.js";
import { Agent } from "./agent.js";

/** Agents of this process, on sockets of its own, for commands that run without a daemon. */
export class InProcessAgents {
	readonly addresses: readonly string[];
	readonly #agents: readonly Agent[];
	readonly #servers: readonly RpcServer[];

	private constructor(agents: readonly Agent[], servers: readonly RpcServer[], addresses: readonly string[]) {
		this.#agents = agents;
		this.#servers = servers;
		this.addresses = addresses;
	}

	/** @throws KernelError when a node cannot be seen */
	static async start(
		specs: readonly NodeSpec[],
		options: { readonly attach: "tcx" | "clsact" | "auto"; readonly version: string },
	): Promise<InProcessAgents> {
		const agents: Agent[] = [];
		const servers: RpcServer[] = [];
		const addresses: string[] = [];
		for (const spec of specs.filter(({ watch }) => watch)) {
			let own: () => Promise<string> = () => Promise.reject(new Error("it does not listen yet"));
			const agent = new Agent({
				...{ spec, attach: options.attach, version: options.version },
				own: () => own(),
				// Its streams end, and whoever reads them says so.
				onFailure: () => undefined,
			});
			const server = new RpcServer(agent);
			own = () => server.own();
			agents.push(agent);
			servers.push(server);
			addresses.push(await server.own());
		}
		return new InProcessAgents(agents, servers, addresses);
	}

	async close(): Promise<void> {
		await Promise.all([
			...this.#agents.map((agent) => agent.close()),
			...this.#servers.map((server) => server.close()),
		]);
	}
}
