import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Lab } from "../../src/lab/lab.js";
import { processesInCgroups } from "../../src/lab/runtime/cgroups.js";
import { containerdSocket } from "../../src/lab/runtime/containerd.js";
import { Cri } from "../../src/lab/runtime/cri.js";
import { cluster, uniqueName } from "./cluster.js";
import { exists, host, remains } from "./remains.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

describe("a lab under containerd", () => {
	const lab = cluster({ runtime: "containerd" });

	test("has real sandboxes: CRI, the CNI cache and the kernel tell one story", async () => {
		for (const { pod, netns } of lab().pods) {
			const { node } = lab().node(pod.node);
			const cri = await Cri.connect(containerdSocket(node));
			const { info } = await cri.call("PodSandboxStatus", { podSandboxId: pod.sandbox, verbose: true });
			cri.close();
			const sandbox = JSON.parse(info["info"] ?? "{}") as {
				pid: number;
				config: { metadata: Record<string, unknown> };
			};
			assert.equal(sandbox.config.metadata["name"], pod.name);
			assert.equal(sandbox.config.metadata["uid"], pod.uid);

			const [ofProcess, ofName] = await Promise.all([stat(`/proc/${sandbox.pid}/ns/net`), stat(`/run/netns/${netns}`)]);
			assert.equal(ofProcess.ino, ofName.ino, "the sandbox's process is in the pod's namespace");

			const path = `${node.root}/var/lib/cni/results/cbr0-${pod.sandbox}-eth0`;
			const cache = JSON.parse(await readFile(path, "utf8")) as { cniArgs: [string, string][] };
			assert.equal(Object.fromEntries(cache.cniArgs)["K8S_POD_NAME"], pod.name);
			assert.equal(Object.fromEntries(cache.cniArgs)["K8S_POD_UID"], pod.uid);

			const cgroup = await readFile(`/proc/${sandbox.pid}/cgroup`, "utf8");
			assert.match(cgroup, new RegExp(`kubepods/besteffort/pod${pod.uid}/${pod.sandbox}`));
		}
	});

	test("carries traffic as the lab without a runtime does", async () => {
		const server = lab().pod("default/server").pod.address;
		assert.equal(await lab().ping("default/client", server.ipv4), 1);
		assert.equal(await lab().ping("default/client", server.ipv6), 1);
		const running = await lab().serve("default/server", { protocol: "tcp", port: 8080, as: "echo" });
		const { ipv4 } = lab().service("default/web").clusterIp;
		const sent = await lab().send("default/client", { protocol: "tcp", address: ipv4, port: 80, bytes: 1000 });
		assert.equal(sent.receivedBytes, 1000);
		const outside = lab().node("node-b").node.address.ipv4;
		const mapped = await lab().send("outside", { protocol: "tcp", address: outside, port: 18080, bytes: 1000 });
		assert.equal(mapped.receivedBytes, 1000, "the hostPort that CRI was asked for");
		await running.stop();
	});

	test("makes pods and deletes them without a trace", async () => {
		const before = await processesInCgroups(lab().name);
		const { pod } = await lab().addPod("node-a", { namespace: "shop", name: "cart" });
		assert.ok((await processesInCgroups(lab().name)).length >= before.length + 2, "a pause process and a container");
		assert.equal(await lab().ping("default/server", pod.address.ipv4), 1);
		await lab().deletePod("shop/cart");
		assert.equal((await processesInCgroups(lab().name)).length, before.length);
		const { root } = lab().node("node-a").node;
		assert.equal(await exists(`${root}/var/lib/cni/networks/cbr0/${pod.address.ipv4}`), false);
		assert.equal(await exists(`${root}/var/lib/cni/results/cbr0-${pod.sandbox}-eth0`), false);
	});
});

for (const runtime of ["none", "containerd"] as const) {
	describe(`Docker on a node with runtime ${runtime}`, () => {
		const lab = cluster({ runtime });

		test("uses the docker0 that was idle, beside the pods on cni0", async () => {
			const node = lab().node("node-a");
			const ports = async () => (await node.run("ip", "-br", "link", "show", "master", "docker0")).trim();
			assert.equal(await ports(), "", "the precondition: an idle docker0");
			await lab().startDocker("node-a");
			assert.equal(await ports(), "");

			const container = await lab().runContainer("node-a", "plain");
			assert.match(await ports(), /^veth\w+@if\d+ /);
			assert.match(await container.run("ip", "-4", "-br", "addr", "show", "eth0"), /172\.17\.0\.2\/16/);
			assert.equal(await lab().ping("default/client", "172.17.0.2"), 1);
			assert.match(await lab().node("node-a").run("iptables-save", "-t", "nat"), /-A POSTROUTING -s 172\.17\.0\.0\/16/);

			await lab().removeContainer("node-a", "plain");
			assert.equal(await ports(), "");
			assert.equal(await lab().ping("default/client", lab().pod("default/server").pod.address.ipv4), 1);
		});
	});
}

describe("labs with runtimes come and go", () => {
	const names: string[] = [];
	const fresh = () => {
		const name = uniqueName();
		names.push(name);
		return name;
	};
	after(async () => {
		for (const name of names) await Lab.down(name);
	});

	test("down leaves nothing, containers that the lab knows nothing of included", async () => {
		const before = await host();
		const lab = await Lab.up({ name: fresh(), runtime: "containerd", docker: true });
		const { root } = lab.node("node-a").node;
		const docker = ["docker", `--host=unix://${root}/run/docker.sock`];
		await lab.node("node-a").run(...docker, "run", "--detach", "busybox", "sleep", "1000");
		await lab.down();
		assert.deepEqual(await remains(lab.name), []);
		assert.deepEqual(await host(), before);
	});

	for (const delay of [500, 900, 1300, 2000]) {
		test(`killed ${delay} ms after its first namespace, it is tidied up`, async () => {
			const name = fresh();
			const words = ["lab", "up", "--name", name, "--runtime", "containerd", "--docker"];
			const child = spawn(process.execPath, [MAIN, ...words], { stdio: "ignore" });
			const exit = once(child, "exit");
			while (!(await exists(`/run/netns/weft-${name}-underlay`))) await sleep(5);
			await sleep(delay);
			child.kill("SIGKILL");
			await exit;
			await Lab.down(name);
			assert.deepEqual(await remains(name), []);
		});
	}
});
