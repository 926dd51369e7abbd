/* The messages of weft.v1 as TypeScript sees them; their bytes: codec.ts. */

/** 64 bits as two words. A BigInt must never be given to protobufjs: it is encoded as 0. */
export interface Word64 {
	readonly low: number;
	readonly high: number;
	readonly unsigned: boolean;
}
/** To encode: a whole number up to 2⁵³, or the words. Decoded: the words. */
export type Count = number | Word64;

export interface MessageTypes {
	readonly StreamSightingsRequest: StreamSightingsRequest;
	readonly StreamSightingsResponse: StreamSightingsResponse;
	readonly TraceRequest: QuestionMessage & { readonly sample: number };
	readonly TraceResponse: { readonly state?: StateMessage | null; readonly paths?: readonly object[] };
	readonly WatchFlowsRequest: QuestionMessage;
	readonly WatchFlowsResponse: { readonly state?: StateMessage | null; readonly flow?: object | null };
	readonly WatchLatencyRequest: WatchLatencyRequest;
	readonly WatchLatencyResponse: { readonly state?: StateMessage | null; readonly delta?: SegmentDeltaMessage | null };
	readonly WatchDropsRequest: WatchDropsRequest;
	readonly WatchDropsResponse: WatchDropsResponse;
	readonly WatchTopologyRequest: { readonly withEvidence: boolean };
	readonly WatchTopologyResponse: WatchTopologyResponse;
	readonly WatchDeviceRequest: { readonly node: string; readonly device: string; readonly intervalMs: number };
	readonly WatchDeviceResponse: {
		readonly state?: StateMessage | null;
		readonly interval?: DeviceIntervalMessage | null;
	};
	readonly ResolveEndpointRequest: { readonly end: EndMessage | null; readonly namespace: string };
	readonly ResolveEndpointResponse: { readonly endpoints: readonly ResolvedEndpointMessage[] };
	readonly SyncClockRequest: { readonly clientTimeNs: Word64; readonly node: string };
	readonly SyncClockResponse: SyncClockResponse;
	readonly GetStatusRequest: Readonly<Record<string, never>>;
	readonly GetStatusResponse: { readonly agents: readonly AgentStatusMessage[] };
}

export interface EndMessage {
	readonly end: string;
}

/** What every question has. `from` and `to` null or absent: any. */
export interface QuestionMessage {
	readonly from?: EndMessage | null;
	readonly to?: EndMessage | null;
	readonly filter: string;
	readonly namespace: string;
}

export interface WatchDropsRequest extends QuestionMessage {
	readonly hooks: boolean;
	readonly cluster?: ClusterMessage | null;
}

export interface WatchDropsResponse {
	readonly state?: StateMessage | null;
	readonly drop?: DropMessage | null;
	readonly account?: DropAccountMessage | null;
}

export interface DropMessage {
	readonly node: string;
	readonly timeNs: Word64;
	readonly count: Count;
	readonly kernelReason: string;
	readonly kernelFunction: string;
	readonly diagnosis: string;
	readonly explanation: string;
	readonly remedy: string;
	readonly hop: Pick<HookMessage, "node" | "device" | "direction"> | null;
	/** enum HopEvidence, by number. */
	readonly hopEvidence: number;
	readonly protocol: string;
	readonly source: EndpointMessage | null;
	readonly destination: EndpointMessage | null;
	readonly path: string;
}

export interface EndpointMessage {
	readonly ip: string;
	readonly port?: number | null;
	readonly namespace: string;
	readonly pod: string;
	readonly node: string;
}

/** See DropSummary. */
export interface DropAccountMessage {
	readonly node: string;
	readonly seen: Count;
	readonly dropped: Count;
	readonly consumed: Count;
	readonly filtered: Count;
	readonly foreign: Count;
	readonly unknown: Count;
	readonly unrelated: Count;
	readonly sampled: Count;
	readonly ringFull: Count;
	readonly missed: Count;
}

