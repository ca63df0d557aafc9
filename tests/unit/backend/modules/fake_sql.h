/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver that hands every call to what the test puts behind it. */
#ifndef TESTS_UNIT_BACKEND_FAKE_SQL_H
#define TESTS_UNIT_BACKEND_FAKE_SQL_H

#include "backend/sql_driver.h"

struct fake_sql {
    struct cel_sql_driver driver;
    const struct cel_sql_driver *behind;
};

#endif
