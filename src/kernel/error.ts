import { existsSync, readFileSync } from "node:fs";
import type { NativeError } from "./native.js";

/** What the kernel refused, in words for a person: one line for what failed, one for what to do. */
export class KernelError extends Error {
	/** What was tried: "attach to veth1 ingress". */
	readonly operation: string;
	/** What to do about it. */
	readonly remedy: string;

	constructor(operation: string, remedy: string, cause: unknown) {
		super(`cannot ${operation}: ${reasonOf(cause)}; ${remedy}`, { cause });
		this.name = "KernelError";
		this.operation = operation;
		this.remedy = remedy;
	}
}

export function isNativeError(cause: unknown): cause is NativeError {
	return cause instanceof Error && cause.name === "NativeError" && "code" in cause && "operation" in cause;
}

/** Runs what calls the addon, at once or later; a NativeError leaves as a KernelError with its remedy. */
export function explained<Result>(operation: string, body: () => Promise<Result>): Promise<Result>;
export function explained<Result>(operation: string, body: () => Result): Result;
export function explained<Result>(operation: string, body: () => Result | Promise<Result>): Result | Promise<Result> {
	try {
		const result = body();
		return result instanceof Promise ? result.catch((cause: unknown) => rethrow(operation, cause)) : result;
	} catch (cause) {
		return rethrow(operation, cause);
	}
}

/** With its remedy. */
export function explainedAs(operation: string, cause: NativeError): KernelError {
	return new KernelError(operation, remedyOf(cause), cause);
}

function rethrow(operation: string, cause: unknown): never {
	throw isNativeError(cause) ? explainedAs(operation, cause) : cause;
}

/** The kernel's first line; the verifier's many stay in the cause. */
function reasonOf(cause: unknown): string {
	return cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause);
}

function remedyOf(cause: NativeError): string {
	switch (cause.code) {
		case "EPERM":
		case "EACCES":
			return remedyOfRefusal(cause);
		case "ENODEV":
			return "the device is gone, or is in another network namespace";
		case "ENOENT":
			return "check the name; it may have gone meanwhile";
		case "ENOMEM":
		case "ENOBUFS":
			return "free memory, or ask for smaller rings";
		case "EMFILE":
		case "ENFILE":
			return "too many open files: raise the limit with `ulimit -n`";
		case "E2BIG":
		case "EINVAL":
			return remedyOfInvalid(cause);
		default:
			return "see `dmesg`, and the kernel's words in the error's detail";
	}
}

function remedyOfRefusal(cause: NativeError): string {
	if (!isRoot()) {
		return "needs root, or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN: run it with sudo";
	}
	const lockdown = lockdownMode();
	if (lockdown === "confidentiality") {
		return "kernel lockdown is at confidentiality, where BPF may not read packets: boot with lockdown=integrity";
	}
	if (cause.operation.startsWith("load BPF object") && cause.detail !== "") {
		return "the verifier refused the program: report it with the kernel's version and the error's detail";
	}
	return "root lacks a capability here, as in a container: run it with --privileged, or grant CAP_BPF and CAP_NET_ADMIN";
}

function remedyOfInvalid(cause: NativeError): string {
	if (cause.operation.startsWith("attach TCX")) {
		return "kernels before 6.6 have no TCX: use --attach clsact";
	}
	if (!existsSync("/sys/kernel/btf/vmlinux")) {
		return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): use your distribution's kernel, 5.8 or later";
	}
	return "weft needs Linux 5.8 or later; report it with the kernel's version and the error's detail";
}

function isRoot(): boolean {
	return process.geteuid?.() === 0;
}

/** "none", "integrity" or "confidentiality"; null where the kernel does not say. */
function lockdownMode(): string | null {
	try {
		return readFileSync("/sys/kernel/security/lockdown", "utf8").match(/\[(\w+)\]/)?.[1] ?? null;
	} catch {
		return null;
	}
}
