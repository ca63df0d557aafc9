/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One command of celery-c: one static const struct, one file or a few.
 *
 * To add a command: define `const struct command cmd_x` in cmd_x.c, declare it below, add
 * &cmd_x to the table of commands.c, and the file to meson.build.  --help, hints for mistyped
 * options and shell completion are made from what stands here.
 */
#ifndef CEL_CLI_COMMAND_H
#define CEL_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum opt_kind {
    OPT_SWITCH,  /* bool: true when it is there */
    OPT_TEXT,    /* const char *, borrowed from argv; may not be empty */
    OPT_INT,     /* int64_t */
    OPT_NUMBER,  /* double: finite */
    OPT_SECONDS, /* double: finite, 0 or more */
    OPT_CHOICE,  /* const char *: one of the words of value, "json|yaml|msgpack" */
    OPT_MANY,    /* struct opt_many: may be given several times */
    OPT_IGNORED, /* a switch that means something only to Python */
    OPT_IGNORED_VALUE,
};

/* One option.  A table of them ends with a row whose name is NULL. */
struct opt {
    char letter;      /* 0: none */
    const char *name; /* long name without "--" */
    enum opt_kind kind;
    size_t offset; /* of its place in the command's struct of arguments */
    const char
        *value; /* name of the value in --help ("URL"; FILE and DIR complete to files) */
    const char *help;  /* one line, with a full stop */
    const char *group; /* heading in --help ("Routing Options"); NULL: "Options" */
};

/* All values of an OPT_MANY, borrowed from argv. */
struct opt_many {
    const char *values[64]; /* more of them are an error of the command line */
    size_t n;
};

/* A word behind the command's name that chooses what it does: `dead list`. */
struct verb {
    const char *name;
    const char *words; /* "INDEX|ID"; may be NULL */
    const char *help;
};

struct command {
    const char *name;
    const char *group;   /* heading in the list of all commands: see commands.c */
    const char *summary; /* one line, with a full stop */
    const char *about;   /* more paragraphs for --help, indented by 2; may be NULL */
    /*
     * What is expected behind the name, as in the usage line: "TASK", "SOURCE DESTINATION",
     * "[PATTERN]...".  Words in brackets may be left out, "..." takes any number; too few and
     * too many are refused by opt_parse().  NULL: nothing is.
     */
    const char *words;
    const struct verb *verbs;  /* ends with a NULL name; may be NULL */
    const struct opt *options; /* ends with a NULL name; may be NULL */
    /* argv is the whole command line.  Returns the exit code; main() flushes stdout. */
    int (*run)(int argc, char **argv);
};

/* Celery's exit codes (celery/platforms.py EX_*, click). */
enum {
    EXIT_USAGE = 2,       /* wrong command line */
    EXIT_UNAVAILABLE = 69 /* remote control: no broker, no replies */
};

/* All commands in the order of the help; ends with NULL.  commands.c */
extern const struct command *const commands[];

extern const struct command cmd_worker;
extern const struct command cmd_beat;
extern const struct command cmd_health;
extern const struct command cmd_call;
extern const struct command cmd_result;
extern const struct command cmd_purge;
extern const struct command cmd_list;
extern const struct command cmd_migrate;
extern const struct command cmd_dead;
extern const struct command cmd_queue;
/* What inspect and control have as verbs is a table of the library; called first. */
void control_fill_verbs(void);

extern const struct command cmd_inspect;
extern const struct command cmd_control;
extern const struct command cmd_status;
extern const struct command cmd_events;
extern const struct command cmd_completion;
extern const struct command cmd_report;

#endif
