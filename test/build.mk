# Programs that the end-to-end tests put onto a lab's devices.

LAB_TEST_PROGRAMS := $(patsubst %.c,dist/%.o,$(wildcard test/lab/*.bpf.c))
# A sender that no system calls slow down: see test/lab/live.c.
LAB_LIVE := dist/test/lab/live
NATIVE_OUTPUT += $(LAB_TEST_PROGRAMS) $(LAB_LIVE)

$(LAB_LIVE): test/lab/live.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)gcc -O2 -std=gnu11 -Wall -Wextra -Werror -pthread -o $@ $< -l:libbpf.a -lelf -lz

dist/test/lab/%.bpf.o: test/lab/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<
