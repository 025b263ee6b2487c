/* The past: a view or a stream as it was when an LSN was the newest. Exact for
 * every LSN that there was, not only for kept snapshots:
 *
 *   view    gold of the newest kept snapshot S with S.lsn <= L
 *           (+) fold of the rows in (S.lsn, L]
 *   stream  the rows with _lsn <= L
 *
 * Rows come from silver, of the oldest kept snapshot that reaches L (it is the
 * cut that wrote them, so that what retention has removed since is still in
 * it), and from the log after it. Without a snapshot S whose gold is of the
 * view's present version and whole, all rows up to L are folded.
 *
 * A time means the newest block received up to it: found in bronze, which has
 * LSN and time of every row, and in the log. A row is read only from files and
 * row groups whose LSNs reach into the range.
 *
 * What can go wrong: the LSN is not there yet; rows were removed by retention
 * (rows_retired); the states are too large for query_memory; a cut trimmed the
 * log under us (TN_ENOTFOUND: ask again). Never a wrong number. */
#include "serving/serving_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

/* ---- rows of a range of LSNs ----------------------------------------- */

struct ranging {
	struct tn_serving *s;
	const struct lsn_scan *w;
	const struct tn_schema *silver;
	struct lsn_marks marks;
	bool ended;                  /* each() wants no more. */
};

bool
tn_serving_lsn_mark(struct lsn_marks *m, const struct tn_batch *b,
    uint64_t after, uint64_t last)
{
	uint32_t at = b->schema->count - TN_SQL_HIDDEN, inside = 0;
	const int64_t *lsn = b->columns[at].values;

	tn_assert(lsn != NULL && b->columns[at].type.id == TN_T_INT8);
	if (b->rows > m->cap) {
		m->cap = b->rows;
		m->marks = tn_realloc(m->marks, m->cap);
	}
	for (uint32_t i = 0; i < b->rows; i++) {
		bool in = (uint64_t)lsn[i] > after &&
		    (uint64_t)lsn[i] <= last;
		m->marks[i] = !in;
		inside += in;
	}
	return inside > 0;
}

static enum tn_status
range_batch(void *arg, struct tn_batch *b)
{
	struct ranging *x = arg;
	struct tn_exec_rows rows = { .batch = b, .has_hidden = true };
	enum tn_status st = tn_serving_awaited(x->w->left);

	if (st != TN_OK || !tn_serving_lsn_mark(&x->marks, b, x->w->after,
	    x->w->last))
		return st;
	rows.skip = x->marks.marks;
	st = x->w->each(x->w->arg, &rows);
	x->ended = st == TN_END;
	return st;
}

static enum tn_status
range_file(struct ranging *x, const struct tn_catalog_file *f,
    struct tn_diag *d)
{
	const struct lsn_scan *w = x->w;
	int64_t lo = (int64_t)w->after + 1, hi = (int64_t)w->last;
	struct tn_column min = { .type = tn_record_type(TN_T_INT8),
	    .rows = 1, .values = &lo }, max = min;
	struct tn_parquet_bound bounds[TN_SERVING_BOUNDS_MAX + 1];
	struct tn_lake_read read = { .path = f->path, .schema = x->silver,
	    .used = w->used, .bounds = bounds, .bound_count = w->bound_count,
	    .keep_dictionary = w->keep_dictionary, .each = range_batch,
	    .arg = x };
	enum tn_status st;

	if (f->lsn_min > w->last || f->lsn_max <= w->after)
		return TN_OK;
	st = w->before == NULL ? TN_OK : w->before(w->arg, f, d);
	if (st != TN_OK)
		return st == TN_END ? TN_OK : st;
	tn_assert(w->bound_count <= TN_SERVING_BOUNDS_MAX);
	if (w->bound_count > 0)
		memcpy(bounds, w->bounds, w->bound_count * sizeof *bounds);
	max.values = &hi;
	bounds[read.bound_count++] = (struct tn_parquet_bound){
	    x->silver->count - TN_SQL_HIDDEN, &min, &max };
	return tn_lake_read(x->s->o.lake, &read, d);
}

