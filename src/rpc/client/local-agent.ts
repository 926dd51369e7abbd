import { createConnection } from "node:net";
import { LOCAL_SOCKET } from "../address.js";

/** The address of this machine's own agent; null: none answers, or it is not for us. */
export function localAgent(): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = createConnection(LOCAL_SOCKET);
		const say = (address: string | null) => {
			socket.destroy();
			resolve(address);
		};
		socket.once("connect", () => say(`unix:${LOCAL_SOCKET}`));
		socket.once("error", () => say(null));
	});
}
