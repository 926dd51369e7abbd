// node scripts/layout.mjs ADDON LAYOUT.o TRACE.bpf.o OUTPUT: writes the C structs' layout as TypeScript.
// The structs come from scripts/layout.c; the tracer's own object must agree, or the build fails.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [addonPath, layoutPath, tracePath, outputPath] = process.argv.slice(2);
const native = createRequire(import.meta.url)(resolve(addonPath));

const structs = native.btfLayouts(readFileSync(layoutPath));
const enums = native.btfEnums(readFileSync(layoutPath));
const traced = native.btfLayouts(readFileSync(tracePath));

for (const name of ["weft_event", "weft_knobs", "weft_rule", "weft_counters"]) {
	if (structs[name] === undefined) {
		throw new Error(`${layoutPath} has no struct ${name}`);
	}
	if (JSON.stringify(traced[name]) !== JSON.stringify(structs[name])) {
		throw new Error(`struct ${name} differs between ${layoutPath} and ${tracePath}: build both from the same headers`);
	}
}

const { weft_limits: limits, ...records } = structs;
const sizes = Object.fromEntries(Object.entries(limits.members).map(([name, { size }]) => [name, size]));

writeFileSync(
	outputPath,
	`// Made by scripts/layout.mjs from the BTF of bpf/*.h; names are C's. Offsets and sizes in bytes.
export const LAYOUT = ${JSON.stringify(records, null, "\t")} as const;
export const ENUMS = ${JSON.stringify(enums, null, "\t")} as const;
export const LIMITS = ${JSON.stringify(sizes, null, "\t")} as const;
`,
);
