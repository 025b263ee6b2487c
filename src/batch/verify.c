/* Verify: is what we serve what the raw bytes say? A cut first, then
 *
 *   every file     its CRC against the catalog
 *   every stream   bronze rows = silver rows + quarantined + duplicates
 *   every view     folded again from bronze's raw bytes, group by group equal
 *                  to gold (doubles to 1e-9 relative); bronze is read again
 *                  for exact answers of groups too large to be kept
 *
 * The way from bronze shares the gate and the folds with the usual way, but
 * none of its files, caches, cuts or merges. */
#include "batch/batch_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define LINES_MAX 50

struct verify {
	struct tn_batch_jobs *b;
	const struct tn_catalog_snapshot *base;
	struct tn_batch_report *r;
	struct tn_governance_reader *reader;
	struct tn_exec_refs refs;
	struct tn_arena *arena;
	/* The stream under way. */
	uint32_t stream;
	uint64_t by_mark[3];
	const char *only;
	struct tn_exec_fold **folds;
	/* Bronze read again for some groups of one view; or NULL. */
	struct tn_exec_fold *exact;
	uint32_t not_compared;
};

static void
differ(struct verify *v, const char *what)
{
	v->r->differences++;
	if (v->r->differences <= LINES_MAX)
		tn_buf_printf(&v->r->text, "DIFFERENT  %s\n", what);
}

/* ---- files ----------------------------------------------------------- */

static void
check_files(struct verify *v)
{
	char line[400];

	for (uint32_t i = 0; i < v->base->count &&
	    tn_batch_stopping(v->b, NULL) == TN_OK; i++) {
		const struct tn_catalog_file *f = &v->base->files[i];
		uint32_t crc = 0;
		uint64_t bytes = 0;
		enum tn_status st = tn_lake_check(v->b->o.lake, f->path, &crc,
		    &bytes);
		if (st == TN_OK && crc == f->crc && bytes == f->bytes)
			continue;
		snprintf(line, sizeof line, "file %s: %s", f->path,
		    st != TN_OK ? tn_status_text(st) :
		    "its checksum is not the one in the catalog");
		differ(v, line);
	}
	tn_buf_printf(&v->r->text, "files      %u compared with the catalog\n",
	    (unsigned)v->base->count);
}

/* ---- streams --------------------------------------------------------- */

static bool
wanted(const struct verify *v, uint32_t view)
{
	const struct tn_serving_view *w = &v->b->o.model->views[view];

	return w->stream == v->stream &&
	    (v->only == NULL || strcmp(v->only, w->def->name) == 0);
}

static void
fold_rows(struct verify *v, const struct tn_governance_rows *g)
{
	const struct tn_serving_model *m = v->b->o.model;
	struct tn_exec_rows rows = { .batch = g->batch, .skip = g->marks,
	    .lsn = g->lsn, .offset = g->offset,
	    .received_us = g->received_us };

	if (v->exact != NULL) {
		tn_exec_fold_apply(v->exact, &rows, &v->refs, NULL);
		return;
	}
	/* A row that does not fit its redefined table is quarantined now. */
	for (uint32_t i = 0; i < g->batch->rows; i++)
		v->by_mark[g->marks[i]]++;
	for (uint32_t k = 0; k < m->view_count; k++)
		if (wanted(v, k))
			tn_exec_fold_apply(v->folds[k], &rows, &v->refs,
			    NULL);
}

static enum tn_status
fold_block(struct verify *v, const struct tn_log_block *block)
{
	struct tn_governance_rows *g = NULL;
	enum tn_status st = tn_governance_reader_block(v->reader, block, &g);

	if (st == TN_OK)
		fold_rows(v, g);
	tn_governance_rows_unref(g);
	if (st == TN_OK && v->exact != NULL && tn_exec_fold_full(v->exact))
		st = TN_END;             /* It will be asked for less. */
	return st;
}

