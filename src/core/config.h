/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config.h - the operator's choices: read once when a registry is made, applied as families are registered.
 *
 * docs/configuration.md has the format. config_file.c finds the text, config.c reads its lines into rules and matches
 * them with names, config_value.c knows the keys: a new key is a row of its table and a field of struct kymo__choices.
 * config_allow.c has the one key that names a label. Rules never change after they were read, so they need no lock.
 */
#ifndef KYMO__CONFIG_H
#define KYMO__CONFIG_H

#include "core/core.h"

struct kymo__json;

/* The order of the rows in config_value.c; a bit each in struct kymo__choices. */
enum kymo__config_key {
    KYMO__KEY_BUCKETS,
    KYMO__KEY_NATIVE,
    KYMO__KEY_MAX_BUCKETS,
    KYMO__KEY_ZERO_THRESHOLD,
    KYMO__KEY_MAX_ZERO_THRESHOLD,
    KYMO__KEY_MIN_RESET,
    KYMO__KEY_MAX_EXEMPLARS,
    KYMO__KEY_EXEMPLAR_TTL,
    KYMO__KEY_EXEMPLARS,
    KYMO__KEY_MAX_SERIES,
    KYMO__KEY_GUARD,
    KYMO__KEY_AFTER_END,
    KYMO__KEY_MAX_VALUE_BYTES,
    KYMO__KEY_LINGER,
    KYMO__KEY_IDLE,
    KYMO__KEY_TOUCH,
    KYMO__KEY_ALLOW, /* the last: one bit for all labels */
    KYMO__KEYS
};
#define KYMO__KEY_BIT(key) ((uint32_t)1 << (key))
#define KYMO__KEY_NONE KYMO__KEYS
_Static_assert(KYMO__KEYS < 32, "a bit each");

/* allow.<label> of one section; one block of memory. */
struct kymo__config_list {
    struct kymo__config_list *next;
    size_t bytes;
    const char *label;
    size_t n;
    const char **values;
};

/* Values of some keys: those whose bit is set. */
struct kymo__choices {
    uint32_t set;
    uint32_t n_bounds;    /* 0: none */
    const double *bounds; /* heap memory of n_bounds doubles, or NULL */
    int native;           /* on or off; details.bucket_factor is of the same key, 0: as it was */
    uint32_t exemplar_every;
    struct kymo_native details;
    struct kymo_guard guard;
    struct kymo__config_list *allow; /* in the order of the file; of a rule: merging leaves it alone */
};

struct kymo__config_rule {
    struct kymo__config_rule *next;
    size_t line; /* of its section */
    char *pattern;
    int of_registry; /* [@registry]: for no metric */
    struct kymo__choices choices;
};

struct kymo__config {
    char *file; /* that it came from, or NULL: the programme's options */
    struct kymo__config_rule *first, *last;
};

/* Where in a text we are, to complain about it. */
struct kymo__config_place {
    struct kymo_registry *reg;
    const char *file; /* or NULL */
    size_t line;
};

/* ---- config_file.c ---- */

/**
 * kymo__config_load() - reads the text in @text or, if it is NULL, the file that KYMO_CONFIG names, into reg->config
 * Stays NULL if there is none. What the operator says of the registry itself takes the place of what the options said.
 * KYMO_ECONFIG, with a sentence in the log; KYMO_ENOMEM.
 */
int kymo__config_load(struct kymo_registry *reg, const char *text);

/* ---- config.c ---- */

/** kymo__config_parse() - rules from a text, which is written over and has room for one more byte; errors as above. */
int kymo__config_parse(struct kymo_registry *reg, char *text, size_t n, const char *file);
void kymo__config_free(struct kymo_registry *reg);
/** kymo__config_error() - a sentence about a place in the log; returns KYMO_ECONFIG. */
int kymo__config_error(const struct kymo__config_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** kymo__config_matches() - whether a rule is meant for a name, which comes in two parts. */
int kymo__config_matches(const struct kymo__config_rule *rule, const char *prefix, const char *name);
/**
 * kymo__config_apply() - changes a good descriptor to what the operator chose; it stays a good one
 * @room: for what it may come to point at
 * Returns the bits of the keys that were applied.
 */
struct kymo__config_room {
    struct kymo_native native;
    struct kymo_guard guard;
};
uint32_t kymo__config_apply(const struct kymo_registry *reg, enum kymo_kind kind, struct kymo_desc *desc,
                            struct kymo__config_room *room);
/** kymo__config_concerns() - whether a rule names a family that was built, by its name or by one that it had before. */
int kymo__config_concerns(const struct kymo__config_rule *rule, const struct kymo__family *f);

/* ---- config_allow.c ---- */

/** kymo__config_allow_read() - the values of allow.@label, into @to; KYMO_ECONFIG, KYMO_ENOMEM */
int kymo__config_allow_read(const struct kymo__config_place *place, const char *label, const char *value,
                            struct kymo__choices *to);
/** kymo__config_allow_of() - what a rule says of a label, or NULL */
const struct kymo__config_list *kymo__config_allow_of(const struct kymo__config_rule *rule, const char *label);
void kymo__config_allow_free(struct kymo_registry *reg, struct kymo__choices *choices);
/** kymo__config_allow_write() - a name and an array for each label */
void kymo__config_allow_write(struct kymo__json *j, const struct kymo__choices *choices);
/**
 * kymo__config_allow() - gives the labels of a family that was built the lists that the operator chose for them
 * Under the registry's lock, before anybody can see it. KYMO_ENOMEM.
 */
int kymo__config_allow(struct kymo__family *f);

/* ---- config_value.c ---- */

/** kymo__config_key_find() - the key of this name, or KYMO__KEY_NONE and *near: the one that was perhaps meant, or none */
enum kymo__config_key kymo__config_key_find(const char *name, enum kymo__config_key *near);
const char *kymo__config_key_name(enum kymo__config_key key);
/** kymo__config_word() - the word that stands for a value of the keys guard, after_end and touch */
const char *kymo__config_word(enum kymo__config_key key, uint32_t value);
/** kymo__config_key_names() - all of them, comma-separated */
void kymo__config_key_names(char *to, size_t cap);
/** kymo__config_value_read() - the value of a key, into @to; KYMO_ECONFIG, KYMO_ENOMEM */
int kymo__config_value_read(const struct kymo__config_place *place, enum kymo__config_key key, char *value,
                            struct kymo__choices *to);
/** kymo__choices_merge() - what is set in @from takes the place of what @to has; lent, not copied */
void kymo__choices_merge(struct kymo__choices *to, const struct kymo__choices *from);
/** kymo__choices_write() - a name and a value for each key that is set, as configuration files have them */
void kymo__choices_write(struct kymo__json *j, const struct kymo__choices *choices);

#endif
