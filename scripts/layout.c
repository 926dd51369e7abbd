/*
 * Compiled only for its BTF: brings every struct and enum that user space knows into one object, from which
 * scripts/layout.mjs makes src/kernel/layout.generated.ts. Enums that only name constants would leave no trace otherwise.
 */
#include "../bpf/counters.h"
#include "../bpf/event.h"
#include "../bpf/knobs.h"

struct weft_event event;
struct weft_knobs knobs;
struct weft_counters counters;
enum weft_event_flags event_flags;
enum weft_family family;
enum weft_parse parse;
enum weft_rule_flags rule_flags;
struct weft_limits {
	char max_rules[WEFT_MAX_RULES];
	char max_tunnel_ports[WEFT_MAX_TUNNEL_PORTS];
	char max_subscribers[WEFT_MAX_SUBSCRIBERS];
	char max_hook_sets[WEFT_MAX_HOOK_SETS];
} limits;