static enum tn_status
fold_bronze(void *arg, struct tn_batch *b)
{
	struct verify *v = arg;
	uint32_t at = 0;
	enum tn_status st = TN_OK;

	while (st == TN_OK && at < b->rows) {
		struct tn_log_block block;
		st = tn_governance_block_of(b, at,
		    v->b->o.model->streams[v->stream].id, v->arena, &block,
		    &at);
		if (st == TN_OK)
			st = fold_block(v, &block);
		tn_arena_reset(v->arena);
	}
	return st;
}

static enum tn_status
read_bronze(struct verify *v)
{
	const struct tn_governance_stream *s =
	    &v->b->o.model->streams[v->stream];
	uint32_t first, n = tn_catalog_snapshot_find(v->base, TN_TIER_BRONZE,
	    s->id, &first);
	enum tn_status st = TN_OK;

	if (v->exact == NULL)
		memset(v->by_mark, 0, sizeof v->by_mark);
	for (uint32_t i = first; st == TN_OK && i < first + n &&
	    (v->exact == NULL || !tn_exec_fold_full(v->exact)); i++) {
		struct tn_lake_read r = { .path = v->base->files[i].path,
		    .schema = &tn_governance_bronze, .each = fold_bronze,
		    .arg = v };
		st = tn_batch_stopping(v->b, &v->r->diag);
		if (st == TN_OK)
			st = tn_lake_read(v->b->o.lake, &r, &v->r->diag);
	}
	return st;
}

static void
compare_counts(struct verify *v)
{
	const struct tn_governance_stream *s =
	    &v->b->o.model->streams[v->stream];
	uint64_t silver = 0;
	uint64_t bronze = v->by_mark[0] + v->by_mark[1] + v->by_mark[2];
	uint32_t first, n = tn_catalog_snapshot_find(v->base, TN_TIER_SILVER,
	    s->id, &first);
	char line[300];

	for (uint32_t i = first; i < first + n; i++)
		silver += v->base->files[i].rows;
	snprintf(line, sizeof line, "%s: bronze %llu = silver %llu + "
	    "quarantined %llu + duplicates %llu", s->table->name,
	    (unsigned long long)bronze, (unsigned long long)silver,
	    (unsigned long long)v->by_mark[1],
	    (unsigned long long)v->by_mark[2]);
	if (silver + v->by_mark[1] + v->by_mark[2] != bronze)
		differ(v, line);
	else
		tn_buf_printf(&v->r->text, "equal      stream %s\n", line);
	v->r->rows += bronze;
}

/* ---- views ----------------------------------------------------------- */

bool
tn_batch_same_value(const struct tn_column *a, uint32_t i,
    const struct tn_column *b, uint32_t k)
{
	double x, y;

	if (tn_record_compare(a, i, b, k) == 0)
		return true;
	if (!tn_column_valid(a, i) || !tn_column_valid(b, k))
		return false;
	if (a->type.id == TN_T_FLOAT8) {
		x = ((const double *)a->values)[i];
		y = ((const double *)b->values)[k];
	} else if (a->type.id == TN_T_FLOAT4) {
		x = ((const float *)a->values)[i];
		y = ((const float *)b->values)[k];
		return fabs(x - y) <= 1e-5 * fmax(fabs(x), fabs(y));
	} else {
		return false;
	}
	return fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y));
}

static void
describe_row(struct tn_buf *out, const struct tn_batch *b, uint32_t row)
{
	for (uint32_t c = 0; c < b->schema->count; c++) {
		tn_buf_printf(out, "%s%s=", c > 0 ? " " : "",
		    b->schema->fields[c].name);
		if (tn_column_valid(&b->columns[c], row))
			tn_record_print(out, &b->columns[c], row);
		else
			tn_buf_str(out, "null");
	}
}

