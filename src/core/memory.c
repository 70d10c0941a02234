/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/memory.c - a registry's private memory, its log, and memory that must outlive the recorders that may read it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/core.h"

void *kymo__heap_alloc(struct kymo_registry *reg, size_t bytes)
{
    void *at = reg->allocator.alloc(reg->allocator.ctx, bytes);
    if (at == NULL)
        return NULL;
    memset(at, 0, bytes);
    kymo__add_relaxed(&reg->heap_bytes, bytes);
    return at;
}

void kymo__heap_free(struct kymo_registry *reg, void *at, size_t bytes)
{
    if (at == NULL)
        return;
    kymo__add_relaxed(&reg->heap_bytes, (size_t)0 - bytes);
    reg->allocator.free(reg->allocator.ctx, at, bytes);
}

char *kymo__heap_text(struct kymo_registry *reg, const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    char *text = kymo__heap_alloc(reg, a_len + b_len + 1 + KYMO__TEXT_SLACK);
    if (text == NULL)
        return NULL;
    memcpy(text, a, a_len);
    memcpy(text + a_len, b, b_len);
    return text;
}

void kymo__heap_text_free(struct kymo_registry *reg, char *at)
{
    if (at != NULL)
        kymo__heap_free(reg, at, strlen(at) + 1 + KYMO__TEXT_SLACK);
}

/* Tables are powers of two; a free one keeps the ref of the next in its first word. */
static void table_free(struct kymo_registry *reg, uint64_t table)
{
    struct kymo__segment *s = reg->segment;
    uint32_t class = (uint32_t)(table & 0xff);
    uint32_t ref = (uint32_t)(table >> 8);
    size_t bytes = (size_t)8 << class;
    void *at = kymo__at(s, ref);
    int whole_pages = (uintptr_t)at % kymo__os_granule() == 0 && bytes % kymo__os_granule() == 0;
    if (!whole_pages || kymo__os_discard(at, bytes) != 0)
        memset(at, 0, bytes);
    *(uint64_t *)kymo__at(s, ref) = s->free_tables[class];
    s->free_tables[class] = ref;
}

void kymo__reclaim(struct kymo_registry *reg)
{
    uint64_t due = 0;
    for (size_t i = 0; i < KYMO__LIMBO; i++)
        due |= reg->limbo[i];
    if (due == 0 || !kymo__grace(reg->segment))
        return;
    for (size_t i = 0; i < KYMO__LIMBO; i++) {
        uint64_t table = reg->limbo[i];
        kymo__store_release(&reg->limbo[i], 0); /* first: a child forked in here must not free it again */
        if (table != 0)
            table_free(reg, table);
    }
}

int kymo__can_retire(struct kymo_registry *reg)
{
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < KYMO__LIMBO; i++)
            if (reg->limbo[i] == 0)
                return 1;
        kymo__reclaim(reg);
    }
    return 0;
}

void kymo__retire_table(struct kymo_registry *reg, uint64_t table)
{
    for (size_t i = 0; kymo__can_retire(reg) && i < KYMO__LIMBO; i++) {
        if (reg->limbo[i] == 0) {
            reg->limbo[i] = table;
            return;
        }
    }
    /* No grace period to be had: the table stays where it is until the registry's end. */
}

/* What comes before an array that recorders may be reading when a larger copy takes its place. */
struct kept {
    struct kept *next;
    size_t bytes;
};

void *kymo__kept_alloc(struct kymo_registry *reg, void **list, size_t bytes)
{
    struct kept *kept = kymo__heap_alloc(reg, sizeof(*kept) + bytes);
    if (kept == NULL)
        return NULL;
    kept->bytes = sizeof(*kept) + bytes;
    kept->next = *list;
    *list = kept;
    return kept + 1;
}

void kymo__kept_free(struct kymo_registry *reg, void **list)
{
    struct kept *kept = *list;
    while (kept != NULL) {
        struct kept *next = kept->next;
        kymo__heap_free(reg, kept, kept->bytes);
        kept = next;
    }
    *list = NULL;
}

void kymo__log(const struct kymo_registry *reg, enum kymo_log_level level, const char *format, ...)
{
    char message[512];
    va_list args;
    if (reg->log == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    reg->log(reg->log_ctx, level, message);
}
