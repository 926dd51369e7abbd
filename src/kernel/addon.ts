import { createRequire } from "node:module";
import { KernelError } from "./error.js";
import type { Native } from "./native.js";

const require = createRequire(import.meta.url);
let loaded: Native | null = null;

/**
 * The addon, loaded at the first call and never before: a laptop that only talks to agents does without it. Each
 * worker thread loads its own.
 * @throws KernelError when there is none for this machine
 */
export function addon(): Native {
	loaded ??= load();
	return loaded;
}

function load(): Native {
	try {
		// Compiled, this file is dist/src/kernel/addon.js.
		return require("../../native/weft.node") as Native;
	} catch (cause) {
		if (isMissing(cause)) {
			throw new KernelError("load the addon", "it has not been built: run `make build`", cause);
		}
		throw new KernelError("load the addon", "it does not fit this machine: run `make clean build`", cause);
	}
}

function isMissing(cause: unknown): boolean {
	return cause instanceof Error && "code" in cause && cause.code === "MODULE_NOT_FOUND";
}
