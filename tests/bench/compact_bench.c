/* compact_bench: days of one-minute commits of four streams, with the clock of
 * this program: what is left is counted and read beside a copy that was
 * written once.
 *
 *   compact_bench [days=30] [rows=20] [file=128] [step=1] [people=0]
 *       [times=120] [dir=/dev/shm]
 *
 * rows of each stream and minute; one in 20 is late by up to two hours, one in
 * 2000 by up to five days. file: compact_file_bytes in MiB. step: minutes from
 * commit to commit; people=1: also a view of each person and hour, for what
 * gold costs. Nothing is synced:
 * it is about files, not about this disk. Lines: name, value, unit. Ends with
 * 1 when a bound does not hold:
 *
 *   young files of a partition after each cut      <= 8
 *   files of a partition after each cut            <= size / file + 1, and 7
 *       more in the hour after its newest rows
 *   files on the disk, after each 16th cut         <= those in force, and of
 *       each commit of the last snapshot_keep 3 for each stream and tier: what
 *       the cut writes, what merging makes of it, and when the day is still
 *   files of a partition at the end                <= size / file + 1 + young
 *   bytes of a scan                                <= 1.2 of the copy's
 *   its time, least of 7, by turns with the copy   <= times/100 of it */
#include "batch/batch_int.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define MINUTE INT64_C(60000000)
#define DAY (1440 * MINUTE)
#define BEGIN INT64_C(1772323200000000)      /* 2026-03-01 */
#define YOUNG 8
#define ROUNDS 7
#define STREAMS 4
#define KEEP (60 * MINUTE)

static const char sql[] =
    "CREATE TABLE badge (id int8 PRIMARY KEY, ts timestamptz NOT NULL,"
    " office text NOT NULL, person int8, temp double precision)"
    " WITH (event_time = 'ts', dedupe_window = '2 hours');"
    "CREATE TABLE climate (id int8, ts timestamptz NOT NULL,"
    " office text NOT NULL, person int8, temp double precision)"
    " WITH (event_time = 'ts');"
    "CREATE TABLE meter (id int8, ts timestamptz NOT NULL,"
    " office text NOT NULL, person int8, temp double precision)"
    " WITH (event_time = 'ts', sort_by = 'office, person');"
    "CREATE TABLE parcel (id int8, ts timestamptz NOT NULL,"
    " office text NOT NULL, person int8, temp double precision)"
    " WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW hourly AS SELECT office,"
    " date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS n,"
    " avg(temp) AS temp FROM badge GROUP BY office, hour;"
    "CREATE MATERIALIZED VIEW daily AS SELECT date_trunc('day', ts) AS day,"
    " count(*) AS n FROM climate GROUP BY day;";

static const char people_sql[] =
    "CREATE MATERIALIZED VIEW people AS SELECT person,"
    " date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS n,"
    " avg(temp) AS temp FROM parcel GROUP BY person, hour;";

static struct {
	uint32_t days, rows, file, step, people, times, cuts;
	const char *base;
	char dir[200], copy_dir[240];
	int64_t now;
	uint64_t seed, ids;
	struct tn_catalog *catalog;
	struct tn_lake *lake, *copy;
	struct tn_log *log;
	struct tn_sql_pipeline *pipeline;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_serving *serving;
	struct tn_batch_jobs *batch;
	uint32_t most;               /* Young files of a partition. */
	uint32_t most_all;           /* Files of all partitions. */
	uint32_t disk, most_disk;    /* Files on the disk. */
	double *seconds;             /* Of each cut. */
	bool bad;
} b = { .days = 30, .rows = 20, .file = 128, .step = 1, .times = 120 };

static double
seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
must(enum tn_status st, const char *what, const struct tn_diag *d)
{
	if (st == TN_OK)
		return;
	(void)fprintf(stderr, "%s: %s %s\n", what, tn_status_text(st),
	    d != NULL ? d->message : "");
	exit(1);
}

