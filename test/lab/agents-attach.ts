import assert from "node:assert/strict";
import { addon } from "../../src/kernel/addon.js";
import type { Space } from "../../src/lab/space.js";
import { Channel } from "../../src/rpc/client/channel.js";
import { decode, encode } from "../../src/rpc/codec.js";
import { hookOf } from "../../src/rpc/hook-message.js";
import { Phase } from "../../src/rpc/messages.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { until } from "../until.js";
import { assertFiltered, attach } from "./attach.js";

/**
 * A precondition of a suite of agents: by clsact an agent that is asked has filters under weft's name on its node's
 * devices, one for each hook that it tells of, and no device has a program of TCX. Then nobody asks any more.
 */
export async function assertAgentFiltered(node: Space, address: string): Promise<void> {
	if (attach() !== "clsact") return;
	const channel = new Channel(address, { tls: null, insecure: false });
	try {
		const status = async () => (await channel.getStatus()).agents[0] ?? assert.fail(`${address} tells of no agent`);
		const call = channel.streamSightings();
		// It ends with its cancellation.
		call.on("error", () => undefined);
		const ready = new Promise<void>((resolve) => {
			call.on("data", (bytes: Buffer) => {
				if (decode("StreamSightingsResponse", bytes).state?.phase === Phase.ready) resolve();
			});
		});
		call.write(encode("StreamSightingsRequest", { filter: "udp", namespace: "" }));
		await ready;
		const { attach: how, hooks } = await status();
		assert.equal(how, "clsact", `precondition: ${address} hooks by clsact`);
		assert.ok(hooks.length >= 4, `precondition: ${hooks.length} hooks`);
		await assertFiltered(hooks.map(hookOf));
		assert.deepEqual(linked(node), [], "precondition: no device has a program of TCX");
		call.cancel();
		await until(async () => {
			const { hooks: left, subscribers } = await status();
			return left.length + subscribers.length === 0;
		});
	} finally {
		channel.close();
	}
}

/** Devices that have programs of TCX. */
function linked(node: Space): readonly string[] {
	const { wiring } = readWiring({ native: addon(), node: node.name, netns: node.path, hostRoot: null });
	const netns = addon().openNetns(node.path);
	try {
		const has = (ifindex: number) =>
			[false, true].some((egress) => addon().queryTcx(ifindex, egress, netns).length > 0);
		return wiring.host.links.filter(({ ifindex }) => has(ifindex)).map(({ name }) => name);
	} finally {
		netns.close();
	}
}
