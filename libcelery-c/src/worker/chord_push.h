/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of a chord published, and the chord ended, in one step of the server both live on. */
#ifndef CEL_WORKER_CHORD_PUSH_H
#define CEL_WORKER_CHORD_PUSH_H

#include "worker/follow.h"

/* False: that is not possible, and nothing was done.  Otherwise done is called. */
bool cel_chord_push(struct cel_follow_claim *claim, struct cel_carry_done done);

#endif
