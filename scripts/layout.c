/*
 * Compiled only for its BTF: brings every struct and enum that user space knows into one object, from which
 * scripts/layout.mjs makes src/kernel/layout.generated.ts. Enums that only name constants would leave no trace otherwise.
 */
#include "../bpf/counters.h"
#include "../bpf/drops.h"
#include "../bpf/event.h"
#include "../bpf/knobs.h"
#include "../bpf/latency.h"

struct weft_event event;
enum weft_event_flags event_flags;
enum weft_family family;
enum weft_parse parse;

struct weft_knobs knobs;
enum weft_rule_flags rule_flags;
struct weft_counters counters;

struct weft_segment segment;
enum weft_segment_kind segment_kind;
enum weft_group group;
struct weft_histogram histogram;
struct weft_reasons reasons;
struct weft_latency_counters latency_counters;

struct weft_drop drop;
enum weft_drop_flags drop_flags;
struct weft_drop_key drop_key;
struct weft_drop_count drop_count;
struct weft_drop_counters drop_counters;

struct weft_limits { /* a limit as the size of a member */
	char max_rules[WEFT_MAX_RULES];
	char max_tunnel_ports[WEFT_MAX_TUNNEL_PORTS];
	char max_subscribers[WEFT_MAX_SUBSCRIBERS];
	char max_hook_sets[WEFT_MAX_HOOK_SETS];
	char segments[WEFT_SEGMENTS];
	char rest_segments[WEFT_REST_SEGMENTS];
	char hooks[WEFT_HOOKS];
	char segment_kinds[WEFT_SEGMENT_KINDS];
	char buckets[WEFT_BUCKETS];
	char buckets_per_octave[WEFT_BUCKETS_PER_OCTAVE];
} limits;
