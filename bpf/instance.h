/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which instance of a program this is. The only variable of .rodata, so at offset 0 of it. */
#ifndef WEFT_INSTANCE_H
#define WEFT_INSTANCE_H

#include "knobs.h"

volatile const struct weft_knobs knobs;

#endif
