import { isIP } from "node:net";
import type { NetnsCookie } from "../../packet/hook.js";
import type { Address, FdbEntry, Link, Neighbour, Route, Wiring } from "../../wiring/model.js";

/** What could be made out in pasted text. */
export interface Pasted {
	readonly wiring: Wiring;
	/** Which commands' output was there: "brctl show", "ip addr"… */
	readonly recognised: readonly string[];
	/** Lines that belong to none of them. */
	readonly strange: number;
}

/** Larger pastes are refused by whoever reads the files. */
export const LARGEST_PASTE = 8 * 1024 * 1024;

/**
 * Reads the output of `brctl show`, `ip [-d] link`, `ip addr`, `bridge fdb`, `bridge link`, `ip route` and `ip neigh`, one
 * after the other or in several texts, prompts and other lines in between, into a wiring as far as it goes. Pure.
 */
export function parsePasted(texts: readonly string[]): Pasted {
	const paste = new Paste();
	for (const text of texts) {
		paste.begin();
		for (const line of text.split(/\r?\n/)) paste.line(line);
	}
	return paste.done();
}

type Draft = { -readonly [K in keyof Link]: Link[K] } & { masterName: string | null; underlayName: string | null };

class Paste {
	readonly #links = new Map<string, Draft>();
	readonly #addresses: { device: string; address: string; prefix: number }[] = [];
	readonly #routes: { device: string | null; route: Omit<Route, "ifindex"> }[] = [];
	readonly #neighbours: { device: string; neighbour: Omit<Neighbour, "ifindex"> }[] = [];
	readonly #fdb: { device: string; master: string | null; entry: Omit<FdbEntry, "ifindex" | "master"> }[] = [];
	readonly #recognised = new Set<string>();
	#strange = 0;
	/** The link that indented lines of `ip` belong to, the bridge that those of `brctl` do. */
	#link: Draft | null = null;
	#bridge: string | null = null;

	begin(): void {
		this.#link = null;
		this.#bridge = null;
	}

