# Programs that the end-to-end tests put onto a lab's devices.

LAB_TEST_PROGRAMS := $(patsubst %.c,dist/%.o,$(wildcard test/lab/*.bpf.c))
NATIVE_OUTPUT += $(LAB_TEST_PROGRAMS)

dist/test/lab/%.bpf.o: test/lab/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<
