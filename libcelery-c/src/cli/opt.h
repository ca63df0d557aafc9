/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of a command, parsed by its table of options, with messages as click
 * prints them for Celery:
 *
 *     struct call_args a = {.serializer = "json"};        what was not given stays as it is
 *     struct line line;
 *     int code = opt_parse(&cmd_call, argc, argv, &a, &line);
 *
 *     if (code != OPT_GO) {
 *         return code;                                     --help was printed, or an error
 *     }
 *
 * Global options (-A, -b ...) may stand before or behind the command's name; behind it, an
 * option of the command wins over a global one of the same letter.  "--" ends the options.
 */
#ifndef CEL_CLI_OPT_H
#define CEL_CLI_OPT_H

#include "cli/command.h"

enum { OPT_GO = -1 };

/* celery/bin/celery.py celery() */
struct globals {
    const char *app;
    const char *broker;
    const char *backend;
    const char *config;
    const char *workdir;
    bool no_color;
    bool quiet;
    bool help;
    bool version;
};

/* The table of them, offsets in struct globals. */
extern const struct opt opt_globals[];

struct line {
    const struct command *command;
    const char *program; /* without its folder */
    struct globals globals;
    char **words; /* behind the command's name; the strings and the array are argv's */
    size_t n_words;
};

/*
 * Parses argv, filling args (by the offsets of the table; NULL when the command has no
 * options) and *ret_line.  argv is put in another order.  OPT_GO, or the exit code of the
 * program: 0 after --help, EXIT_USAGE after a message.
 */
int opt_parse(const struct command *command, int argc, char **argv, void *args,
              struct line *ret_line);

/*
 * Index of the command's name in argv, the first word that is neither a global option nor
 * the value of one; 0: there is none.
 */
int opt_command(int argc, char **argv);

/* The value of a global option by its long name, wherever it stands; NULL: not given. */
const char *opt_global(int argc, char **argv, const char *name);

/*
 * "Usage: ...", "Try ...", "Error: <text>" on standard error, in one line and escaped.
 * Returns EXIT_USAGE.  command NULL: of the program itself.
 */
int opt_usage(const char *program, const struct command *command, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with "Invalid value for '-t' / '--timeout': <text>". */
int opt_invalid(const struct line *line, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --help of a command, or of the program (command NULL), on standard output. */
void opt_help(const char *program, const struct command *command);

/* argv[0] without its folder. */
const char *opt_program(char **argv);

/* The verb of that name, or NULL. */
const struct verb *opt_verb(const struct command *command, const char *name);

/*
 * The names most like word, best first, "" when none is near (difflib.get_close_matches(), as
 * click has it): up to 3, written to text as "--a, --b" with prefix before each.
 */
typedef const char *(*opt_name_fn)(const void *ctx, size_t i); /* NULL: no more */
size_t opt_nearest(const char *word, opt_name_fn name, const void *ctx,
                   const char *prefix, char *text, size_t size);

/*
 * The next word of a list separated by commas, spaces around it removed, empty ones left
 * out (celery/utils/text.py str_to_list); *rest is where to go on.  False at the end.
 */
bool opt_next_word(const char **rest, const char **ret_word, size_t *ret_len);

#endif
