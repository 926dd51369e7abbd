import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readdir, readFile } from "node:fs/promises";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { run } from "../../src/lab/command.js";
import { LabError } from "../../src/lab/error.js";
import { Lab } from "../../src/lab/lab.js";
import { labDirectory, planLab } from "../../src/lab/plan.js";
import { type LabStatus, labStatus } from "../../src/lab/status.js";
import { labNamespaces } from "../../src/lab/teardown.js";
import { until } from "../until.js";
import { cluster, uniqueName } from "./cluster.js";
import { exists, host, remains } from "./remains.js";
import { runWeft } from "./weft.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

describe("a lab", () => {
	const lab = cluster({ pods: 1, nodes: 3, servers: true });

	test("has its nodes, pods and services, and says so", async () => {
		const { code, stdout } = await runWeft("lab", "status", "--name", lab().name, "-o", "json");
		assert.equal(code, 0);
		const status = JSON.parse(stdout) as LabStatus;
		assert.equal(status.state, "up");
		assert.deepEqual(
			status.nodes.map((node) => node.name),
			["node-a", "node-b", "node-c"],
		);
		assert.deepEqual(status.pods.map((pod) => `${pod.node} ${pod.namespace}/${pod.name}`).sort(), [
			"node-a default/client",
			"node-a default/extra-a-1",
			"node-a default/neighbor",
			"node-b default/extra-b-1",
			"node-b default/other",
			"node-b default/server",
			"node-c default/extra-c-1",
		]);
		assert.ok(status.processes.length > 0 && status.processes.every((process) => process.alive));
	});

	test("numbers its devices as a real node: eth0 2, docker0 3 without carrier", async () => {
		const node = lab().node("node-a");
		const links = JSON.parse(await node.run("ip", "-j", "link")) as { ifindex: number; ifname: string }[];
		assert.deepEqual(
			links.slice(0, 6).map((link) => `${link.ifindex} ${link.ifname}`),
			["1 lo", "2 eth0", "3 docker0", "4 flannel.1", "5 flannel-v6.1", "6 cni0"],
		);
		// The kernel tells of a lost carrier up to a second later (net/core/link_watch.c).
		await until(async () => (await node.run("ip", "link", "show", "docker0")).includes("NO-CARRIER"), 5_000);
		await until(async () => /172\.17\.0\.0\/16 dev docker0 .*linkdown/.test(await node.run("ip", "route")), 5_000);
	});

	test("leaves what flannel, the plugins and the runtime leave in a node's filesystem", async () => {
		const { pod } = lab().pod("default/server");
		const { root } = lab().node("node-b").node;
		const cache = JSON.parse(await readFile(`${root}/var/lib/cni/results/cbr0-${pod.sandbox}-eth0`, "utf8")) as Record<
			string,
			unknown
		> & { cniArgs: [string, string][]; result: { ips: { address: string }[] } };
		assert.equal(cache["kind"], "cniCacheV1");
		assert.equal(Object.fromEntries(cache.cniArgs)["K8S_POD_NAME"], "server");
		assert.equal(Object.fromEntries(cache.cniArgs)["K8S_POD_UID"], pod.uid);
		assert.deepEqual(
			cache.result.ips.map((ip) => ip.address),
			[`${pod.address.ipv4}/24`, `${pod.address.ipv6}/64`],
		);
		for (const address of [pod.address.ipv4, pod.address.ipv6]) {
			const holder = await readFile(`${root}/var/lib/cni/networks/cbr0/${address}`, "utf8");
			assert.equal(holder.split(/\r?\n/)[0], pod.sandbox);
		}
		const subnet = await readFile(`${root}/run/flannel/subnet.env`, "utf8");
		assert.match(subnet, /^FLANNEL_SUBNET=10\.244\.2\.1\/24$/m);
		assert.match(subnet, /^FLANNEL_IPV6_SUBNET=fd00:10:244:2::1\/64$/m);
	});

	test("has rules that name its services, the hostPort and flannel's masquerading", async () => {
		const rules = await lab().node("node-b").run("iptables-save");
		assert.match(
			rules,
			/-A KUBE-SERVICES -d 10\.96\.0\.11\/32 .*"default\/web cluster IP".* -j KUBE-SVC-[A-Z2-7]{16}\n/,
		);
		assert.match(
			rules,
			/-A KUBE-SVC-[A-Z2-7]{16} .*"default\/both -> .* -m statistic --mode random --probability 0\.5/,
		);
		assert.match(rules, /-A KUBE-NODEPORTS .*--dport 30080 -j KUBE-EXT-/);
		assert.match(rules, /--dport 18080 -j DNAT --to-destination 10\.244\.2\.\d+:8080/);
		assert.match(rules, /-A FLANNEL-POSTRTG -s 10\.244\.0\.0\/16 ! -d 224\.0\.0\.0\/4 .* -j MASQUERADE --random-fully/);
	});

	test("answers behind its services, from pods and from outside, over both families", async () => {
		const targets = [
			["default/client", "http://10.96.0.11/", "default/server"],
			["default/client", "http://[fd00:10:96::11]/", "default/server"],
			["default/client", "http://10.96.0.12/", "default/neighbor"],
			["default/server", "http://10.96.0.11/", "default/server"],
			["outside", "http://192.168.66.13:30080/", "default/server"],
			["outside", "http://192.168.66.12:18080/", "default/server"],
			["node:node-c", "http://10.96.0.11/", "default/server"],
			["node:node-b", "http://127.0.0.1:30080/", "default/server"],
		] as const;
		for (const [from, url, backend] of targets) {
			assert.equal((await fetchFrom(lab(), from, url)).trim(), backend, `${from} ${url}`);
		}
	});

	test("spreads a service over its endpoints", async () => {
		const seen = new Set<string>();
		for (let round = 0; round < 40 && seen.size < 2; round++) {
			seen.add((await fetchFrom(lab(), "default/client", "http://10.96.0.13/")).trim());
		}
		assert.deepEqual([...seen].sort(), ["default/other", "default/server"]);
	});

	test("exec gives back output, exit status and signals", async () => {
		const exec = (...words: string[]) => runWeft("lab", "exec", "--name", lab().name, ...words);
		const address = await exec("default/client", "--", "ip", "-4", "-br", "addr", "show", "eth0");
		assert.match(address.stdout, /10\.244\.1\.2\/24/);
		assert.equal((await exec("node:node-a", "--", "test", "-d", "/nowhere")).code, 1);
		const unknown = await exec("default/nobody", "--", "true");
		assert.equal(unknown.code, 1);
		assert.match(unknown.stderr, /no pod "default\/nobody"; there are .*default\/client/);

		const child = spawn(process.execPath, [
			MAIN,
			"lab",
			"exec",
			"--name",
			lab().name,
			"client",
			"--",
			"sleep",
			"77.77",
		]);
		await until(async () => (await run(["ip", "netns", "pids", lab().pod("client").netns])).trim() !== "", 5_000);
		child.kill("SIGTERM");
		const [code] = (await once(child, "exit")) as [number];
		assert.equal(code, 128 + 15);
		await until(async () => (await run(["ip", "netns", "pids", lab().pod("client").netns])).trim() === "", 5_000);
	});

	test("makes pods and deletes them without a trace", async () => {
		const node = lab().node("node-a");
		const devices = async () =>
			(await node.run("ip", "-br", "link", "show", "master", "cni0")).trim().split("\n").length;
		const before = await devices();
		const pod = await lab().addPod("node-a", { namespace: "shop", name: "cart" });
		assert.equal(await devices(), before + 1);
		assert.equal(await lab().ping("default/server", pod.pod.address.ipv4), 1);
		assert.equal((await Lab.open(lab().name)).pod("shop/cart").pod.uid, pod.pod.uid);

		const server = pod.spawn(["sleep", "1000"], { stdio: "ignore" });
		const ended = once(server, "exit");
		await until(async () => (await run(["ip", "netns", "pids", pod.netns])).trim() === `${server.pid}`, 5_000);
		await lab().deletePod("shop/cart");
		await ended;
		assert.equal(await devices(), before);
		assert.throws(() => lab().pod("shop/cart"), LabError);
		const root = node.node.root;
		await assert.rejects(access(`${root}/var/lib/cni/networks/cbr0/${pod.pod.address.ipv4}`));
		assert.ok(!(await readdir(`${root}/var/lib/cni/results`)).some((file) => file.includes(pod.pod.sandbox)));
	});

	test("leads a service to the pod that takes a backend's place", async () => {
		await lab().deletePod("default/other");
		const again = await lab().addPod("node-a", { name: "other" });
		const rules = await lab().node("node-c").run("iptables-save", "-t", "nat");
		assert.match(rules, new RegExp(`--to-destination ${again.pod.address.ipv4}:8080`));
	});

	test("breaks where it is told to, and mends", async () => {
		const server = lab().pod("default/server").pod.address;
		const answers = () => Promise.all([server.ipv4, server.ipv6].map((to) => lab().ping("default/client", to)));
		assert.deepEqual(await answers(), [1, 1]);
		await lab().removeFdb("node-a", "node-b");
		assert.deepEqual(await answers(), [0, 0]);
		await lab().restoreFdb("node-a", "node-b");
		assert.deepEqual(await answers(), [1, 1]);
		await lab().setLink("outside", "sw1", false);
		assert.deepEqual(await answers(), [0, 0]);
		await lab().setLink("outside", "sw1", true);
		await until(async () => (await lab().ping("default/client", server.ipv4)) === 1, 5_000);
	});

	test("is not built twice", async () => {
		const { code, stderr } = await runWeft("lab", "up", "--name", lab().name);
		assert.equal(code, 1);
		assert.match(stderr, /already up; take it down: weft lab down --name /);
		assert.equal((await labStatus(lab().name)).state, "up");
	});
});

