import { createServer, type Server } from "node:http";
import { type Metrics, metricsText } from "../render/metrics.js";
import { CliError } from "./errors.js";

export interface MetricsAddress {
	readonly host: string;
	readonly port: number;
	readonly text: string;
}

/**
 * Serves /metrics to Prometheus. Resolves when it listens.
 * Throws CliError when the address cannot be had.
 */
export async function serveMetrics(
	{ host, port, text }: MetricsAddress,
	metrics: () => Promise<Metrics>,
): Promise<Server> {
	const server = createServer((request, response) => {
		if (request.url?.split("?")[0] !== "/metrics") {
			response.writeHead(404).end("what is here is /metrics\n");
			return;
		}
		metrics().then(
			(all) => response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(metricsText(all)),
			(cause: unknown) => response.writeHead(500).end(`${cause instanceof Error ? cause.message : String(cause)}\n`),
		);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", (cause: NodeJS.ErrnoException) => {
			const remedy = cause.code === "EADDRINUSE" ? "another program listens there: choose another port" : null;
			reject(new CliError(`cannot serve metrics on ${text}: ${cause.message}`, remedy));
		});
		server.listen(port, host, () => resolve());
	});
	// Whoever scrapes must not keep the agent from ending.
	server.unref();
	return server;
}
