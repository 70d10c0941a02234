/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/find.c - the formats of this build, by name and by number.
 * The table is written by the build from the list of words in meson.build.
 */
#include <string.h>

#include <kymo/encode.h>

extern const struct kymo_encoder *const kymo__encoders[];
extern const struct kymo_format *const kymo__formats[];
extern const size_t kymo__n_encoders;

const struct kymo_encoder *kymo_encoder_at(size_t i)
{
    return i < kymo__n_encoders ? kymo__encoders[i] : NULL;
}

const struct kymo_encoder *kymo_encoder_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < kymo__n_encoders; i++)
        if (strcmp(kymo__encoders[i]->name, name) == 0)
            return kymo__encoders[i];
    return NULL;
}

const struct kymo_format *kymo_format_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < kymo__n_encoders; i++)
        if (strcmp(kymo__encoders[i]->name, name) == 0)
            return kymo__formats[i];
    return NULL;
}