enum tn_status
tn_serving_lsn_scan(struct tn_serving *s, const struct lsn_scan *w,
    struct tn_diag *d)
{
	const struct tn_governance_stream *stream =
	    &s->o.model->streams[w->stream];
	struct ranging x = { .s = s, .w = w, .silver = stream->silver };
	struct tail_scan tail = { .stream = stream->id,
	    .after = w->silver->lsn > w->after ? w->silver->lsn : w->after,
	    .last = w->last, .each = w->each, .arg = w->arg,
	    .left = w->left, .d = d };
	uint32_t first, n = tn_catalog_snapshot_find(w->silver,
	    TN_TIER_SILVER, stream->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && !x.ended && i < first + n;
	    i++)
		st = range_file(&x, &w->silver->files[i], d);
	tn_free(x.marks.marks);
	if (st != TN_OK || x.ended)
		return x.ended ? TN_END : st;
	return tn_serving_tail(s, &tail);
}

/* ---- the fold of a range --------------------------------------------- */

struct folding {
	struct tn_serving *s;
	struct tn_serving_lsns *w;
	struct tn_exec_fold *fold;
	struct tn_budget_share held;
	struct tn_diag *d;
};

/* Groups that nobody asked for go. */
static void
keep_wanted(struct folding *x)
{
	struct tn_exec_fold *all = x->fold;

	if (x->w->bound_count == 0)
		return;
	x->fold = tn_exec_fold_clone(all, x->w->bounds, x->w->bound_count);
	tn_exec_fold_until(x->fold, x->w->left);
	tn_exec_fold_free(all);
}

static enum tn_status
check_room(struct folding *x, size_t more, struct tn_diag *d)
{
	size_t bytes = tn_exec_fold_bytes(x->fold);

	if (x->w->memory_max > 0 && bytes > x->w->memory_max) {
		tn_diag_hint(d, "ask for fewer groups (filters, from, to), "
		    "for an LSN of a kept snapshot, or raise query_memory");
		return tn_diag_set(d, TN_ELIMIT, "query_memory",
		    "the states of view %s as of LSN %llu are more than "
		    "query_memory (%.1f MiB)", x->w->view->def->name,
		    (unsigned long long)x->w->last,
		    (double)x->w->memory_max / (1 << 20));
	}
	return tn_budget_try(&x->held, bytes + more) ? TN_OK :
	    tn_budget_refuse(d);
}

static enum tn_status
fold_before(void *arg, const struct tn_catalog_file *f, struct tn_diag *d)
{
	struct folding *x = arg;
	enum tn_status st = x->w->go_on == NULL ? TN_OK :
	    x->w->go_on(x->w->arg, d);

	if (st != TN_OK)
		return st;
	keep_wanted(x);
	return check_room(x, tn_serving_read_bytes(f), d);
}

static enum tn_status
fold_rows(void *arg, const struct tn_exec_rows *rows)
{
	struct folding *x = arg;

	tn_exec_fold_apply(x->fold, rows, &x->w->refs, NULL);
	for (uint32_t i = 0; i < rows->batch->rows; i++)
		x->w->rows += rows->skip == NULL || rows->skip[i] == 0;
	if (tn_serving_awaited(x->w->left) != TN_OK)
		return TN_ECLOSED;       /* Some rows were left out. */
	return check_room(x, 0, x->d);
}

enum tn_status
tn_serving_fold_lsns(struct tn_serving *s, struct tn_serving_lsns *w,
    struct tn_exec_fold **out, struct tn_diag *d)
{
	uint32_t columns = s->o.model->streams[w->view->stream].silver->count;
	struct folding x = { .s = s, .w = w, .d = d,
	    .held = { .class = w->memory } };
	uint8_t *used = tn_zalloc(columns + 1);
	struct lsn_scan scan = { .stream = w->view->stream,
	    .silver = w->silver, .after = w->after, .last = w->last,
	    .used = used, .keep_dictionary = true, .before = fold_before,
	    .each = fold_rows, .arg = &x, .left = w->left };
	enum tn_status st;

