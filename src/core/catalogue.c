/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/catalogue.c - what is registered and what the operator chose, as JSON.
 *
 * Families come in the order of the page. They are written into memory under the registry's lock and handed to the
 * sink without it, some at a time: a slow sink keeps nobody waiting. What is registered meanwhile is for the next
 * catalogue. Own families are never freed before the registry, collectors' not while a walk is under way.
 */
#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "core/guard.h"
#include "core/json.h"

#define CHUNK ((size_t)16 * 1024)

static const char *const kind_words[] = {
    [KYMO_COUNTER] = "counter",
    [KYMO_GAUGE] = "gauge",
    [KYMO_HISTOGRAM] = "histogram",
    [KYMO_INFO] = "info",
    [KYMO_STATESET] = "stateset",
    [KYMO_SUMMARY] = "summary",
    [KYMO_GAUGE_HISTOGRAM] = "gaugehistogram",
    [KYMO_UNKNOWN] = "unknown",
};

/* ---- a family ---- */

static void texts_write(struct kymo__json *j, const char *key, const char *const *texts, size_t n)
{
    kymo__json_open(j, key, '[');
    for (size_t i = 0; i < n; i++)
        kymo__json_text(j, NULL, texts[i]);
    kymo__json_close(j, ']');
}

static void const_labels_write(struct kymo__json *j, const struct kymo_registry *reg)
{
    kymo__json_open(j, "constant_labels", '{');
    for (size_t i = 0; i < reg->n_const_labels; i++)
        kymo__json_text(j, reg->const_labels[i].name, reg->const_labels[i].value);
    kymo__json_close(j, '}');
}

static void aliases_write(struct kymo__json *j, const struct kymo__family *f)
{
    kymo__json_open(j, "aliases", '[');
    for (size_t i = 0; i < f->desc.n_aliases; i++) {
        kymo__json_open(j, NULL, '{');
        kymo__json_text(j, "name", f->aliases[i].info.name);
        kymo__json_text(j, "until", f->desc.aliases[i].until);
        kymo__json_close(j, '}');
    }
    kymo__json_close(j, ']');
}

static void native_write(struct kymo__json *j, const struct kymo_native *native)
{
    kymo__json_open(j, "native", '{');
    if (native != NULL) {
        kymo__json_number(j, "bucket_factor", native->bucket_factor);
        kymo__json_number(j, "zero_threshold", native->zero_threshold < 0 ? 0 : native->zero_threshold);
        kymo__json_number(j, "max_zero_threshold", native->max_zero_threshold);
        kymo__json_whole(j, "max_buckets", native->max_buckets);
        kymo__json_number(j, "min_reset_seconds", (double)native->min_reset_ns / 1e9);
        kymo__json_whole(j, "max_exemplars", native->max_exemplars);
        kymo__json_number(j, "exemplar_ttl_seconds",
                          native->exemplar_ttl_ns < 0 ? 0 : (double)native->exemplar_ttl_ns / 1e9);
    }
    kymo__json_close(j, '}');
}

/* Labels that may have any value are left out. */
static void allow_write(struct kymo__json *j, const struct kymo__family *f)
{
    size_t n;
    kymo__json_open(j, "allow", '{');
    for (uint32_t i = 0; i < f->n_labels; i++) {
        const char *const *values = kymo__allow_values(f, i, &n);
        if (values != NULL)
            texts_write(j, f->desc.labels[i], values, n);
    }
    kymo__json_close(j, '}');
}

static void guard_write(struct kymo__json *j, const struct kymo__family *f)
{
    const struct kymo_guard *g = &f->guard;
    kymo__json_open(j, "guard", '{');
    kymo__json_text(j, "policy", kymo__config_word(KYMO__KEY_GUARD, g->policy));
    kymo__json_text(j, "after_end", kymo__config_word(KYMO__KEY_AFTER_END, g->after_end));
    kymo__json_whole(j, "max_series", g->max_series);
    kymo__json_whole(j, "max_value_bytes", g->max_value_bytes);
    kymo__json_whole(j, "linger_ms", g->linger_ms);
    kymo__json_number(j, "idle_seconds", (double)g->idle_ns / 1e9);
    kymo__json_text(j, "touch", kymo__config_word(KYMO__KEY_TOUCH, g->touch != 0));
    allow_write(j, f);
    kymo__json_close(j, '}');
}

