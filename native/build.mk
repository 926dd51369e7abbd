# The addon: C++ over libbpf and node-addon-api, compiled with nothing but g++, and the layout made with its help.

NATIVE_BUILD := build/native
NATIVE_ADDON := dist/native/weft.node
NATIVE_WATCHDOG := dist/native/weft-watchdog
NATIVE_OUTPUT := $(NATIVE_ADDON) $(NATIVE_WATCHDOG)
LAYOUT := src/kernel/layout.generated.ts

NATIVE_SOURCES := $(wildcard native/*.cc)
NATIVE_OBJECTS := $(NATIVE_SOURCES:native/%.cc=$(NATIVE_BUILD)/%.o)
NATIVE_ASAN_OBJECTS := $(NATIVE_SOURCES:native/%.cc=$(NATIVE_BUILD)/asan/%.o)

NATIVE_CXXFLAGS := -std=c++17 -O2 -g1 -fPIC -pthread -fvisibility=hidden -Wall -Wextra -Werror \
	-isystem node_modules/node-addon-api -isystem node_modules/node-api-headers/include \
	-DNAPI_VERSION=8 -DNODE_ADDON_API_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
# libbpf, libelf and zlib are linked in, so that one file runs on every distribution. Newer libelf.a need zstd; and
# one that cannot be linked into a shared object at all leaves libelf.so, which iproute2 brings to every node anyway.
NATIVE_ZSTD = $(shell echo 'int main(){}' | $(CXX) -x c++ - -l:libzstd.a -o /dev/null 2>/dev/null && echo -l:libzstd.a)
NATIVE_LIBBPF := $(NATIVE_BUILD)/libbpf.a
NATIVE_STATIC = $(NATIVE_LIBBPF) -l:libelf.a -l:libz.a $(NATIVE_ZSTD)
NATIVE_SHARED_ELF = $(NATIVE_LIBBPF) -lelf -lz
# nodelete: a worker that ends must not unmap code that another thread may still be leaving.
NATIVE_LDFLAGS := -shared -pthread -Wl,--exclude-libs,ALL -Wl,-z,nodelete -Wl,--as-needed

$(NATIVE_ADDON): $(NATIVE_OBJECTS) $(NATIVE_LIBBPF)
	$(say) LINK $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(NATIVE_LDFLAGS) -o $(NATIVE_BUILD)/weft.node $(NATIVE_OBJECTS) $(NATIVE_STATIC) 2>$(NATIVE_BUILD)/link.log || \
		$(CXX) $(NATIVE_LDFLAGS) -o $(NATIVE_BUILD)/weft.node $(NATIVE_OBJECTS) $(NATIVE_SHARED_ELF) || \
		{ cat $(NATIVE_BUILD)/link.log >&2; exit 1; }
	$(Q)cp $(NATIVE_BUILD)/weft.node $@.new && mv $@.new $@

# A program of its own: it lives on when weft is killed. Needs nothing but libc.
$(NATIVE_WATCHDOG): native/watchdog/main.cc $(addprefix native/,clsact.cc clsact_mark.cc failure.cc fd.cc \
		netlink_socket.cc netns_scope.cc) $(wildcard native/*.h)
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -static-libstdc++ -static-libgcc -o $@.new $(filter %.cc,$^)
	$(Q)mv $@.new $@

# See archive_stderr.cc.
$(NATIVE_LIBBPF): $(shell $(CXX) -print-file-name=libbpf.a)
	$(Q)mkdir -p $(@D)
	$(Q)objcopy --redefine-sym stderr=weft_stderr $< $@

$(NATIVE_BUILD)/%.o: native/%.cc native/build.mk
	$(say) CXX $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(NATIVE_CXXFLAGS) -MMD -MP -c -o $@ $<

-include $(NATIVE_OBJECTS:.o=.d)

# Offsets of the kernel's records for TypeScript: the addon reads them out of compiled C.
$(NATIVE_BUILD)/layout.o: scripts/layout.c $(wildcard bpf/*.h)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -target bpf -c -o $@ $<

$(LAYOUT): scripts/layout.mjs $(NATIVE_ADDON) $(NATIVE_BUILD)/layout.o $(filter build/bpf/%.o,$(BPF_OBJECTS))
	$(say) LAYOUT $@
	$(Q)node $< $@ $(filter-out $<,$^)

# Programs that the addon's tests load.
NATIVE_TEST_PROGRAMS := $(patsubst %.c,dist/%.o,$(wildcard test/native/*.bpf.c))
NATIVE_OUTPUT += $(NATIVE_TEST_PROGRAMS)

dist/test/native/%.bpf.o: test/native/%.bpf.c test/native/miniature.h bpf/ring.h bpf/write_record.h
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

# What a real kernel shows too seldom, and needs no Node.js.
NATIVE_RING_TEST := dist/test/native/ring-test
NATIVE_RING_TEST_SOURCES := test/native/ring_test.cc native/ring.cc native/record_ring.cc native/ring_merge.cc \
	native/mapping.cc native/clocks.cc native/failure.cc
NATIVE_OUTPUT += $(NATIVE_RING_TEST)

$(NATIVE_RING_TEST): $(NATIVE_RING_TEST_SOURCES) $(addprefix native/,ring.h record_ring.h ring_merge.h mapping.h) bpf/ring.h
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -g -Wall -Wextra -Werror -pthread -o $@ $(NATIVE_RING_TEST_SOURCES)

# The addon's tests once more, with every access to its memory checked. Node.js itself is not instrumented: its
# allocations are never leaks of ours, and it keeps what it needs until the process ends.
.PHONY: test-sanitize
NATIVE_ASAN_ADDON := $(NATIVE_BUILD)/weft-asan.node
NATIVE_ASAN_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-sanitize=vptr

$(NATIVE_BUILD)/asan/%.o: native/%.cc native/build.mk
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(NATIVE_CXXFLAGS) $(NATIVE_ASAN_FLAGS) -MMD -MP -c -o $@ $<

-include $(NATIVE_ASAN_OBJECTS:.o=.d)

$(NATIVE_ASAN_ADDON): $(NATIVE_ASAN_OBJECTS) $(NATIVE_LIBBPF)
	$(say) LINK $@
	$(Q)$(CXX) $(NATIVE_LDFLAGS) -fsanitize=address,undefined -o $@ $(NATIVE_ASAN_OBJECTS) $(NATIVE_STATIC) || \
		$(CXX) $(NATIVE_LDFLAGS) -fsanitize=address,undefined -o $@ $(NATIVE_ASAN_OBJECTS) $(NATIVE_SHARED_ELF)

# A second dist/ with the other addon in it, so that nothing needs to be told where the addon is.
NATIVE_ASAN_DIST := $(NATIVE_BUILD)/asan/dist
NATIVE_ASAN_LOG := $(NATIVE_BUILD)/asan/log

test-sanitize: ## The addon's tests under AddressSanitizer and UndefinedBehaviorSanitizer
test-sanitize: compile $(NATIVE_ASAN_ADDON)
	$(Q)rm -rf $(NATIVE_ASAN_DIST) $(NATIVE_ASAN_LOG).* && cp -a dist $(NATIVE_ASAN_DIST) && ln -sfn $(CURDIR)/build $(NATIVE_BUILD)/asan/build
	$(Q)cp $(NATIVE_ASAN_ADDON) $(NATIVE_ASAN_DIST)/native/weft.node
	$(Q)$(SUDO) env LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:log_path=$(CURDIR)/$(NATIVE_ASAN_LOG) \
		LSAN_OPTIONS=exitcode=0 UBSAN_OPTIONS=print_stacktrace=1 \
		node --test --test-concurrency=1 --test-timeout=300000 $(NATIVE_ASAN_DIST)/test/native $(NATIVE_ASAN_DIST)/test/kernel
	$(Q)awk -f native/sanitizer-reports.awk $(NATIVE_ASAN_LOG).*
