/* SPDX-License-Identifier: BSD-3-Clause */
/* What an answer means: done, refused, or worth another try. */
#include "aws/client_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "base/log.h"

enum trait {
    THROTTLE = 1 << 0,
    TRANSIENT = 1 << 1,
    KEYS = 1 << 2,
    CLOCK = 1 << 3,
    REFUSED = 1 << 4, /* not allowed, whatever the keys */
};

/* botocore.retries.standard: ThrottledRetryableChecker, TransientRetryableChecker, and what
 * SQS, SNS and STS say of keys and clocks. */
static const struct {
    const char *code;
    unsigned traits;
} codes[] = {
    {"AccessDenied", REFUSED},
    {"AccessDeniedException", REFUSED},
    {"AuthFailure", KEYS | CLOCK},
    {"AuthorizationError", REFUSED},
    {"BandwidthLimitExceeded", THROTTLE},
    {"EC2ThrottledException", THROTTLE},
    {"ExpiredToken", KEYS},
    {"ExpiredTokenException", KEYS},
    {"IDPCommunicationError", TRANSIENT},
    {"InternalError", TRANSIENT},
    {"InternalFailure", TRANSIENT},
    {"InvalidAccessKeyId", KEYS},
    {"InvalidClientTokenId", KEYS},
    {"InvalidSecurity", KEYS},
    {"InvalidSignatureException", KEYS | CLOCK},
    {"KmsThrottled", THROTTLE},
    {"LimitExceededException", THROTTLE},
    {"OverLimit", THROTTLE},
    {"PriorRequestNotComplete", THROTTLE},
    {"ProvisionedThroughputExceededException", THROTTLE},
    {"RequestExpired", CLOCK | KEYS},
    {"RequestInTheFuture", CLOCK},
    {"RequestLimitExceeded", THROTTLE},
    {"RequestThrottled", THROTTLE},
    {"RequestThrottledException", THROTTLE},
    {"RequestTimeTooSkewed", CLOCK},
    {"RequestTimeout", TRANSIENT},
    {"RequestTimeoutException", TRANSIENT},
    {"ServiceUnavailable", TRANSIENT},
    {"SignatureDoesNotMatch", KEYS | CLOCK},
    {"SlowDown", THROTTLE},
    {"ThrottledException", THROTTLE},
    {"Throttling", THROTTLE},
    {"ThrottlingException", THROTTLE},
    {"TooManyRequestsException", THROTTLE},
    {"TransactionInProgressException", THROTTLE},
    {"UnrecognizedClientException", KEYS},
};

/* Clocks closer than this are not what a signature fails for; AWS allows 5 minutes. */
static const double skew_min = 60;

static unsigned traits_of(const char *code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].code, code) == 0) {
            return codes[i].traits;
        }
    }
    return 0;
}

/* "Tue, 14 Apr 2026 03:04:05 GMT" (RFC 9110, IMF-fixdate). */
static bool read_date(struct cel_slice text, double *ret)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char iso[21];
    int64_t us;
    bool aware;

    if (text.len != 29 || memcmp(text.data + 25, " GMT", 4) != 0) {
        return false;
    }
    for (int i = 0; i < 12; i++) {
        if (memcmp(months + 3 * i, text.data + 8, 3) == 0) {
            snprintf(iso, sizeof iso, "%.4s-%02d-%.2sT%.8sZ", text.data + 12, i + 1,
                     text.data + 5, text.data + 17);
            if (!cel_iso8601_parse(cel_slice_of(iso), &us, &aware)) {
                return false;
            }
            *ret = (double)us / 1e6;
            return true;
        }
    }
    return false;
}

/* ---- the code and the words of an error ---- */

/* XML where JSON was asked for: the endpoint is an older one. */
static bool other_protocol(const struct cel_aws *aws, const struct cel_web_reply *reply)
{
    struct cel_slice body = cel_slice_trim(reply->body);

    return !aws->query && !aws->json_spoken && reply->status >= 400 &&
           reply->status < 500 && body.len > 0 && body.data[0] == '<';
}

static void set_code(struct cel_aws_reading *r, struct cel_slice code)
{
    const char *hash = code.len ? memchr(code.data, '#', code.len) : NULL;

    if (hash) {
        code = cel_slice(hash + 1, code.len - (size_t)(hash + 1 - code.data));
    }
    const char *semicolon = code.len ? memchr(code.data, ';', code.len) : NULL;
    if (semicolon) {
        code.len = (size_t)(semicolon - code.data);
    }
    snprintf(r->code, sizeof r->code, "%s", cel_log_safe(cel_query_code(code)));
}

/* Only the first line: behind it a wrong signature's answer shows what was signed. */
static struct cel_slice first_line(struct cel_slice text)
{
    struct cel_slice line = CEL_SLICE_NULL;

    return cel_slice_split(&text, '\n', &line) ? line : text;
}

static void read_json_error(const struct cel_web_reply *reply, struct cel_arena *arena,
                            struct cel_aws_reading *r, struct cel_slice *ret_words)
{
    struct cel_json_limits limits = {.depth = 32, .elements = 10000};
    struct cel_node *node = NULL;
    struct cel_slice code = CEL_SLICE_NULL;

