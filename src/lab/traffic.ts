import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { LabError } from "./error.js";
import type { Datagram, Listener, Order, Sent, Served, Stream } from "./peer.js";
import type { Space } from "./space.js";

export type { Datagram, Listener, Sent, Served, Stream } from "./peer.js";

/** A server running inside a namespace. */
export interface Server {
	/** Its pid, also as seen from outside. */
	readonly pid: number;
	/** Ends it and says what it took in, a line per listener. */
	stop(): Promise<readonly Served[]>;
}

/** Starts a server and waits until it listens; ended with the process that started it unless `detached`. */
export async function serve(
	space: Space,
	listeners: readonly Listener[],
	options: { readonly detached?: boolean } = {},
): Promise<Server> {
	const order: Order = { serve: listeners, title: space.name };
	const child = space.spawn(peerArgv(order), {
		stdio: ["ignore", "pipe", "pipe"],
		detached: options.detached ?? false,
	});
	const words = gather(child);
	const lines = createInterface({ input: stdoutOf(child) });
	const ready = once(lines, "line").then(() => true);
	const started = await Promise.race([ready, once(child, "exit").then(() => false)]);
	if (!started || child.pid === undefined) {
		throw new LabError(`server in ${space.name}`, words() || "ended before it listened", { stderr: words() });
	}
	if (options.detached) release(child);
	return { pid: child.pid, stop: () => stop(child, lines) };
}

/** Sends a stream or datagrams from a namespace and says what became of them. */
export async function send(space: Space, order: Stream | Datagram): Promise<Sent> {
	return JSON.parse(await space.run(...peerArgv({ send: order }))) as Sent;
}

/** Pings an address and gives the number of replies. */
export async function ping(
	space: Space,
	address: string,
	options: { readonly count?: number; readonly size?: number; readonly intervalS?: number } = {},
): Promise<number> {
	const { count = 1, size = 56, intervalS = 0.01 } = options;
	const { stdout } = await space.attempt(
		...["ping", "-n", "-c", String(count), "-i", String(intervalS), "-s", String(size), "-W", "1", address],
	);
	return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
}

function peerArgv(order: Order): string[] {
	return [process.execPath, fileURLToPath(new URL("./peer.js", import.meta.url)), JSON.stringify(order)];
}

async function stop(child: ChildProcess, lines: ReturnType<typeof createInterface>): Promise<readonly Served[]> {
	const report = once(lines, "line") as Promise<[string]>;
	const gone = once(child, "close").then(() => null);
	child.kill("SIGTERM");
	const answer = await Promise.race([report, gone]);
	await gone;
	return answer === null ? [] : (JSON.parse(answer[0]) as Served[]);
}

/** Lets this process end while the child runs on. */
function release(child: ChildProcess): void {
	child.unref();
	for (const stream of [child.stdout, child.stderr]) stream?.destroy();
}

function stdoutOf(child: ChildProcess): NonNullable<ChildProcess["stdout"]> {
	if (child.stdout === null) throw new LabError("server", "has no standard output");
	return child.stdout;
}

function gather(child: ChildProcess): () => string {
	let words = "";
	child.stderr?.on("data", (chunk: Buffer) => {
		words = (words + chunk.toString()).slice(-2000);
	});
	child.once("error", (cause) => {
		words = cause.message;
	});
	return () => words.trim();
}
