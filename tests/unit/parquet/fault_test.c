/* wrap: tn_try_alloc tn_try_realloc tn_arena_try_alloc */
/* fault: disks that fail, memory that runs out, files that are damaged. */
#include "test.h"
#include "os/os.h"
#include "parquet/parquet.h"
#include "parquet/parquet_int.h"
#include "pq_gen.h"

#include <errno.h>

/* ---- the disk -------------------------------------------------------- */

static struct tn_os_table table;
static int writes_left;
static int syncs_left;
static int error_given;

static int64_t
bad_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	if (writes_left-- == 0)
		return -error_given;
	/* Half of it, as a full disk may do. */
	return tn_os_real.pwrite(fd, p, n > 1 && writes_left % 2 ? n / 2 : n,
	    at);
}

static int
bad_sync(int fd)
{
	return syncs_left-- == 0 ? -error_given : tn_os_real.sync(fd);
}

static enum tn_status
write_file(const struct gen *g)
{
	struct tn_parquet_writer *w;
	struct tn_parquet_written done;
	enum tn_status st = tn_parquet_create(&w, PATH, &g->schema, &g->opts);

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; st == TN_OK && i < g->batch_count; i++)
		st = tn_parquet_write(w, g->batches[i]);
	if (st == TN_OK)
		return tn_parquet_finish(w, &done);
	/* A failed writer repeats its failure. */
	if (g->rows % 2 == 0) {
		assert_int_equal(tn_parquet_finish(w, &done), st);
		return st;
	}
	tn_parquet_abandon(w);
	return st;
}

/* A file of several MiB, so that it takes several writes. */
static void
big_gen(struct gen *g)
{
	gen_schema(g);
	for (uint32_t c = 0; c < g->schema.count; c++) {
		g->shapes[c] = WILD;
		g->null_percent[c] = 0;
	}
	g->opts.group_rows = 5000;
	for (int i = 0; i < 6; i++)
		gen_batch(g, 2500);
}

/* Goal: any write or sync that fails once gives its error and leaves no
 * file. */
static void
disk_failures_leave_nothing(void **state)
{
	struct gen g;
	int n;

	(void)state;
	big_gen(&g);
	table = tn_os_real;
	table.pwrite = bad_pwrite;
	table.sync = bad_sync;
	tn_os_use(&table);
	(void)unlink(PATH);
	for (n = 0;; n++) {
		enum tn_status st;

		writes_left = n;
		syncs_left = -1;
		error_given = n % 2 ? ENOSPC : EIO;
		st = write_file(&g);
		if (st == TN_OK)
			break;
		assert_int_equal(st, n % 2 ? TN_ENOSPC : TN_EIO);
		assert_int_equal(access(PATH, F_OK), -1);
	}
	assert_true(n >= 2);
	(void)unlink(PATH);
	writes_left = -1;
	syncs_left = 0;
	error_given = EIO;
	assert_int_equal(write_file(&g), TN_EIO);
	assert_int_equal(access(PATH, F_OK), -1);
	tn_os_use(NULL);
	gen_fini(&g);
}

/* Goal: an existing file is neither written nor removed. */
static void
existing_files_stay(void **state)
{
	struct tn_parquet_writer *w;
	struct gen g;
	FILE *f = fopen(PATH, "w");

	(void)state;
	fputs("mine", f);
	fclose(f);
	gen_schema(&g);
	assert_int_equal(tn_parquet_create(&w, PATH, &g.schema, NULL),
	    TN_EEXIST);
	assert_int_equal(access(PATH, F_OK), 0);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_create(&w, "/nowhere/x", &g.schema, NULL),
	    TN_ENOTFOUND);
}

/* Goal: rows that the schema forbids are refused, and no file stays. */
static void
bad_rows_are_refused(void **state)
{
	struct tn_field f = { "n", { .id = TN_T_NUMERIC, .precision = 18,
	    .scale = 2 }, true };
	struct tn_schema s = { "s", 1, &f };
	__int128 big = (__int128)INT64_MAX + 1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct tn_builder *b = tn_record_builder_new(&s, 1);
		struct tn_parquet_writer *w;
		struct tn_batch *batch;

		if (i == 0)
			tn_record_builder_null(b, 0);
		else
			tn_record_builder_fixed(b, 0, &big);
		tn_record_builder_row_end(b);
		batch = tn_record_builder_take(b);
		tn_record_builder_free(b);
		assert_int_equal(tn_parquet_create(&w, PATH, &s, NULL),
		    TN_OK);
		assert_int_equal(tn_parquet_write(w, batch), TN_EINVAL);
		assert_int_equal(tn_parquet_finish(w, NULL), TN_EINVAL);
		assert_int_equal(access(PATH, F_OK), -1);
		tn_record_batch_unref(batch);
	}
	f.type = tn_record_type(TN_T_INTERVAL);
	assert_int_equal(tn_parquet_create(&(struct tn_parquet_writer *){
	    NULL }, PATH, &s, NULL), TN_EUNSUPPORTED);
}

