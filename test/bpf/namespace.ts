import { execFileSync } from "node:child_process";
import { addon } from "../../src/kernel/addon.js";
import type { Closeable, Netns } from "../../src/kernel/native.js";

let made = 0;

/** A network namespace of the test's own, with `lo` up; gone when closed. */
export class TestNamespace implements Closeable {
	readonly name = `wf-bpf-${process.pid}-${made++}`;
	readonly netns: Netns;

	constructor() {
		execFileSync("ip", ["netns", "add", this.name]);
		try {
			this.netns = addon().openNetns(`/run/netns/${this.name}`);
			this.run("ip", "link", "set", "lo", "up");
		} catch (error) {
			this.#remove();
			throw error;
		}
	}

	/** Runs a command inside and returns what it printed. */
	run(command: string, ...args: readonly string[]): string {
		return execFileSync("ip", ["netns", "exec", this.name, command, ...args], { encoding: "utf8" });
	}

	close(): void {
		this.netns.close();
		this.#remove();
	}

	#remove(): void {
		execFileSync("ip", ["netns", "delete", this.name]);
	}
}
