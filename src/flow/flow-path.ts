import type { PathView } from "../path/path-view.js";

/** The part of a PathView that flows are made of. */
export type FlowPath = Pick<
	PathView,
	| "serial"
	| "verdict"
	| "blame"
	| "hopCount"
	| "sequence"
	| "acknowledgement"
	| "tcpFlags"
	| "flags"
	| "length"
	| "payload"
	| "segments"
	| "hook"
	| "first"
	| "last"
	| "packets"
	| "bytes"
	| "tupleAt"
	| "outerAt"
	| "branch"
>;
