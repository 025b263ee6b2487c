/* Saved states of folds from hostile bytes: whatever they are, loading gives
 * TN_ECORRUPT or states that merge, finish and save again, and what was saved
 * loads. The first byte picks a view of one aggregate; the rest is its state
 * behind a right version and mark, unless the byte's high bit is set. */
#include "exec/exec.h"

#include <stdlib.h>
#include <string.h>

static const char ddl[] = "CREATE TABLE e (k int8, s text, b bool, i2 int2,"
    " f4 real, f8 float8, n numeric(30,4), d date, t timestamptz, u uuid);";
static const char *const aggs[] = { "count(*)", "sum(k)", "avg(n)",
    "sum(f8)", "avg(f4)", "min(i2)", "max(f4)", "min(s)", "max(u)",
    "max(n)", "bool_or(b)", "stddev(f8)", "first(s, t)", "last(n, s)",
    "arg_min(u, s)", "arg_max(s, f8)", "count(DISTINCT s)",
    "count(DISTINCT n)", "count(DISTINCT f8)", "count(DISTINCT u)",
    "approx_count_distinct(s)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY f8)" };
#define AGGS (sizeof aggs / sizeof *aggs)

static struct tn_exec_program *programs[AGGS];
static uint8_t marks[AGGS][3];

static void
make_program(struct tn_sql_pipeline *p, struct tn_arena *a, size_t i)
{
	const struct tn_sql_select *s;
	struct tn_exec_fold *f;
	struct tn_batch *b;
	struct tn_diag d;
	struct tn_column cols[10];
	struct tn_batch one = { .rows = 1, .columns = cols, .refs = 1 };
	char *sql = tn_arena_printf(a, "SELECT %s FROM e", aggs[i]);

	if (tn_sql_query(p, tn_slice_of(sql), a, &s, &d) != TN_OK)
		abort();
	programs[i] = tn_exec_program_new(s);
	/* Of the sets, half spill. */
	tn_exec_program_state_max(programs[i], i % 2 == 0 ? 0 : 256);
	one.schema = tn_sql_table(p, tn_slice_of("e"))->schema;
	for (uint32_t c = 0; c < 10; c++)
		cols[c] = (struct tn_column){ .rows = 1,
		    .type = one.schema->fields[c].type,
		    .valid = tn_arena_zalloc(a, 16),
		    .values = tn_arena_zalloc(a, 16),
		    .offsets = tn_arena_zalloc(a, 16),
		    .bytes = tn_arena_zalloc(a, 16) };
	f = tn_exec_fold_new(programs[i]);
	tn_exec_fold_apply(f, &(struct tn_exec_rows){ .batch = &one }, NULL,
	    NULL);
	b = tn_exec_fold_save(f);
	memcpy(marks[i], b->columns[b->schema->count - 1].bytes, 3);
	tn_record_batch_unref(b);
	tn_exec_fold_free(f);
}

static void
setup(void)
{
	struct tn_sql_source src = { "fuzz.sql", tn_slice_of(ddl) };
	struct tn_arena *a = tn_arena_new(4096);   /* Plans live on. */
	struct tn_sql_pipeline *p;
	struct tn_diag d;

	if (tn_sql_load(&p, &src, 1, &d) != TN_OK)
		abort();
	for (size_t i = 0; i < AGGS; i++)
		make_program(p, a, i);
}

static void
check(const struct tn_exec_program *p, struct tn_exec_fold *f)
{
	struct tn_exec_fold *g = tn_exec_fold_clone(f, NULL, 0);
	struct tn_exec_fold *h = NULL;
	struct tn_batch *b;

	tn_exec_fold_merge(g, f);
	tn_record_batch_unref(tn_exec_fold_finish(g, NULL));
	tn_record_batch_unref(tn_exec_fold_save(g));
	b = tn_exec_fold_save(f);
	if (tn_exec_fold_load(p, b, &h) != TN_OK)
		abort();
	tn_record_batch_unref(b);
	tn_exec_fold_free(h);
	tn_exec_fold_free(g);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tn_field field = { .name = "_state",
	    .type = { .id = TN_T_BYTES } };
	static const struct tn_schema schema = { .name = "s", .count = 1,
	    .fields = &field };
	struct tn_exec_fold *f = NULL;
	struct tn_buf bytes = { .n = 0 };
	uint32_t offsets[2] = { 0 };
	struct tn_column column = { .type = field.type, .rows = 1,
	    .offsets = offsets };
	struct tn_batch b = { .schema = &schema, .rows = 1,
	    .columns = &column, .refs = 1 };
	size_t i;

	if (programs[0] == NULL)
		setup();
	if (size == 0)
		return 0;
	i = (data[0] & 0x7f) % AGGS;
	if ((data[0] & 0x80) == 0)
		tn_buf_add(&bytes, marks[i], 3);
	tn_buf_add(&bytes, data + 1, size - 1);
	(void)tn_buf_cstr(&bytes);      /* Not NULL. */
	offsets[1] = (uint32_t)bytes.n;
	column.bytes = bytes.p;
	if (tn_exec_fold_load(programs[i], &b, &f) == TN_OK)
		check(programs[i], f);
	tn_exec_fold_free(f);
	tn_buf_fini(&bytes);
	return 0;
}
