/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ccanvas URL COMMAND TEXT [BACKEND [SECONDS]]: the client's canvases and group results, for a test in
 * Python.  Without BACKEND the URL is that of both.
 *
 *   send SIG       sends a signature in dict form; prints its result tuple, then its value
 *   save SIG       sends a group and saves its result; prints its id
 *   restore ID     prints the tuple of a saved group, then the values
 *   wait TUPLE     prints the value of a result
 *   parts SIG      sends a group; prints the ids and values of its parts as they end
 *   next TUPLE     prints the ids of a group's parts as they end
 *   revoke TUPLE   tells the workers to end these tasks; prints what waiting gives then
 *   forget TUPLE   removes what is stored
 *   builds         prints the dict form of one signature of each kind
 */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static celery_client *client;
static celery_error err;
static double patience = 20;

static void print_tuple(const celery_result *result)
{
    char *text = celery_result_dumps(result, NULL);

    printf("%s\n", text ? text : "null");
    fflush(stdout);
    free(text);
}

static void print_value(celery_result *result)
{
    json_t *value = celery_result_wait(result, patience, &err);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    if (text) {
        printf("%s\n", text);
    }
    free(text);
    json_decref(value);
}

static void send(const char *text, bool save)
{
    celery_sig *sig = celery_sig_loads(text, strlen(text), &err);
    celery_result *result = celery_send_sig(client, sig, &err);

    if (save && celery_result_save(result, &err) == CELERY_OK) {
        printf("%s\n", celery_result_id(result));
    } else if (result) {
        print_tuple(result);
        print_value(result);
    }
    celery_result_free(result);
    celery_sig_free(sig);
}

static void print_next(celery_result *group)
{
    celery_result *part;

    while ((part = celery_result_next(group, patience, &err)) != NULL) {
        printf("%s\n", celery_result_id(part));
    }
}

static void send_parts(const char *text)
{
    celery_sig *sig = celery_sig_loads(text, strlen(text), &err);
    celery_result *group = celery_send_sig(client, sig, &err);
    celery_result *part;

    while (group && (part = celery_result_next(group, patience, &err)) != NULL) {
        printf("%s ", celery_result_id(part));
        print_value(part);
    }
    celery_result_free(group);
    celery_sig_free(sig);
}

static void use(const char *command, celery_result *result)
{
    if (!result) {
        return;
    }
    if (strcmp(command, "restore") == 0) {
        print_tuple(result);
        print_value(result);
    } else if (strcmp(command, "wait") == 0) {
        print_value(result);
    } else if (strcmp(command, "next") == 0) {
        print_next(result);
    } else if (strcmp(command, "forget") == 0) {
        celery_result_forget(result, &err);
    } else if (celery_result_revoke(result, true, NULL, &err) == CELERY_OK) {
        print_value(result);
    }
    celery_result_free(result);
}

/* ---- one of each ---- */

static celery_sig *task(const char *name)
{
    celery_sig *sig = celery_sig_new(name, &err, "[i]", 1);

    celery_sig_set_kwargs(sig, json_pack("{s:s}", "k", "\xc3\xa9"));
    return sig;
}

static void print_sig(celery_sig *give_sig)
{
    char *text = celery_sig_dumps(give_sig, NULL, &err);

    if (text) {
        printf("%s\n", text);
    }
    free(text);
    celery_sig_free(give_sig);
}

static celery_sig *with_options(void)
{
    celery_sig *sig = task("a");

    celery_sig_set_countdown(sig, 2.5);
    celery_sig_set_queue(sig, "q");
    celery_sig_set_priority(sig, 3);
    celery_sig_set_header(sig, "x", json_integer(1));
    celery_sig_set_time_limit(sig, 10, 5);
    celery_sig_link(sig, task("b"));
    celery_sig_link(sig, task("c"));
    celery_sig_link_error(sig, task("d"));
    return sig;
}

static celery_sig *fixed(void)
{
    celery_sig *sig = task("a");

    celery_sig_set_immutable(sig, true);
    return sig;
}

static void builds(void)
{
    json_t *items = json_pack("[[ii],[ii]]", 1, 2, 3, 4);
    celery_sig *partial = task("a");

    print_sig(with_options());
    print_sig(fixed());
    print_sig(celery_sig_clone(partial, &err, "[i]", 0));
    print_sig(celery_chain(&err, task("a"), fixed(), task("b"), NULL));
    print_sig(celery_group(&err, task("a"), task("b"), NULL));
    print_sig(
        celery_chord(&err, celery_group(&err, task("a"), task("b"), NULL), task("c")));
    print_sig(celery_chain(&err, celery_group(&err, task("a"), task("b"), NULL),
                           task("c"), NULL));
    print_sig(celery_map(&err, task("a"), json_incref(items)));
    print_sig(celery_starmap(&err, task("a"), json_incref(items)));
    print_sig(celery_chunks(&err, task("a"), items, 2));
    celery_sig_free(partial);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: ccanvas URL COMMAND TEXT [BACKEND [SECONDS]]\n");
        return 2;
    }
    const char *command = argv[2], *text = argv[3];
    patience = argc > 5 ? strtod(argv[5], NULL) : patience;
    if (strcmp(command, "builds") == 0) {
        builds();
    } else {
        client = celery_client_open(argv[1], argc > 4 ? argv[4] : argv[1], &err);
    }
    if (strcmp(command, "parts") == 0) {
        send_parts(text);
    } else if (strcmp(command, "send") == 0 || strcmp(command, "save") == 0) {
        send(text, strcmp(command, "save") == 0);
    } else if (strcmp(command, "restore") == 0) {
        use(command, celery_result_restore(client, text, &err));
    } else if (client) {
        use(command, celery_result_loads(client, text, strlen(text), &err));
    }
    celery_client_close(client);
    if (err.status != CELERY_OK) {
        printf("%s: %s\n", celery_status_name(err.status), err.message);
    }
    return err.status != CELERY_OK;
}
