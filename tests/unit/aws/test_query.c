/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/query.h"

static const struct {
    const char *service;
    const char *action;
    const char *params;
    const char *wanted; /* behind Action and Version; NULL: refused */
} forms[] = {
    {"sqs", "ListQueues", "{}", ""},
    {"sqs", "X", "{\"A\": \"a b/\\u00e9+\"}", "&A=a%20b%2F%C3%A9%2B"},
    {"sqs", "X", "{\"A\": 1, \"B\": true, \"C\": null, \"D\": false}",
     "&A=1&B=true&D=false"},
    {"sqs", "ReceiveMessage",
     "{\"AttributeNames\": [\"All\"], \"MessageAttributeNames\": [\"a\", \"b\"]}",
     "&AttributeName.1=All&MessageAttributeName.1=a&MessageAttributeName.2=b"},
    {"sqs", "CreateQueue",
     "{\"Attributes\": {\"A\": \"1\", \"B\": \"2\"}, \"tags\": {\"t\": \"u\"}}",
     "&Attribute.1.Name=A&Attribute.1.Value=1&Attribute.2.Name=B&Attribute.2.Value=2"
     "&Tag.1.Key=t&Tag.1.Value=u"},
    {"sqs", "SendMessageBatch",
     "{\"Entries\": [{\"Id\": \"0\", \"MessageAttributes\": {\"n\": {\"DataType\": \"String\","
     " \"StringValue\": \"v\"}}}]}",
     "&SendMessageBatchRequestEntry.1.Id=0"
     "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n"
     "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String"
     "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v"},
    {"sqs", "DeleteMessageBatch", "{\"Entries\": [{\"Id\": \"0\"}]}",
     "&DeleteMessageBatchRequestEntry.1.Id=0"},
    {"sqs", "UntagQueue", "{\"TagKeys\": [\"a\"]}", "&TagKey.1=a"},
    {"sns", "CreateTopic",
     "{\"Attributes\": {\"A\": \"1\"}, \"Tags\": [{\"Key\": \"k\"}]}",
     "&Attributes.entry.1.key=A&Attributes.entry.1.value=1&Tags.member.1.Key=k"},
    {"sns", "Publish", "{\"MessageAttributes\": {\"n\": {\"DataType\": \"String\"}}}",
     "&MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=String"},
    {"sts", "AssumeRole", "{\"PolicyArns\": [{\"arn\": \"a\"}]}",
     "&PolicyArns.member.1.arn=a"},
    {"sqs", "X", "[]", NULL},
    {"sqs", "X", "{\"AttributeNames\": [[1]]}", NULL},
    {"sqs", "X",
     "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}", NULL},
};

static void test_forms(void **state)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_buf out = {0};
        struct cel_buf wanted = {0};
        struct cel_node *params = NULL;
        const char *version = strcmp(forms[i].service, "sqs") == 0   ? "2012-11-05"
                              : strcmp(forms[i].service, "sns") == 0 ? "2010-03-31"
                                                                     : "2011-06-15";

        assert_int_equal(
            cel_json_parse(&arena, cel_slice_of(forms[i].params), NULL, &params, NULL),
            CELERY_OK);
        celery_status status = cel_query_write(&out, cel_query_service(forms[i].service),
                                               forms[i].action, params);
        if (forms[i].wanted) {
            assert_int_equal(status, CELERY_OK);
            cel_buf_addf(&wanted, "Action=%s&Version=%s%s", forms[i].action, version,
                         forms[i].wanted);
            assert_string_equal(cel_buf_cstr(&out), cel_buf_cstr(&wanted));
        } else {
            assert_int_equal(status, CELERY_EINVAL);
        }
        cel_buf_fini(&wanted);
        cel_buf_fini(&out);
        cel_arena_fini(&arena);
    }
}

#define RESPONSE(action, inside)                                                   \
    "<" action "Response><" action "Result>" inside "</" action "Result></" action \
    "Response>"

static const struct {
    const char *service;
    const char *action;
    const char *text;
    const char *wanted; /* NULL: refused */
} answers[] = {
    {"sqs", "GetQueueUrl", RESPONSE("GetQueueUrl", "<QueueUrl>u</QueueUrl>"),
     "{\"QueueUrl\": \"u\"}"},
    {"sqs", "ListQueues",
     RESPONSE("ListQueues", "<QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl>"),
     "{\"QueueUrls\": [\"a\", \"b\"]}"},
    {"sqs", "ListQueues", "<ListQueuesResponse><ListQueuesResult/></ListQueuesResponse>",
     "{}"},
    {"sqs", "GetQueueAttributes",
     RESPONSE("GetQueueAttributes",
              "<Attribute><Name>a</Name><Value>1</Value></Attribute>"
              "<Attribute><Name>b</Name><Value/></Attribute><Attribute/>"),
     "{\"Attributes\": {\"a\": \"1\", \"b\": \"\"}}"},
    {"sqs", "DeleteMessage", "<DeleteMessageResponse/>", "{}"},
    {"sns", "ListTopics",
     "<ListTopicsResponse><ListTopicsResult><Topics/></ListTopicsResult>"
     "</ListTopicsResponse>",
     "{\"Topics\": []}"},
    {"sns", "GetTopicAttributes",
     RESPONSE("GetTopicAttributes",
              "<Attributes><entry><key>a</key><value>b</value></entry></Attributes>"),
     "{\"Attributes\": {\"a\": \"b\"}}"},
    {"sts", "AssumeRole",
     RESPONSE("AssumeRole", "<Credentials><AccessKeyId>a</AccessKeyId></Credentials>"),
     "{\"Credentials\": {\"AccessKeyId\": \"a\"}}"},
    {"sqs", "X", "<html/>", NULL},
    {"sqs", "X", "<html>", NULL},
    {"sqs", "X", "{}", NULL},
};

static void test_answers(void **state)
{
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_node *node = NULL;
        struct cel_buf out = {0};
        celery_status status = cel_query_read(&arena, cel_slice_of(answers[i].text),
                                              cel_query_service(answers[i].service),
                                              answers[i].action, &node, NULL);

        if (answers[i].wanted) {
            assert_int_equal(status, CELERY_OK);
            assert_int_equal(cel_json_write(&out, node), CELERY_OK);
            assert_string_equal(cel_buf_cstr(&out), answers[i].wanted);
        } else {
            assert_int_equal(status, CELERY_EMESSAGE);
        }
        cel_buf_fini(&out);
        cel_arena_fini(&arena);
    }
}

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        const char *code; /* NULL: none */
    } rows[] = {
        {"<ErrorResponse><Error><Code>C</Code><Message>m</Message></Error></ErrorResponse>",
         "C"},
        {"<Response><Errors><Error><Code>C</Code></Error></Errors></Response>", "C"},
        {"<Error><Code>C</Code></Error>", "C"},
        {"<ErrorResponse/>", NULL},
        {"<html>", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_slice code;
        struct cel_slice message;
        bool found = cel_query_error(&arena, cel_slice_of(rows[i].text), &code, &message);

        assert_int_equal(found, rows[i].code != NULL);
        if (found) {
            assert_true(cel_slice_is(code, rows[i].code));
        }
        cel_arena_fini(&arena);
    }
    assert_true(
        cel_slice_is(cel_query_code(CEL_SLICE("AWS.SimpleQueueService.NonExistentQueue")),
                     "QueueDoesNotExist"));
    assert_true(cel_slice_is(cel_query_code(CEL_SLICE("Other")), "Other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
