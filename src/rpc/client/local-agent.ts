import { createConnection } from "node:net";
import { LOCAL_SOCKET } from "../address.js";

/** A server of HTTP/2 speaks first (RFC 9113, 3.4): one that accepts and says nothing is not there for us. */
const PATIENCE_MS = 1000;

/** The address of this machine's own agent; null: none answers, or it is not for us. */
export function localAgent(): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = createConnection(LOCAL_SOCKET);
		const say = (address: string | null) => {
			socket.destroy();
			resolve(address);
		};
		socket.setTimeout(PATIENCE_MS, () => say(null));
		socket.once("data", () => say(`unix:${LOCAL_SOCKET}`));
		socket.once("end", () => say(null));
		socket.once("error", () => say(null));
	});
}
