/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints protocol-docs/settings.md from the table of settings; with the path of that file:
 * compares.
 */
#include "base/buf.h"
#include "config/config.h"
#include <math.h>
#include <stdio.h>

static const char *const types[] = {
    [CEL_SETTING_BOOL] = "bool",     [CEL_SETTING_INT] = "int",
    [CEL_SETTING_DOUBLE] = "number", [CEL_SETTING_TEXT] = "text",
    [CEL_SETTING_LIST] = "list",     [CEL_SETTING_MAP] = "map",
    [CEL_SETTING_JSON] = "JSON",
};

static void add_range(struct cel_buf *out, const struct cel_setting *s)
{
    if (s->min != 0 || s->max != 0) {
        (void)cel_buf_addf(out, ", %.12g", s->min);
        (void)(isinf(s->max) ? cel_buf_adds(out, " or more")
                             : cel_buf_addf(out, " to %.12g", s->max));
    }
    for (const char *p = s->values; p && *p; p++) {
        if (p == s->values || *p == '|') {
            (void)cel_buf_adds(out, p == s->values ? ", `" : "`, `");
        }
        if (*p != '|') {
            (void)cel_buf_addc(out, *p);
        }
    }
    (void)cel_buf_adds(out, s->values ? "`" : "");
}

static void add_row(struct cel_buf *out, const struct cel_setting *s)
{
    (void)cel_buf_addf(out, "| `%s` | %s", s->name, types[s->type]);
    add_range(out, s);
    (void)cel_buf_addf(out, " | %s%s%s | %s", s->def ? "`" : "",
                       s->def ? s->def : "unset", s->def ? "`" : "", s->help);
    if (s->old_name) {
        (void)cel_buf_addf(out, " Old name: `%s`.", s->old_name);
    }
    (void)cel_buf_adds(out, " |\n");
}

static void make(struct cel_buf *out)
{
    (void)cel_buf_adds(
        out,
        "# Settings\n\n"
        "Made from `libcelery-c/src/config/settings.c` by `tests/lint/settings_doc.c`; a test\n"
        "keeps it current. Names, old names and defaults are those of Celery 5.7\n"
        "(`celery/app/defaults.py`); the last ones, from `worker_redelivery_budget` on, are\n"
        "this library's own. A setting without an old name of its own is also known by its\n"
        "name in capitals (`BROKER_URL`), and every one as `CELERY_<NAME>` in the environment.\n"
        "Defaults < JSON file < environment < `celery_app_set()` < command line;\n"
        "`tests/unit/config/test_config.c` and `tests/unit/config/test_config_file.c` hold the\n"
        "rules.\n\n"
        "A bool is true, false, yes, no, on, off, 1 or 0; a number of seconds may be written\n"
        "as Python prints a timedelta (`1 day, 0:00:00`); none or null unsets; a list is JSON\n"
        "or words with commas between them; a map is JSON.\n\n"
        "| setting | type | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < cel_settings_count; i++) {
        add_row(out, &cel_settings[i]);
    }
}

int main(int argc, char **argv)
{
    struct cel_buf want = {0}, have = {0};
    int wrong = 0;
    make(&want);
    if (argc == 2) {
        FILE *f = fopen(argv[1], "rb");
        for (int c; f && (c = fgetc(f)) != EOF;) {
            (void)cel_buf_addc(&have, (char)c);
        }
        wrong = !f || fclose(f) != 0 ||
                !cel_slice_eq(cel_buf_slice(&want), cel_buf_slice(&have));
        puts(wrong
                 ? "settings.md is not current: settings_doc > protocol-docs/settings.md"
                 : "settings.md is current");
    } else {
        (void)fwrite(want.data, 1, want.len, stdout);
    }
    cel_buf_fini(&want);
    cel_buf_fini(&have);
    return wrong;
}
