/* SPDX-License-Identifier: BSD-3-Clause */
#include "beat/civil.h"

int64_t cel_civil_floor(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;

    return value - (rest < 0 ? rest + unit : rest);
}

/* Years begin in March, so that the day that comes and goes is the last one. */
int64_t cel_civil_days(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = cel_civil_floor(y, 400) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int cel_civil_month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

int64_t cel_civil_us(const struct cel_civil *c)
{
    int64_t seconds = c->hour * 3600 + c->minute * 60 + c->second;

    return cel_civil_days(c->year, c->month, c->day) * CEL_DAY + seconds * CEL_SECOND +
           c->us;
}

struct cel_civil cel_civil_of(int64_t us)
{
    int64_t day_us = cel_civil_floor(us, CEL_DAY);
    int64_t z = day_us / CEL_DAY + 719468;
    int64_t era = cel_civil_floor(z, 146097) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t rest = us - day_us;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);

    return (struct cel_civil){
        .year = (int)(yoe + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (int)(rest / (3600 * CEL_SECOND)),
        .minute = (int)(rest / (60 * CEL_SECOND) % 60),
        .second = (int)(rest / CEL_SECOND % 60),
        .us = (int)(rest % CEL_SECOND),
    };
}

int cel_civil_weekday(int64_t us)
{
    int64_t days = cel_civil_floor(us, CEL_DAY) / CEL_DAY + 4; /* 1970-01-01: Thursday */

    return (int)(days - cel_civil_floor(days, 7));
}
