import type { IdentitySource } from "./owner.js";

/** What one source says of one pod sandbox. What it does not know is null or empty. */
export interface Claim {
	readonly source: IdentitySource;
	/** Namespace and name of the pod; null: the source knows the sandbox but not whose it is. */
	readonly pod: { readonly namespace: string; readonly name: string } | null;
	readonly uid: string | null;
	/** The sandbox's container id. */
	readonly sandbox: string | null;
	/** Path of its network namespace, as the source calls it. */
	readonly netnsPath: string | null;
	/** A process in it. */
	readonly pid: number | null;
	/** Inode of its network namespace, read when the claim was made: inodes are used again. Null: not looked up. */
	readonly inode: number | null;
	/** Name of the veth's host end. */
	readonly device: string | null;
	readonly addresses: readonly string[];
	/** When it began, ms since 1970; null: unknown. */
	readonly sinceMs: number | null;
	readonly containers: readonly Container[];
}

/** A container that runs in a sandbox. */
export interface Container {
	readonly id: string;
	readonly name: string;
	readonly image: string | null;
	readonly running: boolean;
}

/** What a source gave, and what it could not read: one line each, bounded. */
export interface Claims {
	readonly claims: readonly Claim[];
	readonly warnings: readonly string[];
}

export const UNCLAIMED: Omit<Claim, "source"> = {
	pod: null,
	uid: null,
	sandbox: null,
	netnsPath: null,
	pid: null,
	inode: null,
	device: null,
	addresses: [],
	sinceMs: null,
	containers: [],
};

/** Names come from files and sockets that anyone may have written: nothing longer than Kubernetes allows is kept. */
const LONGEST_NAME = 253;

/** A string of bounded length, or null when the value is anything else, or empty. */
export function text(value: unknown): string | null {
	if (typeof value !== "string" || value === "") return null;
	return value.length > LONGEST_NAME ? `${value.slice(0, LONGEST_NAME - 1)}…` : value;
}

/** The members of an object; of anything else, none. */
export function members(value: unknown): Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** The elements of an array, at the most `limit`; of anything else, none. */
export function elements(value: unknown, limit = 1000): readonly unknown[] {
	return Array.isArray(value) ? value.slice(0, limit) : [];
}

/** The first few lines, and how many more there are. */
export function bounded(lines: readonly string[], limit = 3): readonly string[] {
	const more = lines.length - limit;
	return more > 0 ? [...lines.slice(0, limit), `and ${more} more of the kind`] : lines;
}
