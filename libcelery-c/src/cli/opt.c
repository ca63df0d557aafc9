/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsing a command line by tables of options. */
#include "cli/opt.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GLOBAL(member) offsetof(struct globals, member)
#define GROUP          "Global Options"

const struct opt opt_globals[] = {
    {'A', "app", OPT_TEXT, GLOBAL(app), "NAME", "Application: a shared object of tasks.",
     GROUP},
    {'b', "broker", OPT_TEXT, GLOBAL(broker), "URL", "Broker.", GROUP},
    {0, "result-backend", OPT_TEXT, GLOBAL(backend), "URL", "Result backend.", GROUP},
    {0, "config", OPT_TEXT, GLOBAL(config), "FILE", "JSON file of settings.", GROUP},
    {0, "workdir", OPT_TEXT, GLOBAL(workdir), "DIR", "Change to this folder first.",
     GROUP},
    {0, "loader", OPT_IGNORED_VALUE, 0, "LOADER", "Ignored (Python only).", GROUP},
    {0, "skip-checks", OPT_IGNORED, 0, NULL, "Ignored (Python only).", GROUP},
    {'C', "no-color", OPT_SWITCH, GLOBAL(no_color), NULL, "No colours.", GROUP},
    {'q', "quiet", OPT_SWITCH, GLOBAL(quiet), NULL, "Say only what was asked for.",
     GROUP},
    {0, "version", OPT_SWITCH, GLOBAL(version), NULL, "Print the version and exit.",
     GROUP},
    {'h', "help", OPT_SWITCH, GLOBAL(help), NULL, "Show this text and exit.", GROUP},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

static bool takes_value(const struct opt *o)
{
    return o->kind != OPT_SWITCH && o->kind != OPT_IGNORED;
}

/* ---- looking options up ---- */

static const struct opt *find_long(const struct opt *table, const char *name, size_t len)
{
    for (const struct opt *o = table; o && o->name; o++) {
        if (strncmp(o->name, name, len) == 0 && !o->name[len]) {
            return o;
        }
    }
    return NULL;
}

static const struct opt *find_letter(const struct opt *table, char letter)
{
    for (const struct opt *o = table; o && o->name; o++) {
        if (o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

/* If argv[at] is this option: its value, with *next behind it; otherwise NULL. */
static const char *match(int argc, char **argv, int at, const struct opt *o, int *next)
{
    const char *word = argv[at];
    size_t len = strlen(o->name);

    *next = at + 1;
    if (o->letter && word[0] == '-' && word[1] == o->letter) {
        if (word[2]) {
            return !takes_value(o) ? NULL : word[2] == '=' ? word + 3 : word + 2;
        }
    } else if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, o->name, len) == 0 &&
               word[2 + len] == '=') {
        return word + 3 + len;
    } else if (strncmp(word, "--", 2) != 0 || strcmp(word + 2, o->name) != 0) {
        return NULL;
    }
    if (takes_value(o)) {
        *next = at + 2;
        return at + 1 < argc ? argv[at + 1] : "";
    }
    return "";
}

const char *opt_global(int argc, char **argv, const char *name)
{
    const struct opt *o = find_long(opt_globals, name, strlen(name));

    for (int i = 1; o && i < argc; i++) {
        int next;
        const char *value = match(argc, argv, i, o, &next);

        if (value) {
            return value;
        }
    }
    return NULL;
}

int opt_command(int argc, char **argv)
{
    for (int i = 1; i < argc;) {
        int next = i + 1;

        if (argv[i][0] != '-') {
            return i;
        }
        for (const struct opt *o = opt_globals; o->name; o++) {
            if (match(argc, argv, i, o, &next)) {
                break;
            }
        }
        i = next;
    }
    return 0;
}

/* ---- values ---- */

static int store_number(const struct line *line, const struct opt *o, const char *value,
                        double *ret)
{
    char *end;
    double number = strtod(value, &end);

    if (end == value || *end || !isfinite(number)) {
        return opt_invalid(line, o->name, "'%s' is not a valid float.", value);
    }
    if (o->kind == OPT_SECONDS && number < 0) {
        return opt_invalid(line, o->name, "%s is less than 0.", value);
    }
    *ret = number;
    return OPT_GO;
}

static int store_int(const struct line *line, const struct opt *o, const char *value,
                     int64_t *ret)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (end == value || *end || errno) {
        return opt_invalid(line, o->name, "'%s' is not a valid integer.", value);
    }
    *ret = number;
    return OPT_GO;
}

static int store_choice(const struct line *line, const struct opt *o, const char *value,
                        const char **ret)
{
    size_t len = strlen(value);
    char words[256];
    size_t n = 0;

    for (const char *p = o->value; *p;) {
        size_t size = strcspn(p, "|");

        if (size == len && strncmp(p, value, len) == 0) {
            *ret = value;
            return OPT_GO;
        }
        if (n + size + 5 < sizeof words) {
            memcpy(words + n, n ? ", '" : "'", n ? 3 : 1);
            n += n ? 3 : 1;
            memcpy(words + n, p, size);
            n += size;
            words[n++] = '\'';
        }
        p += size + (p[size] == '|');
    }
    words[n] = 0;
    return opt_invalid(line, o->name, "'%s' is not one of %s.", value, words);
}

static int store_many(const struct line *line, const struct opt *o, const char *value,
                      struct opt_many *many)
{
    if (many->n == sizeof many->values / sizeof many->values[0]) {
        return opt_invalid(line, o->name, "given more than %zu times.", many->n);
    }
    many->values[many->n++] = value;
    return OPT_GO;
}

static int store(const struct line *line, const struct opt *o, const char *value,
                 void *args)
{
    void *place = (char *)args + o->offset;

    if (takes_value(o) && !*value && o->kind != OPT_MANY) {
        return opt_invalid(line, o->name, "it is empty.");
    }
    switch (o->kind) {
    case OPT_SWITCH:
        *(bool *)place = true;
        break;
    case OPT_TEXT:
        *(const char **)place = value;
        break;
    case OPT_INT:
        return store_int(line, o, value, place);
    case OPT_NUMBER:
    case OPT_SECONDS:
        return store_number(line, o, value, place);
    case OPT_CHOICE:
        return store_choice(line, o, value, place);
    case OPT_MANY:
        return store_many(line, o, value, place);
    case OPT_IGNORED:
    case OPT_IGNORED_VALUE:
        break;
    }
    return OPT_GO;
}

/* ---- words of the line ---- */

struct parsing {
    struct line *line;
    void *args;
    const struct opt *own; /* the command's options; NULL before its name */
    int argc;
    char **argv;
    int at; /* the word that is read */
};

/* The option, and in *ret_place the struct that its offset is of. */
static const struct opt *look_up(const struct parsing *p, const char *name, size_t len,
                                 char letter, void **ret_place)
{
    const struct opt *tables[] = {p->own, opt_globals};
    void *places[] = {p->args, &p->line->globals};

    for (size_t i = 0; i < 2; i++) {
        const struct opt *o =
            name ? find_long(tables[i], name, len) : find_letter(tables[i], letter);
        if (o) {
            *ret_place = places[i];
            return o;
        }
    }
    return NULL;
}

static const char *long_name(const void *ctx, size_t i)
{
    const struct parsing *p = ctx;
    size_t n = 0;

    for (const struct opt *o = p->own; o && o->name; o++) {
        if (n++ == i) {
            return o->name;
        }
    }
    return i - n < sizeof opt_globals / sizeof opt_globals[0] ? opt_globals[i - n].name
                                                              : NULL;
}

static int no_such_option(const struct parsing *p, const char *word, size_t len)
{
    char name[64], near[256];
    size_t n = len < sizeof name ? len : sizeof name - 1;
    const struct command *c = p->line->command;

    memcpy(name, word, n);
    name[n] = 0;
    switch (opt_nearest(name, long_name, p, "--", near, sizeof near)) {
    case 0:
        return opt_usage(p->line->program, c, "No such option: --%s", name);
    case 1:
        return opt_usage(p->line->program, c, "No such option: --%s Did you mean %s?",
                         name, near);
    default:
        return opt_usage(p->line->program, c,
                         "No such option: --%s (Possible options: %s)", name, near);
    }
}

/* Stores the option with what is attached to it, or else with the next word. */
static int with_value(struct parsing *p, const struct opt *o, const char *attached,
                      void *place)
{
    if (!takes_value(o)) {
        return store(p->line, o, "", place);
    }
    if (!attached && p->at + 1 >= p->argc) {
        return opt_usage(p->line->program, p->line->command,
                         "Option '--%s' requires an argument.", o->name);
    }
    return store(p->line, o, attached ? attached : p->argv[++p->at], place);
}

static int parse_long(struct parsing *p)
{
    const char *word = p->argv[p->at] + 2;
    size_t len = strcspn(word, "=");
    void *place;
    const struct opt *o = look_up(p, word, len, 0, &place);

    if (!o) {
        return no_such_option(p, word, len);
    }
    if (word[len] && !takes_value(o)) {
        return opt_usage(p->line->program, p->line->command,
                         "Option '--%s' does not take a value.", o->name);
    }
    return with_value(p, o, word[len] ? word + len + 1 : NULL, place);
}

static int parse_letters(struct parsing *p)
{
    for (const char *s = p->argv[p->at] + 1; *s; s++) {
        void *place;
        const struct opt *o = look_up(p, NULL, 0, *s, &place);
        int code;

        if (!o) {
            return opt_usage(p->line->program, p->line->command, "No such option: -%.1s",
                             s);
        }
        if (takes_value(o)) {
            return with_value(p, o, s[1] == '=' ? s + 2 : s[1] ? s + 1 : NULL, place);
        }
        code = store(p->line, o, "", place);
        if (code != OPT_GO) {
            return code;
        }
    }
    return OPT_GO;
}

/* Are there as many words as the usage says? */
static int check_words(const struct line *line)
{
    const char *words = line->command->words ? line->command->words : "";
    size_t n = 0;
    bool any = strstr(words, "...") != NULL;

    for (const char *p = words; *p;) {
        size_t len = strcspn(p, " ");

        if (n >= line->n_words && *p != '[') {
            return opt_usage(line->program, line->command, "Missing argument '%.*s'.",
                             (int)strcspn(p, " ."), p);
        }
        n++;
        p += len + strspn(p + len, " ");
    }
    if (line->n_words > n && !any) {
        return opt_usage(line->program, line->command,
                         "Got unexpected extra argument%s (%s%s)",
                         line->n_words > n + 1 ? "s" : "", line->words[n],
                         line->n_words > n + 1 ? " ..." : "");
    }
    return OPT_GO;
}

int opt_parse(const struct command *command, int argc, char **argv, void *args,
              struct line *ret_line)
{
    struct parsing p = {.line = ret_line, .args = args, .argc = argc, .argv = argv};
    int name = opt_command(argc, argv);
    bool only_words = false;

    *ret_line = (struct line){.command = command, .program = opt_program(argv)};
    ret_line->words = argv + (argc > 0); /* what was read makes room for them */
    for (p.at = 1; p.at < argc; p.at++) {
        char *word = argv[p.at];
        int code = OPT_GO;

        if (p.at == name) {
            p.own = command->options;
        } else if (only_words || word[0] != '-' || !word[1]) {
            ret_line->words[ret_line->n_words++] = word;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else {
            code = word[1] == '-' ? parse_long(&p) : parse_letters(&p);
        }
        if (code != OPT_GO) {
            return code;
        }
    }
    if (ret_line->globals.help) {
        opt_help(ret_line->program, command);
        return 0;
    }
    return check_words(ret_line);
}

bool opt_next_word(const char **rest, const char **ret_word, size_t *ret_len)
{
    const char *p = *rest;
    size_t len;

    p += strspn(p, ", \t");
    len = strcspn(p, ",");
    *rest = p + len;
    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }
    *ret_word = p;
    *ret_len = len;
    return len > 0;
}

const struct verb *opt_verb(const struct command *command, const char *name)
{
    for (const struct verb *v = command->verbs; name && v && v->name; v++) {
        if (strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}
