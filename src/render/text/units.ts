/** Numbers as a person reads them. Independent of the locale, so that scripts and screenshots agree. */

/** 4981 → "4,981". */
export function grouped(count: number): string {
	return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** ns → µs with as many digits as matter, in at most five columns: "3.1", "38", "9999", "12ms", "3.2s". */
export function microseconds(ns: number): string {
	const us = ns / 1000;
	const size = Math.abs(us);
	if (size < 9.95) return us.toFixed(1);
	if (size < 9999.5) return String(Math.round(us));
	if (size < 9_999_500) return `${Math.round(us / 1000)}ms`;
	return size < 99_950_000 ? `${(us / 1e6).toFixed(1)}s` : `${Math.round(us / 1e6)}s`;
}

/** A clock's error, ns → "±2"; "" when there is none. Rounded up: an error is a bound. */
export function plusMinus(errorNs: number): string {
	if (errorNs <= 0) return "";
	const us = errorNs / 1000;
	return us < 1 ? "±1" : us < 10_000 ? `±${Math.ceil(us)}` : `±${Math.ceil(us / 1000)}ms`;
}

/** Bytes: "64 B", "1448 B", "63 KB", "2.1 MB" (powers of 1024). */
export function bytes(count: number): string {
	if (count < 10_000) return `${count} B`;
	const kilo = count / 1024;
	if (kilo < 1024) return `${Math.round(kilo)} KB`;
	return `${(kilo / 1024).toFixed(1)} MB`;
}

/** ms → "85 ms", "12.4 s", "2 min 5 s", "3 h 20 min". */
export function duration(ms: number): string {
	if (ms < 95) return `${Math.round(ms)} ms`;
	if (ms < 119_950) return `${(ms / 1000).toFixed(1)} s`;
	const seconds = Math.round(ms / 1000);
	if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
	const minutes = Math.round(seconds / 60);
	return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