static uint64_t
random_u64(void)
{
	uint64_t z = b.seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- the clock and the disk ------------------------------------------ */

static int64_t
own_wall(void)
{
	return b.now;
}

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- the layers below ------------------------------------------------ */

static void
seal(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	(void)speed;
	*lsn = tn_log_last(b.log);
	memset(refs, 0, sizeof *refs);
	refs->refs = tn_zalloc(sizeof *refs->refs);
	refs->names = tn_zalloc(sizeof *refs->names);
}

static void
nothing(void *speed)
{
	(void)speed;
}

static void
trim(void *arg, uint64_t lsn)
{
	(void)arg;
	must(tn_log_trim(b.log, lsn), "trim", NULL);
}

static void
no_tail(void *speed, struct tn_serving_ask *ask)
{
	(void)speed;
	ask->base = NULL;
	ask->done(ask);
}

static void
open_all(void)
{
	struct tn_sql_source sources[] = {
	    { "bench.sql", tn_slice_of(sql) },
	    { "people.sql", tn_slice_of(people_sql) } };
	struct tn_diag d = { .line = 0 };
	char path[300];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 64 << 20 };
	struct tn_serving_opts so = { .speed = { no_tail, NULL } };
	struct tn_batch_opts bo = { .speed = { .seal = seal,
	    .unseal = nothing, .published = nothing },
	    .published = trim, .young_files_max = YOUNG,
	    .compact_file_bytes = (uint64_t)b.file << 20,
	    .garbage_us = KEEP };

	must(tn_sql_load(&b.pipeline, sources, 1 + (b.people > 0), &d), "sql", &d);
	(void)snprintf(path, sizeof path, "%s/catalog.db", b.dir);
	must(tn_catalog_open(&b.catalog, path, &d), path, &d);
	(void)snprintf(path, sizeof path, "%s/lake", b.dir);
	must(tn_lake_open(&b.lake, path, &d), path, &d);
	(void)snprintf(b.copy_dir, sizeof b.copy_dir, "%s/copy", b.dir);
	must(tn_lake_open(&b.copy, b.copy_dir, &d), b.copy_dir, &d);
	(void)snprintf(path, sizeof path, "%s/log", b.dir);
	must(tn_log_open(&b.log, &lo, &d), path, &d);
	must(tn_serving_model_new(&b.model, b.pipeline, b.catalog, &d),
	    "model", &d);
	b.loop = tn_net_loop_new();
	b.pool = tn_net_pool_new("query", 1, 16);
	so.loop = b.loop;
	so.pool = bo.pool = b.pool;
	so.model = bo.model = b.model;
	so.catalog = bo.catalog = b.catalog;
	so.lake = bo.lake = b.lake;
	so.log = bo.log = b.log;
	b.serving = bo.serving = tn_serving_new(&so);
	b.batch = tn_batch_new(&bo);
}

static void
close_all(void)
{
	char command[300];

	tn_batch_free(b.batch);
	tn_net_pool_free(b.pool);
	tn_net_loop_settle(b.loop);
	tn_serving_free(b.serving);
	tn_net_loop_free(b.loop);
	tn_serving_model_free(b.model);
	tn_log_close(b.log);
	tn_lake_close(b.lake);
	tn_lake_close(b.copy);
	tn_catalog_close(b.catalog);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", b.dir);
	if (system(command) != 0)
		(void)fprintf(stderr, "%s stays\n", b.dir);
}

/* ---- minutes --------------------------------------------------------- */

static int64_t
event_time(void)
{
	uint64_t r = random_u64();
	int64_t t = b.now - (int64_t)(random_u64() % MINUTE);

	if (r % 2000 == 0)
		t -= (int64_t)(random_u64() % (5 * DAY));
	else if (r % 20 == 0)
		t -= (int64_t)(random_u64() % (120 * MINUTE));
	return t < BEGIN ? BEGIN : t;
}

static void
add_row(struct tn_buf *raw)
{
	static const char *const offices[] = { "berlin", "hamburg", "munich",
	    "cologne", "leipzig" };
	int64_t t = event_time();
	int32_t y;
	uint32_t m, d;
	int64_t in_day = t % DAY / 1000;

	tn_record_civil(t / DAY, &y, &m, &d);
	tn_buf_printf(raw, "{\"id\":%llu,\"ts\":\"%04d-%02u-%02uT%02d:%02d:"
	    "%02d.%03dZ\",\"office\":\"%s\",\"person\":%llu,\"temp\":%.1f}",
	    (unsigned long long)b.ids++, (int)y, m, d,
	    (int)(in_day / 3600000), (int)(in_day / 60000 % 60),
	    (int)(in_day / 1000 % 60), (int)(in_day % 1000),
	    offices[random_u64() % 5], (unsigned long long)
	    (random_u64() % 500), (double)(random_u64() % 400) / 10);
}

