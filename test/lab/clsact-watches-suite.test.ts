import { attachBy } from "./attach.js";
import { CLSACT_SUITES } from "./clsact-files.js";

attachBy("clsact");

for (const file of CLSACT_SUITES.watches) await import(`./${file}.test.js`);
