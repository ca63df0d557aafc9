/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char ical_options_help[] =
    "Calendar options (or variables of the environment):\n"
    "  --preset NAME            ICAL_PRESET: seed (default), lenient, optional\n"
    "  --dates MODE             ICAL_DATES: strict (as the practical), iso, optional\n"
    "  --missing-deadline MODE  ICAL_MISSING_DEADLINE: error, skip, no-dtstart\n"
    "  --null-description MODE  ICAL_NULL_DESCRIPTION: none, empty\n"
    "  --offsets MODE           ICAL_OFFSETS: tzid (as icalendar), utc\n"
    "  --prodid TEXT            ICAL_PRODID\n"
    "  --icalendar CLASS        ICAL_ICALENDAR: output as icalendar A (up to 5.0.1),\n"
    "                           B1 (up to 5.0.14), B2 (6.0 to 7.2.2, default), C (7.3)\n"
    "  --python VERSION         ICAL_PYTHON: whose texts of exceptions (default 3.12)\n"
    "  --task-alias NAMES       ICAL_TASK_ALIASES: more names of the task, by commas; all;\n"
    "                           ical.test is a task of its own\n"
    "  --delay SECONDS          ICAL_GENERATION_DELAY_SECONDS (default 0)\n";

static const char *const dates_names[] = {"strict", "iso", "optional", NULL};
static const char *const missing_names[] = {"error", "skip", "no-dtstart", NULL};
static const char *const null_names[] = {"none", "empty", NULL};
static const char *const offsets_names[] = {"tzid", "utc", NULL};
static const char *const output_names[] = {"A", "B1", "B2", "C", NULL};
static const char *const preset_names[] = {"seed", "lenient", "optional", NULL};

static int find_name(const char *const *names, const char *value)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], value) == 0) {
            return i;
        }
    }
    return -1;
}

/* "seed" is the practical, "lenient" and "optional" are what its copies made of it. */
static bool set_preset(struct ical_options *o, const char *value)
{
    int preset = find_name(preset_names, value);

    o->dates = preset == 1   ? ICAL_DATES_ISO
               : preset == 2 ? ICAL_DATES_OPTIONAL
                             : ICAL_DATES_STRICT;
    o->missing = preset == 1   ? ICAL_MISSING_SKIP
                 : preset == 2 ? ICAL_MISSING_NO_DTSTART
                               : ICAL_MISSING_ERROR;
    o->null_description = preset == 1 ? ICAL_NULL_EMPTY : ICAL_NULL_NONE;
    return preset >= 0;
}

static bool set_dates(struct ical_options *o, const char *value)
{
    int i = find_name(dates_names, value);

    o->dates = i < 0 ? o->dates : (enum ical_dates)i;
    return i >= 0;
}

static bool set_missing(struct ical_options *o, const char *value)
{
    int i = find_name(missing_names, value);

    o->missing = i < 0 ? o->missing : (enum ical_missing)i;
    return i >= 0;
}

static bool set_null(struct ical_options *o, const char *value)
{
    int i = find_name(null_names, value);

    o->null_description = i < 0 ? o->null_description : (enum ical_null)i;
    return i >= 0;
}

static bool set_offsets(struct ical_options *o, const char *value)
{
    int i = find_name(offsets_names, value);

    o->offsets = i < 0 ? o->offsets : (enum ical_offsets)i;
    return i >= 0;
}

static bool set_output(struct ical_options *o, const char *value)
{
    int i = find_name(output_names, value);

    o->output = i < 0 ? o->output : (enum ical_class)i;
    return i >= 0;
}

