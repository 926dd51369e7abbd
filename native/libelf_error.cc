/**
 * libelf's error state, instead of the one in libelf.a. Debian compiles its archive for executables: everything in it
 * is position independent except this thread-local variable, which the linker refuses in a shared object. Defined
 * here, the archive's member is never taken.
 */

#include <string>

namespace
{
thread_local int lastError = 0;
thread_local std::string words;
} // namespace

extern "C" {

void __libelf_seterrno(int value)
{
	lastError = value;
}

int elf_errno()
{
	int error = lastError;
	lastError = 0;
	return error;
}

/** 0: the last error, or null without one; −1: the last one in any case. */
const char *elf_errmsg(int error)
{
	if (error == 0 && lastError == 0)
		return nullptr;
	words = "libelf error " + std::to_string(error > 0 ? error : lastError);
	return words.c_str();
}
}
