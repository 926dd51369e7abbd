/** CPU time of this process so far, all its threads, ns. On a shared machine it says more than the clock on the wall. */
export function cpuNs(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) * 1000;
}
