import { readFileSync } from "node:fs";

/**
 * Packets that found a CPU's backlog full, which veths go through, on the whole machine: /proc/net/softnet_stat, second
 * column, hexadecimal (net/core/dev.c, enqueue_to_backlog). Somebody else's flood may fill it.
 */
export function backlogDrops(): number {
	const lines = readFileSync("/proc/net/softnet_stat", "utf8").trim().split("\n");
	return lines.reduce((sum, line) => sum + Number.parseInt(line.split(" ")[1] ?? "0", 16), 0);
}
