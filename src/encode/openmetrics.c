/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/openmetrics.c - OpenMetrics text, version 1.0.0.
 *
 * A family is `# TYPE`, `# UNIT`, `# HELP`, then its lines (lines.h); `# EOF` closes the page. A family has its name
 * without the _total or _info that its samples have, whichever way it was registered. Whatever is reported, the page
 * must be one that strict readers take: a unit that is not the end of the family's name is left out, as is what
 * lines.h says of sums. Source: OpenMetrics 1.0.0; Prometheus on names in quotes.
 */
#include "encode/lines.h"

#include "base/escape.h"
#include "encode/names.h"
#include "encode/spell.h"

static const char *const kind_words[] = {
    [KYMO_COUNTER] = "counter",     [KYMO_GAUGE] = "gauge",
    [KYMO_HISTOGRAM] = "histogram", [KYMO_INFO] = "info",
    [KYMO_STATESET] = "stateset",   [KYMO_SUMMARY] = "summary",
    [KYMO_UNKNOWN] = "unknown",     [KYMO_GAUGE_HISTOGRAM] = "gaugehistogram",
};

static size_t header_size(const struct kymo_page *page, const struct kymo_family *family)
{
    const char *help = family->desc->help, *unit = family->desc->unit;
    size_t size = sizeof("# TYPE  gaugehistogram\n# UNIT  \n# HELP  \n") + 3 * kymo__family_name_size(page, family);
    size += unit == NULL ? 0 : strlen(unit);
    return size + (help == NULL ? 0 : kymo__escape_label_size(help, strlen(help)));
}

/* @name is the family's as it stands on the page: that is what readers hold the unit against. */
static int unit_is_due(const struct kymo_family *family, const char *name, size_t name_len)
{
    const char *unit = family->desc->unit;
    size_t n = unit == NULL ? 0 : strlen(unit);
    if (n == 0 || family->kind == KYMO_INFO || family->kind == KYMO_STATESET)
        return 0;
    if (name[name_len - 1] == '"')
        name_len--;
    if (name_len < n + 2 || name[name_len - n - 1] != '_' || memcmp(name + name_len - n, unit, n) != 0)
        return 0;
    return !family->utf8 || kymo__name_plain(unit, n);
}

static char *put_comment(char *at, const char *keyword, const char *name, size_t name_len)
{
    at = kymo__put_string(at, keyword);
    at = kymo__put_exact(at, name, name_len);
    *at++ = ' ';
    return at;
}

static char *put_header(char *at, const struct kymo_page *page, const struct kymo_family *family)
{
    const char *help = family->desc->help;
    at = kymo__put_string(at, "# TYPE ");
    const char *name = at;
    at = kymo__family_name_put(at, page, family, kymo__name_cut(family));
    size_t n = (size_t)(at - name);
    *at++ = ' ';
    at = kymo__put_string(at, kind_words[family->kind]);
    *at++ = '\n';
    if (unit_is_due(family, name, n)) {
        at = kymo__put_string(put_comment(at, "# UNIT ", name, n), family->desc->unit);
        *at++ = '\n';
    }
    if (help != NULL && help[0] != '\0') {
        /* Unlike the older format, this one escapes quotes here: as in a label value. */
        at = kymo__escape_label(put_comment(at, "# HELP ", name, n), help, strlen(help));
        *at++ = '\n';
    }
    return at;
}

static const struct kymo__header header = {header_size, put_header};

static int sample(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    if (page->fresh)
        return kymo__lines_begin(page, family, point, KYMO__OPENMETRICS, &header);
    return kymo__lines_put(page, family, point, KYMO__OPENMETRICS);
}

static int finish(struct kymo_page *page)
{
    static const char eof[] = "# EOF\n";
    if ((size_t)(page->end - page->at) < sizeof eof - 1)
        return KYMO_EAGAIN;
    page->at = kymo__put_exact(page->at, eof, sizeof eof - 1);
    return 0;
}

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

extern const struct kymo_encoder kymo__encoder_openmetrics;
extern const struct kymo_format kymo__format_openmetrics;
const struct kymo_encoder kymo__encoder_openmetrics = {
    .size = sizeof(struct kymo_encoder),
    .name = "openmetrics",
    .content_type = CONTENT_TYPE,
    .sample = sample,
    .finish = finish,
};
const struct kymo_format kymo__format_openmetrics = {
    .size = sizeof(struct kymo_format),
    .encoder = &kymo__encoder_openmetrics,
    .content_type = CONTENT_TYPE,
};
