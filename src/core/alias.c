/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/alias.c - further names of a family: what is shown of it under each.
 *
 * An alias is a family of its own on the page, with the series and values of the one it stands for. What differs is
 * made at registration: name, help, and the unit, which a name that does not end in it must not have.
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "core/core.h"

void kymo__aliases_free(struct kymo_registry *reg, struct kymo__family *f)
{
    for (size_t i = 0; f->aliases != NULL && i < f->desc.n_aliases; i++) {
        kymo__heap_text_free(reg, (char *)(uintptr_t)f->aliases[i].desc.help);
        kymo__heap_text_free(reg, (char *)(uintptr_t)f->aliases[i].info.name);
    }
    if (f->aliases != NULL)
        kymo__heap_free(reg, f->aliases, f->desc.n_aliases * sizeof(*f->aliases));
}

/* Whether a name may go with a unit: it is the last part, before a counter's _total. */
static int bears_unit(const char *name, const char *unit, enum kymo_kind kind)
{
    size_t n = strlen(name), len = strlen(unit), total = strlen("_total");
    if (kind == KYMO_COUNTER && n > total && strcmp(name + n - total, "_total") == 0)
        n -= total;
    return n > len + 1 && name[n - len - 1] == '_' && memcmp(name + n - len, unit, len) == 0;
}

/* What its help is, and that nobody should go on using it. */
static char *help_of(struct kymo_registry *reg, const struct kymo__family *f, const char *until)
{
    static const char format[] = "%s (deprecated name of %s%s%s)";
    const char *when = until[0] != '\0' ? ", gone after " : "";
    int n = snprintf(NULL, 0, format, f->desc.help, f->info.name, when, until);
    char *help = n < 0 ? NULL : kymo__heap_alloc(reg, (size_t)n + 1 + KYMO__TEXT_SLACK);
    if (help != NULL)
        (void)snprintf(help, (size_t)n + 1, format, f->desc.help, f->info.name, when, until);
    return help;
}

static int alias_build(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_alias *from,
                       struct kymo__alias *to)
{
    const char *prefix = kymo__prefix_of(reg, from->name);
    to->desc = f->desc;
    to->desc.aliases = NULL;
    to->desc.n_aliases = 0;
    to->info = f->info;
    to->info.desc = &to->desc;
    to->desc.help = help_of(reg, f, from->until);
    to->info.name = kymo__heap_text(reg, prefix, from->name);
    if (to->desc.help == NULL || to->info.name == NULL)
        return KYMO_ENOMEM;
    to->info.name_len = strlen(to->info.name);
    to->info.utf8 = kymo__names_odd(reg, to->info.name, &to->desc);
    to->desc.name = to->info.name + strlen(prefix);
    if (to->desc.unit != NULL && !bears_unit(to->desc.name, to->desc.unit, f->info.kind))
        to->desc.unit = NULL;
    return 0;
}

int kymo__aliases_build(struct kymo_registry *reg, struct kymo__family *f)
{
    size_t n = f->desc.n_aliases;
    if (n == 0)
        return 0;
    f->aliases = kymo__heap_alloc(reg, n * sizeof(*f->aliases));
    if (f->aliases == NULL)
        return KYMO_ENOMEM;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = alias_build(reg, f, &f->desc.aliases[i], &f->aliases[i]);
    return r;
}

int kymo__aliases_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    int r = 0;
    for (size_t i = 0; i < d->n_aliases && r == 0; i++) {
        struct kymo_desc alias = *d;
        alias.name = d->aliases[i].name;
        alias.unit = NULL;
        alias.aliases = NULL;
        alias.n_aliases = 0;
        r = kymo__desc_check(reg, &alias, kind);
        const char *until = d->aliases[i].until;
        if (r == 0 && until != NULL && !kymo__utf8_valid(until, strlen(until))) {
            r = KYMO_EUTF8;
            kymo__log(reg, KYMO_LOG_ERROR, "metric %s, alias %s, until: %s", d->name, alias.name, kymo_strerror(r));
        }
    }
    return r;
}
