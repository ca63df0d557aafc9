/* SPDX-License-Identifier: BSD-3-Clause */
/* What the command line is answered with: help, usage, hints. */
#include "cli/opt.h"
#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *opt_program(char **argv)
{
    const char *name = argv && argv[0] && *argv[0] ? argv[0] : "celery-c";
    const char *slash = strrchr(name, '/');

    return slash && slash[1] ? slash + 1 : name;
}

/* ---- errors ---- */

static void print_usage(FILE *out, const char *program, const struct command *c)
{
    if (!c) {
        fprintf(out, "Usage: %s [OPTIONS] COMMAND [ARGS]...\n", program);
        return;
    }
    fprintf(out, "Usage: %s %s [OPTIONS]%s%s\n", program, c->name, c->words ? " " : "",
            c->words ? c->words : "");
}

static int usage_error(const char *program, const struct command *c, const char *text)
{
    print_usage(stderr, program, c);
    fprintf(stderr, "Try '%s%s%s --help' for help.\n\nError: ", program, c ? " " : "",
            c ? c->name : "");
    text_print(stderr, text, strlen(text));
    fputc('\n', stderr);
    return EXIT_USAGE;
}

int opt_usage(const char *program, const struct command *command, const char *fmt, ...)
{
    char text[640];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return usage_error(program, command, text);
}

static const struct opt *by_name(const struct opt *table, const char *name)
{
    for (const struct opt *o = table; o && o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

int opt_invalid(const struct line *line, const char *name, const char *fmt, ...)
{
    const struct opt *o = by_name(line->command->options, name);
    char why[480];
    va_list args;

    o = o ? o : by_name(opt_globals, name);
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    if (o && o->letter) {
        return opt_usage(line->program, line->command,
                         "Invalid value for '-%c' / '--%s': %s", o->letter, name, why);
    }
    return opt_usage(line->program, line->command, "Invalid value for '--%s': %s", name,
                     why);
}

/* ---- hints ---- */

struct block {
    size_t a, b, len;
};

static struct block longest_block(const char *a, size_t a_len, const char *b,
                                  size_t b_len)
{
    struct block best = {0, 0, 0};

    for (size_t i = 0; i < a_len; i++) {
        for (size_t k = 0; k < b_len; k++) {
            size_t n = 0;

            while (i + n < a_len && k + n < b_len && a[i + n] == b[k + n]) {
                n++;
            }
            if (n > best.len) {
                best = (struct block){i, k, n};
            }
        }
    }
    return best;
}

/* Letters that both have, as difflib.SequenceMatcher counts them. */
static size_t matching(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct block m = longest_block(a, a_len, b, b_len);

    if (m.len == 0) {
        return 0;
    }
    return m.len + matching(a, m.a, b, m.b) +
           matching(a + m.a + m.len, a_len - m.a - m.len, b + m.b + m.len,
                    b_len - m.b - m.len);
}

enum { NEAREST = 3 };

size_t opt_nearest(const char *word, opt_name_fn name, const void *ctx,
                   const char *prefix, char *text, size_t size)
{
    struct {
        double ratio;
        const char *name;
    } best[NEAREST + 1] = {{0, NULL}};
    size_t len = strnlen(word, 64), n = 0, used = 0;
    const char *candidate;

    for (size_t i = 0; (candidate = name(ctx, i)) != NULL; i++) {
        size_t c_len = strlen(candidate);
        double ratio = 2.0 * (double)matching(word, len, candidate, c_len) /
                       (double)(len + c_len ? len + c_len : 1);
        size_t at = n;

        if (ratio < 0.6) {
            continue;
        }
        for (; at > 0 && best[at - 1].ratio < ratio; at--) {
            best[at] = best[at - 1];
        }
        best[at].ratio = ratio;
        best[at].name = candidate;
        n = n < NEAREST ? n + 1 : n;
    }
    text[0] = 0;
    for (size_t i = 0; i < n && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", i ? ", " : "",
                                 prefix, best[i].name);
    }
    return n;
}

/* ---- help ---- */

enum { HELP_COLUMN = 32 };

static void print_row(const char *left, const char *help)
{
    if (strlen(left) < HELP_COLUMN - 3) {
        printf("  %-*s%s\n", HELP_COLUMN - 2, left, help ? help : "");
    } else {
        printf("  %s\n%*s%s\n", left, HELP_COLUMN, "", help ? help : "");
    }
}

static void print_option(const struct opt *o)
{
    char left[128], letter[5] = "    ";

    if (o->letter) {
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
    print_row(left, o->help);
}

static const char *group_of(const struct opt *o)
{
    return o->group ? o->group : "Options";
}

/* The options under their headings, in the order in which those come first. */
static void print_options(const struct opt *table)
{
    for (const struct opt *first = table; first && first->name; first++) {
        bool seen = false;

        for (const struct opt *o = table; o < first; o++) {
            seen |= strcmp(group_of(o), group_of(first)) == 0;
        }
        if (seen) {
            continue;
        }
        printf("\n%s:\n", group_of(first));
        for (const struct opt *o = first; o->name; o++) {
            if (strcmp(group_of(o), group_of(first)) == 0) {
                print_option(o);
            }
        }
    }
}

static void print_verbs(const struct verb *verbs)
{
    printf("\nCommands:\n");
    for (const struct verb *v = verbs; v->name; v++) {
        char left[128];

        snprintf(left, sizeof left, "%s%s%s", v->name, v->words ? " " : "",
                 v->words ? v->words : "");
        print_row(left, v->help);
    }
}

static void print_commands(void)
{
    for (size_t i = 0; commands[i]; i++) {
        bool seen = false;

        for (size_t k = 0; k < i; k++) {
            seen |= strcmp(commands[k]->group, commands[i]->group) == 0;
        }
        if (seen) {
            continue;
        }
        printf("\n%s:\n", commands[i]->group);
        for (size_t k = i; commands[k]; k++) {
            if (strcmp(commands[k]->group, commands[i]->group) == 0) {
                print_row(commands[k]->name, commands[k]->summary);
            }
        }
    }
}

void opt_help(const char *program, const struct command *command)
{
    print_usage(stdout, program, command);
    if (!command) {
        printf("\n  Celery workers and tools in C.\n");
    } else {
        printf("\n  %s\n", command->summary);
        if (command->about) {
            printf("\n%s\n", command->about);
        }
        if (command->verbs) {
            print_verbs(command->verbs);
        }
        print_options(command->options);
    }
    print_options(opt_globals);
    if (!command) {
        print_commands();
        printf("\n'%s COMMAND --help' says more about each.\n", program);
    }
}
