/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much XML as services of AWS answer: elements and text.  Attributes, comments, processing
 * instructions and prefixes of names are passed over; a document type is refused.  Any bytes
 * may come in.
 */
#ifndef CEL_AWS_XML_H
#define CEL_AWS_XML_H

#include "base/arena.h"
#include <celery/error.h>

enum { CEL_XML_DEPTH = 32, CEL_XML_ELEMENTS = 1 << 20 };

struct cel_xml {
    struct cel_slice name; /* behind the colon; points into the text that was parsed */
    struct cel_slice
        text; /* all text right inside, decoded; not for elements with children */
    struct cel_xml *parent;
    struct cel_xml *first;
    struct cel_xml *last;
    struct cel_xml *next;
};

/* CELERY_EMESSAGE with the offset, CELERY_ELIMIT, CELERY_ENOMEM.  The text outlives the tree. */
celery_status cel_xml_parse(struct cel_arena *a, struct cel_slice text,
                            struct cel_xml **ret_root, celery_error *err);

/* The first child of that name; NULL: none, or x is NULL. */
const struct cel_xml *cel_xml_child(const struct cel_xml *x, const char *name);

#endif