static void
add_block(uint32_t stream, const struct tn_buf *spec)
{
	struct tn_buf raw = { 0 };
	uint32_t lengths[1000], lines[1000];
	struct tn_log_block block = { .version = 1, .received_us = b.now,
	    .source = tn_slice_of("bench"), .lengths = lengths,
	    .lines = lines, .stream = b.model->streams[stream].id,
	    .spec = { spec->p, spec->n } };

	for (uint32_t i = 0; i < b.rows; i++) {
		size_t before = raw.n;
		add_row(&raw);
		lengths[i] = (uint32_t)(raw.n - before);
		lines[i] = i + 1;
	}
	block.rows = b.rows;
	block.raw = (struct tn_slice){ raw.p, raw.n };
	must(tn_log_append(b.log, &block, 1, NULL, 0), "append", NULL);
	tn_buf_fini(&raw);
}

static bool
same_partition(const struct tn_catalog_file *x,
    const struct tn_catalog_file *y)
{
	return x->tier == y->tier && x->object == y->object &&
	    strcmp(x->partition, y->partition) == 0;
}

static int
count_one(const char *path, const struct stat *info, int kind, struct FTW *f)
{
	(void)path;
	(void)info;
	(void)f;
	b.disk += kind == FTW_F;
	return 0;
}

/* Old files go when their snapshots do. */
static void
count_disk(uint32_t in_force)
{
	static const char *const tiers[] = { "bronze", "silver" };
	uint32_t commits = (uint32_t)(KEEP / (b.step * MINUTE)) + 1;
	char path[300];

	b.disk = 0;
	for (size_t i = 0; i < TN_COUNT(tiers); i++) {
		(void)snprintf(path, sizeof path, "%s/lake/%s", b.dir,
		    tiers[i]);
		if (nftw(path, count_one, 8, FTW_PHYS) != 0)
			b.bad = true;
	}
	b.most_disk = b.disk > b.most_disk ? b.disk : b.most_disk;
	if (b.disk <= in_force + commits * 3 * 2 * STREAMS)
		return;
	printf("%u files on the disk, %u in force\n", b.disk, in_force);
	b.bad = true;
}

/* Young and all files of partitions of bronze and silver, against their size,
 * and those on the disk. */
static void
count_files(bool disk)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(b.catalog);
	uint64_t hour = STREAMS * 60 / b.step;       /* LSNs. */
	uint32_t all = 0;

	for (uint32_t i = 0, end; i < s->count; i = end) {
		uint32_t young = 0;
		uint64_t bytes = 0, full = (uint64_t)b.file << 20, newest = 0;
		for (end = i; end < s->count && same_partition(&s->files[i],
		    &s->files[end]); end++) {
			young += s->files[end].bytes < full;
			bytes += s->files[end].bytes;
			if (s->files[end].lsn_max > newest)
				newest = s->files[end].lsn_max;
		}
		if (s->files[i].tier > TN_TIER_SILVER)
			continue;
		all += end - i;
		b.most = young > b.most ? young : b.most;
		if (end - i > bytes / full + (newest + hour < s->lsn ? 1 :
		    YOUNG)) {
			printf("%s of %s has %u files\n",
			    s->files[i].partition, s->files[i].path, end - i);
			b.bad = true;
		}
	}
	if (disk)
		count_disk(all);
	b.most_all = all > b.most_all ? all : b.most_all;
	tn_catalog_snapshot_put(s);
}

