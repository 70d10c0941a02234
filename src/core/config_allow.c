/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config_allow.c - allow.<label>: the values that the operator lets a label have. Read core/config.h first.
 *
 * A value stands bare, or in quotes if it has blanks, commas or quotes of its own; there \" and \\ are what they are
 * elsewhere. A key is one block of memory: its struct, pointers, texts.
 */
#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "core/guard.h"
#include "core/json.h"

#define BLANKS " \t"

/* ---- reading ---- */

/* Behind a value in quotes, which is copied to *to if that is not NULL; NULL: it is not a good one. */
static const char *quoted_read(const char *s, char **to)
{
    for (s++; *s != '"'; s++) {
        int escaped = *s == '\\';
        s += escaped;
        if (*s == '\0' || (escaped && *s != '"' && *s != '\\'))
            return NULL;
        if (*to != NULL)
            *(*to)++ = *s;
    }
    return s + 1;
}

static const char *bare_read(const char *s, char **to)
{
    size_t n = strcspn(s, "," BLANKS "\"");
    if (n == 0 || s[n] == '"')
        return NULL;
    if (*to != NULL) {
        memcpy(*to, s, n);
        *to += n;
    }
    return s + n;
}

/* How many values a text has, or 0 if they are not good ones; @to: NULL, or room for them and a NUL behind each. */
static size_t values_read(const char *s, const char **values, char *to)
{
    for (size_t n = 0;;) {
        s += strspn(s, BLANKS);
        if (values != NULL)
            values[n] = to;
        s = *s == '"' ? quoted_read(s, &to) : bare_read(s, &to);
        if (s == NULL)
            return 0;
        if (to != NULL)
            *to++ = '\0';
        n++;
        s += strspn(s, BLANKS);
        if (*s == '\0')
            return n;
        if (*s++ != ',')
            return 0;
    }
}

/* No text is longer than what it was read from, its comma or end included. */
static struct kymo__config_list *list_new(struct kymo_registry *reg, const char *label, const char *value, size_t n)
{
    size_t label_size = strlen(label) + 1, texts = strlen(value) + 1;
    size_t bytes = sizeof(struct kymo__config_list) + n * sizeof(char *) + label_size + texts;
    struct kymo__config_list *list = kymo__heap_alloc(reg, bytes);
    if (list == NULL)
        return NULL;
    list->bytes = bytes;
    list->n = n;
    list->values = (const char **)(list + 1);
    char *text = (char *)(list->values + n);
    list->label = memcpy(text, label, label_size);
    (void)values_read(value, list->values, text + label_size);
    return list;
}

int kymo__config_allow_read(const struct kymo__config_place *place, const char *label, const char *value,
                            struct kymo__choices *to)
{
    struct kymo__config_list **link = &to->allow;
    size_t n = values_read(value, NULL, NULL);
    if (!kymo__label_name_valid(label, place->reg->utf8_names))
        return kymo__config_error(place, "allow.%.60s: that is no name of a label", label);
    if (n == 0)
        return kymo__config_error(place,
                                  "allow.%.60s = %.60s%s: give values with commas between them, in quotes those that "
                                  "have blanks, commas or quotes: a, \"b c\", \"6\\\"\"",
                                  label, value, strlen(value) > 60 ? "..." : "");
    while (*link != NULL)
        link = &(*link)->next;
    *link = list_new(place->reg, label, value, n);
    to->set |= KYMO__KEY_BIT(KYMO__KEY_ALLOW);
    return *link != NULL ? 0 : KYMO_ENOMEM;
}

const struct kymo__config_list *kymo__config_allow_of(const struct kymo__config_rule *rule, const char *label)
{
    const struct kymo__config_list *list = rule->choices.allow;
    while (list != NULL && strcmp(list->label, label) != 0)
        list = list->next;
    return list;
}

void kymo__config_allow_free(struct kymo_registry *reg, struct kymo__choices *choices)
{
    for (struct kymo__config_list *list = choices->allow, *next; list != NULL; list = next) {
        next = list->next;
        kymo__heap_free(reg, list, list->bytes);
    }
    choices->allow = NULL;
}

void kymo__config_allow_write(struct kymo__json *j, const struct kymo__choices *choices)
{
    char key[sizeof("allow.") + KYMO__MAX_NAME];
    for (const struct kymo__config_list *list = choices->allow; list != NULL; list = list->next) {
        (void)snprintf(key, sizeof(key), "allow.%s", list->label);
        kymo__json_open(j, key, '[');
        for (size_t i = 0; i < list->n; i++)
            kymo__json_text(j, NULL, list->values[i]);
        kymo__json_close(j, ']');
    }
}

/* ---- applying ---- */

/* The last section that says something of it wins. */
static const struct kymo__config_list *list_for(const struct kymo__family *f, const char *label)
{
    const struct kymo__config_list *found = NULL;
    for (const struct kymo__config_rule *rule = f->reg->config->first; rule != NULL; rule = rule->next) {
        const struct kymo__config_list *list = kymo__config_allow_of(rule, label);
        if (list != NULL && kymo__config_concerns(rule, f))
            found = list;
    }
    return found;
}

int kymo__config_allow(struct kymo__family *f)
{
    if (f->reg->config == NULL || !f->guarded)
        return 0;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        const struct kymo__config_list *list = list_for(f, f->desc.labels[i]);
        if (list == NULL)
            continue;
        int r = kymo__allow_set(f, i, list->values, list->n);
        if (r != 0)
            return r;
        f->configured |= KYMO__KEY_BIT(KYMO__KEY_ALLOW);
    }
    return 0;
}
