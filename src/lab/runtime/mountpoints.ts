import { appendFile, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { LAB_ROOT } from "../plan.js";

/** Makes a directory of the machine to mount over, and remembers what had to be made. */
export async function provideMountpoint(path: string): Promise<void> {
	const made = await mkdir(path, { recursive: true });
	if (made !== undefined) await appendFile(RECORD, `${path}\n`);
}

/**
 * Removes the directories that were made, when the last lab is gone (a directory removed earlier would take other
 * namespaces' mounts with it). Those that somebody else has begun to use stay.
 */
export async function withdrawMountpoints(): Promise<void> {
	const labs = (await readdir(LAB_ROOT).catch((): string[] => [])).filter((entry) => !entry.startsWith("."));
	if (labs.length > 0) return;
	const record = await readFile(RECORD, "utf8").catch(() => "");
	for (const path of record.split("\n").filter((line) => line !== "")) await rmdir(path).catch(() => {});
	await rm(RECORD, { force: true });
}

const RECORD = `${LAB_ROOT}/.mountpoints`;
