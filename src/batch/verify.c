/* Verify: is what we serve what the raw bytes say? A cut first, then
 *
 *   every file     against its catalog row, and bronze's chain (check.c)
 *   every stream   bronze rows = silver rows + quarantined + duplicates
 *                  + rows that retention has removed from silver
 *   every view     folded again from bronze's raw bytes, group by group equal
 *                  to gold (doubles to 1e-9 relative); bronze is read again
 *                  for exact answers of groups too large to be kept
 *
 * Groups of which retention has removed rows are left out; so are views that do
 * not say which those are. With a sample only a share of a view's days (or
 * months) is compared, from the bronze files that can hold their rows
 * (sample.c); rows of streams are not counted then.
 *
 * Cuts that wait are taken between two files of bronze: what is compared is the
 * snapshot of the first one, which is held.
 *
 * The way from bronze shares decoders, the gate, expressions and the folding of
 * rows with the usual way, but none of its files, caches, cuts, merges or saved
 * states. */
#include "batch/batch_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define LINES_MAX 50
#define BUCKET_LINES 100000

struct verify {
	struct tn_batch_jobs *b;
	const struct tn_catalog_snapshot *base;
	struct tn_batch_report *r;
	struct tn_governance_reader *reader;
	struct tn_exec_refs refs;
	struct tn_arena *arena;
	/* The stream under way. */
	uint32_t stream;
	uint64_t by_mark[4];
	uint64_t retired;                /* Accepted, and older than the floor. */
	const char *only;
	struct tn_exec_fold **folds;
	/* Bronze read again for some groups of one view; or NULL. */
	struct tn_exec_fold *exact;
	uint32_t not_compared;
	uint32_t bucket_lines;
	struct tn_budget_share held;
	const struct tn_batch_request *q;
	struct tn_batch_check check;
	struct tn_batch_picks *picks;    /* One a view; of a sample. */
	uint8_t *files;                  /* Bronze to be read; of a sample. */
};

/* What it holds: its folds and ${more} bytes. A question like any other: it is
 * refused while memory is tight. */
static enum tn_status
check_room(struct verify *v, size_t more)
{
	size_t n = more;

	for (uint32_t k = 0; k < v->b->o.model->view_count; k++)
		n += v->folds[k] == NULL ? 0 :
		    tn_exec_fold_bytes(v->folds[k]);
	return tn_budget_try(&v->held, n) ? TN_OK :
	    tn_budget_refuse(&v->r->diag);
}

static void
differ(struct verify *v, const char *what)
{
	v->r->differences++;
	if (v->r->differences <= LINES_MAX)
		tn_buf_printf(&v->r->text, "DIFFERENT  %s\n", what);
}

static void
differ_file(void *arg, const char *line)
{
	differ(arg, line);
}

/* ---- streams --------------------------------------------------------- */

static bool
wanted(const struct verify *v, uint32_t view)
{
	const struct tn_serving_view *w = &v->b->o.model->views[view];

	return v->folds[view] != NULL && w->stream == v->stream &&
	    (v->only == NULL || strcmp(v->only, w->def->name) == 0);
}

static int64_t
row_us(const struct tn_governance_rows *g, uint32_t row)
{
	int t = g->stream->table->event_time;
	const struct tn_column *c = &g->batch->columns[t < 0 ? 0 : t];

	if (t < 0)
		return g->received_us;
	if (c->type.id == TN_T_DATE)
		return ((const int32_t *)c->values)[row] *
		    INT64_C(86400000000);
	return ((const int64_t *)c->values)[row];
}

/* Rows that silver has no more are not folded either. */
static void
count_rows(struct verify *v, const struct tn_governance_rows *g)
{
	int64_t floor = tn_batch_floor(v->b, v->stream);
	bool again = v->exact != NULL;

	for (uint32_t i = 0; i < g->batch->rows; i++) {
		if (!again)
			v->by_mark[g->marks[i]]++;
		if (floor == INT64_MIN || g->marks[i] != TN_MARK_ACCEPTED ||
		    row_us(g, i) >= floor)
			continue;
		g->marks[i] = TN_MARK_QUARANTINED;
		if (!again) {
			v->retired++;
			v->by_mark[TN_MARK_ACCEPTED]--;
		}
	}
}