describe("labs come and go", () => {
	const names: string[] = [];
	const fresh = () => {
		const name = uniqueName();
		names.push(name);
		return name;
	};
	after(async () => {
		for (const name of names) await Lab.down(name);
	});

	test("two side by side do not meet, and one goes without the other", async () => {
		const [one, two] = await Promise.all([Lab.up({ name: fresh() }), Lab.up({ name: fresh() })]);
		const server = one.pod("server").pod.address.ipv4;
		assert.equal(server, two.pod("server").pod.address.ipv4, "both have the same addresses inside");
		await two.setLink("default/server", "eth0", false);
		assert.deepEqual([await one.ping("client", server), await two.ping("client", server)], [1, 0]);
		await two.down();
		assert.deepEqual(await remains(two.name), []);
		assert.equal(await one.ping("client", server), 1);
	});

	test("down leaves nothing: no namespace, process, mount or file, and the host as it was", async () => {
		const before = await host();
		const lab = await Lab.up({ name: fresh(), servers: true });
		const stray = lab.pod("client").spawn(["sleep", "1000"], { stdio: "ignore", detached: true });
		const gone = once(stray, "exit");
		await until(
			async () => (await run(["ip", "netns", "pids", lab.pod("client").netns])).trim() === `${stray.pid}`,
			5_000,
		);
		const removed = await lab.down();
		await gone;
		assert.equal(removed.namespaces, 7);
		assert.ok(removed.processes >= 4);
		assert.deepEqual(await remains(lab.name), []);
		assert.deepEqual(await host(), before);
		assert.equal((await labStatus(lab.name)).state, "down");
	});

	// From the first namespace to the last rule.
	for (const delay of [0, 60, 150, 250, 400, 600]) {
		test(`killed ${delay} ms after it claimed its name, it is told and tidied up`, async () => {
			const name = fresh();
			const child = spawn(process.execPath, [MAIN, "lab", "up", "--name", name], { stdio: "ignore" });
			const exit = once(child, "exit");
			await until(async () => exists(labDirectory(name)), 5_000);
			await sleep(delay);
			child.kill("SIGKILL");
			const [code] = (await exit) as [number | null];
			const wasUp = (await labStatus(name)).state === "up";
			assert.ok(delay > 60 || (code === null && !wasUp), "the precondition: it was killed half way");
			if (!wasUp) {
				assert.equal((await labStatus(name)).state, "broken");
				await assert.rejects(Lab.up({ name }), /half built.*weft lab down --name/);
			}
			const { code: down } = await runWeft("lab", "down", "--name", name);
			assert.equal(down, 0);
			assert.deepEqual(await remains(name), []);
		});
	}

	test("interrupted, it tidies up after itself", async () => {
		const name = fresh();
		const child = spawn(process.execPath, [MAIN, "lab", "up", "--name", name], { stdio: ["ignore", "ignore", "pipe"] });
		let told = "";
		child.stderr.on("data", (chunk: Buffer) => {
			told += chunk.toString();
		});
		await until(async () => (await labNamespaces(name)).length > 1, 5_000);
		child.kill("SIGINT");
		const [code] = (await once(child, "close")) as [number];
		assert.equal(code, 1);
		assert.match(told, /interrupted; nothing of it is left/);
		assert.deepEqual(await remains(name), []);
	});

	test("a lab that is being built is neither built twice nor removed", async () => {
		const name = fresh();
		const up = Lab.up({ name });
		await until(async () => (await labNamespaces(name)).length > 0, 5_000);
		await assert.rejects(Lab.up({ name }), /is being built by process \d+/);
		await assert.rejects(Lab.down(name), /is being built by process \d+/);
		await up;
	});

	test("down of nothing is fine, open of nothing says what to do", async () => {
		const name = fresh();
		assert.deepEqual(await Lab.down(name), { processes: 0, namespaces: 0, mounts: 0 });
		await assert.rejects(Lab.open(name), /is not up; build it: weft lab up --name/);
	});

	test("bad options are refused with the remedy and status 2", async () => {
		for (const bad of [
			["--nodes", "1"],
			["--nodes", "27"],
			["--nodes", "x"],
			["--pods", "241"],
			["--name", "a-b"],
		]) {
			const { code, stderr } = await runWeft("lab", "up", ...bad);
			assert.equal(code, 2, stderr);
			assert.equal(stderr.trim().split("\n").length, 1, stderr);
		}
		assert.throws(() => planLab({ name: "../x" }), /letters and digits/);
	});
});

async function fetchFrom(lab: Lab, from: string, url: string): Promise<string> {
	const program = "fetch(process.argv[1]).then((r) => r.text()).then((t) => process.stdout.write(t))";
	return lab.space(from).runWith({ timeoutMs: 3000 }, process.execPath, "-e", program, url);
}
