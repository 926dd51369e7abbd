import type { StartTrace } from "../../collector/request.js";
import type { Protection } from "../credentials.js";
import { startRemoteTrace } from "./remote-trace.js";

/** A trace through the agents and relays that the request names. */
export function remoteTrace(protection: Protection): StartTrace {
	return (request, listener, signal) => startRemoteTrace({ ...request, protection }, listener, signal);
}
