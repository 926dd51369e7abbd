import { placeKey } from "../kernel/place.js";
import type { Hook, HookId } from "../packet/hook.js";
import type { Tuple } from "../packet/tuple.js";
import type { Expectation } from "../path/expectation.js";
import { WiringExpectation } from "../wiring/expectation.js";
import type { Due, Link, Wiring } from "../wiring/model.js";
import { underlayAddresses } from "../wiring/roles.js";
import { RuleTranslation, type Translation } from "../wiring/translation.js";
import type { Cluster } from "./cluster.js";

/** Where packets are due on each of several nodes; whoever asks names a hook, and the hook its node. */
export class Expectations implements Expectation {
	readonly #hooks = new Map<HookId, Hook>();
	readonly #places = new Map<string, HookId>();
	readonly #nodes = new Map<string, WiringExpectation>();
	#nodeNames = new Map<string, string>();
	/** By underlay address. */
	readonly #nics = new Map<string, Link>();
	#generation = 0;

	get generation(): number {
		return this.#generation;
	}

	/** The world has changed: every earlier answer is void. */
	update(wirings: readonly Wiring[], cluster: Cluster): void {
		this.#nodeNames = new Map(
			cluster.nodes.flatMap(({ name, address }) => (address === null ? [] : [[address, name] as const])),
		);
		for (const wiring of wirings) {
			for (const address of underlayAddresses(wiring)) this.#nodeNames.set(address, wiring.node);
		}
		this.#nics.clear();
		for (const { host } of wirings) {
			const links = new Map(host.links.map((link) => [link.ifindex, link]));
			for (const { address, ifindex } of host.addresses) {
				const link = links.get(ifindex);
				if (link !== undefined && this.#nodeNames.has(address)) this.#nics.set(address, link);
			}
		}
		for (const wiring of wirings) {
			const translation = this.#translation(wiring, cluster);
			const known = this.#nodes.get(wiring.node);
			if (known !== undefined) known.update(wiring, translation);
			else this.#nodes.set(wiring.node, this.#expectation(wiring, translation));
		}
		this.#generation++;
	}

	hook(hook: Hook): void {
		this.#hooks.set(hook.id, hook);
		this.#places.set(placeKey(hook), hook.id);
		this.#generation++;
	}

	unhook(hook: Hook): void {
		const place = placeKey(hook);
		if (this.#places.get(place) === hook.id) this.#places.delete(place);
		this.#generation++;
	}

	due(id: HookId, tuple: Tuple): Due {
		const hook = this.#hooks.get(id);
		const node = hook === undefined ? undefined : this.#nodes.get(hook.node);
		return node === undefined ? { kind: "unknown" } : node.due(id, tuple);
	}

	#expectation(wiring: Wiring, translation: Translation): WiringExpectation {
		return new WiringExpectation(wiring, {
			hook: (id) => this.#hooks.get(id) ?? null,
			at: (netns, ifindex, direction) => this.#places.get(placeKey({ netns, ifindex, direction })) ?? null,
			nodeName: (address) => this.#nodeNames.get(address) ?? null,
			nic: (address) => this.#nics.get(address) ?? null,
			translation,
		});
	}

	#translation(wiring: Wiring, { services, hostPorts }: Cluster): Translation {
		const own = new Set(wiring.host.addresses.map(({ address }) => address));
		return new RuleTranslation(services, hostPorts, (address) => own.has(address));
	}
}
