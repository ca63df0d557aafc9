/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparing what the library made with what was recorded; a difference fails the test. */
#ifndef TESTS_WIRE_SAME_H
#define TESTS_WIRE_SAME_H

#include "canvas/effects.h"

/* The text of a recorded document, byte for byte. */
void same_text(const char *what, const struct cel_node *want, struct cel_slice got);

/* A document that was made, by its text. */
void same_doc(const char *what, const struct cel_node *want, const struct cel_node *got);

/*
 * One effect and its recorded event.  A message: its headers, its body byte for byte, its
 * properties and its route.  here: who is to have sent it (header origin); NULL: anybody.
 */
void same_effect(struct cel_arena *a, const struct cel_node *want,
                 const struct cel_effect *got, const char *here);

#endif
