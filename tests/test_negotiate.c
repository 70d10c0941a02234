/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_negotiate.c - what each request gets: format, names, content type, compression.
 *
 * How: one row a request. The first rows are what released servers send, byte for byte; then one row for each rule of
 * order, weight, wildcard and version, and headers that are none. A format that this build does not have would give
 * other answers: then the test says so and skips those rows.
 */
#include <kymo/kymo.h>

#include "test.h"

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define OM0 "application/openmetrics-text; version=0.0.1; charset=utf-8"
#define OM1 "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define PROTO "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

#define ASK_PROTO "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
#define ASK_OM1 "application/openmetrics-text;version=1.0.0"
#define ASK_OM0 "application/openmetrics-text;version=0.0.1"
#define UTF8 ";escaping=allow-utf-8"

struct row {
    const char *accept, *encoding;
    const char *encoder;
    enum kymo_escaping escaping;
    const char *content_type;
    int gzip;
};

/* ROW: names were not spoken of; NAMES: they were; CODING: of compression alone. */
#define ROW(accept, encoder, content_type)                                                                             \
    {                                                                                                                  \
        accept, NULL, encoder, KYMO_ESCAPE_UNDERSCORES, content_type, 0                                                \
    }
#define NAMES(accept, encoder, escaping, content_type, said)                                                           \
    {                                                                                                                  \
        accept, NULL, encoder, escaping, content_type "; escaping=" said, 0                                            \
    }
#define CODING(encoding, gzip)                                                                                         \
    {                                                                                                                  \
        NULL, encoding, "text", KYMO_ESCAPE_UNDERSCORES, TEXT, gzip                                                    \
    }

