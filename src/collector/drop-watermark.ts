import type { SourceId, SourceSink } from "../packet/source.js";

/**
 * Two rings tell of one node: sightings and drops. The Joiner may read on only as far as both are complete, or a drop would
 * find its pointer carrying the next packet.
 */
export class DropWatermark {
	readonly #forward: SourceSink["watermark"];
	readonly #sightings = new Map<SourceId, number>();
	readonly #drops = new Map<SourceId, number>();

	constructor(forward: SourceSink["watermark"]) {
		this.#forward = forward;
	}

	sightings(source: SourceId, timeNs: number): void {
		this.#sightings.set(source, timeNs);
		this.#tell(source);
	}

	/** From the first call on drops count. */
	drops(source: SourceId, timeNs: number): void {
		this.#drops.set(source, timeNs);
		this.#tell(source);
	}

	#tell(source: SourceId): void {
		const sightings = this.#sightings.get(source);
		if (sightings === undefined) return;
		this.#forward(source, Math.min(sightings, this.#drops.get(source) ?? Number.POSITIVE_INFINITY));
	}
}
