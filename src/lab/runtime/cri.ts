import type * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { LabError } from "../error.js";

/** What the lab asks of a container runtime: the kubelet's part of the CRI, version 1, and no more of it. */
export class Cri {
	/** `socket` is a path. Nothing is sent before the first call. */
	static async connect(socket: string): Promise<Cri> {
		const { Client, credentials } = await import("@grpc/grpc-js");
		return new Cri(new Client(`unix:${socket}`, credentials.createInsecure()), socket);
	}

	readonly #client: grpc.Client;
	readonly #socket: string;

	private constructor(client: grpc.Client, socket: string) {
		this.#client = client;
		this.#socket = socket;
	}

	/** Calls a method of runtime.v1.RuntimeService. Messages are plain objects with the proto's names in camelCase. */
	call<M extends keyof CriMethods>(
		method: M,
		request: CriMethods[M][0],
		deadlineMs = 20_000,
	): Promise<CriMethods[M][1]> {
		const input = types.lookupType(`${method}Request`);
		const output = types.lookupType(`${method}Response`);
		return new Promise((resolve, reject) => {
			this.#client.makeUnaryRequest(
				`/runtime.v1.RuntimeService/${method}`,
				(message: object) => Buffer.from(input.encode(input.fromObject(message)).finish()),
				(bytes: Buffer) => output.toObject(output.decode(bytes), { defaults: true }) as CriMethods[M][1],
				request,
				{ deadline: Date.now() + deadlineMs },
				(error, answer) => {
					if (error === null && answer !== undefined) resolve(answer);
					else
						reject(new LabError(`CRI ${method} on ${this.#socket}`, error?.details ?? "no answer", { cause: error }));
				},
			);
		});
	}

	close(): void {
		this.#client.close();
	}
}

export interface SandboxConfig {
	readonly metadata: {
		readonly name: string;
		readonly uid: string;
		readonly namespace: string;
		readonly attempt: number;
	};
	readonly hostname: string;
	readonly logDirectory: string;
	readonly portMappings: readonly { protocol: number; containerPort: number; hostPort: number }[];
	readonly labels: Readonly<Record<string, string>>;
	readonly linux: { readonly cgroupParent: string };
}

export interface ContainerConfig {
	readonly metadata: { readonly name: string; readonly attempt: number };
	readonly image: { readonly image: string };
	readonly command: readonly string[];
	readonly labels: Readonly<Record<string, string>>;
	readonly logPath: string;
}

/** Request and response of each method that is used. */
export interface CriMethods {
	Version: [Record<string, never>, { readonly runtimeName: string; readonly runtimeVersion: string }];
	RunPodSandbox: [{ readonly config: SandboxConfig }, { readonly podSandboxId: string }];
	StopPodSandbox: [{ readonly podSandboxId: string }, object];
	RemovePodSandbox: [{ readonly podSandboxId: string }, object];
	PodSandboxStatus: [
		{ readonly podSandboxId: string; readonly verbose: boolean },
		{ readonly info: Readonly<Record<string, string>> },
	];
	CreateContainer: [
		{ readonly podSandboxId: string; readonly config: ContainerConfig; readonly sandboxConfig: SandboxConfig },
		{ readonly containerId: string },
	];
	StartContainer: [{ readonly containerId: string }, object];
}

/** Excerpt of k8s.io/cri-api/pkg/apis/runtime/v1/api.proto; numbers are the protocol's. */
const types = protobuf
	.parse(`
syntax = "proto3";
package runtime.v1;
message VersionRequest { string version = 1; }
message VersionResponse { string version = 1; string runtime_name = 2; string runtime_version = 3; }
message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
message PortMapping { int32 protocol = 1; int32 container_port = 2; int32 host_port = 3; string host_ip = 4; }
message LinuxPodSandboxConfig { string cgroup_parent = 1; }
message PodSandboxConfig {
	PodSandboxMetadata metadata = 1;
	string hostname = 2;
	string log_directory = 3;
	repeated PortMapping port_mappings = 5;
	map<string, string> labels = 6;
	LinuxPodSandboxConfig linux = 8;
}
message RunPodSandboxRequest { PodSandboxConfig config = 1; }
message RunPodSandboxResponse { string pod_sandbox_id = 1; }
message StopPodSandboxRequest { string pod_sandbox_id = 1; }
message StopPodSandboxResponse {}
message RemovePodSandboxRequest { string pod_sandbox_id = 1; }
message RemovePodSandboxResponse {}
message PodSandboxStatusRequest { string pod_sandbox_id = 1; bool verbose = 2; }
message PodSandboxStatusResponse { map<string, string> info = 2; }
message ContainerMetadata { string name = 1; uint32 attempt = 2; }
message ImageSpec { string image = 1; }
message ContainerConfig {
	ContainerMetadata metadata = 1;
	ImageSpec image = 2;
	repeated string command = 3;
	map<string, string> labels = 9;
	string log_path = 11;
}
message CreateContainerRequest {
	string pod_sandbox_id = 1;
	ContainerConfig config = 2;
	PodSandboxConfig sandbox_config = 3;
}
message CreateContainerResponse { string container_id = 1; }
message StartContainerRequest { string container_id = 1; }
message StartContainerResponse {}
`)
	.root.lookup("runtime.v1") as protobuf.Namespace;