static void
differ_row(struct verify *v, const char *view, const struct tn_batch *gold,
    const struct tn_batch *raw, uint32_t row)
{
	struct tn_buf line = { 0 };

	tn_buf_printf(&line, "view %s: gold has ", view);
	if (row < gold->rows)
		describe_row(&line, gold, row);
	else
		tn_buf_str(&line, "no such row");
	tn_buf_str(&line, ", bronze says ");
	if (row < raw->rows)
		describe_row(&line, raw, row);
	else
		tn_buf_str(&line, "no such row");
	differ(v, tn_buf_cstr(&line));
	tn_buf_fini(&line);
}

static enum tn_status
read_again(void *arg, struct tn_exec_fold *exact, struct tn_diag *d)
{
	struct verify *v = arg;
	enum tn_status st;

	v->exact = exact;
	st = read_bronze(v);
	v->exact = NULL;
	if (st != TN_OK && d != NULL)
		*d = v->r->diag;
	return st;
}

/* Exact answers that the states of either side do not hold. Both are needed;
 * a group too large for them is no difference, but said. */
static enum tn_status
settle_both(struct verify *v, const struct tn_serving_view *w,
    struct tn_exec_fold *gold, struct tn_exec_fold *raw)
{
	struct tn_serving_settle s = { .view = w, .base = v->base,
	    .refs = v->refs, .memory = TN_BUDGET_CUTS };
	struct tn_exec_settle_opts o = { .pass = read_again, .arg = v,
	    .memory_max = tn_serving_query_bytes(v->b->o.serving) };
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_exec_fold_settle(raw, &o, &d);

	if (st == TN_OK)
		st = tn_serving_settle(v->b->o.serving, &s, gold, &d);
	if (st == TN_OK)
		return st;
	if (v->r->diag.message[0] == '\0' || v->not_compared > 0)
		v->r->diag = d;
	if (st != TN_ELIMIT && st != TN_EFULL)
		return st;
	v->not_compared++;
	tn_buf_printf(&v->r->text, "TOO LARGE  view %s: %s\n", w->def->name,
	    d.message);
	return st;
}

static void
compare_view(struct verify *v, const struct tn_serving_view *w,
    const struct tn_exec_fold *gold, const struct tn_exec_fold *raw)
{
	struct tn_batch *a = tn_exec_fold_finish(gold, NULL);
	struct tn_batch *b = tn_exec_fold_finish(raw, NULL);
	uint32_t rows = a->rows > b->rows ? a->rows : b->rows;
	uint64_t before = v->r->differences;

	for (uint32_t i = 0; i < rows; i++) {
		bool same = i < a->rows && i < b->rows;
		for (uint32_t c = 0; same && c < a->schema->count; c++)
			same = tn_batch_same_value(&a->columns[c], i, &b->columns[c],
			    i);
		if (!same)
			differ_row(v, w->def->name, a, b, i);
	}
	if (v->r->differences == before)
		tn_buf_printf(&v->r->text, "equal      view %s: %u rows\n",
		    w->def->name, (unsigned)a->rows);
	tn_record_batch_unref(a);
	tn_record_batch_unref(b);
}

static enum tn_status
load_gold(struct verify *v, const struct tn_serving_view *w,
    struct tn_exec_fold **out)
{
	struct tn_exec_fold *sum = tn_exec_fold_new(w->program);
	uint32_t first, n = tn_catalog_snapshot_find(v->base, TN_TIER_GOLD,
	    w->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_serving_gold *g = NULL;
		if (v->base->files[i].version != w->version)
			continue;
		st = tn_serving_gold_get(v->b->o.serving, w,
		    &v->base->files[i], &g, &v->r->diag);
		if (st == TN_OK)
			tn_exec_fold_merge(sum, g->fold);
		tn_serving_gold_put(v->b->o.serving, g);
	}
	*out = sum;
	return st;
}

