# The kernel side: build/bpf/*.bpf.o from bpf/*.bpf.c, and their copies in dist/bpf.
# Included by the Makefile; stands alone too: make -f bpf/build.mk bpf

BPF_CLANG ?= clang
BPF_STRIP ?= llvm-strip
BPF_OBJECTS := $(patsubst bpf/%.c,build/bpf/%.o,$(wildcard bpf/*.bpf.c))
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror
# -target bpf does not look into the multiarch folder, where Debian keeps <asm/types.h>.
BPF_CFLAGS += $(addprefix -idirafter ,$(wildcard /usr/include/$(shell uname -m)-linux-gnu))

.PHONY: bpf
bpf: $(BPF_OBJECTS) $(BPF_OBJECTS:build/%=dist/%)

build/bpf/%.o: bpf/%.c
	$(if $(V),,@echo "  BPF     $@")
	$(if $(V),,@)mkdir -p $(@D)
	$(if $(V),,@)$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

dist/bpf/%.o: build/bpf/%.o
	$(if $(V),,@)mkdir -p $(@D)
	$(if $(V),,@)cp $< $@

-include $(wildcard build/bpf/*.d)

.DELETE_ON_ERROR:
