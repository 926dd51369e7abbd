import assert from "node:assert/strict";
import { test } from "node:test";
import type { Link } from "../../src/wiring/model.js";
import { parse, type Rtnetlink } from "../../src/wiring/rtnetlink.js";
import { capturedNode, nested, type Row } from "./dumps.js";

const node = capturedNode();

function rows<K extends Rtnetlink["kind"]>(dump: Uint8Array, kind: K): Extract<Rtnetlink, { kind: K }>[] {
	return [...parse(dump)].filter((row): row is Extract<Rtnetlink, { kind: K }> => row.kind === kind);
}

const links = rows(node.links, "link").map(({ link }) => link);
const byIndex = new Map(links.map((link) => [link.ifindex, link]));
const named = (name: string) => links.find((link) => link.name === name) as Link;

test("links are what `ip -d -s link` says", () => {
	assert.ok(node.iproute.link.length >= 9, "the fixture has a node's devices");
	assert.equal(links.length, node.iproute.link.length);
	for (const row of node.iproute.link) {
		const link = byIndex.get(row["ifindex"] as number);
		const flags = row["flags"] as string[];
		assert.deepEqual(
			{
				name: link?.name,
				kind: link?.kind,
				mtu: link?.mtu,
				up: link?.up,
				operstate: link?.operstate,
				loopback: link?.loopback,
				address: link?.address,
				nsid: link?.peerNsid,
				altnames: link?.altnames,
				master: link?.master === null ? undefined : byIndex.get(link?.master ?? 0)?.name,
				rx: link?.statistics.rxPackets,
				txBytes: link?.statistics.txBytes,
			},
			{
				name: row["ifname"],
				kind: nested(row, "linkinfo")["info_kind"] ?? null,
				mtu: row["mtu"],
				up: flags.includes("UP"),
				operstate: String(row["operstate"]).toLowerCase(),
				loopback: flags.includes("LOOPBACK"),
				address: row["address"],
				nsid: row["link_netnsid"] ?? null,
				altnames: row["altnames"] ?? [],
				master: row["master"],
				rx: nested(row, "stats64", "rx")["packets"],
				txBytes: nested(row, "stats64", "tx")["bytes"],
			},
		);
	}
});

test("a veth points at its peer by index and namespace", () => {
	assert.equal(named("veth1").peer, 2);
	assert.equal(named("veth1").peerNsid, 1);
	assert.deepEqual(named("veth1").port, { hairpin: true, state: 3, learning: true });
	assert.equal(named("cni0").peer, null);
	assert.equal(named("cni0").port, null);
});

test("VXLAN devices tell VNI, port, both families' local address and the underlay", () => {
	const underlay = named("eth0").ifindex;
	assert.deepEqual(named("flannel.1").vxlan, {
		vni: 1,
		port: 8472,
		local: "192.168.66.11",
		underlay,
		learning: false,
	});
	assert.equal(named("flannel-v6.1").vxlan?.local, "fd66::11");
	assert.equal(named("eth0").vxlan, null);
});

test("addresses are what `ip addr` says", () => {
	const expected = node.iproute.addr.flatMap((row) =>
		(row["addr_info"] as Row[]).map((info) => `${row["ifindex"]} ${info["local"]}/${info["prefixlen"]}`),
	);
	const found = rows(node.addresses, "address").map(
		({ address }) => `${address.ifindex} ${address.address}/${address.prefix}`,
	);
	assert.ok(found.length > 8);
	assert.deepEqual(found.sort(), expected.sort());
});

test("routes of every table are what `ip route show table all` says", () => {
	for (const [dump, printed, length] of [
		[node.routes4, node.iproute.route4, 32],
		[node.routes6, node.iproute.route6, 128],
	] as const) {
		const any = length === 32 ? "0.0.0.0/0" : "::/0";
		const cidr = (text: string) => (text === "default" ? any : text.includes("/") ? text : `${text}/${length}`);
		const expected = printed.flatMap((row) => {
			const via = (hop: Row) => hop["gateway"] ?? nested(hop, "via")["host"] ?? null;
			const hops = (row["nexthops"] as Row[] | undefined) ?? [row];
			return hops.map((hop) =>
				[cidr(String(row["dst"])), via(hop), hop["dev"] ?? null, row["table"] ?? 254, row["type"] ?? 1].join(" "),
			);
		});
		const found = rows(dump, "route").flatMap(({ routes }) =>
			routes.map((route) =>
				[
					route.destination,
					route.gateway,
					route.ifindex === null ? null : byIndex.get(route.ifindex)?.name,
					route.table,
					route.type,
				].join(" "),
			),
		);
		assert.deepEqual(found.map((row) => row.replace(/\bblackhole\b/, "6")).sort(), expected.map(numbered).sort());
	}
});

/** `ip -N` still prints some types by name. */
function numbered(row: string): string {
	return row.replace(
		/ (unicast|local|broadcast|anycast|multicast|blackhole)$/,
		(_, name: string) => ` ${["", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole"].indexOf(name)}`,
	);
}

test("a flannel route is onlink, several next hops are several rows, a gateway may be of the other family", () => {
	const routes = rows(node.routes4, "route").flatMap((row) => row.routes);
	const to = (destination: string) => routes.filter((route) => route.destination === destination);
	assert.deepEqual(to("10.244.2.0/24"), [
		{
			destination: "10.244.2.0/24",
			gateway: "10.244.2.0",
			ifindex: named("flannel.1").ifindex,
			table: 254,
			type: 1,
			metric: 0,
			preferredSource: null,
			onlink: true,
			linkdown: false,
		},
	]);
	assert.deepEqual(
		to("10.99.0.0/24").map((route) => route.gateway),
		["192.168.66.12", "192.168.66.13"],
	);
	assert.equal(to("10.97.0.0/24")[0]?.gateway, "fd66::12");
	assert.equal(to("10.98.0.0/24")[0]?.type, 6);
	assert.deepEqual([to("10.96.0.0/24")[0]?.table, to("10.96.0.0/24")[0]?.metric], [1234, 77]);
});

test("neighbours are what `ip neigh show nud all` says", () => {
	const expected = node.iproute.neigh.map((row) => `${row["dst"]} ${row["dev"]} ${row["lladdr"]}`);
	const found = rows(node.neighbours, "neighbour").map(
		({ neighbour }) => `${neighbour.address} ${byIndex.get(neighbour.ifindex)?.name} ${neighbour.mac}`,
	);
	assert.deepEqual(found.sort(), expected.sort());
	const vtep = rows(node.neighbours, "neighbour").find(({ neighbour }) => neighbour.address === "10.244.2.0");
	assert.equal(vtep?.neighbour.state, 0x80, "NUD_PERMANENT");
});

test("the FDB is what `bridge fdb` says", () => {
	const line = (parts: readonly unknown[]) => parts.map((part) => part ?? "-").join(" ");
	const expected = node.iproute.fdb.map((row) =>
		line([row["mac"], row["ifname"], row["master"], row["dst"], row["vlan"]]),
	);
	const found = rows(node.fdb, "fdb").map(({ entry }) =>
		line([
			entry.mac,
			byIndex.get(entry.ifindex)?.name,
			entry.master === null ? null : byIndex.get(entry.master)?.name,
			entry.destination,
			entry.vlan,
		]),
	);
	assert.deepEqual(found.sort(), expected.sort());
	assert.ok(found.includes("8e:02:00:00:00:02 flannel.1 - 192.168.66.12 -"));
});
