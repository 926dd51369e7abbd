/*
 * Preloaded into each test file's process. What it reports goes through a pipe; --test-force-exit ends the process when
 * the last test has, and what found no room in the pipe by then (64 KiB) would be lost: here writing waits.
 */
process.stdout._handle?.setBlocking?.(true);