/* ---- memory ---------------------------------------------------------- */

static int allocs_left = -1;

void *__real_tn_try_alloc(size_t n);
void *__real_tn_try_realloc(void *p, size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *__wrap_tn_try_realloc(void *p, size_t n);

void *
__wrap_tn_try_alloc(size_t n)
{
	return allocs_left >= 0 && allocs_left-- == 0 ? NULL :
	    __real_tn_try_alloc(n);
}

void *
__wrap_tn_try_realloc(void *p, size_t n)
{
	return allocs_left >= 0 && allocs_left-- == 0 ? NULL :
	    __real_tn_try_realloc(p, n);
}

void *__real_tn_arena_try_alloc(struct tn_arena *a, size_t n);
void *__wrap_tn_arena_try_alloc(struct tn_arena *a, size_t n);

void *
__wrap_tn_arena_try_alloc(struct tn_arena *a, size_t n)
{
	return allocs_left >= 0 && allocs_left-- == 0 ? NULL :
	    __real_tn_arena_try_alloc(a, n);
}

static enum tn_status
read_once(struct tn_parquet_reader *r, const struct gen *g)
{
	struct tn_parquet_read_opts o = { .row_first = 3,
	    .batch_rows_max = 150, .keep_dictionary = g->rows % 3 == 0 };
	struct tn_batch *b;
	enum tn_status st = tn_parquet_read(r, 0, &o, &b, NULL);

	if (st == TN_OK)
		check_rows(g, b, 3);
	assert_true(st == TN_OK || b == NULL);
	tn_record_batch_unref(b);
	return st;
}

/* Goal: every allocation of outside size may fail: the reader says so, the
 * writer too (and leaves no file). */
static void
memory_failures_are_told(void **state)
{
	struct tn_parquet_reader *r;
	struct gen g;
	int n;

	(void)state;
	gen_schema(&g);
	g.opts.page_rows = 70;
	gen_batch(&g, 400);
	gen_file(&g, PATH);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	for (n = 0;; n++) {
		enum tn_status st;

		allocs_left = n;
		st = read_once(r, &g);
		allocs_left = -1;
		if (st == TN_OK)
			break;
		assert_int_equal(st, TN_ENOMEM);
	}
	assert_true(n > 0);
	tn_parquet_close(r);
	for (n = 0;; n++) {
		enum tn_status st;

		(void)unlink(PATH);
		allocs_left = n;
		st = write_file(&g);
		allocs_left = -1;
		if (st == TN_OK)
			break;
		assert_true(st == TN_ENOMEM || st == TN_ELIMIT);
		assert_int_equal(access(PATH, F_OK), -1);
	}
	assert_true(n > 0);
	gen_fini(&g);
}

/* ---- damage ---------------------------------------------------------- */

static void
save(const uint8_t *p, size_t n)
{
	FILE *f = fopen(PATH, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

/* Open and read all. *same: everything is as it was generated. */
static enum tn_status
read_all(const struct gen *g, bool *same, struct tn_diag *d)
{
	struct tn_parquet_reader *r;
	enum tn_status st = tn_parquet_open(&r, PATH, d);
	uint64_t first = 0;

	*same = true;
	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; st == TN_OK && i < tn_parquet_groups(r); i++) {
		struct tn_batch *b = NULL;

		st = tn_parquet_read(r, i, NULL, &b, d);
		for (uint32_t c = 0; b != NULL && c < b->schema->count; c++)
			for (uint32_t k = 0; k < b->rows && *same; k++) {
				uint32_t in;
				const struct tn_column *a = gen_at(g,
				    first + k, c, &in);

				*same = a->type.id == b->columns[c].type.id &&
				    same_value(a, in, &b->columns[c], k);
			}
		first += b != NULL ? b->rows : 0;
		tn_record_batch_unref(b);
	}
	tn_parquet_close(r);
	return st;
}

static void
damage_gen(struct gen *g)
{
	gen_schema(g);
	g->opts.group_rows = 40;
	g->opts.page_rows = 16;
	gen_batch(g, 60);
	gen_file(g, PATH);
}

/* Goal: a file cut off anywhere is refused with a message. */
static void
cut_files_are_refused(void **state)
{
	struct tn_buf all = { .p = NULL };
	struct gen g;
	bool same;

	(void)state;
	damage_gen(&g);
	assert_int_equal(tn_os_read_file(PATH, &all, 1 << 24), TN_OK);
	for (size_t n = 0; n < all.n; n += n < 50 || n + 50 > all.n ? 1 : 37) {
		struct tn_diag d = { .line = 0 };

		save(all.p, n);
		assert_int_equal(read_all(&g, &same, &d), TN_ECORRUPT);
		assert_true(d.message[0] != 0);
	}
	tn_buf_fini(&all);
	gen_fini(&g);
}

/* Goal: one flipped bit anywhere never crashes; in a page body it is always
 * noticed (by the checksum). */
static void
flipped_bits_are_noticed(void **state)
{
	struct tn_parquet_reader *r;
	struct tn_buf all = { .p = NULL };
	uint64_t bodies_end = 0;
	unsigned noticed = 0, harmless = 0, wrong = 0;
	struct gen g;

	(void)state;
	damage_gen(&g);
	assert_int_equal(tn_os_read_file(PATH, &all, 1 << 24), TN_OK);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	for (uint32_t i = 0; i < r->group_count; i++)
		for (uint32_t c = 0; c < r->schema.count; c++)
			bodies_end = r->groups[i].chunks[c].at +
			    r->groups[i].chunks[c].bytes;
	tn_parquet_close(r);
	for (int i = 0; i < 6000; i++) {
		size_t at = gen_below((uint32_t)all.n);
		uint8_t bit = (uint8_t)(1u << gen_below(8));
		struct tn_diag d = { .line = 0 };
		enum tn_status st;
		bool same;

		all.p[at] ^= bit;
		save(all.p, all.n);
		st = read_all(&g, &same, &d);
		all.p[at] ^= bit;
		if (st != TN_OK) {
			assert_true(d.message[0] != 0);
			noticed++;
		} else if (same) {
			harmless++;
		} else {
			/* Only headers can change the meaning unnoticed. */
			wrong++;
		}
	}
	print_message("noticed %u, harmless %u, other values %u\n", noticed,
	    harmless, wrong);
	assert_true(bodies_end > 0 && noticed > 1000);
	tn_buf_fini(&all);
	gen_fini(&g);
}

/* Goal: every bit of every page body is under its checksum. */
static void
bodies_are_checked(void **state)
{
	struct tn_parquet_reader *r;
	struct tn_buf all = { .p = NULL };
	struct pq_page_header h;
	struct tn_cursor c;
	struct gen g;
	bool same;

	(void)state;
	damage_gen(&g);
	assert_int_equal(tn_os_read_file(PATH, &all, 1 << 24), TN_OK);
	assert_int_equal(tn_parquet_open(&r, PATH, NULL), TN_OK);
	for (uint32_t k = 0; k < r->schema.count; k++) {
		const struct pq_chunk *chunk = &r->groups[0].chunks[k];
		struct tn_diag d = { .line = 0 };
		size_t at;

		c = (struct tn_cursor){ all.p + chunk->at, all.p + chunk->at +
		    chunk->bytes, false };
		assert_true(tn_parquet_page_header(&c, &h));
		assert_true(h.has_crc);
		at = (size_t)(c.p - all.p) + gen_below(h.disk_bytes);
		all.p[at] ^= 1;
		save(all.p, all.n);
		assert_int_equal(read_all(&g, &same, &d), TN_ECORRUPT);
		assert_non_null(strstr(d.message, "checksum"));
		all.p[at] ^= 1;
	}
	tn_parquet_close(r);
	tn_buf_fini(&all);
	gen_fini(&g);
}

/* Goal: what is no Parquet file is refused with a message that says so. */
static void
other_files_are_refused(void **state)
{
	static const char *const files[] = { "", "PAR1", "PAR1PAR1",
	    "PAR1\1\0\0\0PAR1", "GIF89a and more bytes than twelve",
	    "PAR1xxxxxxxxxxxxxxxxxxxx\xff\xff\xff\x7fPAR1",
	    "PAR1xxxxxxxxxxxxxxxxxxxx" };
	struct tn_parquet_reader *r;
	struct tn_diag d;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(files); i++) {
		d = (struct tn_diag){ .line = 0 };
		save((const uint8_t *)files[i], strlen(files[i]));
		assert_int_equal(tn_parquet_open(&r, PATH, &d), TN_ECORRUPT);
		assert_string_equal(d.code, "bad_file");
	}
	save((const uint8_t *)"PAR1xxxxxxxxxxxxxxxx\x08\x00\x00\x00PARE", 28);
	assert_int_equal(tn_parquet_open(&r, PATH, &d), TN_EUNSUPPORTED);
	(void)unlink(PATH);
	assert_int_equal(tn_parquet_open(&r, PATH, &d), TN_ENOTFOUND);
	assert_non_null(strstr(d.message, PATH));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_failures_leave_nothing),
		cmocka_unit_test(existing_files_stay),
		cmocka_unit_test(bad_rows_are_refused),
		cmocka_unit_test(memory_failures_are_told),
		cmocka_unit_test(cut_files_are_refused),
		cmocka_unit_test(flipped_bits_are_noticed),
		cmocka_unit_test(bodies_are_checked),
		cmocka_unit_test(other_files_are_refused),
	};

	gen_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
