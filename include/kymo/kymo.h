/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/kymo.h - everything of the core: counters, gauges, histograms, and the page a Prometheus server reads.
 *
 *     struct kymo_registry *reg;
 *     struct kymo_counter *requests;
 *     kymo_registry_new(NULL, &reg);
 *     kymo_counter_new(reg, KYMO_DESC(.name = "requests_total", .help = "Requests."), &requests);
 *     kymo_counter_inc(requests);
 *
 * From the simplest use to the rarest: metric.h (recording), desc.h (describing), registry.h (setting up), encode.h
 * (pages), guard.h (limits, ends of series), visit.h (collectors and visitors), base.h (errors, allocator, clock, log).
 */
#ifndef KYMO_KYMO_H
#define KYMO_KYMO_H

#include <kymo/base.h>
#include <kymo/desc.h>
#include <kymo/encode.h>
#include <kymo/guard.h>
#include <kymo/metric.h>
#include <kymo/registry.h>
#include <kymo/visit.h>

#endif
