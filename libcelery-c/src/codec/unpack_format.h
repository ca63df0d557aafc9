/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters that a format like "x:I | y:z **" names. */
#ifndef CEL_CODEC_UNPACK_FORMAT_H
#define CEL_CODEC_UNPACK_FORMAT_H

#include "codec/doc.h"

#define CEL_PARAMETERS_MAX 64

struct cel_parameter {
    struct cel_slice name;
    char type;                    /* one of "IidbszSyvj" */
    bool optional;                /* behind "|" */
    bool keyword_only;            /* behind "*" */
    const struct cel_node *value; /* what the caller gave; NULL: nothing */
};

struct cel_parameters {
    struct cel_parameter list[CEL_PARAMETERS_MAX];
    size_t n;
    size_t n_positional; /* those in front of "*" */
    size_t n_required;   /* of the positional ones */
    bool any_positional; /* "*" */
    bool any_keyword;    /* "**" */
};

/* False: malformed. */
bool cel_parameters_parse(const char *fmt, struct cel_parameters *ret);

#endif
