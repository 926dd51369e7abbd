import protobuf from "protobufjs";

/**
 * The part of the Container Runtime Interface that names pods: an excerpt of
 * k8s.io/cri-api/pkg/apis/runtime/v1/api.proto; the numbers are the protocol's, what is left out is passed over.
 */
const namespace = protobuf
	.parse(`
syntax = "proto3";
package runtime.v1;
message ListPodSandboxRequest {}
message ListPodSandboxResponse { repeated PodSandbox items = 1; }
message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
message PodSandbox { string id = 1; PodSandboxMetadata metadata = 2; int32 state = 3; int64 created_at = 4; }
message PodSandboxStatusRequest { string pod_sandbox_id = 1; bool verbose = 2; }
message PodSandboxStatusResponse { PodSandboxStatus status = 1; map<string, string> info = 2; }
message PodSandboxStatus { string id = 1; PodSandboxNetworkStatus network = 5; }
message PodIP { string ip = 1; }
message PodSandboxNetworkStatus { string ip = 1; repeated PodIP additional_ips = 2; }
message ListContainersRequest {}
message ListContainersResponse { repeated Container containers = 1; }
message ContainerMetadata { string name = 1; uint32 attempt = 2; }
message ImageSpec { string image = 1; }
message Container {
	string id = 1;
	string pod_sandbox_id = 2;
	ContainerMetadata metadata = 3;
	ImageSpec image = 4;
	int32 state = 6;
}
message GetEventsRequest {}
message ContainerEventResponse { string container_id = 1; }
`)
	.root.lookup("runtime.v1") as protobuf.Namespace;

/** What a call takes and gives, decoded with defaults: plain objects, numbers and strings. */
export interface CriCalls {
	ListPodSandbox: { request: Record<string, never>; response: { readonly items: readonly CriSandbox[] } };
	PodSandboxStatus: {
		request: { readonly podSandboxId: string; readonly verbose: boolean };
		response: {
			readonly status: { readonly network: CriNetwork | null } | null;
			readonly info: Readonly<Record<string, string>>;
		};
	};
	ListContainers: { request: Record<string, never>; response: { readonly containers: readonly CriContainer[] } };
}

export interface CriSandbox {
	readonly id: string;
	readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string } | null;
	/** 0: ready. */
	readonly state: number;
	/** ns since 1970, decimal. */
	readonly createdAt: string;
}

export interface CriNetwork {
	readonly ip: string;
	readonly additionalIps: readonly { readonly ip: string }[];
}

export interface CriContainer {
	readonly id: string;
	readonly podSandboxId: string;
	readonly metadata: { readonly name: string } | null;
	readonly image: { readonly image: string } | null;
	/** 1: running. */
	readonly state: number;
}

export function encodeCri(method: keyof CriCalls, message: object): Buffer {
	const type = namespace.lookupType(`${method}Request`);
	return Buffer.from(type.encode(type.fromObject(message)).finish());
}

export function decodeCri<M extends keyof CriCalls>(method: M, bytes: Uint8Array): CriCalls[M]["response"] {
	const type = namespace.lookupType(`${method}Response`);
	return type.toObject(type.decode(bytes), { defaults: true, longs: String }) as CriCalls[M]["response"];
}
