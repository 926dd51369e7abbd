/**
 * One end of a conversation, run inside a namespace by traffic.ts: `node peer.js '<JSON order>'`. Imports Node's own
 * modules only, so that it starts in some 40 ms. Answers in JSON lines on standard output.
 */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { createServer as createWeb } from "node:http";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type Order =
	| { readonly serve: readonly Listener[]; readonly title: string }
	| { readonly send: Stream | Datagram };

/** `echo` sends everything back, `sink` swallows it, `web` answers HTTP with the pod's name. Both families. */
export interface Listener {
	readonly protocol: "tcp" | "udp";
	readonly port: number;
	readonly as: "echo" | "sink" | "web";
}

/** A TCP connection: `bytes` are written and the connection is closed; what comes back is counted. */
export interface Stream {
	readonly protocol: "tcp";
	readonly address: string;
	readonly port: number;
	readonly bytes: number;
	/** Own port; any by default. */
	readonly from?: number | undefined;
	readonly timeoutMs?: number | undefined;
}

/** `count` datagrams of `size` bytes, `intervalMs` apart; waits up to `timeoutMs` for as many answers if `answers`. */
export interface Datagram {
	readonly protocol: "udp";
	readonly address: string;
	readonly port: number;
	readonly size: number;
	readonly count: number;
	readonly intervalMs?: number | undefined;
	readonly answers?: boolean | undefined;
	readonly from?: number | undefined;
	/** An unconnected socket counts IP IDs per destination, a connected one per socket. */
	readonly connected?: boolean | undefined;
	readonly timeoutMs?: number | undefined;
}

/** What a client did. Bytes are payload; `datagrams` are null for TCP. */
export interface Sent {
	readonly sentBytes: number;
	readonly receivedBytes: number;
	readonly sent: number | null;
	readonly received: number | null;
	/** Own port. */
	readonly from: number;
	/** Why it ended early; null: it did not. */
	readonly error: string | null;
}

/** What a server took in on one port. */
export interface Served {
	readonly protocol: "tcp" | "udp";
	readonly port: number;
	readonly bytes: number;
	/** Datagrams, or connections. */
	readonly count: number;
}

type Tally = { -readonly [key in keyof Served]: Served[key] };

const order = JSON.parse(process.argv[2] ?? "{}") as Order;
if ("serve" in order) await serve(order.serve, order.title);
else say(await (order.send.protocol === "tcp" ? sendStream(order.send) : sendDatagrams(order.send)));

async function serve(listeners: readonly Listener[], title: string): Promise<void> {
	const tallies = listeners.map((each): Tally => ({ protocol: each.protocol, port: each.port, bytes: 0, count: 0 }));
	process.once("SIGTERM", () => {
		process.stdout.write(`${JSON.stringify(tallies)}\n`, () => process.exit(0));
	});
	await Promise.all(
		listeners.map((listener, index) => {
			const tally = tallies[index] as Tally;
			if (listener.protocol === "udp") return serveDatagrams(listener, tally);
			return listener.as === "web" ? serveWeb(listener, tally, title) : serveStream(listener, tally);
		}),
	);
	say({ ready: true });
}

async function serveWeb(listener: Listener, tally: Tally, title: string): Promise<void> {
	const server = createWeb((request, response) => {
		tally.count++;
		request.on("data", (chunk: Buffer) => {
			tally.bytes += chunk.length;
		});
		request.on("end", () => response.end(`${title}\n`));
	});
	server.listen(listener.port, "::");
	await once(server, "listening");
}

async function serveStream(listener: Listener, tally: Tally): Promise<void> {
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		tally.count++;
		socket.on("data", (chunk: Buffer) => {
			tally.bytes += chunk.length;
		});
		socket.on("error", () => socket.destroy());
		if (listener.as === "echo") socket.pipe(socket);
		else socket.on("end", () => socket.end());
	});
	server.listen(listener.port, "::");
	await once(server, "listening");
}

/** A socket for each family: answers then leave as they came, and IPv4 is not dressed as ::ffff:… */
async function serveDatagrams(listener: Listener, tally: Tally): Promise<void> {
	const sockets = [createSocket("udp4"), createSocket({ type: "udp6", ipv6Only: true })];
	for (const socket of sockets) {
		socket.on("message", (payload, peer) => {
			tally.count++;
			tally.bytes += payload.length;
			if (listener.as === "echo") socket.send(payload, peer.port, peer.address);
		});
		socket.bind(listener.port);
	}
	await Promise.all(sockets.map((socket) => once(socket, "listening")));
}

async function sendStream(order: Stream): Promise<Sent> {
	const socket = connect({ host: order.address, port: order.port, localPort: order.from });
	let receivedBytes = 0;
	let from = order.from ?? 0;
	let error: string | null = null;
	socket.setTimeout(order.timeoutMs ?? 5000, () => socket.destroy(new Error("timed out")));
	socket.on("data", (chunk: Buffer) => {
		receivedBytes += chunk.length;
	});
	socket.on("error", (cause) => {
		error = cause.message;
	});
	socket.once("connect", () => {
		from = socket.localPort ?? from;
		void pour(order.bytes);
	});
	await new Promise((resolve) => socket.once("close", resolve));
	return { sentBytes: socket.bytesWritten, receivedBytes, sent: null, received: null, from, error };

	async function pour(bytes: number): Promise<void> {
		const chunk = Buffer.alloc(65536, "weft ");
		for (let left = bytes; left > 0 && !socket.destroyed; left -= chunk.length) {
			const more = socket.write(left < chunk.length ? chunk.subarray(0, left) : chunk);
			if (!more) await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
		}
		socket.end();
	}
}

async function sendDatagrams(order: Datagram): Promise<Sent> {
	const socket = createSocket(order.address.includes(":") ? "udp6" : "udp4");
	let received = 0;
	let receivedBytes = 0;
	let error: string | null = null;
	socket.on("message", (payload) => {
		received++;
		receivedBytes += payload.length;
	});
	socket.on("error", (cause) => {
		error = cause.message;
	});
	socket.bind(order.from ?? 0);
	await once(socket, "listening");
	if (order.connected) {
		socket.connect(order.port, order.address);
		await once(socket, "connect");
	}
	let sent = 0;
	for (; sent < order.count; sent++) {
		if (sent > 0 && order.intervalMs) await sleep(order.intervalMs);
		error = (await sendOne(socket, order, sent)) ?? error;
	}
	const deadline = Date.now() + (order.timeoutMs ?? 2000);
	while (order.answers && received < order.count && Date.now() < deadline) await sleep(2);
	const from = socket.address().port;
	socket.close();
	return { sentBytes: sent * order.size, receivedBytes, sent, received, from, error };
}

/** Sends a datagram that begins with its own number (big endian, as far as it fits) and gives the error, if any. */
function sendOne(socket: Datagrams, order: Datagram, number: number): Promise<string | null> {
	const payload = Buffer.alloc(order.size, "weft ");
	if (order.size >= 4) payload.writeUInt32BE(number);
	return new Promise((resolve) => {
		const done = (cause: Error | null) => resolve(cause === null ? null : cause.message);
		if (order.connected) socket.send(payload, done);
		else socket.send(payload, order.port, order.address, done);
	});
}

function say(what: unknown): void {
	process.stdout.write(`${JSON.stringify(what)}\n`);
}