	memcpy(used, w->view->def->select->used, columns);
	used[columns - TN_SQL_HIDDEN] = 1;       /* The range, joins. */
	used[columns - TN_SQL_HIDDEN + 1] = 1;   /* Ties: by offset. */
	w->rows = 0;
	x.fold = tn_exec_fold_new(w->view->program);
	tn_exec_fold_until(x.fold, w->left);
	st = tn_serving_lsn_scan(s, &scan, d);
	if (st == TN_OK)
		keep_wanted(&x);
	tn_budget_set(&x.held, 0);
	tn_free(used);
	if (st != TN_OK) {
		tn_exec_fold_free(x.fold);
		x.fold = NULL;
	} else {
		tn_exec_fold_until(x.fold, NULL);
	}
	*out = x.fold;
	return st;
}

/* ---- from a time to an LSN ------------------------------------------- */

struct dating {
	int64_t us;
	const _Atomic bool *left;
	uint64_t best;           /* Newest LSN received up to then; 0: none. */
};

static enum tn_status
date_batch(void *arg, struct tn_batch *b)
{
	struct dating *x = arg;
	const int64_t *lsn = b->columns[TN_BRONZE_LSN].values;
	const int64_t *at = b->columns[TN_BRONZE_RECEIVED].values;

	for (uint32_t i = 0; i < b->rows; i++)
		if (at[i] <= x->us && (uint64_t)lsn[i] > x->best)
			x->best = (uint64_t)lsn[i];
	return tn_serving_awaited(x->left);
}

static enum tn_status
date_file(struct request *r, struct dating *x,
    const struct tn_catalog_file *f, struct tn_diag *d)
{
	uint8_t used[TN_BRONZE_RAW + 1] = { 0 };
	int64_t lo = (int64_t)x->best + 1;
	struct tn_column min = { .type = tn_record_type(TN_T_INT8),
	    .rows = 1, .values = &lo };
	struct tn_column max = { .type = tn_record_type(TN_T_TIMESTAMPTZ),
	    .rows = 1, .values = &x->us };
	struct tn_parquet_bound bounds[] = {
		{ TN_BRONZE_LSN, &min, NULL },
		{ TN_BRONZE_RECEIVED, NULL, &max },
	};
	struct tn_lake_read read = { .path = f->path,
	    .schema = &tn_governance_bronze, .used = used, .bounds = bounds,
	    .bound_count = TN_COUNT(bounds), .each = date_batch, .arg = x };
	enum tn_status st;

	if (f->lsn_max <= x->best || f->time_min > x->us)
		return TN_OK;
	used[TN_BRONZE_LSN] = used[TN_BRONZE_RECEIVED] = 1;
	st = tn_serving_request_room(r, tn_serving_read_bytes(f), d);
	return st == TN_OK ? tn_lake_read(r->s->o.lake, &read, d) : st;
}

static enum tn_status
date_tail(struct request *r, struct dating *x, struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	enum tn_status st = TN_OK;
	bool found = false;

	for (uint64_t lsn = r->ask.last; st == TN_OK && !found &&
	    lsn > r->ask.base->lsn; lsn--) {
		struct tn_log_block block;
		st = tn_log_read(r->s->o.log, lsn, a, &block, d);
		if (st == TN_OK && block.received_us <= x->us) {
			x->best = lsn;
			found = true;
		}
		if (st == TN_OK)
			st = tn_serving_awaited(x->left);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return st;
}

static int
newest_file(const void *a, const void *b)
{
	const struct tn_catalog_file *x = *(const struct tn_catalog_file *
	    const *)a, *y = *(const struct tn_catalog_file *const *)b;

	return x->lsn_max > y->lsn_max ? -1 : x->lsn_max < y->lsn_max;
}

/* Newest files first: what they say leaves out most of the others. */
static enum tn_status
date_bronze(struct request *r, struct dating *x, struct tn_diag *d)
{
	const struct tn_catalog_snapshot *base = r->ask.base;
	const struct tn_catalog_file **files = tn_arena_alloc(r->arena,
	    (base->count + 1ul) * sizeof *files);
	uint32_t n = 0;
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < base->count; i++)
		if (base->files[i].tier == TN_TIER_BRONZE)
			files[n++] = &base->files[i];
	qsort(files, n, sizeof *files, newest_file);
	for (uint32_t i = 0; st == TN_OK && i < n; i++)
		st = date_file(r, x, files[i], d);
	return st;
}

