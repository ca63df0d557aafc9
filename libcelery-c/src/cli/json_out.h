/* SPDX-License-Identifier: BSD-3-Clause */
/* --json: one JSON document for each line of standard output, in ASCII. */
#ifndef CEL_CLI_JSON_OUT_H
#define CEL_CLI_JSON_OUT_H

#include <celery/value.h>

/* Prints the value and drops the reference; NULL prints nothing and fails. False: no memory. */
bool json_out(json_t *give_value);

/* Without loss: integers over 64 bits, NaN and lone surrogates as json.dumps() prints them. */
bool json_out_value(const celery_value *value);

/* Bytes as a JSON string of the characters U+0000 to U+00FF (latin-1); NULL: no memory. */
json_t *json_latin1(const void *bytes, size_t size);

#endif
