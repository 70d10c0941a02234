/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long random lives of series, against a model that knows where every single recording has to be.
 *
 * One thread makes, records into, releases, forgets, removes and lets idle; limits move. The model is the contract of
 * kymo/guard.h in a few lines: which label sets have a series of their own, with which value; what the overflow series
 * has and how much of it was dropped; which ends are told, with which values, in which call. After every few steps the
 * whole registry is compared with it. A seed is printed with each difference.
 */
#include "guarded.h"

#define IDLE (10 * SECOND)
enum { SETS = 40, PARTS = 4, N_F = 3 };

static const struct {
    enum any_kind kind;
    enum kymo_after_end after_end;
    int64_t idle_ns;
} sorts[N_F] = {
    {ANY_WHOLE, KYMO_REVIVE, 0},
    {ANY_CLASSIC, KYMO_TO_OVERFLOW, 0},
    {ANY_FRACTION, KYMO_REVIVE, IDLE},
};

/* A label set. */
struct set {
    int alive;
    double n; /* recordings into the series that lives */
    void *handle;
    unsigned pins;
    int looked; /* an upkeep has seen it, */
    double noted;
    int64_t changed_ns; /* and when it saw it change last */
};

struct family {
    struct any any;
    struct kymo_guard guard;
    struct set sets[SETS];
    unsigned n_alive;
    double other, dropped;
};

static struct {
    struct lab lab;
    struct family f[N_F];
    unsigned n_alive, budget;
    uint64_t seed, step;
    size_t told; /* ends that were compared */
} m;

/* Of all lives: how much of each happened. */
static struct {
    uint64_t ends, back, dropped;
} seen_all;

#define EXPECT_AT(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ": ", m.seed, m.step);                                   \
        EXPECT(condition, __VA_ARGS__);                                                                                \
    } while (0)

struct two_labels {
    char i[32], part[32];
    const char *values[2];
};

static void labels_of(struct two_labels *l, unsigned i)
{
    l->values[0] = numbered(l->i, "s", i);
    l->values[1] = numbered(l->part, "p", i % PARTS);
}

/* ---- the model ---- */

static int has_room(const struct family *f)
{
    return f->n_alive < f->guard.max_series && m.n_alive < m.budget;
}

static void comes_to_life(struct family *f, struct set *s)
{
    s->alive = 1;
    s->n = 0;
    s->looked = 0;
    f->n_alive++;
    m.n_alive++;
}

/* By labels, or through a handle of this label set. */
static void records(struct family *f, struct set *s, double n, int by_handle)
{
    if (!s->alive && (!by_handle || f->guard.after_end == KYMO_REVIVE) && has_room(f)) {
        comes_to_life(f, s);
        seen_all.back += (uint64_t)by_handle;
    }
    if (s->alive) {
        s->n += n;
    } else {
        f->other += n;
        f->dropped += n;
    }
}

/* The next end that was told has to be this one. Ends of one call may be told in any order. */
static void must_be_told(const struct family *f, unsigned i, size_t from)
{
    struct two_labels l;
    char values[80];
    double want = any_amount(f->any.kind, f->sets[i].n);
    labels_of(&l, i);
    (void)snprintf(values, sizeof(values), "%s|%s", l.values[0], l.values[1]);
    for (size_t k = from; k < m.lab.ended.n; k++) {
        const struct seen *s = &m.lab.ended.all[k];
        if (strcmp(s->family, f->any.name) == 0 && strcmp(s->values, values) == 0) {
            EXPECT_AT(s->amount == want, "%s{%s} ended with %g, should be %g", f->any.name, values, s->amount, want);
            return;
        }
    }
    EXPECT_AT(0, "the end of %s{%s} was not told", f->any.name, values);
}

static void ends(struct family *f, unsigned i, size_t from)
{
    must_be_told(f, i, from);
    f->sets[i].alive = 0;
    f->n_alive--;
    m.n_alive--;
    m.told++;
}

static void all_were_told(void)
{
    EXPECT_AT(m.lab.ended.n == m.told, "%zu ends were told, should be %zu", m.lab.ended.n, m.told);
    m.told = m.lab.ended.n;
}

