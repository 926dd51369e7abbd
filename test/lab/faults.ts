import type { Lab } from "../../src/lab/lab.js";
import type { Space } from "../../src/lab/space.js";
import type { DropPlace } from "../../src/latency/drop-report.js";

type Where = Pick<DropPlace, "device" | "direction">;

/** A fault of a node or a packet, and what weft must make of it. */
export interface Fault {
	readonly name: string;
	/** Makes it and gives what undoes it. */
	readonly make: (lab: Lab) => Promise<() => Promise<unknown>>;
	/** Sends what it kills. */
	readonly send: (lab: Lab) => Promise<unknown>;
	readonly diagnosis: string;
	/** In explanation or remedy. */
	readonly words: RegExp;
	/** Node-a unless said. */
	readonly node?: string;
	/** Where the packet was last, as concluded. */
	readonly hop: (lab: Lab) => Where;
	/** Copies die that a bridge floods: where the original was is concluded, hooks or not. */
	readonly flooded?: true;
	/** Pods in `default`; "client" unless said. */
	readonly from?: string | null;
	readonly to: string | null;
	readonly patienceMs?: number;
}

const into = (device: string) => () => ({ device, direction: "ingress" as const });
const fromVeth = (pod: string) => (lab: Lab) => ({ device: veth(lab, pod), direction: "ingress" as const });

