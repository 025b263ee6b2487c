/* Writing table files: a streaming writer that keeps the range of the time
 * column, and the split of rows by UTC day, each day sorted by event time.
 *
 * Sorting keeps rows of equal time in the order they came: a merge sort over
 * row numbers that leaves runs alone which are in order already. Mostly a day
 * is a few long runs of rows that came one after the other; these are written
 * from where they are, else the day's rows are put together first. A day whose
 * table is to be sorted by other columns is then sorted by them (sort.c). A date column
 * is sorted and split by its days, because the microseconds of late dates do
 * not fit 64 bits. What can go wrong: any write or sync, and memory for the
 * rows; then no file stays. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define RUN_ROWS 32              /* On average: a run is worth a call. */

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
	    w->table, w->partition, w->label, ".parquet", w->cold },
	    &x->file, full);
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
widen_range(struct tn_lake_writer *x, const struct tn_batch *b, uint32_t from,
    uint32_t count)
{
	const struct tn_column *c = &b->columns[x->time_column];

	for (uint32_t i = from; i < from + count; i++) {
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
tn_lake_add_rows(struct tn_lake_writer *x, const struct tn_batch *b, uint32_t from,
    uint32_t count)
{
	if (x->time_column >= 0)
		widen_range(x, b, from, count);
	return tn_parquet_write_rows(x->parquet, b, from, count);
}

enum tn_status
tn_lake_add(struct tn_lake_writer *x, const struct tn_batch *b)
{
	return tn_lake_add_rows(x, b, 0, b->rows);
}

enum tn_status
tn_lake_add_framed(struct tn_lake_writer *x, const struct tn_batch *b,
    uint32_t column, struct tn_slice frame)
{
	struct tn_parquet_frame f = { column, frame };

	if (x->time_column >= 0)
		widen_range(x, b, 0, b->rows);
	return tn_parquet_write_framed(x->parquet, b, &f);
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

/* What put_days works on. Slots number the rows of all batches. */
struct days {
	struct tn_lake *lake;
	const struct tn_lake_write *w;
	struct tn_batch *const *batches;
	const uint32_t *first;   /* Number of each batch's first row. */
	uint32_t count;
	const struct tn_column *time;    /* Of any batch: for its type. */
	struct tn_batch *all;    /* They as one; made when wanted. */
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

/* The batch of a row. */
static uint32_t
batch_of(const struct days *d, uint32_t row)
{
	uint32_t low = 0, high = d->count;

	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;
		if (d->first[mid] <= row)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* How many slots from the first one on are rows that follow one another. */
static uint32_t
run_of(const struct slot *slots, uint32_t count)
{
	uint32_t n = 1;

	while (n < count && slots[n].row == slots[0].row + n)
		n++;
	return n;
}

static bool
has_long_runs(const struct slot *slots, uint32_t count)
{
	uint32_t runs = 0;

	for (uint32_t at = 0; at < count; runs++)
		at += run_of(slots + at, count - at);
	return (uint64_t)runs * RUN_ROWS <= count;
}

/* A run may go on over batches. */
static enum tn_status
add_run(const struct days *d, struct tn_lake_writer *x, uint32_t row,
    uint32_t count)
{
	enum tn_status st = TN_OK;

	while (st == TN_OK && count > 0) {
		uint32_t k = batch_of(d, row), from = row - d->first[k];
		uint32_t n = d->batches[k]->rows - from;

		n = n < count ? n : count;
		st = tn_lake_add_rows(x, d->batches[k], from, n);
		row += n;
		count -= n;
	}
	return st;
}

static enum tn_status
put_runs(const struct days *d, const struct tn_lake_write *day,
    const struct slot *slots, uint32_t count, struct tn_lake_file *f)
{
	struct tn_lake_writer *x = NULL;
	enum tn_status st = tn_lake_create(d->lake, day, d->batches[0]->schema,
	    &x);

	for (uint32_t at = 0; st == TN_OK && at < count; ) {
		uint32_t n = run_of(slots + at, count - at);
		st = add_run(d, x, slots[at].row, n);
		at += n;
	}
	if (st == TN_OK)
		return tn_lake_finish(x, f);
	tn_lake_abandon(x);
	return st;
}

/* Its rows put together, in order. */
static enum tn_status
put_taken(struct days *d, const struct tn_lake_write *day,
    const struct slot *slots, uint32_t count, struct tn_lake_file *f)
{
	struct tn_batch *part = NULL;
	uint32_t *rows = tn_try_alloc((size_t)count * 2 * sizeof *rows);
	enum tn_status st = TN_ENOMEM;

	if (d->all == NULL)
		d->all = tn_record_batch_concat(d->batches, d->count);
	if (rows == NULL || d->all == NULL)
		goto out;
	for (uint32_t i = 0; i < count; i++)
		rows[i] = slots[i].row;
	if (!is_by_time(day))
		tn_lake_sort(&(struct tn_lake_sorting){
		    day->parquet->sorted_by, day->parquet->sorted_count,
		    d->all, NULL }, rows, count);
	part = tn_record_batch_take(d->all, rows, count);
	if (part != NULL)
		st = tn_lake_put(d->lake, day, &part, 1, f);
out:
	tn_free(rows);
	tn_record_batch_unref(part);
	return st;
}

static enum tn_status
put_day(struct days *d, const struct slot *slots, uint32_t count)
{
	struct tn_lake_write day = *d->w;
	struct tn_lake_file f;
	char partition[24];
	int32_t y;
	uint32_t m, dd;
	enum tn_status st;

	tn_record_civil(day_of(d->time, slots[0].time), &y, &m, &dd);
	/* The remainders tell the compiler that it fits. */
	snprintf(partition, sizeof partition, "date=%04d-%02u-%02u",
	    (int)y % 10000000, m % 100, dd % 100);
	day.partition = partition;
	st = is_by_time(&day) && has_long_runs(slots, count) ?
	    put_runs(d, &day, slots, count, &f) :
	    put_taken(d, &day, slots, count, &f);
	if (st == TN_OK)
		tn_lake_files_add(d->out, &f);
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

/* The slots of all rows, in their order; false: memory is out. */
static bool
fill_slots(const struct days *d, struct slot **slots, uint32_t *count)
{
	uint32_t n = 0;

	*slots = tn_try_alloc(((size_t)*count + 1) * sizeof **slots);
	if (*slots == NULL)
		return false;
	for (uint32_t k = 0; k < d->count; k++) {
		const struct tn_batch *b = d->batches[k];
		const struct tn_column *c = &b->columns[d->w->time_column];

		for (uint32_t i = 0; i < b->rows; i++, n++) {
			tn_assert(tn_column_valid(c, i));
			(*slots)[n] = (struct slot){ raw_time(c, i), n };
		}
	}
	tn_assert(n == *count);
	return true;
}

static enum tn_status
put_sorted(struct days *d, const struct slot *slots, uint32_t n)
{
	uint32_t from = 0, before = d->out->count;
	enum tn_status st = TN_OK;

	while (st == TN_OK && from < n) {
		uint32_t to = from + 1;
		while (to < n && day_of(d->time, slots[to].time) ==
		    day_of(d->time, slots[from].time))
			to++;
		st = put_day(d, slots + from, to - from);
		from = to;
	}
	if (st != TN_OK)
		take_back(d->lake, d->out, before);
	return st;
}

enum tn_status
tn_lake_put_days(struct tn_lake *lake, const struct tn_lake_write *w,
    struct tn_batch *const *batches, uint32_t count,
    struct tn_lake_files *out)
{
	uint32_t *first = tn_alloc((count + 1ul) * sizeof *first), n = 0;
	struct days d = { .lake = lake, .w = w, .batches = batches,
	    .first = first, .count = count, .out = out };
	struct slot *slots = NULL, *tmp = NULL;
	enum tn_status st = TN_ENOMEM;

	tn_assert(count > 0 && w->time_column >= 0);
	d.time = &batches[0]->columns[w->time_column];
	tn_assert(is_time(d.time->type));
	for (uint32_t k = 0; k < count; k++) {
		first[k] = n;
		tn_assert(batches[k]->rows <= TN_BATCH_ROWS_MAX - n);
		n += batches[k]->rows;
	}
	tmp = tn_try_alloc(((size_t)n / 2 + 1) * sizeof *tmp);
	if (tmp != NULL && fill_slots(&d, &slots, &n)) {
		sort_slots(slots, tmp, n);
		st = put_sorted(&d, slots, n);
	}
	tn_record_batch_unref(d.all);
	tn_free(first);
	tn_free(slots);
	tn_free(tmp);
	return st;
}
