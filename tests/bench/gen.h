/* gen: badge events for the benches, made as fast as they are sent. Every
 * event has its own id, so that the dedupe window does its full work. */
#ifndef TARN_BENCH_GEN_H
#define TARN_BENCH_GEN_H

#include <stddef.h>
#include <stdint.h>

#define GEN_EVENT_MAX 192        /* Bytes of one event, newline included. */

struct gen {
	uint64_t state;          /* Of the random numbers. */
	uint64_t next;           /* Number of the next event. */
	int64_t first_ms;        /* Event time of number 0, Unix. */
	uint32_t step_us;        /* Event time between two events. */
	int64_t day;             /* Of the date text below. */
	char date[16];
};
void gen_init(struct gen *g, uint64_t seed, uint32_t step_us);
/* Write one event as a line of NDJSON; returns its bytes. */
size_t gen_event(struct gen *g, char *to);

/* The configuration these events fit. */
extern const char gen_pipeline[];

#endif