export const FAULTS: readonly Fault[] = [
	{
		name: "an iptables rule in FORWARD, between pods of one node: inside the bridge",
		make: (lab) => iptables(lab.node("node-a"), "FORWARD", "-s", ip(lab, "client"), "-d", ip(lab, "neighbor")),
		send: (lab) => ping(lab, "neighbor"),
		diagnosis: "iptables drops it in FORWARD",
		words: /the rule: -A FORWARD -s 10\.244\.1\.\d+\/32 -d 10\.244\.1\.\d+\/32 -j DROP iptables -t filter -D FORWARD/,
		hop: fromVeth("client"),
		to: "neighbor",
	},
	{
		name: "an iptables rule in FORWARD, on the way to another node",
		make: (lab) => iptables(lab.node("node-a"), "FORWARD", "-s", ip(lab, "client"), "-d", ip(lab, "server")),
		send: (lab) => ping(lab, "server"),
		diagnosis: "iptables drops it in FORWARD",
		words: /the rule: -A FORWARD -s/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "an iptables rule in FORWARD of the node where it arrives",
		make: (lab) => iptables(lab.node("node-b"), "FORWARD", "-s", ip(lab, "client"), "-d", ip(lab, "server")),
		send: (lab) => ping(lab, "server"),
		diagnosis: "iptables drops it in FORWARD",
		words: /the rule: -A FORWARD -s/,
		node: "node-b",
		hop: into("flannel.1"),
		to: "server",
	},
	{
		name: "an nftables rule in forward",
		make: async (lab) => {
			const node = lab.node("node-a");
			const rule = `ip saddr ${ip(lab, "client")} ip daddr ${ip(lab, "server")} counter drop`;
			await node.run("nft", "add table inet weftlab");
			await node.run("nft", "add chain inet weftlab guard { type filter hook forward priority 0; }");
			await node.run("nft", `add rule inet weftlab guard ${rule}`);
			return () => node.run("nft", "delete table inet weftlab");
		},
		send: (lab) => ping(lab, "server"),
		diagnosis: "nftables drops it in FORWARD",
		words: /the rule: inet weftlab guard: ip saddr .* nft delete rule inet weftlab guard handle \d+/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a rule inside the pod",
		make: (lab) => iptables(lab.pod("neighbor"), "INPUT", "-s", ip(lab, "client")),
		send: (lab) => ping(lab, "neighbor"),
		diagnosis: "iptables drops it in INPUT",
		words: /the rule in \S+pod-default-neighbor: -A INPUT .* ip netns exec \S+neighbor iptables/,
		hop: into("eth0"),
		to: "neighbor",
	},
	{
		name: "no route to the other node's pods",
		make: async (lab) => {
			const node = lab.node("node-a");
			const before = (await node.run("ip", "route", "show", "default")).trim();
			await node.run("ip", "route", "del", "10.244.2.0/24");
			if (before !== "") await node.run("ip", "route", "del", "default");
			return () =>
				node.ip([
					"route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
					...(before === "" ? [] : [`route replace ${before}`]),
				]);
		},
		send: (lab) => ping(lab, "server"),
		diagnosis: "no route",
		words:
			/no route to 10\.244\.2\.0\/24: .* ip route replace 10\.244\.2\.0\/24 via 10\.244\.2\.0 dev flannel\.1 onlink/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a route that is a black hole",
		make: async (lab) => {
			await lab.node("node-a").run("ip", "route", "add", "blackhole", "10.99.0.0/16");
			return () => lab.node("node-a").run("ip", "route", "del", "blackhole", "10.99.0.0/16");
		},
		send: (lab) => lab.ping("default/client", "10.99.0.1"),
		diagnosis: "no route",
		words: /blackhole.* ip route del blackhole 10\.99\.0\.0\/16/,
		hop: into("cni0"),
		to: null,
	},
	{
		name: "a missing neighbour entry of the VTEP",
		make: async (lab) => {
			const node = lab.node("node-a");
			const peer = lab.node("node-b").node;
			await node.run("ip", "neigh", "del", peer.vtep.ipv4, "dev", "flannel.1");
			const entry = [peer.vtep.ipv4, "lladdr", peer.vtepMac.ipv4, "dev", "flannel.1", "nud", "permanent"];
			return () => node.run("ip", "neigh", "replace", ...entry);
		},
		send: (lab) => ping(lab, "server"),
		diagnosis: "no neighbour entry",
		words: /no neighbour entry for 10\.244\.2\.0 on flannel\.1.*ip neigh replace 10\.244\.2\.0 lladdr 8e:02/,
		hop: into("cni0"),
		to: "server",
		// The kernel asks three times before it gives up.
		patienceMs: 8000,
	},
	{
		name: "an address that no pod has",
		make: async () => async () => {},
		send: (lab) => lab.ping("default/client", "10.244.2.200"),
		diagnosis: "neighbour does not answer",
		words: /no pod behind cni0 has 10\.244\.2\.200/,
		node: "node-b",
		hop: into("flannel.1"),
		to: null,
		patienceMs: 8000,
	},
	{
		name: "a missing FDB entry",
		make: async (lab) => {
			await lab.removeFdb("node-a", "node-b");
			return () => lab.restoreFdb("node-a", "node-b");
		},
		send: (lab) => ping(lab, "server"),
		diagnosis: "no FDB entry",
		words: /bridge fdb replace 8e:02:00:00:00:02 dev flannel\.1 dst 192\.168\.66\.12 self permanent/,
		hop: () => ({ device: "flannel.1", direction: "egress" }),
		to: "server",
	},
	{
		name: "the pod's own interface is down",
		make: async (lab) => {
			const pod = lab.pod("neighbor");
			const routes = (await pod.run("ip", "-4", "route")).trim().split("\n");
			await lab.setLink("neighbor", "eth0", false);
			return () =>
				pod.ip([
					"link set eth0 up",
					...routes.filter((route) => route.includes("via")).map((route) => `route add ${route}`),
				]);
		},
		send: (lab) => ping(lab, "neighbor"),
		flooded: true,
		diagnosis: "pod link down",
		words: /eth0 in the pod, is down.* ip -n \S+pod-default-neighbor link set eth0 up/,
		hop: fromVeth("client"),
		to: "neighbor",
	},
	{
		name: "the host's end of a pod's veth is down",
		make: (lab) => hostVethDown(lab, "node-a", "neighbor"),
		send: (lab) => ping(lab, "neighbor"),
		flooded: true,
		diagnosis: "host veth down",
		words: /veth\w+ is down.* ip link set veth\w+ up/,
		hop: fromVeth("client"),
		to: "neighbor",
	},
	{
		name: "the host's end of a pod's veth is down where a packet from another node arrives",
		make: async (lab) => {
			// The node still knows the pod's MAC, and floods for it.
			await ping(lab, "server");
			return hostVethDown(lab, "node-b", "server");
		},
		send: (lab) => ping(lab, "server"),
		flooded: true,
		diagnosis: "host veth down",
		words: /veth\w+ is down/,
		node: "node-b",
		hop: () => ({ device: "cni0", direction: "egress" }),
		to: "server",
	},
	{
		name: "the reverse path filter",
		make: async (lab) => {
			await lab.node("node-a").sysctl({ "net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.cni0.rp_filter": 1 });
			await lab.pod("client").run("ip", "addr", "add", "192.168.66.77/32", "dev", "lo");
			return async () => {
				await lab.pod("client").run("ip", "addr", "del", "192.168.66.77/32", "dev", "lo");
				await lab.node("node-a").sysctl({ "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.cni0.rp_filter": 0 });
			};
		},
		send: (lab) => lab.pod("client").attempt(...words("ping -c 1 -W 0.3 -I 192.168.66.77"), ip(lab, "server")),
		diagnosis: "reverse path filter",
		words: /rp_filter/,
		hop: into("cni0"),
		from: null,
		to: "server",
	},
	{
		name: "a TTL that runs out",
		make: nothing,
		send: (lab) => lab.pod("client").attempt(...words("ping -c 1 -W 0.3 -t 1"), ip(lab, "server")),
		diagnosis: "TTL exceeded",
		words: /tracepath/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a hop limit that runs out",
		make: nothing,
		send: (lab) => lab.pod("client").attempt(...words("ping -6 -c 1 -W 0.3 -t 1"), lab.pod("server").pod.address.ipv6),
		diagnosis: "TTL exceeded",
		words: /tracepath/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a socket whose buffer is full",
		make: async (lab) => {
			const reader = lab.pod("server").spawn(["python3", "-c", SLEEPER], { stdio: ["ignore", "pipe", "ignore"] });
			await new Promise((resolve) => reader.stdout?.once("data", resolve));
			return async () => {
				reader.kill();
			};
		},
		send: (lab) => udp(lab, "server", 6000, 50),
		diagnosis: "socket buffer full",
		words: /rmem_max/,
		node: "node-b",
		hop: into("eth0"),
		to: "server",
	},
	{
		name: "a UDP port where nobody listens",
		make: nothing,
		send: (lab) => udp(lab, "server", 5999, 1),
		diagnosis: "closed port",
		words: /udp 5999 .* ip netns exec \S+server ss -lnup/,
		node: "node-b",
		hop: into("eth0"),
		to: "server",
	},
	{
		name: "a TCP port where nobody listens",
		make: nothing,
		send: (lab) =>
			lab.send("default/client", { protocol: "tcp", address: ip(lab, "server"), port: 5999, bytes: 1, timeoutMs: 500 }),
		diagnosis: "closed port",
		words: /tcp 5999 .* ss -lntp/,
		node: "node-b",
		hop: into("eth0"),
		to: "server",
	},
	{
		name: "a packet larger than the MTU that may not be fragmented",
		make: async (lab) => {
			await lab.node("node-a").run("ip", "link", "set", "flannel.1", "mtu", "1200");
			return () => lab.node("node-a").run("ip", "link", "set", "flannel.1", "mtu", "1450");
		},
		send: (lab) => lab.pod("client").attempt(...words("ping -c 1 -W 0.3 -M do -s 1300"), ip(lab, "server")),
		diagnosis: "larger than the MTU",
		words: /FLANNEL_MTU/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a tunnel over IPv6 whose MTU is too large for the NIC",
		make: (lab) => mtu(lab, "node-a", 1400),
		send: (lab) =>
			lab.pod("client").attempt(...words("ping -6 -c 1 -W 0.3 -s 1300"), lab.pod("server").pod.address.ipv6),
		diagnosis: "larger than the MTU",
		words:
			/flannel-v6\.1's MTU of 1430 is too large for eth0's of 1400, of which VXLAN takes 70.* ip link set flannel-v6\.1 mtu 1330$/,
		hop: () => ({ device: "flannel-v6.1", direction: "egress" }),
		to: "server",
	},
	{
		name: "a tunnel whose packets may not be fragmented, and whose MTU is too large for the NIC",
		make: async (lab) => {
			const node = lab.node("node-a");
			await node.run("ip", ...words("link set flannel.1 type vxlan df set"));
			const undo = await mtu(lab, "node-a", 1400);
			return async () => {
				await undo();
				await node.run("ip", ...words("link set flannel.1 type vxlan df unset"));
			};
		},
		send: (lab) => lab.pod("client").attempt(...words("ping -c 1 -W 0.3 -s 1400"), ip(lab, "server")),
		diagnosis: "larger than the MTU",
		words:
			/flannel\.1's MTU of 1450 is too large for eth0's of 1400, of which VXLAN takes 50.* ip link set flannel\.1 mtu 1350$/,
		hop: () => ({ device: "flannel.1", direction: "egress" }),
		to: "server",
	},
	{
		name: "a bad IP checksum",
		make: nothing,
		send: (lab) =>
			lab.pod("client").runWith({ input: badIpChecksum(ip(lab, "client"), ip(lab, "server")) }, "python3", "-"),
		diagnosis: "bad checksum",
		words: /tx-checksum/,
		hop: fromVeth("client"),
		to: "server",
	},
	{
		name: "a bad TCP checksum, which conntrack calls INVALID and kube-proxy's rule drops",
		make: nothing,
		send: (lab) => rawTcp(lab, ip(lab, "server")),
		diagnosis: "iptables drops it in FORWARD",
		words: /most likely the rule: -A KUBE-FORWARD .*INVALID.*a bad checksum/,
		hop: into("cni0"),
		to: "server",
	},
	{
		name: "a bad TCP checksum where conntrack does not look",
		make: async (lab) => {
			await lab.setBridgeNetfilter("node-a", false);
			return () => lab.setBridgeNetfilter("node-a", true);
		},
		send: (lab) => rawTcp(lab, ip(lab, "neighbor")),
		diagnosis: "bad checksum",
		words: /tx-checksum/,
		hop: into("eth0"),
		to: "neighbor",
	},
];

