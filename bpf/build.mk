# The kernel side: build/bpf/*.bpf.o from bpf/*.bpf.c, and their copies in dist/bpf. Included by the Makefile.

BPF_OBJECTS := $(patsubst bpf/%.c,build/bpf/%.o,$(wildcard bpf/*.bpf.c))
BPF_OUTPUTS := $(BPF_OBJECTS:build/%=dist/%)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu11 -fno-strict-aliasing -Wall -Wextra -Werror
# What the programs may rely on: the order in which others see their stores (bpf/write_record.h).
BPF_CFLAGS += $(if $(filter x86_64,$(shell uname -m)),-D__TARGET_ARCH_x86)
# -target bpf does not look into the multiarch folder, where Debian keeps <asm/types.h>.
BPF_CFLAGS += $(addprefix -idirafter ,$(wildcard /usr/include/$(shell uname -m)-linux-gnu))

# What the tests put frames onto devices with.
BPF_TEST_FRAMES := dist/test/bpf/frames
BPF_OUTPUTS += $(BPF_TEST_FRAMES)

$(BPF_TEST_FRAMES): test/bpf/frames.cc
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O1 -Wall -Wextra -Werror -o $@ $<

# What the programs' costs are compared with.
BPF_TEST_FLOOR := dist/test/bpf/floor.bpf.o
BPF_OUTPUTS += $(BPF_TEST_FLOOR)

$(BPF_TEST_FLOOR): test/bpf/floor.bpf.c $(addprefix bpf/,event.h ring.h write_record.h)
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

.PHONY: bpf
bpf: $(BPF_OUTPUTS)

build/bpf/%.o: bpf/%.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(BPF_OBJECTS:build/%=dist/%): dist/%: build/%
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

-include $(BPF_OBJECTS:.o=.d)