/* A scrape, visit or sweep looks at all. */
static void model_looks(size_t from)
{
    for (int k = 0; k < N_F; k++)
        for (unsigned i = 0; i < SETS; i++) {
            struct set *s = &m.f[k].sets[i];
            if (!s->alive || m.f[k].guard.idle_ns == 0)
                continue;
            if (!s->looked || s->noted != s->n) {
                s->noted = s->n;
                s->changed_ns = m.lab.clock.monotonic_ns;
                s->looked = 1;
            } else if (m.lab.clock.monotonic_ns - s->changed_ns >= m.f[k].guard.idle_ns) {
                ends(&m.f[k], i, from);
            }
        }
    all_were_told();
}

/* ---- comparing ---- */

static void compare_family(const struct family *f, const struct snapshot *snap)
{
    size_t n = 0;
    for (unsigned i = 0; i < SETS; i++) {
        struct two_labels l;
        char values[80];
        labels_of(&l, i);
        (void)snprintf(values, sizeof(values), "%s|%s", l.values[0], l.values[1]);
        const struct seen *s = snapshot_find(snap, f->any.name, values);
        n += s != NULL;
        EXPECT_AT((s != NULL) == f->sets[i].alive, "%s{%s} is %s", f->any.name, values,
                  s != NULL ? "on the page, and should have ended" : "not on the page");
        EXPECT_AT(s == NULL || s->amount == any_amount(f->any.kind, f->sets[i].n), "%s{%s} is %g, should be %g",
                  f->any.name, values, s->amount, any_amount(f->any.kind, f->sets[i].n));
    }
    const struct seen *other = snapshot_find(snap, f->any.name, OTHER "|" OTHER);
    EXPECT_AT((other != NULL ? other->amount : 0) == any_amount(f->any.kind, f->other),
              "the overflow of %s is %g, not %g", f->any.name, other != NULL ? other->amount : 0,
              any_amount(f->any.kind, f->other));
    double d = snapshot_amount(snap, "kymo_series_dropped_total", f->any.name);
    EXPECT_AT((d > 0 ? d : 0) == f->dropped, "%s dropped %g, should be %g", f->any.name, d, f->dropped);
    d = snapshot_amount(snap, "kymo_series", f->any.name);
    EXPECT_AT(d == f->n_alive, "kymo_series{%s} is %g, should be %u", f->any.name, d, f->n_alive);
    EXPECT_AT(snapshot_count(snap, f->any.name) == n + (other != NULL), "%s has other series, too", f->any.name);
}

static void compare_all(void)
{
    size_t from = m.lab.ended.n, asleep = 0, pinned = 0;
    struct snapshot snap = snapshot_of(m.lab.reg);
    model_looks(from);
    for (int k = 0; k < N_F; k++) {
        compare_family(&m.f[k], &snap);
        for (unsigned i = 0; i < SETS; i++) {
            asleep += m.f[k].sets[i].pins > 0 && !m.f[k].sets[i].alive && sorts[k].after_end == KYMO_REVIVE;
            pinned += m.f[k].sets[i].pins > 0 && !m.f[k].sets[i].alive && sorts[k].after_end == KYMO_TO_OVERFLOW;
        }
    }
    struct kymo_registry_stats stats = stats_of(m.lab.reg);
    EXPECT_AT(stats.n_asleep == asleep && stats.n_pinned == pinned, "%zu asleep, %zu pinned, should be %zu and %zu",
              stats.n_asleep, stats.n_pinned, asleep, pinned);
    EXPECT_AT(stats.n_ended == m.told, "n_ended is %zu, should be %zu", stats.n_ended, m.told);
    snapshot_free(&snap);
}

/* ---- steps ---- */

static void step_with(struct family *f, unsigned i)
{
    struct two_labels l;
    struct set *s = &f->sets[i];
    labels_of(&l, i);
    void *h = any_with(&f->any, l.values);
    EXPECT_AT(h != NULL, "no handle");
    if (!s->alive && has_room(f))
        comes_to_life(f, s);
    if (s->pins > 0 && s->alive)
        EXPECT_AT(h == s->handle, "%s{%s} has another handle while one is out", f->any.name, l.values[0]);
    if (!s->alive && h != s->handle) { /* one that leads to the overflow series */
        any_record(&f->any, h, 3);
        f->other += 3;
        f->dropped += 3;
        any_release(&f->any, h);
        return;
    }
    s->handle = h;
    s->pins++;
}

static void step_release(struct family *f, unsigned i)
{
    struct set *s = &f->sets[i];
    if (s->pins == 0)
        return;
    any_release(&f->any, s->handle);
    if (--s->pins == 0)
        s->handle = NULL;
}

