import { setFlagsFromString } from "node:v8";

/** Bytecode that V8 compiles into one function, bytes; 920 unless it is told otherwise. */
const INLINED_BYTES = 3000;
/** Newer versions may call the flag otherwise. */
const NEWEST_KNOWN = 24;

/**
 * A row passes some forty small functions of the Joiner; V8 puts some of them into one and calls the rest. With more room
 * a sighting takes a twentieth fewer instructions; with much more than this it takes more again. It holds for what this
 * process compiles from now on.
 */
export function inlineDeeply(): void {
	if (Number.parseInt(process.versions.node, 10) > NEWEST_KNOWN) return;
	setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES}`);
}
