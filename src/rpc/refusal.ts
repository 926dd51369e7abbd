import { type ServiceError, status } from "@grpc/grpc-js";
import { parseEnd } from "../filter/end.js";
import { FilterError } from "../filter/error.js";
import { parseFilter } from "../filter/grammar.js";
import { DecodeError } from "./codec.js";
import type { EndMessage, QuestionMessage } from "./messages.js";

/** What a request may hold. */
export const LIMITS = { end: 1024, filter: 16_384, namespace: 253, sample: 2 ** 20, pods: 100_000 } as const;

/** A request that is refused, with the field that is to blame. */
export class Refusal extends Error {
	override readonly name = "Refusal";
	readonly code: status;

	constructor(code: status, message: string) {
		super(message);
		this.code = code;
	}

	static field(field: string, why: string): Refusal {
		return new Refusal(status.INVALID_ARGUMENT, `${field}: ${why}`);
	}
}

export interface CheckedQuestion {
	readonly from: string;
	readonly to: string;
	readonly filter: string;
	readonly namespace: string;
}

/** @throws Refusal that names the field */
export function checkQuestion(message: QuestionMessage): CheckedQuestion {
	const namespace = within("namespace", message.namespace, LIMITS.namespace) || "default";
	const from = checkEnd("from.end", message.from, namespace);
	const to = checkEnd("to.end", message.to, namespace);
	const filter = within("filter", message.filter, LIMITS.filter);
	tried("filter", () => parseFilter(filter, { namespace }));
	return { from, to, filter, namespace };
}

/** @throws Refusal that names the field */
export function checkEnd(field: string, message: EndMessage | null | undefined, namespace: string): string {
	const end = within(field, message?.end ?? "", LIMITS.end) || "any";
	tried(field, () => parseEnd(end, { namespace }));
	return end;
}

/** How many packets one is kept of. @throws Refusal */
export function checkSample(sample: number): number {
	if (sample <= 1) return 1;
	if (sample > LIMITS.sample) throw Refusal.field("sample", `${sample}, at most ${LIMITS.sample} is taken`);
	return sample;
}

function within(field: string, text: string, most: number): string {
	if (text.length > most) throw Refusal.field(field, `${text.length} characters, at most ${most} are taken`);
	return text;
}

function tried(field: string, parse: () => unknown): void {
	try {
		parse();
	} catch (cause) {
		if (cause instanceof FilterError) throw Refusal.field(field, cause.message);
		throw cause;
	}
}

/** Whatever went wrong, as gRPC tells it. */
export function serviceErrorOf(cause: unknown): Partial<ServiceError> {
	if (cause instanceof Refusal) return { code: cause.code, details: cause.message };
	if (cause instanceof DecodeError) return { code: status.INVALID_ARGUMENT, details: cause.message };
	const details = cause instanceof Error ? cause.message : String(cause);
	return { code: status.UNAVAILABLE, details };
}
