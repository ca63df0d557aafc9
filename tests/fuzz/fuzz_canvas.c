/* SPDX-License-Identifier: BSD-3-Clause */
/* A signature in dict form: read, written, cloned, applied; what is sent can be read. */
#include "canvas/canvas.h"
#include "message/envelope_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages repeat what follows them: a small signature may have large ones. */
#define EFFECTS_MAX ((size_t)8 << 20)

static struct cel_canvas make_canvas(void)
{
    struct cel_canvas c = {.config = cel_config_new(), .reply_to = CEL_SLICE("oid")};

    if (cel_router_new(c.config, &c.router, NULL) < 0) {
        abort();
    }
    return c;
}

static void check(const struct cel_effects *effects)
{
    struct cel_slice rest = cel_buf_slice(&effects->bytes);
    struct cel_effect e;
    size_t n = 0;
    bool bad;

    while (cel_effects_next(&rest, &e, &bad)) {
        n++;
        if (e.kind == CEL_EFFECT_PUBLISH && n < 16) {
            struct cel_envelope *env = NULL;
            if (cel_envelope_read(e.json, &env, NULL) < 0 || e.id.len == 0) {
                abort();
            }
            cel_envelope_free(env);
        }
    }
    if (bad || n != effects->n) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cel_canvas c;
    const struct cel_json_limits deep = {.depth = 4096};
    struct cel_arena a = {.max = (size_t)256 << 20};
    struct cel_effects effects = {.bytes = {.max = EFFECTS_MAX}};
    struct cel_node *doc = NULL, *result = NULL;
    struct cel_sig *sig = NULL;

    c = c.config ? c : make_canvas();
    c.backend_counts = size % 2;
    if (cel_json_parse(&a, cel_slice((const char *)data, size), &deep, &doc, NULL) ==
            CELERY_OK &&
        cel_canvas_read(&a, doc, "sig", &sig, NULL) == CELERY_OK) {
        (void)cel_canvas_doc(&a, sig);
        if (cel_sig_apply(&c, &a, sig, NULL, NULL, NULL, &effects, &result, NULL) ==
            CELERY_OK) {
            check(&effects);
        } else if (effects.n || effects.bytes.len) {
            abort();
        }
        (void)cel_sig_freeze(&c, &a, cel_sig_clone(&a, sig, NULL, NULL), &result, NULL);
    }
    cel_effects_fini(&effects);
    cel_arena_fini(&a);
    return 0;
}
