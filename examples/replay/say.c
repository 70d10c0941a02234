/* SPDX-License-Identifier: Apache-2.0 */
/* say.c - see say.h. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static void print_line(FILE *to, const char *format, va_list args)
{
    fputs("replay: ", to);
    vfprintf(to, format, args);
    fputc('\n', to);
    fflush(to); /* stdout may be a pipe, and its reader waits for the address */
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(stdout, format, args);
    va_end(args);
}

int complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(stderr, format, args);
    va_end(args);
    return -1;
}