static void step_record(struct family *f, unsigned i, unsigned n)
{
    struct set *s = &f->sets[i];
    if (s->pins == 0)
        return;
    for (unsigned k = 0; k < n; k++) {
        any_record_once(f->any.kind, s->handle);
        records(f, s, 1, 1);
    }
    EXPECT_AT(any_value(&f->any, s->handle) == (s->alive ? any_amount(f->any.kind, s->n) : 0),
              "%s: value %g, should be %g", f->any.name, any_value(&f->any, s->handle),
              s->alive ? any_amount(f->any.kind, s->n) : 0);
}

static void step_record_labels(struct family *f, unsigned i, unsigned n)
{
    struct two_labels l;
    labels_of(&l, i);
    any_record_labels(&f->any, l.values, n);
    for (unsigned k = 0; k < n; k++)
        records(f, &f->sets[i], 1, 0);
}

static void step_forget(struct family *f, unsigned i)
{
    struct two_labels l;
    size_t from = m.lab.ended.n;
    labels_of(&l, i);
    int r = kymo_registry_forget(m.lab.reg, f->any.name, l.values, 2), want = f->sets[i].alive ? 0 : KYMO_ENOENT;
    EXPECT_AT(r == want, "forget gave %s, should be %s", kymo_error_name(r), kymo_error_name(want));
    if (f->sets[i].alive)
        ends(f, i, from);
    all_were_told();
}

/* All that have a part in common, in one family or in all. */
static void step_remove(struct family *f, unsigned part)
{
    struct two_labels l;
    size_t from = m.lab.ended.n, removed = 0, want = 0;
    labels_of(&l, part);
    const struct kymo_label match = {"b", l.values[1]};
    CHECK_INT(kymo_registry_remove(m.lab.reg, f != NULL ? f->any.name : NULL, &match, 1, &removed), 0);
    for (int k = 0; k < N_F; k++)
        for (unsigned i = part; i < SETS && (f == NULL || f == &m.f[k]); i += PARTS)
            if (m.f[k].sets[i].alive) {
                ends(&m.f[k], i, from);
                want++;
            }
    EXPECT_AT(removed == want, "%zu removed, should be %zu", removed, want);
    all_were_told();
}

static int more_than(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    return seen_amount(family->kind, point) > *(const double *)ctx;
}

static void step_remove_if(struct family *f, double n)
{
    size_t from = m.lab.ended.n, removed = 0, want = 0;
    double limit = any_amount(f->any.kind, n);
    CHECK_INT(kymo_registry_remove_if(m.lab.reg, f->any.name, more_than, &limit, &removed), 0);
    for (unsigned i = 0; i < SETS; i++)
        if (f->sets[i].alive && f->sets[i].n > n) {
            ends(f, i, from);
            want++;
        }
    EXPECT_AT(removed == want, "%zu removed, should be %zu", removed, want);
    all_were_told();
}

static void step_limits(struct family *f, uint64_t r)
{
    if (r % 3 == 0) {
        m.budget = 5 + (unsigned)(r >> 8) % 110;
        CHECK_INT(kymo_registry_set_max_series(m.lab.reg, m.budget), 0);
    } else {
        f->guard.max_series = 1 + (uint32_t)(r >> 8) % (SETS + 5);
        CHECK_INT(kymo_registry_set_guard(m.lab.reg, f->any.name, &f->guard), 0);
    }
}

static void step_sweep(void)
{
    size_t from = m.lab.ended.n;
    CHECK_INT(kymo_registry_sweep(m.lab.reg, 0), 0);
    model_looks(from);
}

static void step(uint64_t r)
{
    struct family *f = &m.f[r % N_F];
    unsigned i = (unsigned)(r >> 8) % SETS;
    switch (r >> 16 & 31) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_with(f, i);
        break;
    case 4:
    case 5:
    case 6:
        step_release(f, i);
        break;
    case 7:
    case 8:
    case 9:
        step_forget(f, i);
        break;
    case 10:
        step_remove(r >> 32 & 1 ? f : NULL, i % PARTS);
        break;
    case 11:
        step_remove_if(f, (double)(2 + (r >> 32) % 9));
        break;
    case 12:
        step_limits(f, r >> 24);
        break;
    case 13:
    case 14:
        lab_tick(&m.lab, (int64_t)(r >> 32) % (IDLE / 2));
        step_sweep();
        break;
    case 15:
        compare_all();
        break;
    case 16:
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
    case 22:
        step_record(f, i, 1 + (unsigned)(r >> 32) % 3);
        break;
    default:
        step_record_labels(f, i, 1 + (unsigned)(r >> 32) % 3);
    }
}