static void
time_text(int64_t us, char out[static 48])
{
	struct tn_buf b = { 0 };
	struct tn_column c = { .type = tn_record_type(TN_T_TIMESTAMPTZ),
	    .rows = 1, .values = &us };

	tn_record_print(&b, &c, 0);
	snprintf(out, 48, "%s", tn_buf_cstr(&b));
	tn_buf_fini(&b);
}

static enum tn_status
lsn_of_time(struct request *r, struct tn_diag *d)
{
	struct dating x = { .us = r->past.value, .left = r->left };
	char text[48];
	enum tn_status st;

	time_text(x.us, text);
	if (x.us > tn_os_wall_us()) {
		tn_diag_hint(d, "leave as_of out for the present; the newest "
		    "LSN is %llu", (unsigned long long)r->ask.last);
		return tn_diag_set(d, TN_EINVAL, "as_of_ahead",
		    "as of %s: that is still to come", text);
	}
	st = date_tail(r, &x, d);
	if (st == TN_OK && x.best == 0)
		st = date_bronze(r, &x, d);
	r->past.lsn = x.best;
	if (st != TN_OK || x.best > 0)
		return st;
	tn_diag_hint(d, "GET /api/v1/snapshots lists LSNs with their times");
	return tn_diag_set(d, TN_EINVAL, "as_of_before",
	    "as of %s: no event had been received by then, or when is known "
	    "no more", text);
}

/* ---- which snapshots ------------------------------------------------- */

static enum tn_status
check_lsn(struct request *r, struct tn_diag *d)
{
	uint64_t last = r->ask.last;

	r->past.lsn = (uint64_t)r->past.value;
	if (r->past.value <= 0) {
		tn_diag_hint(d, "LSNs begin at 1");
		return tn_diag_set(d, TN_EINVAL, "as_of_before",
		    "as of LSN %lld: that is before the first event",
		    (long long)r->past.value);
	}
	if (r->past.lsn <= last)
		return TN_OK;
	tn_diag_hint(d, "answers carry the LSN they are of");
	return tn_diag_set(d, TN_EINVAL, "as_of_ahead",
	    "as of LSN %llu: the newest is %llu",
	    (unsigned long long)r->past.lsn, (unsigned long long)last);
}

/* Whether the view's gold in ${s} is all of its rows up to the cut, and of the
 * present definition: batch writes down from which snapshot on it is. */
static bool
is_whole(struct tn_serving *s, const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *snapshot)
{
	struct tn_arena *a = tn_arena_new(256);
	const char *text = NULL;
	uint32_t version = 0;
	unsigned long long from = 0;
	char key[40];
	bool whole = false;

	snprintf(key, sizeof key, TN_SERVING_WHOLE, (unsigned)v->id);
	if (tn_catalog_get(s->o.catalog, key, a, &text) == TN_OK &&
	    sscanf(text, "%u %llu", &version, &from) == 2)
		whole = version == v->version && from <= snapshot->sequence;
	tn_arena_free(a);
	return whole;
}

enum tn_status
tn_serving_whole(struct tn_serving *s, const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *snapshot)
{
	return is_whole(s, v, snapshot) ? TN_OK : TN_ENOTFOUND;
}

/* Silver of a table that was redefined since is not ours to read. */
static bool
is_readable(const struct tn_governance_stream *s,
    const struct tn_catalog_snapshot *snapshot)
{
	uint32_t first, n = tn_catalog_snapshot_find(snapshot,
	    TN_TIER_SILVER, s->id, &first);

	for (uint32_t i = first; i < first + n; i++)
		if (snapshot->files[i].version != s->version)
			return false;
	return true;
}

