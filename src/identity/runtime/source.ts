import type { Claims } from "../claim.js";

/** A source that has to be waited for: a daemon behind a socket. It may be missing, slow or wrong. */
export interface RuntimeSource {
	/** What it says now; never throws, and ends within its own deadline. */
	read(): Promise<Claims>;
	close(): void;
}
