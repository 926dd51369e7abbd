import { byVerdict } from "../path/counters.js";
import { VERDICTS, verdictIndex } from "../path/judgement.js";
import type { Verdict } from "../path/path.js";
import type { Summary } from "./report.js";

/** Verdicts that a later report may still revise; a power of two. */
const REMEMBERED = 2 ** 16;

/** How many paths ended how, and where those that died were seen last. */
export class VerdictCount {
	/** By index into VERDICTS. */
	readonly #counts = new Float64Array(VERDICTS.length);
	readonly #blames = new Map<string, { place: string; verdict: Verdict; count: number }>();
	/** Ring by serial: which serial, and the index of its verdict + 1. */
	readonly #serials = new Float64Array(REMEMBERED);
	readonly #verdicts = new Uint8Array(REMEMBERED);

	add(serial: number, verdict: Verdict, place: () => string): void {
		const index = verdictIndex(verdict);
		this.#counts[index] = (this.#counts[index] as number) + 1;
		const slot = slotOf(serial);
		this.#serials[slot] = serial;
		this.#verdicts[slot] = index + 1;
		this.#blame(verdict, place, 1);
	}

	/** False: the path never counted (the filter left it out), or is too long ago. */
	revise(serial: number, verdict: Verdict, place: () => string): boolean {
		const slot = slotOf(serial);
		const index = (this.#verdicts[slot] as number) - 1;
		const before = VERDICTS[index];
		if (before === undefined || this.#serials[slot] !== serial) return false;
		this.#counts[index] = (this.#counts[index] as number) - 1;
		this.#blame(before, place, -1);
		this.add(serial, verdict, place);
		return true;
	}

	get counts(): Record<Verdict, number> {
		return byVerdict(this.#counts);
	}

	/** Most first. */
	blames(): Summary["blames"] {
		return [...this.#blames.values()].filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
	}

	#blame(verdict: Verdict, place: () => string, by: number): void {
		if (verdict !== "lost" && verdict !== "dropped") return;
		const where = place();
		const key = `${verdict} ${where}`;
		const known = this.#blames.get(key);
		if (known === undefined) this.#blames.set(key, { place: where, verdict, count: by });
		else known.count += by;
	}
}

/** Serials outgrow 32 bits; a bitwise operation takes a double modulo 2³², a remainder of doubles takes 20 ns. */
function slotOf(serial: number): number {
	return serial & (REMEMBERED - 1);
}
