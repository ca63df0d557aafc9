/* SPDX-License-Identifier: BSD-3-Clause */
/* The merge keys ("<<") of YAML 1.1. */
#ifndef CEL_CODEC_YAML_MERGE_H
#define CEL_CODEC_YAML_MERGE_H

#include "codec/doc.h"

/*
 * Moves the members of value, a mapping or a list of mappings of which the first wins, behind
 * those of merged.  Equal keys are left to cel_doc_unique_keys().  CELERY_EMESSAGE when
 * something else is to be merged.
 */
celery_status cel_yaml_merge(struct cel_arena *a, struct cel_node *merged,
                             struct cel_node *value);

#endif