/* Rows are gone that a fold of all would miss. */
static enum tn_status
check_retired(struct request *r, struct tn_diag *d)
{
	const struct tn_serving_view *v = &r->s->o.model->views[r->view];

	if (__atomic_load_n(&r->s->floors[v->stream], __ATOMIC_RELAXED) ==
	    INT64_MIN)
		return TN_OK;
	tn_diag_hint(d, "ask for an LSN of a kept snapshot: GET "
	    "/api/v1/snapshots lists them");
	return tn_diag_set(d, TN_ELIMIT, "rows_retired", "view %s as of LSN "
	    "%llu needs rows that retention has removed", v->def->name,
	    (unsigned long long)r->past.lsn);
}

static enum tn_status
find_silver(struct request *r, const struct tn_governance_stream *s,
    bool *found)
{
	struct past *p = &r->past;
	enum tn_status st;

	*found = true;
	if (p->lsn < r->ask.base->lsn) {
		st = tn_catalog_snapshot_at(r->s->o.catalog,
		    TN_CATALOG_LSN_FROM, (int64_t)p->lsn, &p->silver);
		if (st != TN_OK && st != TN_ENOTFOUND)
			return st;
		if (st == TN_OK && is_readable(s, p->silver))
			return TN_OK;
		tn_catalog_snapshot_put(p->silver);
		*found = false;
	}
	p->silver = tn_catalog_snapshot_again(r->ask.base);
	return TN_OK;
}

/* Does the query ask only for rows from that event time on? */
static bool
asks_from(struct request *r, const struct tn_governance_stream *s, int64_t us)
{
	struct tn_exec_bound b[TN_SERVING_BOUNDS_MAX];
	uint32_t time = tn_serving_time_column(s);
	uint32_t n = r->plan == NULL ? 0 : tn_exec_query_bounds_at(r->plan,
	    tn_os_wall_us(), b, TN_SERVING_BOUNDS_MAX, r->arena);
	bool from = false;

	for (uint32_t i = 0; i < n; i++) {
		const struct tn_column *min = b[i].min;
		if (b[i].group != time || min == NULL)
			continue;
		from = from || (min->type.id == TN_T_DATE ?
		    ((const int32_t *)min->values)[0] * INT64_C(86400000000) :
		    ((const int64_t *)min->values)[0]) >= us;
	}
	return from;
}

/* Of rows that retention has taken since there may be no snapshot any more.
 * There is one when one of that LSN or before is kept, since snapshots go in
 * order; ${found}: silver is of the oldest snapshot that reaches the LSN. */
static enum tn_status
check_rows(struct request *r, const struct tn_governance_stream *s,
    bool found, struct tn_diag *d)
{
	int64_t floor = __atomic_load_n(&r->s->floors[r->stream],
	    __ATOMIC_RELAXED);
	uint64_t lsn = r->past.lsn, retired = __atomic_load_n(
	    &r->s->retired[r->stream], __ATOMIC_RELAXED), before;
	char text[48];
	enum tn_status st = TN_ENOTFOUND;

	if (floor == INT64_MIN || lsn >= retired)
		return TN_OK;
	if (found)
		st = tn_catalog_cut_find(r->s->o.catalog, TN_CATALOG_LSN_TO,
		    (int64_t)lsn, &before);
	if (st != TN_ENOTFOUND || asks_from(r, s, floor))
		return st == TN_ENOTFOUND ? TN_OK : st;
	time_text(floor, text);
	tn_diag_hint(d, "ask only for later ones: WHERE %s >= '%s'; or for an "
	    "LSN of a kept snapshot: GET /api/v1/snapshots lists them",
	    s->silver->fields[tn_serving_time_column(s)].name, text);
	return tn_diag_set(d, TN_ELIMIT, "rows_retired", "%s as of LSN %llu: "
	    "rows from before %s were removed by retention since",
	    s->table->name, (unsigned long long)lsn, text);
}

