/* SPDX-License-Identifier: BSD-3-Clause */
/* The scripts for zsh and fish. */
#include "cli/completion.h"

#include <string.h>

/* ---- zsh ---- */

/* Within single quotes; in specifications of _arguments some characters mean more. */
static void zsh_text(FILE *out, const char *text, const char *special)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'') {
            fputs("'\\''", out);
        } else {
            if (strchr(special, *p)) {
                fputc('\\', out);
            }
            fputc(*p, out);
        }
    }
}

/* '(-A --app)'{-A,--app=}'[text]:NAME:_files' */
static void zsh_option(FILE *out, const struct opt *o)
{
    bool value = option_takes_value(o);
    const char *equals = value ? "=" : "";

    fputs("            ", out);
    if (o->letter) {
        fprintf(out, "'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter,
                value ? "+" : "", o->name, equals);
    } else {
        fprintf(out, "'--%s%s[", o->name, equals);
    }
    zsh_text(out, o->help ? o->help : "", "[]:");
    fputc(']', out);
    if (value) {
        fputc(':', out);
        zsh_text(out, o->value ? o->value : "value", "[]:");
        fputc(':', out);
        if (o->kind == OPT_CHOICE) {
            fputc('(', out);
            for (const char *p = o->value; *p; p++) {
                fputc(*p == '|' ? ' ' : *p, out);
            }
            fputc(')', out);
        } else if (option_is_file(o)) {
            fputs("_files", out);
        }
    }
    fputs("'\n", out);
}

static void zsh_described(FILE *out, const char *name, const char *help)
{
    fprintf(out, "            '%s:", name);
    zsh_text(out, help, ":");
    fputs("'\n", out);
}

static void zsh_command(FILE *out, const struct command *c)
{
    struct options list;

    fprintf(out, "    %s)\n        options=(\n", c->name);
    options_of(c, &list);
    for (size_t i = 0; i < list.n; i++) {
        zsh_option(out, &list.all[i]);
    }
    fprintf(out, "        )\n        verbs=(\n");
    for (const struct verb *v = c->verbs; v && v->name; v++) {
        zsh_described(out, v->name, v->help);
    }
    fprintf(out, "        )\n        ;;\n");
}

void zsh_print(FILE *out)
{
    struct options list;

    fputs("#compdef celery-c\n"
          "# zsh completion for celery-c, made by `celery-c completion zsh`\n"
          "_celery_c() {\n"
          "    local curcontext=\"$curcontext\" state line\n"
          "    local -a options verbs commands\n\n"
          "    commands=(\n",
          out);
    for (size_t i = 0; commands[i]; i++) {
        zsh_described(out, commands[i]->name, commands[i]->summary);
    }
    fputs("    )\n    options=(\n", out);
    options_of(NULL, &list);
    for (size_t i = 0; i < list.n; i++) {
        zsh_option(out, &list.all[i]);
    }
    fputs("    )\n"
          "    _arguments -C -s $options '1: :->command' '*:: :->words' && return\n"
          "    if [[ $state == command ]]; then\n"
          "        _describe -t commands command commands\n"
          "        return\n"
          "    fi\n"
          "    case $words[1] in\n",
          out);
    for (size_t i = 0; commands[i]; i++) {
        zsh_command(out, commands[i]);
    }
    fputs("    *) return ;;\n"
          "    esac\n"
          "    if (( $#verbs )); then\n"
          "        _arguments -C -s $options '1: :->verb' '*: :_default' && return\n"
          "        [[ $state == verb ]] && _describe -t verbs verb verbs\n"
          "    else\n"
          "        _arguments -s $options '*: :_default'\n"
          "    fi\n"
          "}\n"
          "_celery_c \"$@\"\n",
          out);
}

/* ---- fish ---- */

static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\') {
            fputc('\\', out);
        }
        fputc(*p, out);
    }
    fputc('\'', out);
}

static void fish_options(FILE *out, const struct command *c)
{
    struct options list;

    options_of(c, &list);
    for (size_t i = 0; i < list.n; i++) {
        const struct opt *o = &list.all[i];

        fprintf(out, "complete -c celery-c -n '");
        if (c) {
            fprintf(out, "__fish_seen_subcommand_from %s'", c->name);
        } else {
            fprintf(out, "__fish_use_subcommand'");
        }
        if (o->letter) {
            fprintf(out, " -s %c", o->letter);
        }
        fprintf(out, " -l %s", o->name);
        if (option_takes_value(o)) {
            fputs(option_is_file(o) ? " -r -F" : " -x", out);
        }
        if (o->kind == OPT_CHOICE) {
            fputs(" -a '", out);
            for (const char *p = o->value; *p; p++) {
                fputc(*p == '|' ? ' ' : *p, out);
            }
            fputc('\'', out);
        }
        fputs(" -d ", out);
        fish_text(out, o->help ? o->help : "");
        fputc('\n', out);
    }
}

void fish_print(FILE *out)
{
    fputs("# fish completion for celery-c, made by `celery-c completion fish`\n"
          "complete -c celery-c -f\n",
          out);
    fish_options(out, NULL);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];

        fprintf(out, "complete -c celery-c -n __fish_use_subcommand -a %s -d ", c->name);
        fish_text(out, c->summary);
        fputc('\n', out);
        for (const struct verb *v = c->verbs; v && v->name; v++) {
            fprintf(out,
                    "complete -c celery-c -n '__fish_seen_subcommand_from %s' -a %s -d ",
                    c->name, v->name);
            fish_text(out, v->help);
            fputc('\n', out);
        }
        fish_options(out, c);
    }
}
