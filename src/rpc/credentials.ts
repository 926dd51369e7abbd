import { readFileSync, type StatWatcher, unwatchFile, watchFile } from "node:fs";
import { type ChannelCredentials, credentials, ServerCredentials } from "@grpc/grpc-js";
import { isLoopback, type RpcAddress } from "./address.js";

/** Files of PEM: our certificate, its key, and the authority that both sides' certificates must come from. */
export interface TlsFiles {
	readonly cert: string;
	readonly key: string;
	readonly ca: string;
}

/** How a connection is protected; null TLS and not insecure: only unix sockets will do. */
export interface Protection {
	readonly tls: TlsFiles | null;
	/** Plain TCP, on loopback only. */
	readonly insecure: boolean;
}

/** Asked for something that is not safe, or with files that will not do. */
export class CredentialsError extends Error {
	override readonly name = "CredentialsError";
	readonly remedy: string | null;
	readonly usage = true;

	constructor(message: string, remedy: string | null, options?: ErrorOptions) {
		super(message, options);
		this.remedy = remedy;
	}
}

const MUTUAL = "give --tls-cert, --tls-key and --tls-ca, or --insecure on a loopback address";

/** @throws CredentialsError when the address may not be called like that */
export function clientCredentials(address: RpcAddress, { tls, insecure }: Protection): ChannelCredentials {
	if (address.kind === "unix") return credentials.createInsecure();
	if (tls !== null) {
		const { ca, key, cert } = readPem(tls);
		return credentials.createSsl(ca, key, cert);
	}
	if (!insecure) throw new CredentialsError(`${address.text} is reached with mutual TLS only`, MUTUAL);
	if (!isLoopback(address)) throw new CredentialsError(`${address.text} is no loopback address`, MUTUAL);
	return credentials.createInsecure();
}

/** @throws CredentialsError when the address may not be served like that */
export function serverCredentials(address: RpcAddress, { tls, insecure }: Protection): ServerCredentials {
	if (address.kind === "unix") return ServerCredentials.createInsecure();
	if (tls !== null) return reloaded(tls);
	if (!insecure) throw new CredentialsError(`${address.text} is served with mutual TLS only`, MUTUAL);
	if (!isLoopback(address)) throw new CredentialsError(`--insecure will not do for ${address.text}`, MUTUAL);
	return ServerCredentials.createInsecure();
}

/** How often the files are looked at for a new certificate. */
const RELOAD_MS = 1000;

/** Mutual TLS with what the files hold now: a new connection meets the newest certificate that was whole. */
function reloaded(files: TlsFiles): ServerCredentials {
	const pem = readPem(files);
	const pairs = ({ key, cert }: Pem) => [{ private_key: key, cert_chain: cert }];
	const made = ServerCredentials.createSsl(pem.ca, pairs(pem), true);
	const reload = () => {
		try {
			const { ca, key, cert } = readPem(files);
			// What grpc-js's own certificate providers call: the secure context of connections to come.
			const { updateSecureContextOptions } = made as unknown as {
				readonly updateSecureContextOptions: (options: object) => void;
			};
			updateSecureContextOptions.call(made, { ca, key, cert, requestCert: true });
		} catch {
			// Half written: the next look will see it whole; until then the old one serves.
		}
	};
	const paths = [files.cert, files.key, files.ca];
	for (const path of paths) {
		const watcher: StatWatcher = watchFile(path, { interval: RELOAD_MS }, reload);
		watcher.unref();
	}
	watched.push(...paths);
	return made;
}

const watched: string[] = [];

/** Stops looking at certificate files. */
export function unwatchCertificates(): void {
	for (const path of watched.splice(0)) unwatchFile(path);
}

interface Pem {
	readonly ca: Buffer;
	readonly key: Buffer;
	readonly cert: Buffer;
}

function readPem({ ca, key, cert }: TlsFiles): Pem {
	return { ca: read(ca, "--tls-ca"), key: read(key, "--tls-key"), cert: read(cert, "--tls-cert") };
}

function read(path: string, option: string): Buffer {
	try {
		return readFileSync(path);
	} catch (cause) {
		throw new CredentialsError(`cannot read ${option} ${path}`, null, { cause });
	}
}
