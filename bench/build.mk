# The flood that bench and end-to-end tests send.

FLOOD := build/bench/flood
BENCH_OUTPUTS := $(FLOOD)

$(FLOOD): bench/flood.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)gcc -O2 -std=gnu11 -Wall -Wextra -Werror -o $@ $<
