/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The property: every finite double comes back from its text bit for bit, no decimal of fewer digits does,
 * and each of the forms stays within KYMO__NUMBER_MAX bytes.
 *
 * An input is a row of doubles, eight bytes each in the machine's order; what is left over is padded with
 * zeros.
 */
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok)
        abort();
}

/*
 * Writes into memory of exactly the size promised, so that a sanitizer sees a store past it, and makes a
 * string of it.
 */
static void text_of(size_t (*format)(char *, double), double v, char text[KYMO__NUMBER_MAX + 1])
{
    char *room = malloc(KYMO__NUMBER_MAX);
    must(room != NULL);
    size_t n = format(room, v);
    must(n >= 1 && n <= KYMO__NUMBER_LEN);
    memcpy(text, room, n);
    text[n] = '\0';
    free(room);
}

/* How many digits from the first to the last that is not zero. */
static int count_digits(const char *text)
{
    int n = 0, upto = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
            continue;
        n++;
        if (*text != '0')
            upto = n;
    }
    return upto;
}

/* The nearest decimal of n digits, and the ones above and below it. */
static int some_decimal_reads_back(double v, int n)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*e", n - 1, v);
    int exp10 = atoi(strchr(text, 'e') + 1) - (n - 1);
    unsigned long long nearest = 0;
    for (const char *p = text; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9')
            nearest = nearest * 10 + (unsigned)(*p - '0');
    }
    for (int i = -1; i <= 1; i++) {
        snprintf(text, sizeof(text), "%llue%d", nearest + (unsigned long long)(long long)i, exp10);
        if (strtod(text, NULL) == v)
            return 1;
    }
    return 0;
}

static void check_reads_back(const char *text, double v)
{
    char *end;
    double back = strtod(text, &end);
    must(*end == '\0');
    must(v == 0 ? back == 0 : memcmp(&back, &v, sizeof(v)) == 0);
}

static void check(double v)
{
    char text[KYMO__NUMBER_MAX + 1], other[KYMO__NUMBER_MAX + 1];
    text_of(kymo__format_g, v, text);
    if (!isfinite(v)) {
        must(strcmp(text, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf") == 0);
        return;
    }
    check_reads_back(text, v);
    int n = count_digits(text);
    must(n <= 17 && (n > 0) == (v != 0));
    if (n > 1)
        must(!some_decimal_reads_back(fabs(v), n - 1));
    text_of(kymo__format_value, v, other);
    check_reads_back(other, v);
    text_of(kymo__format_le, v, other);
    check_reads_back(other, v);
    must(strpbrk(other, ".e") != NULL && strncmp(other, text, strlen(text)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(double)) {
        double v = 0;
        memcpy(&v, data + at, size - at < sizeof(v) ? size - at : sizeof(v));
        check(v);
    }
    return 0;
}
