/* Writing table files: a streaming writer that keeps the range of the time
 * column, and the split of rows by UTC day, each day sorted by event time.
 *
 * Sorting keeps rows of equal time in the order they came: a merge sort over
 * row numbers that leaves runs alone which are in order already. A day whose
 * table is to be sorted by other columns is then sorted by them (sort.c). A date column
 * is sorted and split by its days, because the microseconds of late dates do
 * not fit 64 bits. What can go wrong: any write or sync, and memory for the
 * rows; then no file stays. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)

struct tn_lake_writer {
	struct tn_parquet_writer *parquet;
	struct tn_lake_file file;
	int time_column;
	bool has_time;
	/* What the footer says of the file; the parquet writer borrows it. */
	struct tn_parquet_write_opts opts;
	struct tn_parquet_pair pairs[4 + TN_LAKE_NOTES_MAX];
	char table[64], version[16], lsn[24];
};

static int64_t
raw_time(const struct tn_column *c, uint32_t row)
{
	if (c->type.id == TN_T_DATE)
		return ((const int32_t *)c->values)[row];
	return ((const int64_t *)c->values)[row];
}

/* A time column's value in microseconds; the last one for later dates. */
static int64_t
time_at(const struct tn_column *c, uint32_t row)
{
	int64_t t = raw_time(c, row);

	if (c->type.id == TN_T_DATE &&
	    __builtin_mul_overflow(t, DAY_US, &t))
		t = INT64_MAX;
	return t;
}

/* Microseconds (or days, of a date column) to days, rounded down. */
static int64_t
day_of(const struct tn_column *c, int64_t t)
{
	if (c->type.id == TN_T_DATE)
		return t;
	return t / DAY_US - (t % DAY_US < 0);
}

static void
describe(struct tn_lake_writer *x, const struct tn_lake_write *w)
{
	if (w->parquet != NULL)
		x->opts = *w->parquet;
	snprintf(x->table, sizeof x->table, "%s", w->table);
	snprintf(x->version, sizeof x->version, "%u", (unsigned)w->version);
	snprintf(x->lsn, sizeof x->lsn, "%llu", (unsigned long long)w->lsn);
	x->pairs[0] = (struct tn_parquet_pair){ "tarn.tier", w->tier };
	x->pairs[1] = (struct tn_parquet_pair){ "tarn.table", x->table };
	x->pairs[2] = (struct tn_parquet_pair){ "tarn.version", x->version };
	x->pairs[3] = (struct tn_parquet_pair){ "tarn.lsn", x->lsn };
	x->opts.pairs = x->pairs;
	x->opts.pair_count = 4;
}

void
tn_lake_note(struct tn_lake_writer *x, const char *key, const char *value)
{
	tn_assert(x->opts.pair_count < TN_COUNT(x->pairs));
	x->pairs[x->opts.pair_count++] = (struct tn_parquet_pair){
	    tn_strdup(key), tn_strdup(value) };
	tn_parquet_pairs(x->parquet, x->pairs, x->opts.pair_count);
}

static void
free_writer(struct tn_lake_writer *x)
{
	for (uint32_t i = 4; i < x->opts.pair_count; i++) {
		tn_free((void *)x->pairs[i].key);
		tn_free((void *)x->pairs[i].value);
	}
	tn_free(x);
}

enum tn_status
tn_lake_create(struct tn_lake *lake, const struct tn_lake_write *w,
    const struct tn_schema *schema, struct tn_lake_writer **out)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_lake_writer *x = tn_zalloc(sizeof *x);
	enum tn_status st;

	*out = NULL;
	x->time_column = w->time_column;
	describe(x, w);
	st = tn_lake_new_path(lake, &(struct tn_lake_place){ w->tier,
	    w->table, w->partition, w->label, ".parquet" }, &x->file, full);
	if (st == TN_OK)
		st = tn_parquet_create(&x->parquet, full, schema,
		    &x->opts);
	if (st != TN_OK) {
		tn_free(x);
		return st;
	}
	tn_os_crash_point("lake_file_begun");
	*out = x;
	return TN_OK;
}

static void
widen_range(struct tn_lake_writer *x, const struct tn_batch *b)
{
	const struct tn_column *c = &b->columns[x->time_column];

	for (uint32_t i = 0; i < b->rows; i++) {
		if (!tn_column_valid(c, i))
			continue;
		int64_t t = time_at(c, i);
		if (!x->has_time || t < x->file.time_min)
			x->file.time_min = t;
		if (!x->has_time || t > x->file.time_max)
			x->file.time_max = t;
		x->has_time = true;
	}
}

uint64_t
tn_lake_writer_size(const struct tn_lake_writer *w)
{
	return tn_parquet_size(w->parquet);
}

/* Values are gathered, then encoded beside. */
size_t
tn_lake_writer_bytes(const struct tn_lake_writer *w)
{
	return w == NULL ? 0 : 2 * tn_parquet_open_bytes(w->parquet);
}

enum tn_status
tn_lake_add(struct tn_lake_writer *x, const struct tn_batch *b)
{
	if (x->time_column >= 0)
		widen_range(x, b);
	return tn_parquet_write(x->parquet, b);
}

enum tn_status
tn_lake_finish(struct tn_lake_writer *x, struct tn_lake_file *out)
{
	struct tn_parquet_written done;
	enum tn_status st = tn_parquet_finish(x->parquet, &done);

	tn_os_crash_point("lake_file_synced");
	if (st == TN_OK) {
		x->file.rows = done.rows;
		x->file.bytes = done.bytes;
		x->file.crc = done.crc;
		*out = x->file;
	}
	free_writer(x);
	return st;
}