export interface WatchLatencyRequest {
	readonly bridge: string;
	readonly intervalMs: number;
	readonly by: string;
	readonly inside: boolean;
	readonly wire: boolean;
}

/** The ends are hooks without ids. */
export interface SegmentDeltaMessage {
	readonly node: string;
	readonly kind: string;
	readonly from: SegmentEndMessage | null;
	readonly to: SegmentEndMessage | null;
	readonly count: Count;
	readonly sumNs: Count;
	readonly minNs: Count;
	readonly maxNs: Count;
	readonly bucket: readonly number[];
	readonly bucketCount: readonly Count[];
	readonly unmatched: readonly LossMessage[];
	readonly device: string;
	readonly group: string;
	readonly fromPod: string;
	readonly toPod: string;
	readonly clockErrorNs: Count;
}

export type SegmentEndMessage = Pick<HookMessage, "node" | "device" | "direction" | "role">;

export interface StreamSightingsRequest extends QuestionMessage {
	readonly hashSalt: Uint8Array;
	readonly sample: number;
	readonly nodes: readonly string[];
	readonly cluster: ClusterMessage | null;
	readonly finish: boolean;
	/** enum Role, by number. */
	readonly roles: readonly number[];
}

export interface StreamSightingsResponse {
	readonly state?: StateMessage | null;
	readonly hook?: HookChangeMessage | null;
	readonly drop?: SkbDropMessage | null;
	readonly words?: DropWordsMessage | null;
	readonly node: string;
	readonly progress?: ProgressMessage | null;
}

export interface HookChangeMessage {
	readonly hook: HookMessage | null;
	readonly added: boolean;
	/** 0: from when the stream is ready. */
	readonly sinceNs: Word64;
}

export interface SkbDropMessage {
	readonly timeNs: Word64;
	readonly skb: Word64;
	readonly reason: string;
	readonly function: string;
	readonly words: string;
	readonly remedy: string;
	/** 0: no DropWords will follow. */
	readonly ticket: number;
}

export interface DropWordsMessage {
	readonly ticket: number;
	readonly words: string;
	readonly remedy: string;
}

export interface ProgressMessage {
	readonly watermarkNs: Word64;
	readonly losses: readonly LossMessage[];
}

export interface LossMessage {
	readonly cause: string;
	readonly count: Count;
}

export interface StageMessage {
	readonly stage: string;
	readonly in: Count;
	readonly out: Count;
	readonly lost: readonly LossMessage[];
}

export interface HookMessage {
	readonly id: number;
	readonly node: string;
	readonly netns: string;
	readonly ifindex: number;
	readonly device: string;
	readonly direction: number;
	readonly role: number;
	readonly l3: boolean;
	readonly master: number;
}

export const Phase = { ready: 1, running: 2, ended: 3 } as const;

export interface StateMessage {
	readonly phase: number;
	readonly instance: string;
	readonly nextSequence: Count;
	readonly nodes: readonly NodeStateMessage[];
	readonly losses: readonly LossMessage[];
	readonly ledger: readonly StageMessage[];
	readonly warnings: readonly string[];
}

export interface NodeStateMessage {
	readonly node: string;
	readonly instance: string;
	readonly clockOffsetNs: Count;
	readonly clockErrorNs: Count;
	readonly watermarkNs: Word64;
	readonly connected: boolean;
	readonly losses: readonly LossMessage[];
	readonly hooks: number;
	readonly hashSalt: Uint8Array;
	readonly ends: readonly { readonly ifindex: number; readonly packets: Count }[];
}

export interface ClusterMessage {
	readonly pods: readonly {
		readonly namespace: string;
		readonly name: string;
		readonly node: string;
		readonly addresses: readonly string[];
		readonly netns: string;
		readonly ifindex: number;
	}[];
	readonly services: readonly {
		readonly name: string;
		readonly ip: string;
		readonly port: number;
		readonly protocol: string;
		readonly nodePort: number;
		readonly backends: readonly { readonly ip: string; readonly port: number }[];
	}[];
	readonly nodes: readonly { readonly name: string; readonly address: string; readonly subnets: readonly string[] }[];
	readonly hostPorts: readonly {
		readonly port: number;
		readonly protocol: string;
		readonly backend: { readonly ip: string; readonly port: number } | null;
	}[];
}

