/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "config/config.h"
#include <ctype.h>

static void test_every_row_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < cel_settings_count; i++) {
        const struct cel_setting *s = &cel_settings[i];
        size_t help = strlen(s->help);
        assert_true(strlen(s->name) < 60);
        assert_true(help > 5 && s->help[help - 1] == '.');
        for (const char *p = s->name; *p; p++) {
            assert_true(islower((unsigned char)*p) || *p == '_');
        }
        for (const char *p = s->old_name; p && *p; p++) {
            assert_true(isupper((unsigned char)*p) || *p == '_');
        }
        assert_true(s->min <= s->max);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(s->name, cel_settings[j].name);
            if (s->old_name && cel_settings[j].old_name) {
                assert_string_not_equal(s->old_name, cel_settings[j].old_name);
            }
        }
    }
}

static void test_every_default_is_accepted(void **state)
{
    (void)state;
    struct cel_config *c = cel_config_new();
    assert_non_null(c);
    for (size_t i = 0; i < cel_settings_count; i++) {
        const struct cel_setting *s = &cel_settings[i];
        celery_error err = {0};
        if (cel_config_set(c, s->name, s->def, CEL_FROM_API, &err) != CELERY_OK) {
            fail_msg("%s: %s", s->name, err.message);
        }
        assert_int_equal(cel_config_is_set(c, s->name), s->def != NULL);
    }
    cel_config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_sound),
        cmocka_unit_test(test_every_default_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