static void
run_minutes(void)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = "request" };
	struct tn_codec_spec s;
	struct tn_buf spec = { 0 };

	tn_codec_spec_init(&s, TN_CODEC_NDJSON);
	tn_codec_spec_text(&s, &spec);
	b.cuts = b.days * 1440 / b.step;
	b.seconds = tn_zalloc(b.cuts * sizeof *b.seconds);
	for (uint32_t i = 0; i < b.cuts; i++) {
		struct tn_batch_report r;
		double begun;
		memset(&r, 0, sizeof r);
		b.now = BEGIN + (i + 1) * b.step * MINUTE;
		for (uint32_t k = 0; k < STREAMS; k++)
			add_block(k, &spec);
		begun = seconds_now();
		must(tn_batch_run(b.batch, &q, &r), "cut", &r.diag);
		b.seconds[i] = seconds_now() - begun;
		tn_buf_fini(&r.text);
		count_files(i % 16 == 0);
	}
	tn_buf_fini(&spec);
	tn_codec_spec_fini(&s);
}

/* ---- beside a copy --------------------------------------------------- */

struct gather {
	struct tn_batch *b[4096];
	uint32_t count;
};

static enum tn_status
gather(void *arg, struct tn_batch *rows)
{
	struct gather *g = arg;

	if (g->count == 4096)
		return TN_ELIMIT;
	g->b[g->count] = tn_record_batch_concat(&rows, 1);
	return g->b[g->count++] == NULL ? TN_ENOMEM : TN_OK;
}

/* Each day of a stream in one file, sorted as the stream's are. */
static void
copy_day(const struct tn_governance_stream *s,
    const struct tn_catalog_file *f, uint32_t count,
    struct tn_lake_files *out)
{
	static struct gather g;
	uint32_t sorted[TN_BATCH_SORT_MAX];
	struct tn_parquet_write_opts po = { .zstd_level = 1,
	    .sorted_by = sorted,
	    .sorted_count = tn_batch_sort_columns(s, sorted) };
	struct tn_lake_write w = { .tier = "silver",
	    .table = s->table->name, .label = "once",
	    .time_column = tn_batch_time_column(s), .parquet = &po };
	struct tn_diag d = { .line = 0 };

	g.count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct tn_lake_read r = { .path = f[i].path,
		    .schema = s->silver, .each = gather, .arg = &g };
		must(tn_lake_read(b.lake, &r, &d), f[i].path, &d);
	}
	must(tn_lake_put_days(b.copy, &w, g.b, g.count, out), "copy", NULL);
	for (uint32_t i = 0; i < g.count; i++)
		tn_record_batch_unref(g.b[i]);
}

struct sum {
	uint64_t rows;
	double temp;
};

static enum tn_status
sum_rows(void *arg, struct tn_batch *rows)
{
	struct sum *s = arg;
	const double *temp = rows->columns[4].values;

	s->rows += rows->rows;
	for (uint32_t i = 0; i < rows->rows; i++)
		s->temp += temp[i];
	return TN_OK;
}

static double
scan(struct tn_lake *lake, const char *path,
    const struct tn_governance_stream *s, struct sum *sum)
{
	struct tn_lake_read r = { .path = path, .schema = s->silver,
	    .each = sum_rows, .arg = sum };
	struct tn_diag d = { .line = 0 };
	double begun = seconds_now();

	must(tn_lake_read(lake, &r, &d), path, &d);
	return seconds_now() - begun;
}

static double
scan_lake(const struct tn_catalog_snapshot *s, struct sum *sum)
{
	double t = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->files[i].tier == TN_TIER_SILVER)
			t += scan(b.lake, s->files[i].path,
			    &b.model->streams[tn_serving_stream_by_id(b.model,
			    s->files[i].object)], sum);
	return t;
}

static double
scan_copy(const struct tn_lake_files *f, struct sum *sum)
{
	double t = 0;

	/* All streams have the same columns. */
	for (uint32_t i = 0; i < f->count; i++)
		t += scan(b.copy, f->files[i].path, &b.model->streams[0],
		    sum);
	return t;
}

static void
ratio(const char *name, double ours, double once, double most)
{
	printf("%s\t%.3f\ttimes the copy's\n", name, ours / once);
	b.bad |= ours > once * most;
}

