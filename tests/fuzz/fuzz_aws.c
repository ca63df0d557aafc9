/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a file of profiles, and as a service's answer in either protocol. */
#include "aws/client_priv.h"
#include "aws/ini.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_ini(struct cel_slice text)
{
    struct cel_arena arena = {0};
    struct cel_ini ini;

    if (cel_ini_parse(&arena, text, &ini, NULL) == CELERY_OK) {
        (void)cel_ini_get(&ini, CEL_SLICE("default"), "region");
        (void)cel_ini_has(&ini, CEL_SLICE("default"));
    }
    cel_arena_fini(&arena);
}

static void read_answer(struct cel_slice text, bool query, int status)
{
    struct cel_aws aws = {.service = (char *)"sqs", .endpoint = (char *)"http://x"};
    struct cel_aws_call call = {.aws = &aws, .action = (char *)"ReceiveMessage"};
    struct cel_web_reply reply = {.status = status, .body = text, .headers = text};
    struct cel_aws_reading reading = {0};
    struct cel_arena arena = {0};
    struct cel_buf out = {0};

    aws.query = query;
    cel_aws_read(&call, &reply, &arena, &reading);
    if ((reading.verdict == CEL_AWS_DONE) != (reading.result != NULL)) {
        abort();
    }
    if (reading.result) {
        (void)cel_json_write(&out, reading.result);
    }
    cel_buf_fini(&out);
    cel_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct cel_slice text = cel_slice((const char *)data + 1, size - 1);

    if (data[0] % 5 == 0) {
        read_ini(text);
    } else {
        read_answer(text, data[0] % 2, data[0] % 5 < 3 ? 200 : 403);
    }
    return 0;
}
