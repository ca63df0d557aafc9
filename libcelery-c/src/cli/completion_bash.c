/* SPDX-License-Identifier: BSD-3-Clause */
/* The script for bash: one function with a case for each command. */
#include "cli/completion.h"

#include <string.h>

/* "-A|--app|..." of the options that want it. */
static void print_pattern(FILE *out, const struct options *list,
                          bool (*wanted)(const struct opt *o))
{
    bool first = true;

    for (size_t i = 0; i < list->n; i++) {
        const struct opt *o = &list->all[i];

        if (!wanted(o)) {
            continue;
        }
        if (o->letter) {
            fprintf(out, "%s-%c", first ? "" : "|", o->letter);
            first = false;
        }
        fprintf(out, "%s--%s", first ? "" : "|", o->name);
        first = false;
    }
    if (first) {
        fputs("''", out); /* no word is empty where this is asked */
    }
}

/* A choice is completed with its words, "json|yaml" as "json yaml". */
static void print_choices(FILE *out, const struct options *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct opt *o = &list->all[i];

        if (o->kind != OPT_CHOICE) {
            continue;
        }
        fprintf(out, "        ");
        if (o->letter) {
            fprintf(out, "-%c|", o->letter);
        }
        fprintf(out, "--%s) kind=words; words='", o->name);
        for (const char *p = o->value; *p; p++) {
            fputc(*p == '|' ? ' ' : *p, out);
        }
        fprintf(out, "' ;;\n");
    }
}

static bool is_other_value(const struct opt *o)
{
    return option_takes_value(o) && !option_is_file(o) && o->kind != OPT_CHOICE;
}

static bool is_file(const struct opt *o)
{
    return option_takes_value(o) && option_is_file(o);
}

static void print_case(FILE *out, const char *name, const struct options *list)
{
    fprintf(out, "    %s)\n        options='", name);
    for (size_t i = 0; i < list->n; i++) {
        fprintf(out, "%s--%s", i ? " " : "", list->all[i].name);
        if (list->all[i].letter) {
            fprintf(out, " -%c", list->all[i].letter);
        }
    }
    fprintf(out, "'\n        case $prev in\n");
    print_choices(out, list);
    fprintf(out, "        ");
    print_pattern(out, list, is_file);
    fprintf(out, ") kind=files ;;\n        ");
    print_pattern(out, list, is_other_value);
    fprintf(out, ") kind=none ;;\n        esac\n");
}

static void print_verbs(FILE *out, const struct verb *verbs)
{
    fprintf(out, "        [[ $kind ]] || words='");
    for (const struct verb *v = verbs; v && v->name; v++) {
        fprintf(out, "%s%s", v == verbs ? "" : " ", v->name);
    }
    fprintf(out, "'\n        ;;\n");
}

static const char head[] =
    "# bash completion for celery-c, made by `celery-c completion bash`\n"
    "_celery_c()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command= kind= options= words= i\n\n"
    "    # \"--name=value\" comes in three words.\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $prev == = && COMP_CWORD -gt 2 ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        =) ((i++)) ;;\n        ";

static const char tail[] =
    "    esac\n"
    "    case $kind in\n"
    "    none) return ;;\n"
    "    files)\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return\n"
    "        ;;\n"
    "    esac\n"
    "    [[ $kind == '' && $cur == -* ]] && words=$options\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "}\n"
    "complete -F _celery_c celery-c\n";

void bash_print(FILE *out)
{
    struct options list;

    options_of(NULL, &list);
    fputs(head, out);
    print_pattern(out, &list, option_takes_value);
    fprintf(out, ") [[ ${COMP_WORDS[i + 1]} == = ]] || ((i++)) ;;\n"
                 "        -*) ;;\n"
                 "        *) command=${COMP_WORDS[i]}; break ;;\n"
                 "        esac\n    done\n    case $command in\n");
    print_case(out, "''", &list);
    fprintf(out, "        [[ $kind ]] || words='");
    for (size_t i = 0; commands[i]; i++) {
        fprintf(out, "%s%s", i ? " " : "", commands[i]->name);
    }
    fprintf(out, "'\n        ;;\n");
    for (size_t i = 0; commands[i]; i++) {
        options_of(commands[i], &list);
        print_case(out, commands[i]->name, &list);
        print_verbs(out, commands[i]->verbs);
    }
    fputs(tail, out);
}