static const struct row servers[] = {
    /* 2.42 to 2.48; with native histograms */
    {ASK_OM1 "," ASK_OM0 ";q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "gzip", "openmetrics",
     KYMO_ESCAPE_UNDERSCORES, OM1, 1},
    {ASK_PROTO "," ASK_OM1 ";q=0.8," ASK_OM0 ";q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "gzip", "protobuf",
     KYMO_ESCAPE_UNDERSCORES, PROTO, 1},
    /* 2.53, and 2.49 with the weight that cannot be */
    {ASK_OM1 ";q=0.5," ASK_OM0 ";q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", "gzip", "openmetrics",
     KYMO_ESCAPE_UNDERSCORES, OM1, 1},
    {ASK_OM1 ";q=0.5," ASK_OM0 ";q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=2", "gzip", "openmetrics",
     KYMO_ESCAPE_UNDERSCORES, OM1, 1},
    /* 3.5; with native histograms; without compression */
    {ASK_OM1 UTF8 ";q=0.6," ASK_OM0 ";q=0.5,text/plain;version=1.0.0" UTF8
                  ";q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     "gzip", "openmetrics", KYMO_ALLOW_UTF8, OM1 "; escaping=allow-utf-8", 1},
    {ASK_PROTO ";q=0.6," ASK_OM1 UTF8 ";q=0.5," ASK_OM0 ";q=0.4,text/plain;version=1.0.0" UTF8
               ";q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
     "gzip", "protobuf", KYMO_ESCAPE_UNDERSCORES, PROTO, 1},
    {ASK_OM1 UTF8 ";q=0.6," ASK_OM0 ";q=0.5,text/plain;version=1.0.0" UTF8
                  ";q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     "identity", "openmetrics", KYMO_ALLOW_UTF8, OM1 "; escaping=allow-utf-8", 0},
    /* 3.0: names in every entry */
    {ASK_PROTO UTF8 ";q=0.6," ASK_OM1 UTF8 ";q=0.5," ASK_OM0 UTF8 ";q=0.4,text/plain;version=0.0.4" UTF8
                    ";q=0.3,*/*;q=0.2",
     "gzip", "protobuf", KYMO_ALLOW_UTF8, PROTO "; escaping=allow-utf-8", 1},
    /* 3.x where only text was configured; the old and the new one the other way round */
    {"text/plain;version=1.0.0" UTF8 ";q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4", "gzip", "text", KYMO_ALLOW_UTF8,
     TEXT "; escaping=allow-utf-8", 1},
    {"text/plain;version=0.0.4;q=0.6,text/plain;version=1.0.0" UTF8 ";q=0.5,*/*;q=0.4", "gzip", "text",
     KYMO_ESCAPE_UNDERSCORES, TEXT, 1},
    {"text/plain;version=0.0.4;q=0.6,*/*;q=0.5", "gzip", "text", KYMO_ESCAPE_UNDERSCORES, TEXT, 1},
    {ASK_OM0 ";q=0.6,*/*;q=0.5", "gzip", "openmetrics", KYMO_ESCAPE_UNDERSCORES, OM0, 1},
    /* a browser, curl, wget */
    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "gzip, deflate, br, zstd",
     "text", KYMO_ESCAPE_UNDERSCORES, TEXT, 1},
    {"*/*", NULL, "text", KYMO_ESCAPE_UNDERSCORES, TEXT, 0},
    {"*/*", "identity", "text", KYMO_ESCAPE_UNDERSCORES, TEXT, 0},
};

static const struct row rules[] = {
    ROW(NULL, "text", TEXT),
    ROW("", "text", TEXT),
    ROW("text/plain", "text", TEXT),
    ROW("text/*", "text", TEXT),
    ROW("*", "text", TEXT),
    ROW("application/json", "text", TEXT),
    ROW("text/plain;version=0.0.4", "text", TEXT),
    ROW("text/plain;version=1.0.0", "text", TEXT),
    ROW("text/plain;version=0.0.3," ASK_OM1 ";q=0.1", "openmetrics", OM1),
    ROW("text/plain;version=1.0.0," ASK_OM1 ";q=0.1", "openmetrics", OM1),
    ROW("application/openmetrics-text", "openmetrics", OM0),
    ROW("application/openmetrics-text;version=", "openmetrics", OM0),
    ROW("application/openmetrics-text;version=2.0.0", "text", TEXT),
    ROW("application/openmetrics-text;version=2.0.0," ASK_OM0 ";q=0.1", "openmetrics", OM0),
    ROW("application/openmetrics-text;version=1.0", "text", TEXT),
    ROW("application/openmetrics-text;version=\"1.0.0\"", "text", TEXT),
    ROW("Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5 , text/plain;q=0.4", "openmetrics", OM1),
    ROW("\tapplication/openmetrics-text\t;\tversion\t=\t1.0.0\t", "openmetrics", OM1),
    ROW(ASK_PROTO, "protobuf", PROTO),
    ROW("application/vnd.google.protobuf", "text", TEXT),
    ROW("application/vnd.google.protobuf;encoding=delimited", "text", TEXT),
    ROW("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", "text", TEXT),
    ROW("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", "text", TEXT),
    ROW("application/vnd.google.protobuf;proto=io.prometheus.client.metricfamily;encoding=delimited", "text", TEXT),
    ROW("application/vnd.google.protobuf; encoding=delimited; charset=x; proto=io.prometheus.client.MetricFamily",
        "protobuf", PROTO),
    /* order and weight */
    ROW("text/plain," ASK_OM1, "text", TEXT),
    ROW(ASK_OM1 ",text/plain", "openmetrics", OM1),
    ROW("text/plain;q=0.4," ASK_OM1 ";q=0.5", "openmetrics", OM1),
    ROW("text/plain;q=0.5," ASK_OM1 ";q=0.5", "text", TEXT),
    ROW("text/plain;q=0.50000000," ASK_OM1 ";q=0.500000001", "openmetrics", OM1),
    ROW("text/plain;q=.4," ASK_OM1 ";q=.5", "openmetrics", OM1),
    ROW("text/plain;q=0.," ASK_OM1 ";q=0.0000000000000001", "openmetrics", OM1),
    ROW("*/*;q=1.0," ASK_OM1 ";q=0.001", "openmetrics", OM1),
    ROW("text/*," ASK_OM1 ";q=0.1", "openmetrics", OM1),
    ROW(ASK_OM1 ";q=0,text/plain;q=0.1", "text", TEXT),
    ROW(ASK_OM1 ";q=0.000", "text", TEXT),
    ROW(ASK_OM1 ";q=0", "text", TEXT),
    ROW("text/plain;q=0", "text", TEXT), /* never "not acceptable" */
    ROW("text/plain;q=0.9," ASK_OM1 ";q=high", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=.", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=-1", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=0.1.1", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=0,1", "text", TEXT), /* two entries: 0, and one named 1 */
    ROW("text/plain;q=0.9," ASK_OM1 ";q=1e-3", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=7", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=100000000000000000000000000000000000", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=0.1;q=1", "openmetrics", OM1),
    ROW("text/plain;q=0.9," ASK_OM1 ";q=1;q=0.1", "text", TEXT),
    ROW("text/plain;q=1.5," ASK_OM1 ";q=1", "text", TEXT),
    /* names */
    NAMES("text/plain" UTF8, "text", KYMO_ALLOW_UTF8, TEXT, "allow-utf-8"),
    NAMES("text/plain; escaping=underscores", "text", KYMO_ESCAPE_UNDERSCORES, TEXT, "underscores"),
    NAMES("text/plain; escaping = dots", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES(ASK_OM1 ";ESCAPING=values", "openmetrics", KYMO_ESCAPE_VALUES, OM1, "values"),
    NAMES(ASK_OM0 ";escaping=values", "openmetrics", KYMO_ESCAPE_VALUES, OM0, "values"),
    NAMES(ASK_PROTO ";escaping=dots", "protobuf", KYMO_ESCAPE_DOTS, PROTO, "dots"),
    ROW("text/plain;escaping=Dots", "text", TEXT),
    ROW("text/plain;escaping=none", "text", TEXT),
    ROW("text/plain;escaping=", "text", TEXT),
    ROW("text/plain;escaping=dots;escaping=none", "text", TEXT),
    NAMES("a/b;escaping=values,text/plain", "text", KYMO_ESCAPE_VALUES, TEXT, "values"),
    NAMES("a/b;escaping=values;q=0.1,text/plain;escaping=dots", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("a/b;escaping=values,text/plain;escaping=nonsense", "text", KYMO_ESCAPE_VALUES, TEXT, "values"),
    NAMES("a/b;escaping=values,c/d;escaping=dots,text/plain", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("a/b;escaping=values;q=0.5,c/d;escaping=dots,text/plain;q=0.1", "text", KYMO_ESCAPE_VALUES, TEXT, "values"),
    ROW("text/plain,a/b;escaping=values", "text", TEXT),
    ROW("a/b;escaping=values;q=0,text/plain", "text", TEXT),
    ROW("escaping=values;escaping=values,text/plain", "text", TEXT),
    NAMES("a/b;escaping=values,*/*", "text", KYMO_ESCAPE_VALUES, TEXT, "values"),
    NAMES("a/b;escaping=values,*/*;escaping=dots", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("text/*;escaping=dots,*/*;escaping=values", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("application/*;escaping=dots,*/*;q=0.1", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("*/*;escaping=dots;q=0.1,a/b;escaping=values;q=0.01", "text", KYMO_ESCAPE_DOTS, TEXT, "dots"),
    NAMES("a/b;escaping=values", "text", KYMO_ESCAPE_VALUES, TEXT, "values"),
    ROW("a/b;escaping=values," ASK_OM1, "openmetrics", OM1), /* says itself what it wants */
    NAMES("a/b;escaping=values," ASK_OM0, "openmetrics", KYMO_ESCAPE_VALUES, OM0, "values"),
    NAMES("a/b;escaping=values," ASK_PROTO, "protobuf", KYMO_ESCAPE_VALUES, PROTO, "values"),
    /* no header at all */
    ROW(",", "text", TEXT),
    ROW(",,, ,;,", "text", TEXT),
    ROW(";;;", "text", TEXT),
    ROW(";q=0.5", "text", TEXT),
    ROW("=", "text", TEXT),
    ROW("/", "text", TEXT),
    ROW("text/plain/", "text", TEXT),
    ROW(",," ASK_OM1 ",,", "openmetrics", OM1),
    ROW(";" ASK_OM1, "text", TEXT),
    ROW("application/openmetrics-text;;version=1.0.0;", "openmetrics", OM1),
    ROW("application/openmetrics-text;version=1.0.0=1", "text", TEXT),
    ROW("application/openmetrics-text version=1.0.0", "text", TEXT),
    ROW("application/openmetrics-text\n", "text", TEXT),
    ROW("\xff\xfe\x80", "text", TEXT),
    /* compression */
    CODING(NULL, 0),
    CODING("", 0),
    CODING("gzip", 1),
    CODING("GZip", 1),
    CODING(" gzip ; q=0.5 ", 1),
    CODING("gzip;q=0", 0),
    CODING("gzip;q=0.0", 0),
    CODING("gzip;q=bad", 1),
    CODING("deflate, gzip;q=1.0, *;q=0.5", 1),
    CODING("gzip,zstd", 1),
    CODING("zstd", 0),
    CODING("x-gzip", 0),
    CODING("gzipped", 0),
    CODING("*", 0), /* identity is among all */
    CODING("*;q=0", 0),
    CODING("identity", 0),
    CODING("gzip, identity", 0), /* neither is preferred */
    CODING("gzip, identity;q=0.5", 1),
    CODING("gzip;q=0.5, identity", 0),
    CODING("gzip;q=0.5, *", 0),
    CODING("gzip, *;q=0.1", 1),
    CODING("*, identity;q=0", 1),
    CODING("gzip;q=0, *", 0),
    CODING("gzip;q=0, identity;q=0", 0),
    CODING("gzip;q=0.1, gzip;q=0.9, identity;q=0.5", 1),
    CODING(",,gzip,,", 1),
    CODING(";gzip", 0),
};

static void must_answer(const struct row *row)
{
    struct kymo_format f;
    int before = test_failures;
    memset(&f, 0xff, sizeof(f));
    kymo_negotiate(row->accept, row->encoding, &f);
    CHECK_U64(f.size, sizeof(f));
    CHECK(f.encoder != NULL && f.encoder == kymo_encoder_find(row->encoder));
    CHECK_INT((int)f.escaping, (int)row->escaping);
    CHECK_STRING(f.content_type, row->content_type);
    CHECK_INT(f.gzip, row->gzip);
    CHECK(f.created == 0 && f.names == NULL && f.n_names == 0);
    if (test_failures != before)
        fprintf(stderr, "... Accept: %s, Accept-Encoding: %s\n", row->accept ? row->accept : "(none)",
                row->encoding ? row->encoding : "(none)");
}

static int build_has_all(void)
{
    static const char *const names[] = {"text", "openmetrics", "protobuf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (kymo_encoder_find(names[i]) == NULL) {
            test_skip("this build does not have all three formats, which the rows ask for");
            return 0;
        }
    return 1;
}

static void test_released_servers_get_what_they_ask_for(void)
{
    if (!build_has_all())
        return;
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        must_answer(&servers[i]);
}

static void test_each_rule_of_the_header(void)
{
    if (!build_has_all())
        return;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        must_answer(&rules[i]);
}

static void test_what_is_negotiated_can_be_written(void)
{
    struct kymo_registry *reg;
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        struct kymo_format f;
        struct kymo_scrape *s;
        char buf[64];
        size_t n;
        kymo_negotiate(servers[i].accept, NULL, &f);
        CHECK_INT(kymo_scrape_new(reg, &f, &s), 0);
        CHECK_INT(kymo_scrape_read(s, buf, sizeof(buf), &n), 0);
        CHECK(n > 0);
        kymo_scrape_free(s);
    }
    kymo_negotiate(NULL, NULL, NULL); /* nothing to fill in, nothing happens */
    kymo_registry_free(reg);
}

/* A header of a million entries, and one entry of a million parameters. */
static void test_a_very_long_header_has_an_answer(void)
{
    enum { N = 1000000 };
    static const char last[] = "," ASK_OM1 UTF8;
    char *header = malloc(N + sizeof(last));
    struct kymo_format f;
    REQUIRE(header != NULL);
    for (int round = 0; round < 4; round++) {
        memset(header, ",;=/"[round], N);
        memcpy(header + N, last, sizeof(last));
        kymo_negotiate(header, header, &f);
        CHECK_STRING(f.content_type, kymo_encoder_find("openmetrics") != NULL ? OM1 "; escaping=allow-utf-8"
                                                                              : TEXT "; escaping=allow-utf-8");
        CHECK_INT(f.gzip, 0);
    }
    free(header);
}

TEST_MAIN(TEST(test_released_servers_get_what_they_ask_for), TEST(test_each_rule_of_the_header),
          TEST(test_what_is_negotiated_can_be_written), TEST(test_a_very_long_header_has_an_answer))
