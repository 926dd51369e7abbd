/**
 * Debian compiles libbpf.a for executables, where `stderr` may be reached by its address; in a shared object the
 * linker refuses that. build.mk renames the symbol in a copy of the archive to this one, which lies in the addon.
 */

#include <cstdio>

extern "C" {
FILE *weft_stderr = stderr;
}