void
tn_lake_abandon(struct tn_lake_writer *x)
{
	if (x == NULL)
		return;
	tn_parquet_abandon(x->parquet);
	free_writer(x);
}

enum tn_status
tn_lake_put(struct tn_lake *lake, const struct tn_lake_write *w,
    struct tn_batch *const *batches, uint32_t count,
    struct tn_lake_file *out)
{
	struct tn_lake_writer *x = NULL;
	enum tn_status st;

	tn_assert(count >= 1);
	st = tn_lake_create(lake, w, batches[0]->schema, &x);
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		st = tn_lake_add(x, batches[i]);
	if (st == TN_OK)
		return tn_lake_finish(x, out);
	tn_lake_abandon(x);
	return st;
}

/* ---- by day ---------------------------------------------------------- */

struct slot {
	int64_t time;
	uint32_t row;
};

/* Stable merge sort by time; tmp has room for n / 2. */
static void
sort_slots(struct slot *s, struct slot *tmp, uint32_t n)
{
	uint32_t half = n / 2, i = 0, j = half, k = 0;

	if (n < 2)
		return;
	sort_slots(s, tmp, half);
	sort_slots(s + half, tmp, n - half);
	if (s[half - 1].time <= s[half].time)
		return;
	memcpy(tmp, s, half * sizeof *s);
	while (i < half && j < n)
		s[k++] = tmp[i].time <= s[j].time ? tmp[i++] : s[j++];
	while (i < half)
		s[k++] = tmp[i++];
}

/* What put_days works on. */
struct days {
	struct tn_lake *lake;
	const struct tn_lake_write *w;
	const struct tn_batch *all;
	struct tn_lake_files *out;
};

/* Slots are in order of time: is that the order wanted? */
static bool
is_by_time(const struct tn_lake_write *w)
{
	const struct tn_parquet_write_opts *o = w->parquet;

	return o == NULL || o->sorted_count == 0 || (o->sorted_count == 1 &&
	    o->sorted_by[0] == (uint32_t)w->time_column);
}

static enum tn_status
put_day(const struct days *d, const struct slot *slots, uint32_t count)
{
	const struct tn_batch *all = d->all;
	struct tn_lake_write day = *d->w;
	struct tn_lake_file f;
	struct tn_batch *part = NULL;
	char partition[24];
	int32_t y;
	uint32_t m, dd;
	uint32_t *rows = tn_try_alloc((size_t)count * 2 * sizeof *rows);
	enum tn_status st;

	for (uint32_t i = 0; rows != NULL && i < count; i++)
		rows[i] = slots[i].row;
	if (rows != NULL && !is_by_time(&day))
		tn_lake_sort(day.parquet->sorted_by,
		    day.parquet->sorted_count, all, rows, count);
	if (rows != NULL)
		part = tn_record_batch_take(all, rows, count);
	tn_free(rows);
	if (part == NULL)
		return TN_ENOMEM;
	tn_record_civil(day_of(&all->columns[day.time_column],
	    slots[0].time), &y, &m, &dd);
	/* The remainders tell the compiler that it fits. */
	snprintf(partition, sizeof partition, "date=%04d-%02u-%02u",
	    (int)y % 10000000, m % 100, dd % 100);
	day.partition = partition;
	st = tn_lake_put(d->lake, &day, &part, 1, &f);
	if (st == TN_OK)
		tn_lake_files_add(d->out, &f);
	tn_record_batch_unref(part);
	return st;
}

/* Files from ${count} on were written in vain. */
static void
take_back(struct tn_lake *lake, struct tn_lake_files *f, uint32_t count)
{
	while (f->count > count) {
		enum tn_status st = tn_lake_remove(lake,
		    f->files[--f->count].path);
		if (st != TN_OK)
			tn_say(TN_WARN, "lake", "%s could not be removed; "
			    "the next start does it",
			    f->files[f->count].path);
	}
}

static bool
is_time(struct tn_type t)
{
	return t.id == TN_T_DATE || t.id == TN_T_TIMESTAMP ||
	    t.id == TN_T_TIMESTAMPTZ;
}

enum tn_status
tn_lake_put_days(struct tn_lake *lake, const struct tn_lake_write *w,
    struct tn_batch *const *batches, uint32_t count,
    struct tn_lake_files *out)
{
	struct tn_batch *all = tn_record_batch_concat(batches, count);
	const struct tn_column *c;
	uint32_t n, from = 0, before = out->count;
	struct slot *slots, *tmp;
	struct days d = { lake, w, all, out };
	enum tn_status st = TN_OK;

	if (all == NULL)
		return TN_ENOMEM;
	n = all->rows;
	c = &all->columns[w->time_column];
	slots = tn_try_alloc(((size_t)n + 1) * sizeof *slots);
	tmp = tn_try_alloc(((size_t)n / 2 + 1) * sizeof *tmp);
	if (slots == NULL || tmp == NULL) {
		st = TN_ENOMEM;
		goto out;
	}
	tn_assert(w->time_column >= 0 && is_time(c->type));
	for (uint32_t i = 0; i < n; i++) {
		tn_assert(tn_column_valid(c, i));
		slots[i] = (struct slot){ raw_time(c, i), i };
	}
	sort_slots(slots, tmp, n);
	while (st == TN_OK && from < n) {
		uint32_t to = from + 1;
		while (to < n && day_of(c, slots[to].time) ==
		    day_of(c, slots[from].time))
			to++;
		st = put_day(&d, slots + from, to - from);
		from = to;
	}
	if (st != TN_OK)
		take_back(lake, out, before);
out:
	tn_free(slots);
	tn_free(tmp);
	tn_record_batch_unref(all);
	return st;
}
