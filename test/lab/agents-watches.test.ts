import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ClientReadableStream, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Agents } from "./agents.js";
import { cluster } from "./cluster.js";

/* The client shares no code with weft: grpc-js over the shipped .proto. */

interface Message {
	readonly state?: { readonly phase: string };
	readonly delta?: Readonly<Record<string, unknown>> & { readonly count: string; readonly bucketCount: string[] };
	readonly drop?: Readonly<Record<string, unknown>> & { readonly count: string; readonly destination: { pod: string } };
}

type Watch = (request: object) => ClientReadableStream<Message>;

describe("an agent's watches", () => {
	const lab = cluster();
	let agents: Agents | null = null;
	let client: Readonly<Record<"WatchLatency" | "WatchDrops", Watch>> | null = null;

	before(async () => {
		agents = await Agents.start(lab());
		const definition = loadSync("weft/v1/tracer.proto", {
			includeDirs: ["src/rpc/proto"],
			...{ longs: String, enums: String, defaults: true, oneofs: true },
		});
		const { weft } = loadPackageDefinition(definition) as unknown as {
			weft: { v1: { TracerService: new (address: string, how: object) => NonNullable<typeof client> } };
		};
		client = new weft.v1.TracerService(agents.address("node-a"), credentials.createInsecure());
	});
	after(async () => {
		await agents?.stop();
	});

	/** Messages until `enough`; `act` once the stream is ready. */
	async function listen(
		method: "WatchLatency" | "WatchDrops",
		request: object,
		act: () => Promise<unknown>,
		enough: (all: readonly Message[]) => boolean,
	): Promise<readonly Message[]> {
		assert.ok(client);
		const call = client[method](request);
		const all: Message[] = [];
		return await new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`not enough of ${method}: ${JSON.stringify(all)}`)), 10_000);
			call.on("error", (error: Error) => (all.length === 0 ? reject(error) : undefined));
			call.on("data", (message: Message) => {
				all.push(message);
				if (all.length === 1) act().catch(reject);
				if (!enough(all)) return;
				clearTimeout(timer);
				call.cancel();
				resolve(all);
			});
		});
	}

	test("WatchLatency gives deltas: together they are what there was", async () => {
		const pings = () =>
			lab().ping("default/client", lab().pod("default/neighbor").pod.address.ipv4, { count: 50, intervalS: 0.02 });
		const forwards = (all: readonly Message[]) =>
			all.flatMap(({ delta }) => (delta?.["kind"] === "bridge-forward" && delta["from"] === null ? [delta] : []));
		const total = (all: readonly Message[]) => forwards(all).reduce((sum, { count }) => sum + Number(count), 0);
		const all = await listen("WatchLatency", { bridge: "cni0", intervalMs: 200 }, pings, (so) => total(so) >= 100);
		assert.equal(all[0]?.state?.phase, "PHASE_READY");
		assert.ok(forwards(all).length > 2, "several intervals");
		for (const delta of forwards(all)) {
			assert.equal(delta["device"], "cni0");
			assert.equal(delta["node"], "node-a");
			assert.equal(
				delta.bucketCount.reduce((sum, count) => sum + Number(count), 0),
				Number(delta.count),
			);
		}
	});

	test("WatchDrops gives what is dropped between the ends that were asked for", async () => {
		const knock = async () => {
			for (const pod of ["default/server", "default/neighbor"]) {
				const address = lab().pod(pod).pod.address.ipv4;
				await lab().send("default/client", {
					...{ protocol: "udp", address, port: 5999, size: 20, count: 2, timeoutMs: 50 },
				});
			}
		};
		for (const hooks of [false, true]) {
			const request = { from: { end: "default/client" }, to: { end: "default/neighbor" }, filter: "udp", hooks };
			const all = await listen("WatchDrops", request, knock, (so) => so.some(({ drop }) => drop));
			const drops = all.flatMap(({ drop }) => drop ?? []);
			assert.ok(drops.every(({ destination }) => destination.pod === "neighbor"));
			assert.equal(drops[0]?.["diagnosis"], "closed port");
			assert.equal(drops[0]?.["kernelReason"], "NO_SOCKET");
			const { hop, hopEvidence } = drops[0] ?? {};
			assert.deepEqual(
				{ hop, hopEvidence },
				{
					hop: { ...(hop as object), node: "node-a", device: "eth0", direction: "DIRECTION_INGRESS" },
					hopEvidence: hooks ? "HOP_EVIDENCE_SEEN" : "HOP_EVIDENCE_CONCLUDED",
				},
			);
		}
	});

	test("refuses what makes no sense, by the field's name", async () => {
		const nothing = async () => {};
		const refused = (method: "WatchLatency" | "WatchDrops", request: object) =>
			listen(method, request, nothing, () => true);
		await assert.rejects(refused("WatchLatency", { bridge: "br9" }), /INVALID_ARGUMENT: bridge: no bridge br9.*cni0/);
		await assert.rejects(refused("WatchLatency", { intervalMs: 5 }), /INVALID_ARGUMENT: interval_ms/);
		await assert.rejects(refused("WatchDrops", { filter: "tcp prot 80" }), /INVALID_ARGUMENT: filter/);
	});
});
