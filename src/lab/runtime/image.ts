import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LabError } from "../error.js";

/** The only image of the lab's containers: a static busybox, which also serves as the pause container. */
export const IMAGE = "weft.lab/busybox:1";

/** A root filesystem with busybox alone, as a tar archive. Throws LabError when busybox is not there. */
export async function busyboxRootfs(): Promise<Buffer> {
	const busybox = await readFile(BUSYBOX).catch((cause: unknown) => {
		throw new LabError("lab up", `no ${BUSYBOX}`, {
			remedy: "install it: make setup, or apt-get install busybox-static",
			cause,
		});
	});
	return tar([
		{ name: "bin/busybox", mode: 0o755, content: busybox },
		...APPLETS.map((applet) => ({ name: `bin/${applet}`, link: "busybox" })),
	]);
}

/** The image as an OCI image layout in a tar archive, which `ctr images import` takes. */
export async function busyboxImage(): Promise<Buffer> {
	const layer = await busyboxRootfs();
	const config = json({
		architecture: ARCHITECTURES[process.arch] ?? process.arch,
		os: "linux",
		config: { Env: ["PATH=/bin"], Entrypoint: ["/bin/sleep", "2147483647"] },
		rootfs: { type: "layers", diff_ids: [digest(layer)] },
		history: [{ created_by: "weft lab" }],
	});
	const manifest = json({
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: descriptor("application/vnd.oci.image.config.v1+json", config),
		layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
	});
	const index = json({
		schemaVersion: 2,
		manifests: [
			{
				...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
				annotations: { "io.containerd.image.name": IMAGE, "org.opencontainers.image.ref.name": "1" },
			},
		],
	});
	return tar([
		{ name: "oci-layout", mode: 0o644, content: json({ imageLayoutVersion: "1.0.0" }) },
		{ name: "index.json", mode: 0o644, content: index },
		...[layer, config, manifest].map((blob) => ({
			name: `blobs/sha256/${digest(blob).slice("sha256:".length)}`,
			mode: 0o644,
			content: blob,
		})),
	]);
}

const BUSYBOX = "/bin/busybox";
const APPLETS = ["sh", "sleep", "cat", "ls", "ip", "ping", "nc", "wget", "httpd", "hostname"];

/** Go's names, which OCI uses. */
const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: "amd64", arm64: "arm64" };

function json(value: unknown): Buffer {
	return Buffer.from(JSON.stringify(value));
}

function digest(blob: Buffer): string {
	return `sha256:${createHash("sha256").update(blob).digest("hex")}`;
}

function descriptor(mediaType: string, blob: Buffer): object {
	return { mediaType, digest: digest(blob), size: blob.length };
}

type Entry =
	| { readonly name: string; readonly mode: number; readonly content: Buffer }
	| { readonly name: string; readonly link: string };

/** A POSIX ustar archive (pax(1)): 512-byte headers, contents padded to 512, two empty blocks at the end. */
function tar(entries: readonly Entry[]): Buffer {
	const blocks = entries.flatMap((entry) => {
		const content = "content" in entry ? entry.content : Buffer.alloc(0);
		return [tarHeader(entry, content.length), content, Buffer.alloc(-content.length & 511)];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function tarHeader(entry: Entry, size: number): Buffer {
	const header = Buffer.alloc(512);
	const octal = (value: number, at: number, width: number) =>
		header.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
	header.write(entry.name, 0, 100, "utf8");
	octal("mode" in entry ? entry.mode : 0o777, 100, 8);
	octal(0, 108, 8);
	octal(0, 116, 8);
	octal(size, 124, 12);
	octal(0, 136, 12);
	header.write("        ", 148, "latin1");
	header.write("link" in entry ? "2" : "0", 156, "latin1");
	if ("link" in entry) header.write(entry.link, 157, 100, "utf8");
	header.write("ustar\u000000", 257, "latin1");
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
	return header;
}
