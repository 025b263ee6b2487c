/* counter: numbers about the running process, and their OpenMetrics 1.0 text.
 *
 *   families (by name, in order of registration) -> series (by labels)
 *   table: hash of (name, labels) -> series, so that asking again is cheap
 *
 * Families and series are only ever added, under one mutex, and live until
 * exit; the numbers in them are relaxed atomics, a cache line or more to each
 * series so that two threads' counters never share one. All series of a
 * family are rendered together, as the format demands, however far apart
 * they were registered.
 *
 * A counter family is named without "_total"; the suffix may be given and is
 * put on the sample. Labels can come from outside, so their number is bounded:
 * past SERIES_MAX a series is still counted, but in one that is not shown. */
#include "base/base_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	SERIES_MAX = 20000,
	TABLE_SIZE = 4096,
	BOUNDS = 18,
	LINE_BYTES = 64,
};

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

/* Upper bounds of the buckets, and how OpenMetrics writes them. */
static const struct {
	uint64_t us;
	const char *text;
} bounds[BOUNDS] = {
	{ 50, "5e-05" }, { 100, "0.0001" }, { 250, "0.00025" },
	{ 500, "0.0005" }, { 1000, "0.001" }, { 2500, "0.0025" },
	{ 5000, "0.005" }, { 10000, "0.01" }, { 25000, "0.025" },
	{ 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1.0" }, { 2500000, "2.5" },
	{ 5000000, "5.0" }, { 10000000, "10.0" }, { 30000000, "30.0" },
};

struct tn_counter {
	_Alignas(LINE_BYTES) _Atomic int64_t value;
	enum kind kind;
};

struct tn_histogram {
	_Alignas(LINE_BYTES) _Atomic uint64_t sum_us;
	_Atomic uint64_t buckets[BOUNDS + 1];
};

struct series {
	struct series *next;        /* In the family. */
	struct series *next_hash;
	const struct family *family;
	char *labels;               /* NULL: none. */
	struct tn_counter *counter;
	struct tn_histogram *histogram;
};

struct family {
	struct family *next;
	char *name;
	char *help;
	enum kind kind;
	struct series *first;
	struct series **last;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct family *families;
static struct family **families_end = &families;
static struct series *table[TABLE_SIZE];
static size_t series_count;

/* ---- registry -------------------------------------------------------- */

static bool
name_valid(const char *name, size_t n)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

	return n > 0 && (name[0] < '0' || name[0] > '9') &&
	    strspn(name, allowed) >= n;
}

/* Past the closing quote of the value at ${s}; NULL if there is none. */
static const char *
skip_value(const char *s)
{
	if (*s++ != '"')
		return NULL;
	for (; *s != '"'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		else if (*s == '\0' || *s == '\n' || *s == '\\')
			return NULL;
	}
	return s + 1;
}

static bool
labels_valid(const char *s)
{
	if (s == NULL)
		return true;
	for (;;) {
		size_t n = strcspn(s, "=");

		if (s[n] != '=' || !name_valid(s, n))
			return false;
		s = skip_value(s + n + 1);
		if (s == NULL)
			return false;
		if (*s == '\0')
			return true;
		if (*s++ != ',')
			return false;
	}
}

/* A zeroed object on cache lines of its own. */
static void *
lines_alloc(size_t bytes)
{
	size_t whole = (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
	void *p = aligned_alloc(LINE_BYTES, whole);

	if (p == NULL)
		tn_alloc_fail(whole);
	return memset(p, 0, whole);
}

static struct family *
family_get(enum kind kind, const char *name, size_t n, const char *help)
{
	struct family *f;

	for (f = families; f != NULL; f = f->next) {
		if (strncmp(f->name, name, n) == 0 && f->name[n] == '\0') {
			tn_assert(f->kind == kind);
			return f;
		}
	}
	f = tn_zalloc(sizeof *f);
	f->name = tn_strndup(name, n);
	f->help = tn_strdup(help != NULL ? help : "");
	f->kind = kind;
	f->last = &f->first;
	*families_end = f;
	families_end = &f->next;
	return f;
}

static struct series *
series_new(enum kind kind)
{
	struct series *s = tn_zalloc(sizeof *s);

	if (kind == KIND_HISTOGRAM) {
		s->histogram = lines_alloc(sizeof *s->histogram);
	} else {
		s->counter = lines_alloc(sizeof *s->counter);
		s->counter->kind = kind;
	}
	return s;
}

/* Where series go that are too many; one a kind, not shown. */
static struct series *
series_hidden(enum kind kind)
{
	static struct series *hidden[TN_COUNT(kind_names)];

	if (hidden[kind] == NULL) {
		tn_say(TN_WARN, "counter", "more than %d series: the rest is "
		    "not shown", SERIES_MAX);
		hidden[kind] = series_new(kind);
	}
	return hidden[kind];
}

static bool
labels_eq(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

/* Find or add; the mutex is held. */
static struct series *
series_get(enum kind kind, const char *name, size_t n, const char *labels,
    const char *help)
{
	struct family *f = family_get(kind, name, n, help);
	uint64_t hash = tn_hash64(name, n, 0);
	struct series **slot;
	struct series *s;

	if (labels != NULL)
		hash = tn_hash64(labels, strlen(labels), hash);
	slot = &table[hash % TABLE_SIZE];
	for (s = *slot; s != NULL; s = s->next_hash) {
		if (s->family == f && labels_eq(s->labels, labels))
			return s;
	}
	if (series_count >= SERIES_MAX)
		return series_hidden(kind);
	s = series_new(kind);
	s->family = f;
	s->labels = labels != NULL ? tn_strdup(labels) : NULL;
	s->next_hash = *slot;
	*slot = s;
	*f->last = s;
	f->last = &s->next;
	series_count++;
	return s;
}

static struct series *
series_get_locked(enum kind kind, const char *name, const char *labels,
    const char *help)
{
	static const char suffix[] = "_total";
	size_t n = strlen(name);
	struct series *s;

	if (labels != NULL && labels[0] == '\0')
		labels = NULL;
	if (kind == KIND_COUNTER && n > strlen(suffix) &&
	    strcmp(name + n - strlen(suffix), suffix) == 0)
		n -= strlen(suffix);
	tn_assert(name_valid(name, n));
	tn_assert(labels_valid(labels));
	(void)pthread_mutex_lock(&mutex);
	s = series_get(kind, name, n, labels, help);
	(void)pthread_mutex_unlock(&mutex);
	return s;
}

struct tn_counter *
tn_counter_get(enum tn_counter_kind kind, const char *name,
    const char *labels, const char *help)
{
	enum kind inner = kind == TN_GAUGE ? KIND_GAUGE : KIND_COUNTER;

	return series_get_locked(inner, name, labels, help)->counter;
}

struct tn_histogram *
tn_histogram_get(const char *name, const char *labels, const char *help)
{
	return series_get_locked(KIND_HISTOGRAM, name, labels, help)->histogram;
}

/* ---- numbers --------------------------------------------------------- */

void
tn_counter_add(struct tn_counter *c, int64_t v)
{
	tn_assert(v >= 0 || c->kind == KIND_GAUGE);
	(void)atomic_fetch_add_explicit(&c->value, v, memory_order_relaxed);
}

void
tn_counter_set(struct tn_counter *c, int64_t v)
{
	atomic_store_explicit(&c->value, v, memory_order_relaxed);
}

int64_t
tn_counter_read(const struct tn_counter *c)
{
	return atomic_load_explicit(&c->value, memory_order_relaxed);
}

void
tn_histogram_add_us(struct tn_histogram *h, uint64_t us)
{
	size_t i = 0;

	while (i < BOUNDS && us > bounds[i].us)
		i++;
	(void)atomic_fetch_add_explicit(&h->buckets[i], 1,
	    memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

/* ---- text ------------------------------------------------------------ */

void
tn_counter_label(struct tn_buf *out, const char *name, const char *value)
{
	tn_assert(name_valid(name, strlen(name)));
	tn_buf_printf(out, "%s%s=\"", out->n > 0 ? "," : "", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			tn_buf_str(out, "\\n");
		else if (*value == '"' || *value == '\\')
			tn_buf_printf(out, "\\%c", *value);
		else
			tn_buf_char(out, *value);
	}
	tn_buf_char(out, '"');
}

static void
render_help(struct tn_buf *out, const struct family *f)
{
	tn_buf_printf(out, "# TYPE %s %s\n", f->name, kind_names[f->kind]);
	if (f->help[0] == '\0')
		return;
	tn_buf_printf(out, "# HELP %s ", f->name);
	for (const char *s = f->help; *s != '\0'; s++) {
		if (*s == '\n')
			tn_buf_str(out, "\\n");
		else if (*s == '"' || *s == '\\')
			tn_buf_printf(out, "\\%c", *s);
		else
			tn_buf_char(out, *s);
	}
	tn_buf_char(out, '\n');
}

/* "name_suffix{labels,le="bound"} ", each part where it applies. */
static void
render_name(struct tn_buf *out, const struct series *s, const char *suffix,
    const char *bound)
{
	tn_buf_str(out, s->family->name);
	tn_buf_str(out, suffix);
	if (s->labels != NULL || bound != NULL)
		tn_buf_char(out, '{');
	if (s->labels != NULL)
		tn_buf_str(out, s->labels);
	if (s->labels != NULL && bound != NULL)
		tn_buf_char(out, ',');
	if (bound != NULL)
		tn_buf_printf(out, "le=\"%s\"", bound);
	if (s->labels != NULL || bound != NULL)
		tn_buf_char(out, '}');
	tn_buf_char(out, ' ');
}

static void
render_histogram(struct tn_buf *out, const struct series *s)
{
	struct tn_histogram *h = s->histogram;
	uint64_t count = 0;
	uint64_t sum_us;

	for (size_t i = 0; i <= BOUNDS; i++) {
		count += atomic_load_explicit(&h->buckets[i],
		    memory_order_relaxed);
		render_name(out, s, "_bucket",
		    i < BOUNDS ? bounds[i].text : "+Inf");
		tn_buf_printf(out, "%llu\n", (unsigned long long)count);
	}
	/* The sum of the buckets, so that it equals +Inf as it must. */
	render_name(out, s, "_count", NULL);
	tn_buf_printf(out, "%llu\n", (unsigned long long)count);
	sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed);
	render_name(out, s, "_sum", NULL);
	tn_buf_printf(out, "%llu.%06u\n",
	    (unsigned long long)(sum_us / 1000000),
	    (unsigned)(sum_us % 1000000));
}

static void
render_series(struct tn_buf *out, const struct series *s)
{
	if (s->family->kind == KIND_HISTOGRAM) {
		render_histogram(out, s);
		return;
	}
	render_name(out, s, s->family->kind == KIND_COUNTER ? "_total" : "",
	    NULL);
	tn_buf_printf(out, "%lld\n", (long long)tn_counter_read(s->counter));
}

void
tn_counter_render(struct tn_buf *out)
{
	(void)pthread_mutex_lock(&mutex);
	for (const struct family *f = families; f != NULL; f = f->next) {
		if (f->first == NULL)
			continue;
		render_help(out, f);
		for (const struct series *s = f->first; s != NULL; s = s->next)
			render_series(out, s);
	}
	(void)pthread_mutex_unlock(&mutex);
	tn_buf_str(out, "# EOF\n");
}
