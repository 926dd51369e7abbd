/** A process to be killed: `victim.js tcx|clsact NETNS_PATH NEAR FAR` hooks both ends, drains, and says so. */
import { addon } from "../../src/kernel/addon.js";
import { Miniature } from "./fixture.js";

const [type, path, near, far] = process.argv.slice(2) as ["tcx" | "clsact", string, string, string];
const netns = addon().openNetns(path);
const mini = new Miniature();
const links = [
	await attach(Number(near), true), //
	await attach(Number(far), false),
];
mini.rings.drain((batch) => mini.rings.release(batch));
process.stdout.write("ready\n");
process.stdin.resume().on("end", () => {
	for (const link of links) link.close();
	mini.close();
});

async function attach(ifindex: number, egress: boolean): Promise<{ close(): void }> {
	const where = { program: mini.emit, ifindex, egress, netns };
	return type === "tcx" ? await addon().attachTcx(where) : addon().attachClsact(where);
}
