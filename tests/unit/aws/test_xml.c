/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/xml.h"
#include "base/buf.h"

static const struct {
    const char *text;
    const char *wanted; /* text of A's first child B; NULL: refused */
} rows[] = {
    {"<A><B>x</B></A>", "x"},
    {"<?xml version=\"1.0\"?>\n<!-- c -->\n<A xmlns=\"u\"><B c='>'>x</B></A>\n", "x"},
    {"\xef\xbb\xbf<A><B>x</B></A>", "x"},
    {"<n:A><n:B>x</n:B></n:A>", "x"},
    {"<A> <B/> </A>", ""},
    {"<A><B></B></A>", ""},
    {"<A><B>&lt;&gt;&amp;&quot;&apos;</B></A>", "<>&\"'"},
    {"<A><B>&#65;&#x42;&#xe9;&#x1F600;</B></A>", "AB\xc3\xa9\xf0\x9f\x98\x80"},
    {"<A><B>a\r\nb\rc</B></A>", "a\nb\nc"},
    {"<A><B>a<![CDATA[<&]]>b</B></A>", "a<&b"},
    {"<A><B>a<!-- - -->b<?p?>c</B></A>", "abc"},
    {"<A><B >x</B\n></A>", "x"},
    {"", NULL},
    {"x", NULL},
    {"<A>", NULL},
    {"<A><B></A></B>", NULL},
    {"<A/><A/>", NULL},
    {"<A/>x", NULL},
    {"<A><B>&nope;</B></A>", NULL},
    {"<A><B>&#xD800;</B></A>", NULL},
    {"<A><B>&#x110000;</B></A>", NULL},
    {"<A><B>&#;</B></A>", NULL},
    {"<A><B>&</B></A>", NULL},
    {"<A><B a=\"</B></A>", NULL},
    {"<A><<B>", NULL},
    {"<A></>", NULL},
    {"<!DOCTYPE A [<!ENTITY e 'x'>]><A><B>&e;</B></A>", NULL},
    {"<A><B>\xff</B></A>", NULL},
    {"<A><!-- </A>", NULL},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_xml *root = NULL;
        celery_error err = {0};
        celery_status status =
            cel_xml_parse(&arena, cel_slice_of(rows[i].text), &root, &err);

        if (!rows[i].wanted) {
            assert_int_equal(status, CELERY_EMESSAGE);
            assert_non_null(strstr(err.message, "not XML at byte "));
        } else {
            assert_int_equal(status, CELERY_OK);
            assert_true(cel_slice_is(root->name, "A"));
            const struct cel_xml *b = cel_xml_child(root, "B");
            assert_non_null(b);
            assert_true(cel_slice_is(b->text, rows[i].wanted));
            assert_null(cel_xml_child(b, "B"));
        }
        cel_arena_fini(&arena);
    }
}

static celery_status parse(struct cel_buf *text)
{
    struct cel_arena arena = {0};
    struct cel_xml *root = NULL;
    celery_status status = cel_xml_parse(&arena, cel_buf_slice(text), &root, NULL);

    cel_arena_fini(&arena);
    cel_buf_fini(text);
    return status;
}

static void test_limits(void **state)
{
    struct cel_buf deep = {0};
    struct cel_buf pieces = {0};

    for (int i = 0; i < CEL_XML_DEPTH + 1; i++) {
        cel_buf_adds(&deep, "<a>");
    }
    assert_int_equal(parse(&deep), CELERY_ELIMIT);
    cel_buf_adds(&pieces, "<a>");
    for (int i = 0; i < 2000; i++) {
        cel_buf_adds(&pieces, "x<!---->");
    }
    cel_buf_adds(&pieces, "</a>");
    assert_int_equal(parse(&pieces), CELERY_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
