import { randomBytes } from "node:crypto";
import type { NetnsCookie } from "../packet/hook.js";
import { type AttachType, attachTypeOf } from "./attach.js";
import { type Announce, type AttachFailure, HookSets, type KnobsOf } from "./hook-sets.js";
import type { SlotAccess } from "./hooks.js";
import { NO_FILTER } from "./knobs.js";
import { InstrumentObject } from "./object.js";
import type { HookPlace, HookTarget } from "./place.js";
import type { TunnelPortsOf } from "./stopwatch.js";

export interface WhereaboutsOptions {
	readonly attach: AttachType | "auto";
	/** The namespaces of one node, its pods' included, have one realm: a packet is known again across them. */
	readonly realmOf: (netns: NetnsCookie) => NetnsCookie;
}

/** Hooks that note in the tracer's slots where each packet was seen last. No packet comes up: Drops looks into them. */
export class Whereabouts {
	readonly #realmOf: WhereaboutsOptions["realmOf"];
	readonly #object: InstrumentObject;
	readonly #sets: HookSets;
	readonly #pointerKey = randomBytes(8).readBigUInt64LE() | 1n;
	readonly #hashSalt = randomBytes(8).readBigUInt64LE();

	/** @throws KernelError without the addon, without privileges, or on a kernel that cannot */
	constructor({ attach, realmOf }: WhereaboutsOptions) {
		this.#realmOf = realmOf;
		this.#object = new InstrumentObject({
			file: "whereabouts.bpf.o",
			program: "weft_whereabouts",
			noop: "weft_noop",
		});
		this.#sets = new HookSets(this.#object, attachTypeOf(attach), { opened: () => {}, closed: () => {} }, realmOf);
	}

	/** As Hooks.attach. @throws KernelError */
	attach<Target extends HookTarget>(
		targets: readonly Target[],
		tunnelPortsOf: TunnelPortsOf,
		announce: Announce<Target>,
	): Promise<readonly AttachFailure<Target>[]> {
		return this.#sets.attach(targets, this.#knobsOf(tunnelPortsOf), announce);
	}

	detach(places: readonly HookPlace[]): Promise<void> {
		return this.#sets.detach(places);
	}

	get slotAccess(): SlotAccess {
		return {
			maps: [this.#object.map("slots"), this.#object.map("shared")],
			pointerKey: this.#pointerKey,
			hashSalt: this.#hashSalt,
			netnsId: (cookie) => this.#sets.netnsId(this.#realmOf(cookie)),
		};
	}

	/** The hooks stay, doing nothing, until `close`. */
	stop(): Promise<void> {
		return this.#sets.quiet();
	}

	/** Takes every hook away: some 10 ms each with TCX. A process that ends does without. */
	async close(): Promise<void> {
		await this.#sets.close();
		this.#object.close();
	}

	#knobsOf(tunnelPortsOf: TunnelPortsOf): KnobsOf {
		const [pointerKey, hashSalt] = [this.#pointerKey, this.#hashSalt];
		return (netns) => ({ pointerKey, hashSalt, ...NO_FILTER, tunnelPorts: tunnelPortsOf(netns) });
	}
}
