/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/formats_host.h - the parts of formats_host: a registry with everything in it, and what is in it as JSON.
 */
#ifndef KYMO_TESTS_FORMATS_HOST_H
#define KYMO_TESTS_FORMATS_HOST_H

#include <kymo/kymo.h>

#include "host.h"

/** formats_registry_new() - a registry with series of every kind and shape, all recording done */
struct kymo_registry *formats_registry_new(void);

/** formats_observed_write() - what was observed since: [{"name":...,"values":["1.5",...]},...] */
void formats_observed_write(FILE *f);

/** formats_constant_write() - the labels that every sample carries: [["name","value"],...] */
void formats_constant_write(FILE *f);

/** formats_families_write() - every family and point, as a visitor is told: see formats_json.c */
void formats_families_write(FILE *f, struct kymo_registry *reg);

/** formats_collector_attach() - what only collectors report, from when the series began */
void formats_collector_attach(struct kymo_registry *reg, int64_t start_ns);

/** formats_double_write() - a double as a JSON string that says which one */
void formats_double_write(FILE *f, double v);

#endif
