/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp.c - see timestamp.h. By hand: strptime() knows no fractions, and timegm() is not POSIX. */
#include "timestamp.h"

enum { YEAR_MIN = 1970, YEAR_MAX = 2099, DECIMALS = 9 };

struct date_time {
    int year, month, day, hour, minute, second;
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads exactly @n digits and, unless @after is NUL, the separator behind them. Advances *at. */
static int take(const char **at, int n, char after, int *value)
{
    int v = 0;
    for (; n > 0; n--) {
        if (!is_digit(**at))
            return -1;
        v = v * 10 + (*(*at)++ - '0');
    }
    *value = v;
    if (after == '\0')
        return 0;
    return *(*at)++ == after ? 0 : -1;
}

/* The decimals as nanoseconds, to the end of the text. None at all is fine, a lone point is not. */
static int take_fraction(const char *at, int64_t *ns)
{
    *ns = 0;
    if (*at == '\0')
        return 0;
    if (*at++ != '.' || !is_digit(*at))
        return -1;
    for (int i = 0; i < DECIMALS; i++)
        *ns = *ns * 10 + (is_digit(*at) ? *at++ - '0' : 0);
    return *at == '\0' ? 0 : -1;
}

static int is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int is_valid(const struct date_time *t)
{
    return t->year >= YEAR_MIN && t->year <= YEAR_MAX && t->month >= 1 && t->month <= 12 && t->day >= 1 &&
           t->day <= days_in_month(t->year, t->month) && t->hour < 24 && t->minute < 60 && t->second < 60;
}

static int64_t days_since_1970(const struct date_time *t)
{
    int64_t days = t->day - 1;
    for (int year = 1970; year < t->year; year++)
        days += 365 + is_leap(year);
    for (int month = 1; month < t->month; month++)
        days += days_in_month(t->year, month);
    return days;
}

int timestamp_parse(const char *text, int64_t *ns)
{
    struct date_time t;
    int64_t fraction;
    const char *at = text;
    if (take(&at, 4, '-', &t.year) != 0 || take(&at, 2, '-', &t.month) != 0 || take(&at, 2, ' ', &t.day) != 0 ||
        take(&at, 2, ':', &t.hour) != 0 || take(&at, 2, ':', &t.minute) != 0 || take(&at, 2, '\0', &t.second) != 0 ||
        take_fraction(at, &fraction) != 0 || !is_valid(&t))
        return -1;
    const int64_t seconds = days_since_1970(&t) * 86400 + t.hour * 3600 + t.minute * 60 + t.second;
    *ns = seconds * 1000000000 + fraction;
    return 0;
}
