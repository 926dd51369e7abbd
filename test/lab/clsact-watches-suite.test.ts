import { attachBy } from "./attach.js";

/** clsact-suite.test.ts, with whatever else asks agents: subscribers, watches, recordings, relays, other commands. */
attachBy("clsact");

for (const suite of [
	"agents-recording",
	"agents-sample",
	"agents-service",
	"agents-slow",
	"agents-watches",
	"metrics",
	"topology",
	"wire",
]) {
	await import(`./${suite}.test.js`);
}
