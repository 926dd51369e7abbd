import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Dumps as the kernel gave them, and what iproute2 printed for the same namespace in the same second. */
export interface CapturedNode {
	readonly links: Uint8Array;
	readonly addresses: Uint8Array;
	readonly routes4: Uint8Array;
	readonly routes6: Uint8Array;
	readonly neighbours: Uint8Array;
	readonly fdb: Uint8Array;
	readonly iproute: Readonly<Record<"link" | "addr" | "route4" | "route6" | "neigh" | "fdb", readonly Row[]>>;
}

/** One object of `ip -j` or `bridge -j`. */
export type Row = Readonly<Record<string, unknown>>;

export function capturedNode(): CapturedNode {
	const file = fileURLToPath(new URL("../../../test/wiring/fixtures/node.json", import.meta.url));
	const raw = JSON.parse(readFileSync(file, "utf8")) as Record<string, string> & Pick<CapturedNode, "iproute">;
	const bytes = (name: string) => new Uint8Array(Buffer.from(raw[name] ?? "", "base64"));
	return {
		links: bytes("links"),
		addresses: bytes("addresses"),
		routes4: bytes("routes4"),
		routes6: bytes("routes6"),
		neighbours: bytes("neighbours"),
		fdb: bytes("fdb"),
		iproute: raw.iproute,
	};
}

/** A nested object of a row; empty when it has none. */
export function nested(row: Row | undefined, ...path: readonly string[]): Row {
	let at: unknown = row;
	for (const key of path) at = (at as Row | undefined)?.[key];
	return (at ?? {}) as Row;
}