export interface WatchTopologyResponse {
	readonly state?: StateMessage | null;
	readonly snapshot?: { readonly nodes: readonly NodeTopologyMessage[] } | null;
	readonly delta?: { readonly changed: readonly NodeTopologyMessage[]; readonly gone: readonly string[] } | null;
}

export interface NodeTopologyMessage {
	readonly node: string;
	readonly devices: readonly DeviceMessage[];
	readonly pods: readonly PodAttachmentMessage[];
	readonly remotes: readonly {
		readonly name: string;
		readonly address: string;
		readonly subnets: readonly string[];
		readonly vtepMac: string;
	}[];
	readonly warnings: readonly string[];
	readonly instance: string;
	readonly evidence: Uint8Array;
	readonly address: string;
	readonly subnets: readonly string[];
}

export interface DeviceMessage {
	readonly ifindex: number;
	readonly name: string;
	readonly kind: string;
	readonly role: number;
	readonly mtu: number;
	readonly up: boolean;
	readonly operstate: string;
	readonly master: string;
	readonly addresses: readonly string[];
	readonly peer: number;
	readonly vni: number;
	readonly port: number;
	readonly peerEnd: {
		readonly device: string;
		readonly ifindex: number;
		readonly netns: string;
		readonly path: string;
		readonly paired: boolean;
	} | null;
	readonly tunnel: {
		readonly vni: number;
		readonly port: number;
		readonly local: string;
		readonly underlay: string;
	} | null;
	readonly unexplained: string;
}

export interface DeviceIntervalMessage {
	readonly node: string;
	readonly ifindex: number;
	readonly durationMs: number;
	readonly before: DeviceCountersMessage | null;
	readonly after: DeviceCountersMessage | null;
	/** Null or absent: hooks may not be attached. */
	readonly hooked?: Count | null;
}

export interface DeviceCountersMessage {
	readonly rxPackets: Count;
	readonly txPackets: Count;
	readonly rxBytes: Count;
	readonly txBytes: Count;
	readonly rxDropped: Count;
	readonly txDropped: Count;
}

export interface PodAttachmentMessage {
	readonly namespace: string;
	readonly name: string;
	readonly uid: string;
	readonly addresses: readonly string[];
	readonly ifindex: number;
	readonly netns: string;
	readonly sources: readonly string[];
	readonly conflict: boolean;
	readonly device: string;
	readonly sandbox: string;
	readonly containers: readonly {
		readonly id: string;
		readonly name: string;
		readonly image: string;
		readonly running: boolean;
	}[];
	readonly conflicts: readonly string[];
}

export interface ResolvedEndpointMessage {
	readonly namespace: string;
	readonly pod: string;
	readonly node: string;
	readonly addresses: readonly string[];
	readonly local: boolean;
	readonly sources: readonly string[];
}

export interface SyncClockResponse {
	readonly node: string;
	readonly instance: string;
	readonly clientTimeNs: Word64;
	readonly receivedNs: Word64;
	readonly sentNs: Word64;
}

export interface AgentStatusMessage {
	readonly node: string;
	readonly instance: string;
	readonly version: string;
	readonly kernel: string;
	readonly attach: string;
	readonly startedNs: Word64;
	readonly hooks: readonly HookMessage[];
	readonly subscribers: readonly {
		readonly id: number;
		readonly method: string;
		readonly question: string;
		readonly delivered: Count;
		readonly lost: Count;
	}[];
	readonly ledger: readonly StageMessage[];
	readonly residentBytes: Count;
	readonly warnings: readonly string[];
	readonly hashSalt: Uint8Array;
	readonly offeredHashSalt: Uint8Array;
	readonly address: string;
	readonly clockOffsetNs?: Count | null;
	readonly clockErrorNs: Count;
}

export type MessageName = keyof MessageTypes;