/* What the operator may change, as it is now. */
static void effective_write(struct kymo__json *j, const struct kymo__family *f)
{
    if (f->info.kind == KYMO_HISTOGRAM) {
        kymo__json_open(j, "buckets", '[');
        for (size_t i = 0; i < f->desc.n_bounds; i++)
            kymo__json_number(j, NULL, f->desc.bounds[i]);
        kymo__json_close(j, ']');
        native_write(j, f->desc.native);
    }
    if (f->info.kind == KYMO_HISTOGRAM || f->info.kind == KYMO_COUNTER)
        kymo__json_whole(j, "exemplars", f->desc.exemplar_every);
    if (f->guarded)
        guard_write(j, f);
}

/* The registry's lock, since it may be changed meanwhile. */
static void budget_write(struct kymo__json *j)
{
    pthread_mutex_lock(&j->reg->lock);
    kymo__json_whole(j, "max_series", j->reg->max_series);
    pthread_mutex_unlock(&j->reg->lock);
}

/* A collector's points bring their own buckets and exemplars: its families have none to tell of. */
static void family_write(struct kymo__json *j, const struct kymo__family *f, const struct kymo_collector *c)
{
    kymo__json_open(j, NULL, '{');
    kymo__json_text(j, "name", f->info.name);
    kymo__json_text(j, "type", kind_words[f->info.kind]);
    kymo__json_text(j, "unit", f->desc.unit != NULL ? f->desc.unit : "");
    kymo__json_text(j, "help", f->desc.help);
    texts_write(j, "labels", f->desc.labels, f->desc.n_labels);
    const_labels_write(j, f->reg);
    if (f->info.kind == KYMO_STATESET)
        texts_write(j, "states", f->desc.states, f->desc.n_states);
    if (c != NULL)
        kymo__json_text(j, "collector", c->ops.name);
    else if (f->read == NULL)
        effective_write(j, f);
    aliases_write(j, f);
    kymo__json_close(j, '}');
}

/* ---- all families ---- */

typedef void (*write_fn)(struct kymo__json *j, const struct kymo__family *f, const struct kymo_collector *c);

/* Under the registry's lock, which is away while the sink has its turn. */
static void write_one(struct kymo__json *j, write_fn write, const struct kymo__family *f,
                      const struct kymo_collector *c)
{
    if (f->dead || j->error != 0)
        return;
    write(j, f, c);
    if (j->n < CHUNK)
        return;
    pthread_mutex_unlock(&j->reg->lock);
    (void)kymo__json_flush(j); /* the error stays */
    pthread_mutex_lock(&j->reg->lock);
}

static void write_own(struct kymo__json *j, write_fn write)
{
    pthread_mutex_lock(&j->reg->lock);
    const struct kymo__family *last = j->reg->last_family;
    for (const struct kymo__family *f = j->reg->first_family; f != NULL; f = f != last ? f->next : NULL)
        write_one(j, write, f, NULL);
    pthread_mutex_unlock(&j->reg->lock);
}

static void write_collected(struct kymo__json *j, write_fn write)
{
    struct kymo_registry *reg = j->reg;
    const struct kymo_collector *c = kymo__load_acquire(&reg->collectors); /* with collector_link() */
    for (; c != NULL; c = kymo__load_acquire(&c->next)) {
        pthread_mutex_lock(&reg->lock);
        for (size_t i = 0; i < c->ops.n_descs; i++)
            write_one(j, write, c->families[i], c);
        pthread_mutex_unlock(&reg->lock);
    }
}

static int call_check(const struct kymo_registry *reg, const struct kymo_sink *sink)
{
    if (reg == NULL || sink == NULL || sink->size < sizeof(*sink) || sink->write == NULL)
        return KYMO_EINVAL;
    return kymo__collecting ? KYMO_EBUSY : 0;
}

int kymo_registry_catalogue(struct kymo_registry *reg, const struct kymo_sink *sink)
{
    struct kymo__json j;
    struct kymo__walk walk;
    int r = call_check(reg, sink);
    if (r != 0)
        return r;
    kymo__enter();
    kymo__walk_begin(reg, &walk); /* so that no collector is freed */
    kymo__json_begin(&j, reg, sink);
    kymo__json_open(&j, NULL, '{');
    budget_write(&j);
    kymo__json_open(&j, "families", '[');
    write_own(&j, family_write);
    write_collected(&j, family_write);
    kymo__json_close(&j, ']');
    kymo__json_close(&j, '}');
    r = kymo__json_end(&j);
    kymo__walk_end(reg, &walk);
    return r;
}

