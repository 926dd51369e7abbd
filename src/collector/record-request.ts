import type { RecordRequest } from "./protocol.js";
import type { TraceRequest } from "./request.js";

/** What is to be written of a trace; null: nothing. */
export function recordRequest({
	write = null,
	anonymize = false,
	version = "unknown",
}: Partial<Pick<TraceRequest, "write" | "anonymize" | "version">>): RecordRequest | null {
	return write === null ? null : { file: write, anonymize, weft: version };
}
