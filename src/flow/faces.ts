import { type Face, type Flow, flipped, type WayIndex } from "./flow.js";

/** Which connection a tuple belongs to: by its key, and for a tuple met before by its id. */
export class Faces {
	readonly #byKey = new Map<string, Face>();
	/** By tuple id: its face, and whether it is the key's reverse. Emptied by `forget`. */
	readonly #ofTuple: (Face | undefined)[] = [];
	readonly #turned: Uint8Array;

	/** @param capacity of the tuple table */
	constructor(capacity: number) {
		this.#turned = new Uint8Array(capacity + 1);
	}

	/** Of a tuple met before. */
	of(id: number): Face | undefined {
		return this.#ofTuple[id];
	}

	/** The way of that tuple's packets in its face's flow. */
	wayOf(id: number, face: Face): WayIndex {
		return flipped(this.#turned[id] as WayIndex, face.flip);
	}

	find(key: string): Face | undefined {
		return this.#byKey.get(key);
	}

	/** A new one. @param flip the flow's way of what goes as the key says */
	add(key: string, flow: Flow, flip: WayIndex): Face {
		const face: Face = { key, flow, flip };
		flow.faces.push(face);
		this.#byKey.set(key, face);
		return face;
	}

	remember(id: number, face: Face, turned: WayIndex): void {
		this.#ofTuple[id] = face;
		this.#turned[id] = turned;
	}

	/** The id may mean another tuple from now on. */
	forget(id: number): void {
		this.#ofTuple[id] = undefined;
	}

	/** One face was another flow's. */
	move(face: Face, flow: Flow, flip: WayIndex): void {
		face.flow.faces = face.flow.faces.filter((other) => other !== face);
		face.flow = flow;
		face.flip = flip;
		flow.faces.push(face);
	}

	/** All faces of one flow become another's. @param turn 1: way 0 of the other is way 1 of this one */
	moveAll(from: Flow, to: Flow, turn: WayIndex): void {
		for (const face of from.faces) {
			face.flow = to;
			face.flip = flipped(face.flip, turn);
			to.faces.push(face);
		}
		from.faces = [];
	}

	/** The flow is not found any more. */
	remove(flow: Flow): void {
		for (const { key } of flow.faces) this.#byKey.delete(key);
	}
}
