import { isIP } from "node:net";

/** The socket of this machine's own agent. */
export const LOCAL_SOCKET = "/run/weft/weft.sock";

/** Where an agent or relay listens. */
export type RpcAddress =
	| { readonly kind: "unix"; readonly path: string; readonly text: string }
	| { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly text: string };

/** `unix:/path`, `host:port` or `[address]:port`. Null: neither. */
export function parseAddress(text: string): RpcAddress | null {
	const path = /^unix:(\/.+)$/.exec(text)?.[1];
	if (path !== undefined) return { kind: "unix", path, text };
	const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
	const host = bracketed ?? plain;
	const port = Number(digits);
	if (host === undefined || !(port <= 65535)) return null;
	if (bracketed !== undefined && isIP(bracketed) !== 6) return null;
	return { kind: "tcp", host: host === "" ? "::" : host, port, text };
}

/** Only this machine can reach it. */
export function isLoopback({ host }: { readonly host: string }): boolean {
	return host === "localhost" || host === "::1" || /^127\./.test(host);
}
