/* SPDX-License-Identifier: BSD-3-Clause */
/* Celery's settings by their lower-case names. */
#ifndef CEL_CONFIG_CONFIG_H
#define CEL_CONFIG_CONFIG_H

#include "codec/doc.h"

enum cel_config_origin { /* a later one wins over an earlier one */
                         CEL_FROM_DEFAULT,
                         CEL_FROM_FILE,
                         CEL_FROM_ENV,
                         CEL_FROM_API,
                         CEL_FROM_CLI,
};

enum cel_setting_type {
    CEL_SETTING_BOOL,
    CEL_SETTING_INT,
    CEL_SETTING_DOUBLE, /* seconds and the like; "none" or null leaves it unset */
    CEL_SETTING_TEXT,
    CEL_SETTING_LIST, /* of texts; a JSON array or a comma list */
    CEL_SETTING_MAP,  /* a JSON object */
    CEL_SETTING_JSON, /* any JSON (task_queues, task_routes) or a plain text */
};

/* One row of the table in settings.c. */
struct cel_setting {
    const char *name;     /* "task_acks_late" */
    const char *old_name; /* "CELERY_ACKS_LATE", or NULL */
    enum cel_setting_type type;
    const char *def; /* default as text; NULL: unset (None) */
    double min, max; /* of INT and DOUBLE; both 0: any */
    /*
     * "a|b|c": the words of a TEXT (NULL: any), or words that an INT may be instead of a
     * number.  "word=value" is kept as value.
     */
    const char *values;
    const char *help; /* one line */
};

extern const struct cel_setting cel_settings[];
extern const size_t cel_settings_count;

struct cel_config;
struct cel_config *cel_config_new(void);
struct cel_config *cel_config_free(struct cel_config *c);

/* The row by name (new or old); NULL with err naming the nearest. */
const struct cel_setting *cel_config_find(const char *name, celery_error *err);

/*
 * A row of the table that a mistyped name may have meant, or NULL.  Looks at new names and, for
 * words in capitals, at old ones; *ret_old tells which.
 */
const struct cel_setting *cel_config_nearest(const char *name, bool *ret_old);

/* Checks and sets (NULL: None); a value of a weaker origin than what is there is checked and dropped. */
celery_status cel_config_set(struct cel_config *c, const char *name, const char *value,
                             enum cel_config_origin origin, celery_error *err);

/* Reads a JSON file: an object of settings (strict: unknown names are errors). */
celery_status cel_config_load_file(struct cel_config *c, const char *path,
                                   celery_error *err);

/*
 * Reads CELERY_<SETTING> from an environment block.  CELERY_BROKER_URL,
 * CELERY_RESULT_BACKEND, CELERY_DEFAULT_QUEUE (= task_default_queue), and Celery's own
 * APP-level names BROKER_URL and RESULT_BACKEND are understood.  CELERY_ variables that are
 * no settings (CELERY_LOADER, CELERY_APP ...) are left alone; a near miss of a setting is an
 * error that names it.
 */
celery_status cel_config_load_env(struct cel_config *c, char *const *envp,
                                  celery_error *err);

/* Typed reading; an unset setting gives NULL, `otherwise`, or false. */
const char *cel_config_text(const struct cel_config *c, const char *name);
int64_t cel_config_int(const struct cel_config *c, const char *name, int64_t otherwise);
double cel_config_double(const struct cel_config *c, const char *name, double otherwise);
bool cel_config_bool(const struct cel_config *c, const char *name);
/* A LIST as NULL-terminated texts; never NULL, maybe empty.  Borrowed. */
const char *const *cel_config_list(const struct cel_config *c, const char *name);
/* A MAP, LIST or JSON as a document; NULL when unset. */
const struct cel_node *cel_config_doc(const struct cel_config *c, const char *name);
enum cel_config_origin cel_config_origin(const struct cel_config *c, const char *name);
bool cel_config_is_set(const struct cel_config *c, const char *name); /* not None */

/* Distance of two words, for hints (Damerau-Levenshtein, at most 99). */
int cel_config_distance(const char *a, const char *b);

#endif
