/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables are checked as raw bytes before rabbitmq-c sees them: up to its 0.13 it follows
 * any nesting (a header of 126 KB overflows the stack of a thread), and it never asks whether
 * a value ends inside of the table that it stands in.
 */
#ifndef CEL_TRANSPORT_AMQP_SCAN_H
#define CEL_TRANSPORT_AMQP_SCAN_H

#include "base/slice.h"

/* Values in one table with all that is nested in it. */
#define CEL_AMQP_MAX_VALUES 16384

/*
 * Whether a table stands at the beginning of these bytes: its depth, all of its lengths, its type
 * octets and the number of its values.  NULL and its size in bytes, or what is wrong.  Numbers
 * of type U, which rabbitmq-c does not know, get RabbitMQ's s.
 */
const char *cel_amqp_scan_table(char *table, size_t len, size_t *ret_size);

/*
 * Makes a table that cel_amqp_scan_table() refused one that it takes, in place: entries that
 * are wrong are left out, and all behind one whose end cannot be known.  At least 4 bytes.
 * The new size in bytes; *ret_was (may be 0: not known) gets the old one.
 */
size_t cel_amqp_salvage_table(char *table, size_t len, size_t *ret_was);

#endif
