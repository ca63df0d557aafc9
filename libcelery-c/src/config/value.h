/* SPDX-License-Identifier: BSD-3-Clause */
/* The value of one setting: text to what its type says. */
#ifndef CEL_CONFIG_VALUE_H
#define CEL_CONFIG_VALUE_H

#include "config/config.h"

struct cel_value {
    char *text;  /* canonical; NULL: None */
    char **list; /* LIST: NULL-terminated, one allocation in arena */
    struct cel_arena arena;
    const struct cel_node *doc; /* LIST, MAP, JSON */
    double number;              /* INT, DOUBLE */
    int64_t integer;            /* INT */
    bool is_number;             /* false for a word like "auto" */
    bool truth;                 /* BOOL */
    enum cel_config_origin origin;
};

/* Reads text (NULL: None) by the rules of s; *ret_v is filled on success only. */
celery_status cel_value_parse(const struct cel_setting *s, const char *text,
                              struct cel_value *ret_v, celery_error *err);
void cel_value_fini(struct cel_value *v);

/* "yes", "True", "0", "off" ...; false when it is none of them. */
bool cel_value_parse_bool(const char *text, bool *ret);

/* "1.5", "inf", str(timedelta): "1 day, 0:10:00"; false when it is none of them. */
bool cel_value_parse_seconds(const char *text, double *ret);

#endif
