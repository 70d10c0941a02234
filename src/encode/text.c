/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/text.c - the Prometheus text format, version 0.0.4.
 *
 * A family is `# HELP`, `# TYPE`, then its lines (lines.h); a counter is queried under its full name, with
 * _total; a family without samples does not appear, since its header goes with its first sample. Source:
 * Prometheus exposition formats, "Text-based format".
 */
#include "encode/lines.h"

#include "base/escape.h"

static const char *kind_word(enum kymo_kind kind)
{
    return kind == KYMO_COUNTER ? "counter" : kind == KYMO_GAUGE ? "gauge" : "histogram";
}

static size_t header_size(const struct kymo_family *family)
{
    const char *help = family->desc->help;
    size_t help_size = help == NULL ? 0 : kymo__escape_help_size(help, strlen(help));
    return sizeof("# HELP  \n# TYPE  histogram\n") + 2 * family->name_len + help_size;
}

static char *put_string(char *at, const char *s)
{
    return kymo__put_exact(at, s, strlen(s));
}

static char *put_header(char *at, const struct kymo_family *family)
{
    const char *help = family->desc->help;
    if (help != NULL && help[0] != '\0') {
        at = put_string(at, "# HELP ");
        at = kymo__put_exact(at, family->name, family->name_len);
        *at++ = ' ';
        at = kymo__escape_help(at, help, strlen(help));
        *at++ = '\n';
    }
    at = put_string(at, "# TYPE ");
    at = kymo__put_exact(at, family->name, family->name_len);
    *at++ = ' ';
    at = put_string(at, kind_word(family->kind));
    *at++ = '\n';
    return at;
}

static int begin(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    if (header_size(family) + kymo__lines_size(family, point) > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    page->at = put_header(page->at, family);
    page->fresh = 0;
    return kymo__lines_put(page, family, point);
}

static int sample(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    if (page->fresh)
        return begin(page, family, point);
    return kymo__lines_put(page, family, point);
}

extern const struct kymo_encoder kymo__encoder_text;
const struct kymo_encoder kymo__encoder_text = {
    .size = sizeof(struct kymo_encoder),
    .name = "text",
    .content_type = "text/plain; version=0.0.4; charset=utf-8",
    .sample = sample,
    .finish = NULL,
};
