import type { Direction, NetnsCookie } from "../packet/hook.js";
import type { Narrow } from "./model.js";

/** One direction of one device. */
export interface Place {
	readonly netns: NetnsCookie;
	readonly ifindex: number;
	readonly direction: Direction;
}

/** Where a packet goes from a place, before anyone asks which places are watched. See Due. */
export type Step =
	| { readonly kind: "terminal" }
	| {
			readonly kind: "leaves";
			readonly address: string | null;
			/** Of the IP packet on the wire beyond the pod's frame; absent: not known. */
			readonly outerBytes?: number;
	  }
	| {
			readonly kind: "next";
			readonly places: readonly Place[];
			readonly optional: readonly Place[];
			readonly mayEnd: boolean;
			readonly narrow?: Narrow | null;
	  }
	| { readonly kind: "nowhere"; readonly reason: string; readonly remedy: string | null }
	| { readonly kind: "unknown" };
