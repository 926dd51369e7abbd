import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Space } from "../../src/lab/space.js";

/** One line of tcpdump: where a packet was seen, and what tcpdump says of it (outer and inner headers). */
export interface Seen {
	readonly device: string;
	/** "→i": from the wire or the pod into the node; "→e": out. */
	readonly way: "→i" | "→e";
	readonly text: string;
}

/**
 * Watches every device of a namespace with tcpdump, a witness that shares no code with weft. Its taps sit before tc
 * ingress and behind tc egress (__netif_receive_skb_core and dev_hard_start_xmit in net/core/dev.c), so the order is that
 * of the tc hooks.
 */
export class Witness {
	static async in(space: Space): Promise<Witness> {
		const child = space.spawn(
			[
				"tcpdump",
				"-i",
				"any",
				"-nn",
				"-l",
				"--immediate-mode",
				"-p",
				"-s",
				"192",
				"-B",
				"32768",
				"not arp and not icmp6[0] >= 130",
			],
			{ stdio: ["ignore", "pipe", "pipe"] },
		);
		const witness = new Witness(child);
		while (!witness.#errors.includes("listening on")) {
			if (child.exitCode !== null) throw new Error(`tcpdump in ${space.name}: ${witness.#errors}`);
			await sleep(5);
		}
		return witness;
	}

	#errors = "";
	#lines = "";
	readonly #child: ChildProcess;

	private constructor(child: ChildProcess) {
		this.#child = child;
		child.stdout?.on("data", (chunk: Buffer) => {
			this.#lines += chunk.toString();
		});
		child.stderr?.on("data", (chunk: Buffer) => {
			this.#errors += chunk.toString();
		});
	}

	/** What was seen since the last call, in order, once it is quiet. */
	async take(): Promise<Seen[]> {
		let length = -1;
		while (length !== this.#lines.length) {
			length = this.#lines.length;
			await sleep(60);
		}
		const text = this.#lines;
		this.#lines = "";
		return parse(text);
	}

	async stop(): Promise<void> {
		if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
		const closed = once(this.#child, "close");
		this.#child.kill("SIGTERM");
		await closed;
	}
}

/** A record begins with its time; the inner packet of a tunnel follows on a line of its own. */
function parse(text: string): Seen[] {
	return text
		.split(/\n(?=\d\d:\d\d:\d\d\.\d+ )/)
		.map((record) => /^[\d:.]+ (\S+) +(\S+) +([\s\S]*)$/.exec(record.trim()))
		.filter((match) => match !== null)
		.map(([, device = "", way, rest = ""]) => ({
			device,
			way: way === "Out" ? "→e" : "→i",
			text: rest.replaceAll(/\s+/g, " "),
		}));
}