/* Of a sample only rows that can be of its days. */
static void
fold_picked(struct verify *v, uint32_t view, struct tn_exec_rows *rows,
    const struct tn_governance_rows *g)
{
	const struct tn_batch_picks *p = &v->picks[view];
	uint8_t *skip = tn_arena_alloc(v->arena, g->batch->rows + 1ul);

	for (uint32_t i = 0; i < g->batch->rows; i++)
		skip[i] = g->marks[i] != TN_MARK_ACCEPTED ||
		    !tn_batch_picked(p, row_us(g, i));
	rows->skip = skip;
	tn_exec_fold_apply(v->folds[view], rows, &v->refs, NULL);
	rows->skip = g->marks;
}

static void
fold_rows(struct verify *v, const struct tn_governance_rows *g)
{
	const struct tn_serving_model *m = v->b->o.model;
	struct tn_exec_rows rows = { .batch = g->batch, .skip = g->marks,
	    .lsn = g->lsn, .offset = g->offset,
	    .received_us = g->received_us };

	/* A row that does not fit its redefined table is quarantined now. */
	count_rows(v, g);
	if (v->exact != NULL) {
		tn_exec_fold_apply(v->exact, &rows, &v->refs, NULL);
		return;
	}
	for (uint32_t k = 0; k < m->view_count; k++)
		if (wanted(v, k) && v->files != NULL)
			fold_picked(v, k, &rows, g);
		else if (wanted(v, k))
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
	enum tn_status st = check_room(v, 2 * tn_record_batch_bytes(b));

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

	if (v->exact == NULL) {
		memset(v->by_mark, 0, sizeof v->by_mark);
		v->retired = 0;
	}
	for (uint32_t i = first; st == TN_OK && i < first + n &&
	    (v->exact == NULL || !tn_exec_fold_full(v->exact)); i++) {
		struct tn_lake_read r = { .path = v->base->files[i].path,
		    .schema = &tn_governance_bronze,
		    .keep_dictionary = true, .each = fold_bronze,
		    .arg = v };
		if (v->files != NULL && v->files[i - first] == 0)
			continue;
		tn_batch_let_cut(v->b);
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
	uint64_t erased = v->by_mark[TN_MARK_ERASED];
	uint64_t bronze = v->by_mark[0] + v->by_mark[1] + v->by_mark[2] +
	    v->retired + erased;
	uint32_t first, n = tn_catalog_snapshot_find(v->base, TN_TIER_SILVER,
	    s->id, &first);
	char line[300];

	/* Below the floor: late rows of a day that was gone already. */
	for (uint32_t i = first; i < first + n; i++)
		if (v->base->files[i].time_max >=
		    tn_batch_floor(v->b, v->stream))
			silver += v->base->files[i].rows;
	snprintf(line, sizeof line, "%s: bronze %llu = silver %llu + "
	    "quarantined %llu + duplicates %llu", s->table->name,
	    (unsigned long long)bronze, (unsigned long long)silver,
	    (unsigned long long)v->by_mark[1],
	    (unsigned long long)v->by_mark[2]);
	if (v->retired > 0)
		snprintf(line + strlen(line), sizeof line - strlen(line),
		    " + retired %llu", (unsigned long long)v->retired);
	if (erased > 0)
		snprintf(line + strlen(line), sizeof line - strlen(line),
		    " + erased %llu", (unsigned long long)erased);
	if (silver + v->by_mark[1] + v->by_mark[2] + v->retired + erased !=
	    bronze)
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

/* A row of a result; batch NULL: there is none. */
struct at {
	const struct tn_batch *b;
	uint32_t row;
};

static void
differ_row(struct verify *v, const char *view, struct at gold, struct at raw)
{
	struct tn_buf line = { 0 };

	tn_buf_printf(&line, "view %s: gold has ", view);
	if (gold.b != NULL)
		describe_row(&line, gold.b, gold.row);
	else
		tn_buf_str(&line, "no such row");
	tn_buf_str(&line, ", bronze says ");
	if (raw.b != NULL)
		describe_row(&line, raw.b, raw.row);
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

/* Not to be compared: no difference, but said. */
static void
say_too_large(struct verify *v, const struct tn_serving_view *w,
    const char *message)
{
	v->not_compared++;
	tn_buf_printf(&v->r->text, "TOO LARGE  view %s: %s\n", w->def->name,
	    message);
}

/* Exact answers that the states of either side do not hold. Both are needed;
 * a group too large for them is no difference, but said. */
static enum tn_status
settle_both(struct verify *v, const struct tn_serving_view *w,
    struct tn_exec_fold *gold, struct tn_exec_fold *raw)
{
	struct tn_serving_settle s = { .view = w, .base = v->base,
	    .refs = v->refs, .memory = TN_BUDGET_QUERIES };
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
	if (st == TN_ELIMIT || st == TN_EFULL)
		say_too_large(v, w, d.message);
	return st;
}

static bool
shows_keys(const struct tn_serving_view *w)
{
	for (uint32_t g = 0; g < w->def->select->group_count; g++)
		if (w->def->group_output[g] < 0)
			return false;
	return true;
}

/* By the group columns; row by row where a view does not show all of them. */
static int
order_keys(const struct tn_serving_view *w, struct at a, struct at b)
{
	int c = 0;

	if (a.b == NULL || b.b == NULL)
		return a.b == NULL ? 1 : -1;
	for (uint32_t g = 0; c == 0 && g < w->def->select->group_count; g++) {
		int k = w->def->group_output[g];
		if (!shows_keys(w))
			return 0;
		c = tn_record_compare(&a.b->columns[k], a.row,
		    &b.b->columns[k], b.row);
	}
	return c;
}

static bool
same_rows(struct at a, struct at b)
{
	bool same = true;

	for (uint32_t c = 0; same && c < a.b->schema->count; c++)
		same = tn_batch_same_value(&a.b->columns[c], a.row,
		    &b.b->columns[c], b.row);
	return same;
}

/* Both are in order of their keys. */
static void
compare_rows(struct verify *v, const struct tn_serving_view *w,
    const struct tn_batch *a, const struct tn_batch *b,
    struct tn_batch_buckets *t)
{
	uint32_t i = 0, k = 0;

	while (i < a->rows || k < b->rows) {
		struct at x = { i < a->rows ? a : NULL, i };
		struct at y = { k < b->rows ? b : NULL, k };
		int c = order_keys(w, x, y);
		bool same = c == 0 && same_rows(x, y);
		if (c > 0)
			x.b = NULL;
		if (c < 0)
			y.b = NULL;
		if (!same)
			differ_row(v, w->def->name, x, y);
		if (t->column >= 0)
			tn_batch_bucket_add(t, x.b != NULL ? a : b,
			    x.b != NULL ? i : k, same);
		i += c <= 0;
		k += c >= 0;
	}
}

static void
compare_view(struct verify *v, const struct tn_serving_view *w,
    const struct tn_exec_fold *gold, const struct tn_exec_fold *raw)
{
	struct tn_batch *a = tn_exec_fold_finish(gold, NULL);
	struct tn_batch *b = tn_exec_fold_finish(raw, NULL);
	int bucket = w->def->select->bucket_group;
	struct tn_batch_buckets t = { .view = w->def->name,
	    .lines_max = BUCKET_LINES,
	    .folded = v->q->details == TN_BATCH_FOLDED, .column = bucket < 0 ||
	    v->q->details == TN_BATCH_SUMMARY ? -1 :
	    w->def->group_output[bucket] };
	uint64_t before = v->r->differences;

	compare_rows(v, w, a, b, &t);
	tn_batch_buckets_say(&t, &v->r->text, &v->bucket_lines);
	if (v->r->differences == before)
		tn_buf_printf(&v->r->text, "equal      view %s: %u rows\n",
		    w->def->name, (unsigned)a->rows);
	tn_free(t.all);
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
		if (v->base->files[i].version != w->version ||
		    (v->files != NULL && !tn_batch_sampled(&v->check,
		    v->base->files[i].partition)))
			continue;
		st = tn_serving_gold_get(v->b->o.serving, w,
		    &v->base->files[i], &g, &v->r->diag);
		if (st == TN_OK)
			st = check_room(v, tn_exec_fold_bytes(sum) +
			    tn_exec_fold_bytes(g->fold));
		if (st == TN_OK)
			tn_exec_fold_merge(sum, g->fold);
		tn_serving_gold_put(v->b->o.serving, g);
	}
	*out = sum;
	return st;
}

static void
keep_only(struct tn_exec_fold **f, const struct tn_exec_bound *b)
{
	struct tn_exec_fold *some = tn_exec_fold_clone(*f, b, 1);

	tn_exec_fold_free(*f);
	*f = some;
}

/* Only groups of which no row can be gone, and that the view still has. */
static void
leave_out(struct verify *v, uint32_t k, struct tn_exec_fold **gold,
    const struct tn_exec_bound *kept, struct tn_arena *a)
{
	struct tn_exec_bound rest = { .group = kept->group,
	    .min = kept->max, .min_exclusive = true };

	if (kept->max != NULL) {
		keep_only(gold, &rest);
		keep_only(&v->folds[k], &rest);
	}
	if (tn_serving_kept_bound(&v->b->o.model->views[k],
	    tn_serving_gold_floor(v->b->o.serving, k), a, &rest)) {
		keep_only(gold, &rest);
		keep_only(&v->folds[k], &rest);
	}
}

static enum tn_status
verify_view(struct verify *v, uint32_t k)
{
	const struct tn_serving_view *w = &v->b->o.model->views[k];
	struct tn_exec_fold *gold = NULL;
	struct tn_exec_bound kept;
	struct tn_diag d = { .line = 0 };
	struct tn_arena *a = tn_arena_new(1024);
	enum tn_status st = tn_batch_kept(v->b, w, a, &kept, &d);

	if (st != TN_OK) {
		tn_buf_printf(&v->r->text, "no rows    view %s: retention "
		    "has removed rows that it counts\n", w->def->name);
		tn_arena_free(a);
		return TN_OK;
	}
	if (v->files != NULL)
		tn_batch_pick_groups(&v->check, w, &v->folds[k]);
	st = load_gold(v, w, &gold);
	if (st == TN_EFULL)
		say_too_large(v, w, v->r->diag.message);
	if (st == TN_OK)
		leave_out(v, k, &gold, &kept, a);
	if (st == TN_OK)
		st = settle_both(v, w, gold, v->folds[k]);
	if (st == TN_OK) {               /* And the rows of both. */
		st = check_room(v, 2 * tn_exec_fold_bytes(gold) +
		    tn_exec_fold_bytes(v->folds[k]));
		if (st != TN_OK)
			say_too_large(v, w, v->r->diag.message);
	}
	if (st == TN_OK)
		compare_view(v, w, gold, v->folds[k]);
	if (st == TN_ELIMIT || st == TN_EFULL)
		st = TN_OK;              /* Said; the others go on. */
	tn_exec_fold_free(gold);
	tn_arena_free(a);
	return st;
}

/* Which days of each view, and the bronze files that can have their rows. */
static enum tn_status
pick_files(struct verify *v)
{
	const struct tn_serving_model *m = v->b->o.model;
	const struct tn_governance_stream *s = &m->streams[v->stream];
	uint32_t first, n = tn_catalog_snapshot_find(v->base, TN_TIER_BRONZE,
	    s->id, &first), read = 0;
	enum tn_status st = TN_OK;

	v->files = tn_zalloc(n + 1ul);
	for (uint32_t k = 0; st == TN_OK && k < m->view_count; k++) {
		if (!wanted(v, k))
			continue;
		tn_batch_pick_days(&v->check, &m->views[k], &v->picks[k]);
		st = tn_batch_pick_bronze(&v->check, s, &v->picks[k],
		    v->files, &v->r->diag);
	}
	for (uint32_t i = 0; i < n; i++)
		read += v->files[i];
	tn_buf_printf(&v->r->text, "sample     stream %s: %u of %u bronze "
	    "files are read\n", s->table->name, (unsigned)read, (unsigned)n);
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
	st = v->check.share < 1 ? pick_files(v) : TN_OK;
	if (st == TN_OK)
		st = read_bronze(v);
	if (st == TN_OK && v->files == NULL)
		compare_counts(v);
	for (uint32_t k = 0; st == TN_OK && k < m->view_count; k++)
		if (wanted(v, k) && v->files != NULL &&
		    !v->picks[k].sampled)
			tn_buf_printf(&v->r->text, "LEFT OUT   view %s: it has "
			    "no time bucket to sample by\n",
			    m->views[k].def->name);
		else if (wanted(v, k))
			st = verify_view(v, k);
	tn_free(v->files);
	v->files = NULL;
	return st;
}

static bool
is_damage(enum tn_status st)
{
	return st == TN_ECORRUPT || st == TN_EIO || st == TN_ENOTFOUND;
}

/* A stream of which not everything can be read is a difference; the others are
 * looked at. */
static enum tn_status
say_damage(struct verify *v)
{
	char line[400];

	snprintf(line, sizeof line, "stream %s: %.300s",
	    v->b->o.model->streams[v->stream].table->name,
	    v->r->diag.message[0] != '\0' ? v->r->diag.message :
	    "not everything of it can be read");
	differ(v, line);
	memset(&v->r->diag, 0, sizeof v->r->diag);
	return TN_OK;
}

static void
verify_all(struct verify *v)
{
	const struct tn_serving_model *m = v->b->o.model;
	enum tn_status st = TN_OK;

	if (v->check.share < 1)
		tn_buf_printf(&v->r->text, "sample     %g, seed=%llu\n",
		    v->check.share, (unsigned long long)v->check.seed);
	tn_batch_check_files(&v->check);
	for (uint32_t s = 0; st == TN_OK && s < m->stream_count; s++) {
		v->stream = s;
		st = verify_stream(v);
		if (is_damage(st))
			st = say_damage(v);
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

static void
set_check(struct verify *v)
{
	const struct tn_batch_request *q = v->q;

	v->check = (struct tn_batch_check){ .b = v->b, .base = v->base,
	    .share = q->sample > 0 && q->sample < 1 ? q->sample : 1,
	    .seed = q->seed, .differ = differ_file, .arg = v,
	    .text = &v->r->text };
	if (q->seed == 0)
		tn_os_random(&v->check.seed, sizeof v->check.seed);
	v->check.seed &= UINT64_MAX >> 11;   /* Fits a JSON number. */
}

void
tn_batch_verify(struct tn_batch_jobs *b, const struct tn_batch_request *q,
    const char *view, struct tn_batch_report *r)
{
	const struct tn_serving_model *m = b->o.model;
	struct verify v = { .b = b, .r = r, .only = view, .q = q,
	    .held.class = TN_BUDGET_QUERIES };
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
	set_check(&v);
	v.picks = tn_zalloc((tn_serving_view_slots(m) + 1) * sizeof *v.picks);
	v.refs = tn_serving_refs_view(&refs);
	v.reader = tn_governance_reader_new(m->streams, m->stream_count);
	v.arena = tn_arena_new(1 << 16);
	v.folds = tn_zalloc((tn_serving_view_slots(m) + 1) * sizeof *v.folds);
	for (uint32_t k = 0; k < m->view_count; k++)
		if (tn_serving_view_live(m, k))
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
	tn_budget_set(&v.held, 0);
	for (uint32_t k = 0; k < m->view_count; k++) {
		tn_exec_fold_free(v.folds[k]);
		tn_free(v.picks[k].all);
	}
	tn_free(v.picks);
	tn_free(v.folds);
	tn_governance_reader_free(v.reader);
	tn_arena_free(v.arena);
	tn_serving_refs_fini(&refs);
	tn_catalog_snapshot_put(v.base);
}
