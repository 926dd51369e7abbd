import { accessSync, constants, readFileSync } from "node:fs";
import { CliError } from "./errors.js";

/** linux/capability.h. CAP_SYS_ADMIN holds what the others were split from, so it stands in for BPF and PERFMON. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

const LOCAL_AGENT = "/run/weft/weft.sock";

/** Refuses early, and in words, what the kernel would refuse with EPERM in the middle. `what`: "tracing here". */
export function requireTracingRights(what: string): void {
	if (localAgentReachable()) return;
	const held = effectiveCapabilities();
	if (held === null) return;
	const has = (name: keyof typeof capabilities) => (held & (1n << BigInt(capabilities[name]))) !== 0n;
	const missing = (["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"] as const).filter(
		(name) => !has(name) && (name === "CAP_NET_ADMIN" || !has("CAP_SYS_ADMIN")),
	);
	if (missing.length === 0) return;
	throw new CliError(
		`${what} needs root (${missing.join(", ")} missing)`,
		"run it with sudo, or ask an agent with --agent ADDR",
	);
}

/** A local agent traces on our behalf: its socket's mode says who may ask. */
function localAgentReachable(): boolean {
	try {
		accessSync(LOCAL_AGENT, constants.W_OK);
		return true;
	} catch {
		return false;
	}
}

function effectiveCapabilities(): bigint | null {
	try {
		const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
		return hex === undefined ? null : BigInt(`0x${hex}`);
	} catch {
		return null;
	}
}