static enum tn_status
find_gold(struct request *r, struct tn_diag *d)
{
	const struct tn_serving_view *v = &r->s->o.model->views[r->view];
	struct past *p = &r->past;
	enum tn_status st = TN_OK;

	if (p->lsn >= r->ask.base->lsn)
		p->gold = tn_catalog_snapshot_again(r->ask.base);
	else
		st = tn_catalog_snapshot_at(r->s->o.catalog,
		    TN_CATALOG_LSN_TO, (int64_t)p->lsn, &p->gold);
	if (st == TN_OK && is_whole(r->s, v, p->gold))
		return TN_OK;
	if (st != TN_OK && st != TN_ENOTFOUND)
		return st;
	tn_catalog_snapshot_put(p->gold);
	p->gold = NULL;
	return check_retired(r, d);
}

enum tn_status
tn_serving_past_begin(struct request *r, struct tn_diag *d)
{
	const struct tn_serving_model *m = r->s->o.model;
	struct past *p = &r->past;
	bool found = true;
	int stream = r->view >= 0 ? (int)m->views[r->view].stream :
	    r->stream;
	enum tn_status st = p->kind == PAST_TIME ? lsn_of_time(r, d) :
	    check_lsn(r, d);

	if (st == TN_OK && stream >= 0)
		st = find_silver(r, &m->streams[stream], &found);
	if (st == TN_OK && stream >= 0 && r->view < 0)
		st = check_rows(r, &m->streams[stream], found, d);
	if (st == TN_OK && r->view >= 0)
		st = find_gold(r, d);
	if (st != TN_OK) {
		if (d->message[0] == '\0')
			(void)tn_diag_set(d, st, "read_failed", "the "
			    "snapshot could not be read: %s",
			    tn_status_text(st));
		return st;
	}
	r->answer->lsn = p->lsn;
	r->answer->batch_lsn = p->gold != NULL ? p->gold->lsn :
	    r->view >= 0 ? 0 : p->lsn < r->ask.base->lsn ? p->lsn :
	    r->ask.base->lsn;
	return TN_OK;
}

enum tn_status
tn_serving_past_fold(struct request *r, struct tn_diag *d)
{
	struct past *p = &r->past;
	struct tn_serving_lsns w = {
	    .view = &r->s->o.model->views[r->view], .silver = p->silver,
	    .after = p->gold != NULL ? p->gold->lsn : 0, .last = p->lsn,
	    .refs = tn_serving_refs_view(&r->ask.refs),
	    .bounds = r->bounds, .bound_count = r->bound_count,
	    .memory = TN_BUDGET_QUERIES, .memory_max = r->s->o.query_bytes,
	    .left = r->left };

	tn_assert(r->ask.fold == NULL);
	return tn_serving_fold_lsns(r->s, &w, &r->ask.fold, d);
}

void
tn_serving_past_end(struct request *r)
{
	tn_catalog_snapshot_put(r->past.gold);
	tn_catalog_snapshot_put(r->past.silver);
	r->past.gold = r->past.silver = NULL;
}

bool
tn_serving_past_parse(struct request *r, struct tn_slice text)
{
	uint64_t lsn;

	r->past.kind = PAST_LSN;
	if (tn_parse_u64(text, &lsn)) {
		r->past.value = lsn > INT64_MAX ? INT64_MAX : (int64_t)lsn;
		return true;
	}
	r->past.kind = PAST_TIME;
	if (tn_serving_time(text, &r->past.value))
		return true;
	(void)tn_diag_set(&r->answer->diag, TN_EINVAL, "bad_as_of",
	    "\"%.*s\" is neither an LSN nor a time", (int)(text.n > 60 ?
	    60 : text.n), (const char *)text.p);
	tn_diag_hint(&r->answer->diag, "as_of takes an LSN (1234), a time "
	    "like 2026-03-01T08:00:00Z, or now-1h");
	return false;
}