	line(raw: string): void {
		// Prompts: "$ ip addr", "root@node:~# brctl show".
		if (raw.trim() === "" || /^\S*[$#] /.test(raw)) {
			this.#bridge = null;
			return;
		}
		const known =
			this.#linkHead(raw) ||
			this.#linkDetail(raw) ||
			this.#brctl(raw) ||
			this.#fdbLine(raw) ||
			this.#neighbourLine(raw) ||
			this.#routeLine(raw);
		if (!known) this.#strange++;
	}

	done(): Pasted {
		const links = [...this.#links.values()];
		// Devices that only brctl or a route names have no index: a negative one, which no kernel gives.
		let unnumbered = -1;
		for (const link of links) if (link.ifindex === 0) link.ifindex = unnumbered--;
		const index = (name: string | null) => (name === null ? null : (this.#links.get(name)?.ifindex ?? null));
		const finished = links.map(({ masterName, underlayName, ...link }): Link => {
			const vxlan = link.vxlan === null ? null : { ...link.vxlan, underlay: index(underlayName) };
			return { ...link, master: index(masterName), vxlan };
		});
		const host = {
			cookie: "pasted" as NetnsCookie,
			inode: 0,
			path: "pasted text",
			name: null,
			nsid: null,
			links: finished,
			addresses: this.#addresses.flatMap(({ device, address, prefix }): Address[] => {
				const ifindex = index(device);
				return ifindex === null ? [] : [{ ifindex, address, prefix, scope: 0 }];
			}),
			routes: this.#routes.map(({ device, route }) => ({ ...route, ifindex: index(device) })),
			neighbours: this.#neighbours.flatMap(({ device, neighbour }) => {
				const ifindex = index(device);
				return ifindex === null ? [] : [{ ...neighbour, ifindex }];
			}),
			fdb: this.#fdb.flatMap(({ device, master, entry }) => {
				const ifindex = index(device);
				return ifindex === null ? [] : [{ ...entry, ifindex, master: index(master) }];
			}),
		};
		return { wiring: { node: "pasted", host, others: [] }, recognised: [...this.#recognised], strange: this.#strange };
	}

	/** `6: veth61dfc48a@if3: <BROADCAST,UP,LOWER_UP> mtu 1450 … master cni0 state UP …` */
	#linkHead(line: string): boolean {
		const head = /^(\d+): ([^\s@:]+)(?:@([^\s:]+))?: <([A-Z0-9_,-]*)> (.*)$/.exec(line.trim());
		if (head === null) return false;
		const [, ifindex = "", name = "", at, flagText = "", rest = ""] = head;
		const flags = flagText.split(",");
		const link = this.#named(name);
		link.ifindex = Number(ifindex);
		link.up = flags.includes("UP");
		link.carrier = !flags.includes("NO-CARRIER");
		link.loopback = flags.includes("LOOPBACK");
		link.mtu = Number(word(rest, "mtu") ?? link.mtu);
		link.operstate = (word(rest, "state") ?? "unknown").toLowerCase();
		link.masterName = word(rest, "master") ?? link.masterName;
		if (link.masterName !== null) this.#named(link.masterName).kind ??= "bridge";
		const away = /^if(\d+)$/.exec(at ?? "");
		if (away !== null) {
			// ip prints a bare number where the other end is in another namespace.
			link.kind ??= "veth";
			link.peer = Number(away[1]);
			link.peerNsid = -1;
		}
		this.#link = link;
		this.#bridge = null;
		this.#recognised.add("ip link");
		return true;
	}

	/** The indented lines under it. */
	#linkDetail(line: string): boolean {
		const link = this.#link;
		if (link === null || !/^\s{2,}/.test(line)) return false;
		const text = line.trim();
		const inet = /^inet6? ([0-9a-fA-F.:]+)(?: peer \S+?)?\/(\d+)/.exec(text);
		if (inet !== null) {
			this.#addresses.push({ device: link.name, address: inet[1] ?? "", prefix: Number(inet[2]) });
			this.#recognised.add("ip addr");
			return true;
		}
		const ether = /^link\/(\S+)(?: ([0-9a-f:]{17}))?/.exec(text);
		if (ether !== null) {
			link.address = ether[2] ?? null;
			link.l3 = ether[1] === "none" || ether[1] === "ipip" || ether[1] === "sit";
			const nsid = word(text, "link-netnsid");
			if (nsid !== null) link.peerNsid = Number(nsid);
			return true;
		}
		const kind = /^(veth|bridge|vxlan|dummy|ipip|sit|gre|wireguard|tun|vlan|bond)\b(?!_slave)/.exec(text);
		if (kind !== null) {
			link.kind = kind[1] ?? null;
			if (link.kind === "vxlan") this.#vxlan(link, text);
			this.#recognised.add("ip -d link");
			return true;
		}
		if (text.startsWith("bridge_slave")) {
			const forwarding = word(text, "state") === "forwarding";
			link.port = {
				state: forwarding ? 3 : 0,
				hairpin: word(text, "hairpin") === "on",
				learning: word(text, "learning") !== "off",
			};
			return true;
		}
		return /^(valid_lft|altname|RX|TX|\d)/.test(text) && this.#altname(link, text);
	}

	#altname(link: Draft, text: string): boolean {
		const name = word(text, "altname");
		if (name !== null) link.altnames = [...link.altnames, name];
		return true;
	}

	#vxlan(link: Draft, text: string): void {
		link.vxlan = {
			vni: Number(word(text, "id") ?? 0),
			port: Number(word(text, "dstport") ?? 0),
			local: word(text, "local") ?? word(text, "local6"),
			underlay: null,
			learning: !/\bnolearning\b/.test(text),
		};
		link.underlayName = word(text, "dev");
	}

	/** `cni0\t\t8000.0a580af40101\tno\t\tveth61dfc48a`, then further ports alone on lines of their own. */
	#brctl(line: string): boolean {
		if (/^bridge name\s+bridge id\s+STP enabled\s+interfaces/.test(line.trim())) {
			this.#recognised.add("brctl show");
			this.#link = null;
			this.#bridge = "";
			return true;
		}
		const row = /^(\S+)\s+[0-9a-f]{4}\.[0-9a-f]{12}\s+(?:yes|no)(?:\s+(\S+))?\s*$/.exec(line);
		if (row !== null) {
			this.#bridge = row[1] ?? "";
			this.#named(this.#bridge).kind = "bridge";
			if (row[2] !== undefined) this.#port(row[2], this.#bridge);
			return true;
		}
		const port = /^\s+(\S+)\s*$/.exec(line)?.[1];
		if (port === undefined || !this.#bridge) return false;
		this.#port(port, this.#bridge);
		return true;
	}

	#port(name: string, bridge: string): void {
		const link = this.#named(name);
		link.masterName = bridge;
		// Nothing but its habit: a port called veth… is one until `ip` says otherwise.
		if (/^veth/.test(name)) {
			link.kind ??= "veth";
			link.peerNsid ??= -1;
		}
	}

	/** `8e:02:00:00:00:02 dev flannel.1 dst 192.168.66.12 self permanent` */
	#fdbLine(line: string): boolean {
		const row = /^([0-9a-f]{2}(?::[0-9a-f]{2}){5}) dev (\S+)(.*)$/.exec(line.trim());
		if (row === null) return false;
		const [, mac = "", device = "", rest = ""] = row;
		this.#named(device);
		const vlan = word(rest, "vlan");
		this.#fdb.push({
			device,
			master: word(rest, "master"),
			entry: {
				mac,
				destination: word(rest, "dst"),
				state: rest.includes("permanent") ? NUD_PERMANENT : NUD_REACHABLE,
				vlan: vlan === null ? null : Number(vlan),
			},
		});
		this.#recognised.add("bridge fdb");
		return true;
	}

	/** `10.244.2.0 dev flannel.1 lladdr 8e:02:00:00:00:02 PERMANENT` */
	#neighbourLine(line: string): boolean {
		const row =
			/^(\S+) dev (\S+)(?: lladdr (\S+))?.* (PERMANENT|REACHABLE|STALE|DELAY|PROBE|FAILED|INCOMPLETE|NOARP)\s*$/.exec(
				line.trim(),
			);
		if (row === null || isIP(row[1] ?? "") === 0) return false;
		const [, address = "", device = "", mac, state = ""] = row;
		this.#named(device);
		this.#neighbours.push({ device, neighbour: { address, mac: mac ?? null, state: NUD[state] ?? NUD_REACHABLE } });
		this.#recognised.add("ip neigh");
		return true;
	}

	/** `10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink`, `default via …`, `blackhole 10.9.0.0/16` */
	#routeLine(line: string): boolean {
		const row = /^(?:(blackhole|unreachable|prohibit) )?(default|[0-9a-fA-F.:]+(?:\/\d+)?)(?: (.*))?$/.exec(
			line.trim(),
		);
		if (row === null) return false;
		const [, type, to = "", rest = ""] = row;
		const device = word(rest, "dev");
		const gateway = word(rest, "via");
		if (to !== "default" && isIP(to.split("/")[0] ?? "") === 0) return false;
		if (device === null && type === undefined) return false;
		if (device !== null) this.#named(device);
		const any = gateway?.includes(":") === true ? "::/0" : "0.0.0.0/0";
		const whole = to.includes("/") ? to : `${to}/${to.includes(":") ? 128 : 32}`;
		this.#routes.push({
			device,
			route: {
				destination: to === "default" ? any : whole,
				gateway,
				table: MAIN_TABLE,
				type: type === undefined ? 1 : (ROUTE_TYPES[type] ?? 1),
				metric: Number(word(rest, "metric") ?? 0),
				preferredSource: word(rest, "src"),
				onlink: /\bonlink\b/.test(rest),
				linkdown: /\blinkdown\b/.test(rest),
			},
		});
		this.#recognised.add("ip route");
		return true;
	}

	#named(name: string): Draft {
		const known = this.#links.get(name);
		if (known !== undefined) return known;
		const link: Draft = {
			ifindex: 0,
			name,
			kind: null,
			address: null,
			mtu: 0,
			up: true,
			operstate: "unknown",
			carrier: true,
			loopback: name === "lo",
			l3: false,
			master: null,
			peer: null,
			peerNsid: null,
			vxlan: null,
			port: null,
			altnames: [],
			statistics: { rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0, rxDropped: 0, txDropped: 0 },
			masterName: null,
			underlayName: null,
		};
		this.#links.set(name, link);
		return link;
	}
}

const MAIN_TABLE = 254;
const NUD_REACHABLE = 0x02;
const NUD_PERMANENT = 0x80;
const NUD: Readonly<Record<string, number>> = {
	INCOMPLETE: 0x01,
	REACHABLE: 0x02,
	STALE: 0x04,
	DELAY: 0x08,
	PROBE: 0x10,
	FAILED: 0x20,
	NOARP: 0x40,
	PERMANENT: 0x80,
};
const ROUTE_TYPES: Readonly<Record<string, number>> = { blackhole: 6, unreachable: 7, prohibit: 8 };

/** The word behind a keyword. */
function word(text: string, keyword: string): string | null {
	return new RegExp(`(?:^|\\s)${keyword}\\s+(\\S+)`).exec(text)?.[1] ?? null;
}
