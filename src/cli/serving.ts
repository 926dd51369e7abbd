import { type Command, InvalidArgumentError, Option } from "commander";
import { isLoopback, LOCAL_SOCKET, parseAddress, type RpcAddress } from "../rpc/address.js";
import type { Protection } from "../rpc/credentials.js";
import { UsageError } from "./errors.js";

/** Options of what serves, or calls, over gRPC. */
export interface ProtectionOptions {
	readonly tlsCert?: string;
	readonly tlsKey?: string;
	readonly tlsCa?: string;
	readonly insecure?: boolean;
}

export function addListen(command: Command): Command {
	return addProtection(
		command.addOption(
			new Option("--listen <addr>", "unix:/path or host:port")
				.argParser(parseListen)
				.default(null, `unix:${LOCAL_SOCKET}`),
		),
	);
}

export function addProtection(command: Command): Command {
	return command
		.addOption(new Option("--tls-cert <file>", "own certificate, PEM"))
		.addOption(new Option("--tls-key <file>", "its key"))
		.addOption(new Option("--tls-ca <file>", "authority that the other side's certificate comes from"))
		.addOption(new Option("--insecure", "plain TCP, on a loopback address only"));
}

export function listenAddress(listen: RpcAddress | null): RpcAddress {
	return listen ?? { kind: "unix", path: LOCAL_SOCKET, text: `unix:${LOCAL_SOCKET}` };
}

/** Throws UsageError when only a part of what mutual TLS needs is named. */
export function protectionOf({ tlsCert, tlsKey, tlsCa, insecure = false }: ProtectionOptions): Protection {
	const given = [tlsCert, tlsKey, tlsCa].filter((file) => file !== undefined);
	if (given.length === 0) return { tls: null, insecure };
	if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined) {
		throw new UsageError(
			"mutual TLS needs a certificate, its key and an authority",
			"give --tls-cert, --tls-key and --tls-ca",
		);
	}
	if (insecure) throw new UsageError("--insecure and --tls-cert exclude each other", "leave out one of them");
	return { tls: { cert: tlsCert, key: tlsKey, ca: tlsCa }, insecure: false };
}

/** Throws UsageError for what nobody should listen on. */
export function checkListen(address: RpcAddress, { tls, insecure }: Protection): void {
	if (address.kind === "unix" || tls !== null) return;
	if (!insecure) {
		throw new UsageError(
			`${address.text} is open to the network`,
			"give --tls-cert, --tls-key and --tls-ca, or listen on unix:/path",
		);
	}
	if (!isLoopback(address)) {
		throw new UsageError(`--insecure will not do for ${address.text}`, "listen on 127.0.0.1, or use mutual TLS");
	}
}

function parseListen(text: string): RpcAddress {
	const address = parseAddress(text);
	if (address === null) throw new InvalidArgumentError("Say unix:/path/to/socket or host:port.");
	return address;
}