    if (reply->body.len > 0 &&
        cel_json_parse(arena, reply->body, &limits, &node, NULL) == CELERY_OK) {
        code = cel_node_text(cel_node_get(node, CEL_SLICE("__type")));
        *ret_words = cel_node_text(cel_node_get(node, CEL_SLICE("message")));
        if (!ret_words->data) {
            *ret_words = cel_node_text(cel_node_get(node, CEL_SLICE("Message")));
        }
    }
    if (code.len == 0) {
        code = cel_web_header(reply, "x-amzn-errortype");
    }
    if (code.len == 0) {
        code = cel_web_header(reply, "x-amzn-query-error");
    }
    set_code(r, code);
}

/* ---- verdicts ---- */

static enum cel_aws_verdict judge(const struct cel_aws_call *call,
                                  const struct cel_web_reply *reply,
                                  struct cel_aws_reading *r)
{
    unsigned traits = traits_of(r->code);
    double there = 0;

    if (traits & CLOCK && !call->corrected &&
        read_date(cel_web_header(reply, "date"), &there)) {
        double skew = there - cel_clock_wall();
        double change = skew - call->aws->skew;

        if (change > skew_min || change < -skew_min) {
            r->skew = skew;
            return CEL_AWS_CLOCK;
        }
    }
    if (traits & KEYS) {
        return CEL_AWS_RELOAD;
    }
    r->throttled = traits & THROTTLE || reply->status == 429 || reply->status == 503;
    if (r->throttled || traits & TRANSIENT || reply->status >= 500) {
        /* What a full or tired service refuses it has not done; of other failures none knows. */
        r->unsure = !r->throttled;
        return CEL_AWS_LATER;
    }
    return CEL_AWS_FINAL;
}

static celery_status status_of(const struct cel_aws_reading *r, int http_status)
{
    switch (r->verdict) {
    case CEL_AWS_LATER:
        return CELERY_ECONNECT;
    case CEL_AWS_RELOAD:
    case CEL_AWS_CLOCK:
        return CELERY_EAUTH;
    default:
        return http_status == 401 || http_status == 403 || traits_of(r->code) & REFUSED
                   ? CELERY_EAUTH
                   : CELERY_EINVAL;
    }
}

static void read_error(struct cel_aws_call *call, const struct cel_web_reply *reply,
                       struct cel_arena *arena, struct cel_aws_reading *r)
{
    struct cel_slice words = CEL_SLICE_NULL;
    struct cel_slice code = CEL_SLICE_NULL;

    if (!cel_slice_starts(cel_slice_trim(reply->body), CEL_SLICE("<"))) {
        read_json_error(reply, arena, r, &words);
    } else if (cel_query_error(arena, reply->body, &code, &words)) {
        set_code(r, code);
    }
    r->verdict =
        other_protocol(call->aws, reply) ? CEL_AWS_PROTOCOL : judge(call, reply, r);
    words = first_line(words);
    cel_error_set(&r->err, status_of(r, reply->status), "%s %s: %s%s%s (HTTP %d)",
                  call->aws->service, call->action, r->code[0] ? r->code : "refused",
                  words.len ? ": " : "", words.len ? cel_log_safe(words) : "",
                  reply->status);
}

static void read_result(struct cel_aws_call *call, const struct cel_web_reply *reply,
                        struct cel_arena *arena, struct cel_aws_reading *r)
{
    static const struct cel_node nothing = {.kind = CELERY_KIND_OBJECT};
    struct cel_json_limits limits = {.depth = 32};
    struct cel_node *node = NULL;
    struct cel_aws *aws = call->aws;

    if (cel_slice_trim(reply->body).len == 0) {
        r->result = &nothing;
        return;
    }
    celery_status status =
        aws->query
            ? cel_query_read(arena, reply->body, aws->kind, call->action, &node, NULL)
            : cel_json_parse(arena, reply->body, &limits, &node, NULL);
    if (status == CELERY_OK && node->kind == CELERY_KIND_OBJECT) {
        aws->json_spoken = !aws->query;
        r->result = node;
        return;
    }
    /* Cut off on the way: it was done, but what came of it nobody knows. */
    r->verdict = CEL_AWS_LATER;
    r->unsure = true;
    cel_error_set(&r->err, CELERY_EUNCERTAIN,
                  "%s %s: the answer cannot be read (%zu bytes)", call->aws->service,
                  call->action, reply->body.len);
}

static void read_failure(struct cel_aws_call *call, const struct cel_web_reply *reply,
                         struct cel_aws_reading *r)
{
    r->err = *reply->err;
    r->unsure = reply->sent;
    r->verdict = reply->err->status == CELERY_ELIMIT ? CEL_AWS_FINAL : CEL_AWS_LATER;
    cel_error_prefix(&r->err, r->err.status, "%s %s at %s: ", call->aws->service,
                     call->action, call->aws->endpoint);
}

void cel_aws_read(struct cel_aws_call *call, const struct cel_web_reply *reply,
                  struct cel_arena *arena, struct cel_aws_reading *ret)
{
    ret->verdict = CEL_AWS_DONE;
    if (reply->err) {
        read_failure(call, reply, ret);
    } else if (reply->status >= 200 && reply->status < 300) {
        read_result(call, reply, arena, ret);
    } else {
        read_error(call, reply, arena, ret);
    }
}