static void
compare(void)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(b.catalog);
	struct tn_lake_files copy = { 0 };
	double ours = 1e9, once = 1e9, bytes = 0, copy_bytes = 0;
	struct sum a = { 0, 0 }, c = { 0, 0 };
	uint32_t files = 0;

	for (uint32_t i = 0, end; i < s->count; i = end) {
		for (end = i; end < s->count && same_partition(&s->files[i],
		    &s->files[end]); end++)
			if (s->files[end].tier == TN_TIER_SILVER) {
				bytes += (double)s->files[end].bytes;
				files++;
			}
		if (s->files[i].tier == TN_TIER_SILVER)
			copy_day(&b.model->streams[tn_serving_stream_by_id(
			    b.model, s->files[i].object)], &s->files[i],
			    end - i, &copy);
	}
	for (uint32_t i = 0; i < copy.count; i++)
		copy_bytes += (double)copy.files[i].bytes;
	for (int i = 0; i < ROUNDS; i++) {
		double t;
		a = c = (struct sum){ 0, 0 };
		t = scan_lake(s, &a);
		ours = t < ours ? t : ours;
		t = scan_copy(&copy, &c);
		once = t < once ? t : once;
	}
	b.bad |= a.rows != c.rows || a.rows != (uint64_t)b.cuts *
	    STREAMS * b.rows;
	printf("silver rows\t%llu\trows\n", (unsigned long long)a.rows);
	printf("silver files\t%u\tfiles, %u in the copy\n", files,
	    copy.count);
	printf("silver bytes\t%.1f\tMiB, %.1f in the copy\n",
	    bytes / (1 << 20), copy_bytes / (1 << 20));
	printf("scan of all days\t%.1f\tms, %.1f the copy\n", ours * 1e3,
	    once * 1e3);
	ratio("scan, bytes", bytes, copy_bytes, 1.2);
	ratio("scan, time", ours, once, (double)b.times / 100);
	tn_lake_files_fini(&copy);
	tn_catalog_snapshot_put(s);
}

/* ---- the whole ------------------------------------------------------- */

static int
order_doubles(const void *x, const void *y)
{
	double a = *(const double *)x, c = *(const double *)y;

	return a < c ? -1 : a > c;
}

static void
show_cuts(const char *name, uint32_t from, uint32_t n)
{
	double *t = b.seconds + from;

	qsort(t, n, sizeof *t, order_doubles);
	printf("%s\t%.2f\tms a cut with what it merges, p99 %.2f\n", name,
	    t[n / 2] * 1e3, t[n * 99 / 100] * 1e3);
}

static void
read_args(int argc, char **argv)
{
	b.base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	for (int i = 1; i < argc; i++) {
		if (sscanf(argv[i], "days=%u", &b.days) == 1 ||
		    sscanf(argv[i], "rows=%u", &b.rows) == 1 ||
		    sscanf(argv[i], "file=%u", &b.file) == 1 ||
		    sscanf(argv[i], "step=%u", &b.step) == 1 ||
		    sscanf(argv[i], "people=%u", &b.people) == 1 ||
		    sscanf(argv[i], "times=%u", &b.times) == 1)
			continue;
		if (strncmp(argv[i], "dir=", 4) == 0)
			b.base = argv[i] + 4;
	}
	b.rows = b.rows > 1000 ? 1000 : b.rows;
	b.step = b.step < 1 ? 1 : b.step;
	(void)snprintf(b.dir, sizeof b.dir, "%s/tarn-compact-XXXXXX", b.base);
	if (mkdtemp(b.dir) == NULL)
		must(TN_EIO, b.base, NULL);
}

int
main(int argc, char **argv)
{
	struct tn_os_table table = tn_os_real;
	double begun = seconds_now();
	uint32_t some;

	table.wall_us = own_wall;
	table.sync = no_sync;
	b.now = BEGIN;
	read_args(argc, argv);
	tn_os_use(&table);
	open_all();
	run_minutes();
	count_files(true);
	printf("cuts\t%u\tof %u streams, %u rows each\n", b.cuts,
	    STREAMS, b.rows);
	printf("young files of a partition, most\t%u\tfiles\n", b.most);
	printf("files of bronze and silver, most\t%u\tfiles\n", b.most_all);
	printf("files on the disk, most\t%u\tfiles with those of snapshots of "
	    "the last hour\n", b.most_disk);
	b.bad |= b.most > YOUNG;
	some = b.cuts < 1000 ? b.cuts / 2 : 500;
	show_cuts("first cuts", 0, some);
	show_cuts("last cuts", b.cuts - some, some);
	compare();
	printf("all of it\t%.1f\ts\n", seconds_now() - begun);
	close_all();
	return b.bad;
}