static void life_of_seed(uint64_t seed, uint64_t n_steps)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 60};
    int before = test_failures;
    memset(&m, 0, sizeof(m));
    m.seed = seed;
    m.budget = 60;
    lab_new(&m.lab, &o);
    for (int k = 0; k < N_F; k++) {
        m.f[k].guard = (struct kymo_guard){
            .policy = KYMO_GUARD_LIMIT, .max_series = 30, .after_end = sorts[k].after_end, .idle_ns = sorts[k].idle_ns};
        m.f[k].any = any_new(m.lab.reg, sorts[k].kind, 2, &m.f[k].guard);
    }
    for (m.step = 0; m.step < n_steps && test_failures == before; m.step++)
        step(random_next(&state));
    if (test_failures == before)
        compare_all();
    seen_all.ends += m.told;
    for (int k = 0; k < N_F; k++)
        seen_all.dropped += (uint64_t)m.f[k].dropped;
    for (int k = 0; k < N_F; k++)
        for (unsigned i = 0; i < SETS; i++)
            while (m.f[k].sets[i].pins > 0)
                step_release(&m.f[k], i);
    lab_end(&m.lab);
}

static void random_lives_are_as_the_model_says(void)
{
    uint64_t n = test_long() ? 2000 : 60;
    for (uint64_t seed = 1; seed <= n; seed++)
        life_of_seed(seed, 2000);
    printf("life model: %" PRIu64 " lives of 2000 steps: %" PRIu64 " ends, %" PRIu64 " came back by a handle, %" PRIu64
           " recordings dropped\n",
           n, seen_all.ends, seen_all.back, seen_all.dropped);
    EXPECT(seen_all.ends > 100 * n && seen_all.back > 10 * n && seen_all.dropped > 100 * n, "too little happened");
}

/* ---- the heaviest ---- */

enum { TOP_MOST = 6 };

static struct {
    struct any f;
    struct kymo_guard guard;
    void *handles[SETS]; /* or NULL */
    double recorded;     /* since the last visit */
    struct snapshot last;
    size_t told; /* ends at the last visit */
} top;

static const struct seen *same_series(const struct snapshot *snap, const struct seen *s)
{
    for (size_t i = 0; i < snap->n; i++)
        if (snap->all[i].id == s->id && snap->all[i].generation == s->generation &&
            strcmp(snap->all[i].family, s->family) == 0)
            return &snap->all[i];
    return NULL;
}

/* What it grew by since the last visit, which it must have been in if it has a value at all; or it is the overflow. */
static double top_growth(const struct seen *s, int ended)
{
    const struct seen *was = same_series(&top.last, s);
    if (strcmp(s->family, top.f.name) != 0)
        return 0;
    EXPECT_AT(was != NULL || s->amount == 0 || strcmp(s->values, OTHER "|" OTHER) == 0,
              "%s{%s} %s with %g and was never shown at 0", s->family, s->values,
              ended ? "ended" : "is new on the page", s->amount);
    EXPECT_AT(was == NULL || s->amount >= was->amount, "%s{%s} went back from %g to %g", s->family, s->values,
              was != NULL ? was->amount : 0, s->amount);
    return s->amount - (was != NULL ? was->amount : 0);
}

static void top_visit(void)
{
    struct snapshot now = snapshot_of(m.lab.reg);
    double grown = 0;
    for (size_t i = 0; i < now.n; i++)
        grown += top_growth(&now.all[i], 0);
    for (; top.told < m.lab.ended.n; top.told++)
        grown += top_growth(&m.lab.ended.all[top.told], 1);
    EXPECT_AT(grown == any_amount(top.f.kind, top.recorded), "grew by %g, recorded %g", grown,
              any_amount(top.f.kind, top.recorded));
    EXPECT_AT(snapshot_count(&now, top.f.name) <= 2 * TOP_MOST + 1, "%zu series for a top of at most %d",
              snapshot_count(&now, top.f.name), TOP_MOST);
    snapshot_free(&top.last);
    top.last = now;
    top.recorded = 0;
}

