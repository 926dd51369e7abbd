/** Frames by their bytes and the classic capture file around them, for tcpdump to read. */

/** pcap-savefile(5): microseconds, little endian, Ethernet. */
export function pcapFile(frames: readonly Uint8Array[]): Buffer {
	const header = Buffer.alloc(24);
	header.writeUInt32LE(0xa1b2c3d4, 0);
	header.writeUInt16LE(2, 4);
	header.writeUInt16LE(4, 6);
	header.writeUInt32LE(262144, 16);
	header.writeUInt32LE(1, 20);
	const records = frames.map((frame, i) => {
		const record = Buffer.alloc(16);
		// The second names the frame: that is how tcpdump's answer is read.
		record.writeUInt32LE(i, 0);
		record.writeUInt32LE(frame.length, 8);
		record.writeUInt32LE(frame.length, 12);
		return Buffer.concat([record, frame]);
	});
	return Buffer.concat([header, ...records]);
}

export interface Ends {
	readonly source: string;
	readonly destination: string;
}

export function ethernet(ethertype: number, payload: Buffer, vlan?: number): Buffer {
	const header = Buffer.alloc(vlan === undefined ? 14 : 18);
	header.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
	if (vlan !== undefined) {
		header.writeUInt16BE(0x8100, 12);
		header.writeUInt16BE(vlan, 14);
	}
	header.writeUInt16BE(ethertype, header.length - 2);
	return Buffer.concat([header, payload]);
}

export function ipv4(
	ends: Ends,
	protocol: number,
	payload: Buffer,
	more: { ttl?: number; id?: number; fragment?: number; options?: number } = {},
): Buffer {
	const words = 5 + (more.options ?? 0);
	const header = Buffer.alloc(words * 4, 1);
	header[0] = 0x40 | words;
	header[1] = 0;
	header.writeUInt16BE(header.length + payload.length, 2);
	header.writeUInt16BE(more.id ?? 1, 4);
	header.writeUInt16BE(more.fragment ?? 0, 6);
	header[8] = more.ttl ?? 64;
	header[9] = protocol;
	header.writeUInt16BE(0, 10);
	header.set(dotted(ends.source), 12);
	header.set(dotted(ends.destination), 16);
	return Buffer.concat([header, payload]);
}

export function ipv6(ends: Ends, nextHeader: number, payload: Buffer, hopLimit = 64): Buffer {
	const header = Buffer.alloc(40);
	header[0] = 0x60;
	header.writeUInt16BE(payload.length, 4);
	header[6] = nextHeader;
	header[7] = hopLimit;
	header.set(groups(ends.source), 8);
	header.set(groups(ends.destination), 24);
	return Buffer.concat([header, payload]);
}

export function tcp(sourcePort: number, destinationPort: number, flags: number, payload = 0, window = 502): Buffer {
	const segment = Buffer.alloc(20 + payload);
	segment.writeUInt16BE(sourcePort, 0);
	segment.writeUInt16BE(destinationPort, 2);
	segment.writeUInt32BE(0x80000001, 4);
	segment[12] = 0x50;
	segment[13] = flags;
	segment.writeUInt16BE(window, 14);
	return segment;
}

export function udp(sourcePort: number, destinationPort: number, payload = 20): Buffer {
	const datagram = Buffer.alloc(8 + payload);
	datagram.writeUInt16BE(sourcePort, 0);
	datagram.writeUInt16BE(destinationPort, 2);
	datagram.writeUInt16BE(datagram.length, 4);
	return datagram;
}

export function icmp(type: number, code: number, payload = 56): Buffer {
	const message = Buffer.alloc(8 + payload);
	message[0] = type;
	message[1] = code;
	message.writeUInt16BE(0x1234, 4);
	return message;
}

export function arp(ends: Ends, operation: number): Buffer {
	const message = Buffer.alloc(28);
	message.writeUInt16BE(1, 0);
	message.writeUInt16BE(0x0800, 2);
	message[4] = 6;
	message[5] = 4;
	message.writeUInt16BE(operation, 6);
	message.set(dotted(ends.source), 14);
	message.set(dotted(ends.destination), 24);
	return message;
}

function dotted(address: string): number[] {
	return address.split(".").map(Number);
}

function groups(address: string): Buffer {
	const [head = "", tail = ""] = address.split("::");
	const words = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
	const before = words(head);
	const after = words(tail);
	const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
	return Buffer.from(all.flatMap((word) => [word >>> 8, word & 255]));
}