const SLEEPER = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
s.bind(("0.0.0.0", 6000))
print("ready", flush=True)
time.sleep(20)
`;

/** An Ethernet frame to the gateway, by hand: the kernel would correct the checksum of a raw socket's packet. */
function badIpChecksum(from: string, to: string): string {
	return `
import socket, struct
udp = struct.pack("!HHHH", 4000, 5353, 12, 0) + b"abcd"
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 77, 0, 64, 17, 0xbeef, socket.inet_aton("${from}"), socket.inet_aton("${to}"))
mac = open("/sys/class/net/eth0/address").read()
gateway = [line for line in open("/proc/net/arp") if line.startswith("10.244.1.1 ")][0].split()[3]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0x0800))
s.send(bytes.fromhex(gateway.replace(":", "")) + bytes.fromhex(mac.strip().replace(":", "")) + b"\\x08\\x00" + ip + udp)
`;
}

async function rawTcp(lab: Lab, to: string): Promise<void> {
	const input = `
import socket, struct
source, destination = socket.inet_aton("${ip(lab, "client")}"), socket.inet_aton("${to}")
tcp = struct.pack("!HHIIBBHHH", 4000, 8080, 1, 0, 0x50, 2, 1000, 0x1234, 0)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 77, 0, 64, 6, 0, source, destination)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.sendto(ip + tcp, ("${to}", 0))
`;
	await lab.pod("client").runWith({ input }, "python3", "-");
}

async function nothing(): Promise<() => Promise<void>> {
	return async () => {};
}

async function iptables(space: Space, chain: string, ...matches: string[]): Promise<() => Promise<unknown>> {
	await space.run("iptables", "-I", chain, ...matches, "-j", "DROP");
	return () => space.run("iptables", "-D", chain, ...matches, "-j", "DROP");
}

/** Of a node's NIC. */
export async function mtu(lab: Lab, node: string, bytes: number): Promise<() => Promise<unknown>> {
	const set = (to: number) => lab.node(node).run("ip", "link", "set", "eth0", "mtu", String(to));
	await set(bytes);
	return () => set(1500);
}

async function hostVethDown(lab: Lab, node: string, pod: string): Promise<() => Promise<void>> {
	const device = veth(lab, pod);
	await lab.setLink(`node:${node}`, device, false);
	return () => lab.setLink(`node:${node}`, device, true);
}

async function ping(lab: Lab, pod: string): Promise<void> {
	await lab.pod("client").attempt(...words("ping -c 2 -i 0.05 -W 0.3"), ip(lab, pod));
}

async function udp(lab: Lab, pod: string, port: number, count: number): Promise<void> {
	const order = { protocol: "udp", address: ip(lab, pod), port, size: 500, count, timeoutMs: 100 } as const;
	await lab.send("default/client", order);
}

function ip(lab: Lab, pod: string): string {
	return lab.pod(pod).pod.address.ipv4;
}

function veth(lab: Lab, pod: string): string {
	return lab.pod(pod).pod.device;
}

function words(command: string): string[] {
	return command.split(" ");
}