static void top_hold(unsigned i)
{
    struct two_labels l;
    labels_of(&l, i);
    if (top.handles[i] != NULL)
        any_release(&top.f, top.handles[i]);
    top.handles[i] = top.handles[i] != NULL ? NULL : any_with(&top.f, l.values);
}

static void top_end(unsigned i, int all)
{
    struct two_labels l;
    labels_of(&l, i);
    const struct kymo_label match = {"b", l.values[1]};
    int r = all ? kymo_registry_remove(m.lab.reg, top.f.name, &match, 1, NULL)
                : kymo_registry_forget(m.lab.reg, top.f.name, l.values, 2);
    EXPECT_AT(r == 0 || (!all && r == KYMO_ENOENT), "ending gave %s", kymo_error_name(r));
}

/* A page that is given up after a few bytes has shown nothing. */
static void top_half_a_page(void)
{
    struct kymo_scrape *scrape;
    char buf[64];
    size_t n;
    CHECK_INT(kymo_scrape_new(m.lab.reg, NULL, &scrape), 0);
    CHECK_INT(kymo_scrape_read(scrape, buf, sizeof(buf), &n), 0);
    kymo_scrape_free(scrape);
}

static void top_limits(uint64_t r)
{
    top.guard.max_series = 1 + (uint32_t)r % TOP_MOST;
    top.guard.linger_ms = 1 + (uint32_t)(r >> 8) % 20000;
    top.guard.after_end = r >> 40 & 1 ? KYMO_REVIVE : KYMO_TO_OVERFLOW;
    top.guard.idle_ns = r >> 41 & 1 ? 0 : 5 * IDLE;
    CHECK_INT(kymo_registry_set_guard(m.lab.reg, top.f.name, &top.guard), 0);
}

static void top_step(uint64_t r)
{
    struct two_labels l;
    unsigned i = (unsigned)(r >> 8) % SETS, n = 1 + (unsigned)(r >> 32) % (i % 7 == 0 ? 60 : 3);
    labels_of(&l, i);
    switch (r & 15) {
    case 0:
        top_hold(i);
        break;
    case 1:
        if (r >> 60 == 0)
            top_end(i, r >> 59 & 1);
        break;
    case 2:
        lab_tick(&m.lab, (int64_t)(r >> 16) % IDLE);
        top_visit();
        break;
    case 3:
        top_half_a_page();
        break;
    case 4:
        CHECK_INT(kymo_registry_sweep(m.lab.reg, 0), 0);
        break;
    case 5:
        if (r >> 59 == 0)
            top_limits(r >> 16);
        break;
    default:
        if (top.handles[i] != NULL && (r >> 58 & 1))
            any_record(&top.f, top.handles[i], n);
        else
            any_record_labels(&top.f, l.values, n);
        top.recorded += n;
    }
}

static void top_of_seed(uint64_t seed, uint64_t n_steps)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    static const enum any_kind kinds[] = {ANY_WHOLE, ANY_CLASSIC, ANY_FRACTION, ANY_BOTH};
    int before = test_failures;
    memset(&m, 0, sizeof(m));
    memset(&top, 0, sizeof(top));
    m.seed = seed;
    lab_new(&m.lab, NULL);
    top.guard = (struct kymo_guard){.policy = KYMO_GUARD_TOP, .max_series = TOP_MOST, .linger_ms = 15000};
    top.f = any_new(m.lab.reg, kinds[seed % 4], 2, &top.guard);
    for (m.step = 0; m.step < n_steps && test_failures == before; m.step++)
        top_step(random_next(&state));
    if (test_failures == before)
        top_visit();
    seen_all.ends += m.lab.ended.n;
    for (unsigned i = 0; i < SETS; i++)
        any_release(&top.f, top.handles[i]);
    snapshot_free(&top.last);
    lab_end(&m.lab);
}

/* Whatever happens: no increment that a server would not see, and none twice. */
static void random_tops_show_every_increment(void)
{
    uint64_t n = test_long() ? 2000 : 60;
    seen_all.ends = 0;
    for (uint64_t seed = 1; seed <= n; seed++)
        top_of_seed(seed, 2000);
    printf("life model: %" PRIu64 " tops of 2000 steps: %" PRIu64 " ends\n", n, seen_all.ends);
    EXPECT(seen_all.ends > 10 * n, "too little happened");
}

TEST_MAIN(TEST(random_lives_are_as_the_model_says), TEST(random_tops_show_every_increment))
