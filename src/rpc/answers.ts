import { createConnection } from "node:net";

/** Whether somebody listens on a unix socket. */
export function answers(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = createConnection(path);
		const say = (answer: boolean) => {
			socket.destroy();
			resolve(answer);
		};
		socket.once("connect", () => say(true));
		socket.once("error", () => say(false));
	});
}