static bool set_prodid(struct ical_options *o, const char *value)
{
    size_t len = strlen(value);

    /* It goes into every calendar, so it must be text that can be encoded. */
    for (size_t at = 0; at < len;) {
        unsigned code = text_next(value, len, &at);

        if (code == 0xfffd || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
    }
    o->prodid = value;
    return true;
}

static bool set_python(struct ical_options *o, const char *value)
{
    char *end;
    unsigned long minor = strncmp(value, "3.", 2) == 0 ? strtoul(value + 2, &end, 10) : 0;

    if (minor < 8 || minor > 13 || (*end != '\0' && *end != '.')) {
        return false;
    }
    o->old_indices = minor < 11;
    return true;
}

static bool set_aliases(struct ical_options *o, const char *value)
{
    o->aliases = value;
    return true;
}

static bool set_delay(struct ical_options *o, const char *value)
{
    char *end;
    double delay = strtod(value, &end);

    if (end == value || *end != '\0' || !isfinite(delay) || delay > 86400) {
        return false;
    }
    o->delay = delay;
    return true;
}

static const struct option {
    const char *name, *variable;
    bool (*set)(struct ical_options *o, const char *value);
    const char *const *choices;
} table[] = {
    {"--preset", "ICAL_PRESET", set_preset,
     preset_names}, /* first: the others refine it */
    {"--dates", "ICAL_DATES", set_dates, dates_names},
    {"--missing-deadline", "ICAL_MISSING_DEADLINE", set_missing, missing_names},
    {"--null-description", "ICAL_NULL_DESCRIPTION", set_null, null_names},
    {"--offsets", "ICAL_OFFSETS", set_offsets, offsets_names},
    {"--prodid", "ICAL_PRODID", set_prodid, NULL},
    {"--icalendar", "ICAL_ICALENDAR", set_output, output_names},
    {"--python", "ICAL_PYTHON", set_python, NULL},
    {"--task-alias", "ICAL_TASK_ALIASES", set_aliases, NULL},
    {"--delay", "ICAL_GENERATION_DELAY_SECONDS", set_delay, NULL},
};

#define OPTIONS (sizeof table / sizeof *table)

void ical_options_init(struct ical_options *o)
{
    *o = (struct ical_options){.output = ICAL_B2,
                               .prodid = "-//Taskoverflow Calendar//mxm.dk//"};
}

static bool set(struct ical_options *o, const struct option *option, const char *name,
                const char *value, char *why, size_t size)
{
    if (option->set(o, value)) {
        return true;
    }
    int n = snprintf(why, size, "%s: invalid value '%.80s'", name, value);

    for (size_t i = 0; option->choices && option->choices[i]; i++) {
        if (n > 0 && (size_t)n < size) {
            n += snprintf(why + n, size - (size_t)n, "%s%s",
                          i == 0 ? "; choose from " : ", ", option->choices[i]);
        }
    }
    return false;
}

bool ical_options_environ(struct ical_options *o, char *why, size_t size)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *value = getenv(table[i].variable);

        if (value && *value && !set(o, &table[i], table[i].variable, value, why, size)) {
            return false;
        }
    }
    return true;
}

/* The option that arg names, as "--name" or "--name=value"; NULL when it is not ours. */
static const struct option *find_option(const char *arg, const char **ret_value)
{
    size_t len = strcspn(arg, "=");

    for (size_t i = 0; i < OPTIONS; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, arg, len) == 0) {
            *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
            return &table[i];
        }
    }
    return NULL;
}

/* Sets the options of argv that are ours: first the preset, then, with others, the rest. */
static bool set_argv(struct ical_options *o, int argc, char **argv, bool others,
                     char *why, size_t size)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option *option = find_option(argv[i], &value);

        if (!option) {
            continue;
        }
        if (!value && i + 1 < argc) {
            value = argv[++i];
        }
        if (!value) {
            snprintf(why, size, "%s: a value is missing", option->name);
            return false;
        }
        if ((option != table) == others &&
            !set(o, option, option->name, value, why, size)) {
            return false;
        }
    }
    return true;
}

bool ical_options_argv(struct ical_options *o, int *argc, char **argv, char *why,
                       size_t size)
{
    int kept = 1;

    if (!set_argv(o, *argc, argv, false, why, size) ||
        !set_argv(o, *argc, argv, true, why, size)) {
        return false;
    }
    for (int i = 1; i < *argc; i++) {
        const char *value = NULL;

        if (!find_option(argv[i], &value)) {
            argv[kept++] = argv[i];
        } else if (!value) {
            i++;
        }
    }
    *argc = kept;
    argv[kept] = NULL;
    return true;
}
