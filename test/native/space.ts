import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach } from "node:test";
import { fileURLToPath } from "node:url";
import { addon } from "../../src/kernel/addon.js";
import type { Netns } from "../../src/kernel/native.js";

let made = 0;

/**
 * A network namespace with one veth pair in it, up, and a neighbour entry that makes the flood leave at `near` and arrive
 * at `far`, where nobody wants it: each datagram is one packet at near's egress and one at far's ingress.
 */
export class Space {
	readonly name = `wf-nat-${process.pid}-${made++}`;
	readonly path = `/run/netns/${this.name}`;
	readonly near: number;
	readonly far: number;

	constructor() {
		run("ip", "netns", "add", this.name);
		// Answers to what nobody wants would be packets, too.
		this.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1");
		this.ip("link", "add", "name", "near", "type", "veth", "peer", "name", "far");
		this.ip("link", "set", "near", "up");
		this.ip("link", "set", "far", "up");
		this.ip("addr", "add", "10.9.9.1/24", "dev", "near");
		this.ip("neigh", "add", "10.9.9.2", "lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "permanent");
		this.near = this.ifindex("near");
		this.far = this.ifindex("far");
	}

	ifindex(device: string): number {
		const [link] = JSON.parse(this.ip("-json", "link", "show", device)) as [{ ifindex: number }];
		return link.ifindex;
	}

	ip(...words: string[]): string {
		return run("ip", "-n", this.name, ...words);
	}

	tc(...words: string[]): string {
		return run("tc", "-n", this.name, ...words);
	}

	run(...words: string[]): string {
		return run("ip", "netns", "exec", this.name, ...words);
	}

	/** Sends datagrams as fast as it goes; how many. */
	async flood(options: { packets?: number; seconds?: number; rate?: number }): Promise<number> {
		const words = Object.entries({ seconds: 10, size: 64, ...options }).flatMap(([name, value]) => [
			`--${name}`,
			String(value),
		]);
		const child = spawn("ip", ["netns", "exec", this.name, FLOOD, "send", "10.9.9.2", "9", ...words], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		let output = "";
		child.stdout.on("data", (text) => {
			output += text;
		});
		await once(child, "close");
		return (JSON.parse(output) as { sent: number }).sent;
	}

	[Symbol.dispose](): void {
		run("ip", "netns", "del", this.name);
	}

	close(): void {
		this[Symbol.dispose]();
	}
}

/** Gives each test of a suite a space of its own, and its namespace. */
export function inSpaces(use: (space: Space, netns: Netns) => void): void {
	let space: Space;
	let netns: Netns;
	beforeEach(() => {
		space = new Space();
		netns = addon().openNetns(space.path);
		use(space, netns);
	});
	afterEach(() => {
		netns.close();
		space.close();
	});
}

/** Compiled, this file is dist/test/native/space.js. */
const FLOOD = fileURLToPath(new URL("../../../build/bench/flood", import.meta.url));

function run(command: string, ...words: string[]): string {
	return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
