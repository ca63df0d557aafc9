/* SPDX-License-Identifier: BSD-3-Clause */
/* The tasks that every worker answers to (celery/app/builtins.py). */
#include "app/builtin.h"
#include "pool/builtin.h"
#include <stddef.h>

const struct cel_builtin cel_builtins[] = {
    {"celery.accumulate",
     cel_builtin_accumulate,
     "add_accumulate_task.<locals>.accumulate",
     {NULL}},
    {"celery.backend_cleanup",
     cel_builtin_backend_cleanup,
     "add_backend_cleanup_task.<locals>.backend_cleanup",
     {NULL}},
    {"celery.chain", cel_builtin_chain, "add_chain_task.<locals>.chain", {NULL}},
    {"celery.chord",
     cel_builtin_chord,
     "add_chord_task.<locals>.chord",
     {"ignore_result", "false"}},
    {"celery.chord_unlock",
     cel_builtin_chord_unlock,
     "add_unlock_chord_task.<locals>.unlock_chord",
     {"ignore_result", "true"}},
    {"celery.chunks", cel_builtin_chunks, "add_chunk_task.<locals>.chunks", {NULL}},
    {"celery.group", cel_builtin_group, "add_group_task.<locals>.group", {NULL}},
    {"celery.map", cel_builtin_map, "add_map_task.<locals>.xmap", {NULL}},
    {"celery.starmap", cel_builtin_starmap, "add_starmap_task.<locals>.xstarmap", {NULL}},
    {NULL, NULL, NULL, {NULL}},
};
