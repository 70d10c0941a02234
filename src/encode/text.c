/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/text.c - the Prometheus text format, version 0.0.4.
 *
 * A family is `# HELP`, `# TYPE`, then its lines (lines.h); a counter is queried under its full name, with
 * _total; a family without samples does not appear, since its header goes with its first sample. The format knows five
 * kinds: the others appear as the one whose lines theirs are. Source: Prometheus exposition formats, "Text-based
 * format".
 */
#include "encode/lines.h"

#include "base/escape.h"
#include "encode/spell.h"

static const char *const kind_words[] = {
    [KYMO_COUNTER] = "counter",     [KYMO_GAUGE] = "gauge",
    [KYMO_HISTOGRAM] = "histogram", [KYMO_INFO] = "gauge",
    [KYMO_STATESET] = "gauge",      [KYMO_SUMMARY] = "summary",
    [KYMO_UNKNOWN] = "untyped",     [KYMO_GAUGE_HISTOGRAM] = "histogram",
};

static size_t header_size(const struct kymo_page *page, const struct kymo_family *family)
{
    const char *help = family->desc->help;
    size_t help_size = help == NULL ? 0 : kymo__escape_help_size(help, strlen(help));
    return sizeof("# HELP  \n# TYPE  histogram\n") + 2 * kymo__family_name_size(page, family) + help_size;
}

static char *put_header(char *at, const struct kymo_page *page, const struct kymo_family *family)
{
    const char *help = family->desc->help;
    if (help != NULL && help[0] != '\0') {
        at = kymo__put_string(at, "# HELP ");
        at = kymo__family_name_put(at, page, family, 0);
        *at++ = ' ';
        at = kymo__escape_help(at, help, strlen(help));
        *at++ = '\n';
    }
    at = kymo__put_string(at, "# TYPE ");
    at = kymo__family_name_put(at, page, family, 0);
    *at++ = ' ';
    at = kymo__put_string(at, kind_words[family->kind]);
    *at++ = '\n';
    return at;
}

static const struct kymo__header header = {header_size, put_header};

static int sample(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    if (page->fresh)
        return kymo__lines_begin(page, family, point, KYMO__TEXT, &header);
    return kymo__lines_put(page, family, point, KYMO__TEXT);
}

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

extern const struct kymo_encoder kymo__encoder_text;
extern const struct kymo_format kymo__format_text;
const struct kymo_encoder kymo__encoder_text = {
    .size = sizeof(struct kymo_encoder),
    .name = "text",
    .content_type = CONTENT_TYPE,
    .sample = sample,
    .finish = NULL,
};
const struct kymo_format kymo__format_text = {
    .size = sizeof(struct kymo_format),
    .encoder = &kymo__encoder_text,
    .content_type = CONTENT_TYPE,
};
