import assert from "node:assert/strict";
import { test } from "node:test";
import { Family } from "../../src/packet/sightings.js";
import type { Tuple } from "../../src/packet/tuple.js";
import { RuleTranslation } from "../../src/wiring/translation.js";

const NODE = "192.168.66.11";
const web = {
	ip: "10.96.0.11",
	port: 80,
	protocol: "tcp",
	nodePort: 30080,
	endpoints: [
		{ ip: "10.244.1.2", port: 8080 },
		{ ip: "10.244.2.2", port: 8080 },
	],
};
const web6 = { ...web, ip: "fd00::11", endpoints: [{ ip: "fd00:1::2", port: 8080 }] };
const published = { port: 18080, protocol: "tcp", endpoint: { ip: "10.244.1.3", port: 80 } };
const rules = new RuleTranslation([web, web6], [published], (address) => address === NODE);

function tcp(destination: string, destinationPort: number, source = "10.244.1.2", sourcePort = 40000): Tuple {
	return { family: Family.ipv4, protocol: 6, source, destination, sourcePort, destinationPort };
}

test("rules: cluster IP, node port on the node's own address only, published port", () => {
	assert.deepEqual(rules.destinations(tcp("10.96.0.11", 80)), web.endpoints);
	assert.deepEqual(rules.destinations(tcp("10.96.0.11", 81)), []);
	assert.deepEqual(rules.destinations({ ...tcp("10.96.0.11", 80), protocol: 17 }), []);
	assert.deepEqual(rules.destinations(tcp(NODE, 30080)), web.endpoints, "not those of the other family");
	assert.deepEqual(rules.destinations(tcp("192.168.66.12", 30080)), []);
	assert.deepEqual(rules.destinations(tcp(NODE, 18080)), [published.endpoint]);
	assert.equal(rules.fromEndpoint(tcp("10.244.1.9", 40000, "10.244.2.2", 8080)), true);
	assert.equal(rules.fromEndpoint(tcp("10.244.1.9", 40000, "10.244.2.2", 8081)), false);
});