static enum tn_status
verify_stream(struct verify *v)
{
	const struct tn_serving_model *m = v->b->o.model;
	bool any = v->only == NULL;
	enum tn_status st;

	for (uint32_t k = 0; k < m->view_count; k++)
		any = any || wanted(v, k);
	if (!any)
		return TN_OK;
	st = read_bronze(v);
	if (st != TN_OK)
		return st;
	compare_counts(v);
	for (uint32_t k = 0; st == TN_OK && k < m->view_count; k++) {
		struct tn_exec_fold *gold = NULL;
		if (!wanted(v, k))
			continue;
		st = load_gold(v, &m->views[k], &gold);
		if (st == TN_OK)
			st = settle_both(v, &m->views[k], gold,
			    v->folds[k]);
		if (st == TN_OK)
			compare_view(v, &m->views[k], gold, v->folds[k]);
		if (st == TN_ELIMIT || st == TN_EFULL)
			st = TN_OK;      /* Said; the others go on. */
		tn_exec_fold_free(gold);
	}
	return st;
}

static void
verify_all(struct verify *v)
{
	const struct tn_serving_model *m = v->b->o.model;
	enum tn_status st = TN_OK;

	check_files(v);
	for (uint32_t s = 0; st == TN_OK && s < m->stream_count; s++) {
		v->stream = s;
		st = verify_stream(v);
	}
	if (st == TN_OK && v->r->differences == 0 && v->not_compared > 0)
		st = TN_ELIMIT;          /* With the diag of the last one. */
	if (st == TN_OK && v->r->differences > 0)
		st = tn_diag_set(&v->r->diag, TN_ECONFLICT, "different",
		    "%llu differences between what is served and the raw "
		    "bytes", (unsigned long long)v->r->differences);
	if (st != TN_OK && v->r->diag.message[0] == '\0')
		tn_diag_set(&v->r->diag, st, "verify_failed",
		    "verify could not read everything: %s",
		    tn_status_text(st));
	v->r->status = st;
}

void
tn_batch_verify(struct tn_batch_jobs *b, const char *view,
    struct tn_batch_report *r)
{
	const struct tn_serving_model *m = b->o.model;
	struct verify v = { .b = b, .r = r, .only = view };
	struct tn_serving_refs refs;
	uint64_t lsn;
	enum tn_status st;

	if (view != NULL && tn_serving_view_find(m, tn_slice_of(view)) < 0) {
		r->status = tn_diag_set(&r->diag, TN_ENOTFOUND,
		    "unknown_view", "there is no view \"%.63s\"", view);
		return;
	}
	tn_batch_cut(b, "verify", r);
	if (r->status != TN_OK)
		return;
	r->rows = 0;
	b->o.speed.seal(b->o.speed.speed, &lsn, &refs);
	b->o.speed.unseal(b->o.speed.speed);
	v.base = tn_catalog_snapshot(b->o.catalog);
	v.refs = tn_serving_refs_view(&refs);
	v.reader = tn_governance_reader_new(m->streams, m->stream_count);
	v.arena = tn_arena_new(1 << 16);
	v.folds = tn_zalloc((m->view_count + 1) * sizeof *v.folds);
	for (uint32_t k = 0; k < m->view_count; k++)
		v.folds[k] = tn_exec_fold_new(m->views[k].program);
	st = tn_batch_run_begin(b, "verify", "request",
	    view != NULL ? view : "", 0, v.base->lsn, &r->run);
	verify_all(&v);
	if (st == TN_OK && tn_catalog_run_end(b->o.catalog, r->run,
	    r->status == TN_OK ? TN_RUN_DONE : TN_RUN_FAILED,
	    tn_os_wall_us(), r->rows, 0, r->status == TN_OK ?
	    "everything is equal" : r->diag.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)r->run);
	for (uint32_t k = 0; k < m->view_count; k++)
		tn_exec_fold_free(v.folds[k]);
	tn_free(v.folds);
	tn_governance_reader_free(v.reader);
	tn_arena_free(v.arena);
	tn_serving_refs_fini(&refs);
	tn_catalog_snapshot_put(v.base);
}
