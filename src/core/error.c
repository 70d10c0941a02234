/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/error.c - names and sentences of errors, version, features.
 */
#include <string.h>

#include <kymo/kymo.h>

#include "base/atomic.h"
#include "base/os.h"

const char *kymo_strerror(int error)
{
    switch (error) {
    case 0:
        return "success";
#define KYMO_X(name, value, text)                                                                                      \
    case name:                                                                                                         \
        return text;
        KYMO_ERROR_MAP(KYMO_X)
#undef KYMO_X
    default:
        return "unknown error";
    }
}

const char *kymo_error_name(int error)
{
    switch (error) {
    case 0:
        return "0";
#define KYMO_X(name, value, text)                                                                                      \
    case name:                                                                                                         \
        return #name;
        KYMO_ERROR_MAP(KYMO_X)
#undef KYMO_X
    default:
        return "KYMO_E?";
    }
}

unsigned kymo_version(void)
{
    return KYMO_VERSION;
}

int kymo_has(const char *feature)
{
    if (feature == NULL)
        return 0;
    if (strncmp(feature, "encoder:", 8) == 0)
        return kymo_encoder_find(feature + 8) != NULL;
    if (strcmp(feature, "pair-cas") == 0)
        return KYMO__PAIR_CAS;
    if (strcmp(feature, "asymmetric-fence") == 0)
        return kymo__os_membarrier() == 0;
    if (strcmp(feature, "wipe-on-fork") == 0) {
        int wiped;
        void *page = kymo__os_wiped_pages(KYMO__PAGE, &wiped);
        if (page != NULL)
            kymo__os_release(page, KYMO__PAGE);
        return page != NULL && wiped;
    }
    return 0;
}
