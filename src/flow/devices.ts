import type { Hook } from "../packet/hook.js";
import type { FlowPath } from "./flow-path.js";

/** Numbers devices, whichever direction of one is hooked: a packet and its answer pass the same device by two hooks. */
export class Devices {
	readonly #hook: (id: number) => Hook;
	readonly #numbers = new Map<string, number>();
	readonly #ofHook: number[] = [];

	constructor(hook: (id: number) => Hook) {
		this.#hook = hook;
	}

	of(hook: number): number {
		return this.#ofHook[hook] ?? this.#learn(hook);
	}

	/** When a path was last seen at a device, ns on the joiner's line; null: never. */
	timeAt(path: FlowPath, device: number): number | null {
		for (let n = path.hopCount - 1; n >= 0; n--) {
			if (this.of(path.hook(n)) === device) return path.first(n);
		}
		return null;
	}

	#learn(hook: number): number {
		const { node, netns, ifindex } = this.#hook(hook);
		const name = `${node}/${netns}/${ifindex}`;
		const number = this.#numbers.get(name) ?? this.#numbers.size;
		this.#numbers.set(name, number);
		this.#ofHook[hook] = number;
		return number;
	}
}
