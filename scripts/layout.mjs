// node scripts/layout.mjs OUTPUT ADDON LAYOUT.o PROGRAMS.bpf.o…: writes the C structs' layout as TypeScript.
// The structs come from scripts/layout.c; where a program has one of them it must agree, or the build fails.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [outputPath, addonPath, layoutPath, ...programPaths] = process.argv.slice(2);
const native = createRequire(import.meta.url)(resolve(addonPath));

const { weft_limits: limits, ...structs } = native.btfLayouts(readFileSync(layoutPath));
const enums = native.btfEnums(readFileSync(layoutPath));
const sizes = Object.fromEntries(Object.entries(limits.members).map(([name, { size }]) => [name, size]));

for (const path of programPaths) {
	for (const [name, layout] of Object.entries(native.btfLayouts(readFileSync(path)))) {
		if (structs[name] !== undefined && JSON.stringify(layout) !== JSON.stringify(structs[name])) {
			throw new Error(`struct ${name} differs between ${layoutPath} and ${path}: build both from the same headers`);
		}
	}
}

writeFileSync(
	outputPath,
	`// Made by scripts/layout.mjs from the BTF of bpf/*.h; names are C's. Offsets and sizes in bytes.
export const LAYOUT = ${JSON.stringify(structs, null, "\t")} as const;
export const ENUMS = ${JSON.stringify(enums, null, "\t")} as const;
export const LIMITS = ${JSON.stringify(sizes, null, "\t")} as const;
`,
);