/* ---- the operator's choices ---- */

static void rules_write(struct kymo__json *j, const struct kymo__config *config)
{
    kymo__json_open(j, "rules", '[');
    for (const struct kymo__config_rule *rule = config ? config->first : NULL; rule != NULL; rule = rule->next) {
        kymo__json_open(j, NULL, '{');
        kymo__json_whole(j, "line", rule->line);
        kymo__json_text(j, "pattern", rule->pattern);
        kymo__choices_write(j, &rule->choices);
        kymo__json_close(j, '}');
    }
    kymo__json_close(j, ']');
}

static int rule_has_list(const struct kymo__config_rule *rule, const struct kymo__family *f)
{
    for (uint32_t i = 0; i < f->n_labels; i++)
        if (kymo__config_allow_of(rule, f->desc.labels[i]) != NULL)
            return 1;
    return 0;
}

/* Whether a rule says something that was applied, if perhaps another came after it. */
static int rule_concerns(const struct kymo__config_rule *rule, const struct kymo__family *f)
{
    uint32_t keys = rule->choices.set & f->configured, allow = KYMO__KEY_BIT(KYMO__KEY_ALLOW);
    if ((keys & allow) && !rule_has_list(rule, f)) /* of other metrics' labels */
        keys &= ~allow;
    return keys != 0 && kymo__config_concerns(rule, f);
}

/* The key of each label that some section has a list for. */
static void allow_keys_write(struct kymo__json *j, const struct kymo__family *f)
{
    char key[sizeof("allow.") + KYMO__MAX_NAME];
    for (uint32_t i = 0; i < f->n_labels; i++) {
        const struct kymo__config_rule *rule = f->reg->config->first;
        while (rule != NULL && (kymo__config_allow_of(rule, f->desc.labels[i]) == NULL || !rule_concerns(rule, f)))
            rule = rule->next;
        (void)snprintf(key, sizeof(key), "allow.%s", f->desc.labels[i]);
        if (rule != NULL)
            kymo__json_text(j, NULL, key);
    }
}

static void keys_write(struct kymo__json *j, const struct kymo__family *f)
{
    kymo__json_open(j, "keys", '[');
    for (int key = 0; key < KYMO__KEY_ALLOW; key++)
        if (f->configured & KYMO__KEY_BIT(key))
            kymo__json_text(j, NULL, kymo__config_key_name((enum kymo__config_key)key));
    if (f->configured & KYMO__KEY_BIT(KYMO__KEY_ALLOW))
        allow_keys_write(j, f);
    kymo__json_close(j, ']');
}

static void changed_write(struct kymo__json *j, const struct kymo__family *f, const struct kymo_collector *c)
{
    (void)c;
    if (f->configured == 0)
        return;
    kymo__json_open(j, NULL, '{');
    kymo__json_text(j, "name", f->info.name);
    kymo__json_text(j, "type", kind_words[f->info.kind]);
    kymo__json_open(j, "lines", '[');
    for (const struct kymo__config_rule *rule = f->reg->config->first; rule != NULL; rule = rule->next)
        if (rule_concerns(rule, f))
            kymo__json_whole(j, NULL, rule->line);
    kymo__json_close(j, ']');
    keys_write(j, f);
    effective_write(j, f);
    kymo__json_close(j, '}');
}

int kymo_registry_config(struct kymo_registry *reg, const struct kymo_sink *sink)
{
    struct kymo__json j;
    int r = call_check(reg, sink);
    if (r != 0)
        return r;
    kymo__enter();
    const struct kymo__config *config = reg->config;
    kymo__json_begin(&j, reg, sink);
    kymo__json_open(&j, NULL, '{');
    kymo__json_text(&j, "source", config == NULL ? "none" : config->file != NULL ? "file" : "options");
    if (config != NULL && config->file != NULL)
        kymo__json_text(&j, "file", config->file);
    rules_write(&j, config);
    budget_write(&j);
    kymo__json_open(&j, "families", '[');
    write_own(&j, changed_write);
    kymo__json_close(&j, ']');
    kymo__json_close(&j, '}');
    return kymo__json_end(&j);
}
