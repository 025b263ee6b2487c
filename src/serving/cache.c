/* Two small caches. Results: encoded answers by request text, good while the
 * newest LSN and the catalog snapshot are what they were made of; loop only.
 * Gold: loaded states by file id (files never change), shared by reference,
 * under the lock. Both are lists, newest first, cut at a size of their own and
 * dropped when the memory budget presses: there are tens of entries, not
 * thousands. */
#include "serving/serving_int.h"

#include <string.h>

struct cached {
	struct cached *next;
	char *key;
	uint64_t lsn;
	uint64_t sequence;
	bool past;               /* As of an LSN: the newest one is no matter. */
	struct tn_serving_answer *answer;
	size_t bytes;
};

static void
drop_cached(struct tn_serving *s, struct cached **at)
{
	struct cached *c = *at;

	*at = c->next;
	s->cache_bytes -= c->bytes;
	tn_budget_give(TN_BUDGET_RESULTS, c->bytes);
	tn_serving_answer_unref(c->answer);
	tn_free(c->key);
	tn_free(c);
}

struct tn_serving_answer *
tn_serving_cache_get(struct tn_serving *s, const char *key)
{
	uint64_t lsn = tn_serving_lsn(s);
	uint64_t now = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);

	for (struct cached **at = &s->cache; *at != NULL; ) {
		struct cached *c = *at;
		if ((c->lsn != lsn && !c->past) || c->sequence != now) {
			drop_cached(s, at);
			continue;
		}
		if (strcmp(c->key, key) == 0) {
			tn_counter_add(s->cache_hits, 1);
			__atomic_add_fetch(&c->answer->refs, 1,
			    __ATOMIC_RELAXED);
			return c->answer;
		}
		at = &c->next;
	}
	tn_counter_add(s->cache_misses, 1);
	return NULL;
}

void
tn_serving_cache_put(struct tn_serving *s, const char *key,
    struct tn_serving_answer *a, uint64_t sequence, bool past)
{
	struct cached *c;
	struct cached **at = &s->cache;
	size_t kept = 0, bytes = a->body.cap + strlen(key) + sizeof *c +
	    sizeof *a;

	/* ${sequence} is that of the snapshot it was computed from: while it
	 * was, a publication may have gone by. */
	if ((!past && a->lsn != tn_serving_lsn(s)) || a->body.n > s->o.cache_bytes / 4 ||
	    sequence != __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE))
		return;
	if (!tn_budget_take(TN_BUDGET_RESULTS, bytes))
		return;
	c = tn_zalloc(sizeof *c);
	c->key = tn_strdup(key);
	c->lsn = a->lsn;
	c->sequence = sequence;
	c->past = past;
	c->answer = a;
	c->bytes = bytes;
	__atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
	c->next = s->cache;
	s->cache = c;
	s->cache_bytes += c->bytes;
	while (*at != NULL) {
		kept += (*at)->bytes;
		if (kept > s->o.cache_bytes)
			drop_cached(s, at);
		else
			at = &(*at)->next;
	}
}

void
tn_serving_cache_free(struct tn_serving *s)
{
	while (s->cache != NULL)
		drop_cached(s, &s->cache);
}

/* ---- gold ------------------------------------------------------------ */

struct gold_entry {
	struct gold_entry *next;
	uint64_t file;
	struct tn_serving_gold *gold;
	size_t bytes;
};

/* With the lock held. */
static void
unref_gold(struct tn_serving_gold *g)
{
	if (--g->refs > 0)
		return;
	tn_budget_set(&g->held, 0);
	tn_exec_fold_free(g->fold);
	tn_free(g);
}

struct tn_serving_gold *
tn_serving_gold_cached(struct tn_serving *s, const struct tn_catalog_file *f)
{
	struct tn_serving_gold *found = NULL;

	tn_net_lock_take(s->lock);
	for (struct gold_entry **at = &s->gold; *at != NULL;
	    at = &(*at)->next) {
		struct gold_entry *e = *at;
		if (e->file != f->id)
			continue;
		*at = e->next;           /* To the front. */
		e->next = s->gold;
		s->gold = e;
		found = e->gold;
		found->refs++;
		break;
	}
	tn_net_lock_drop(s->lock);
	return found;
}

/* With the lock held: the newest of at most ${max} bytes stay. */
static void
trim_gold(struct tn_serving *s, size_t max, const struct gold_entry *keep)
{
	size_t kept = 0;

	for (struct gold_entry **at = &s->gold; *at != NULL; ) {
		struct gold_entry *x = *at;
		kept += x->bytes;
		if (kept <= max || x == keep) {
			at = &x->next;
			continue;
		}
		kept -= x->bytes;
		*at = x->next;
		unref_gold(x->gold);
		tn_free(x);
	}
}

static void
keep_gold(struct tn_serving *s, uint64_t file, struct tn_serving_gold *g)
{
	struct gold_entry *e = tn_zalloc(sizeof *e);

	e->file = file;
	e->gold = g;
	e->bytes = tn_exec_fold_bytes(g->fold);
	g->held.class = TN_BUDGET_GOLD;
	tn_budget_set(&g->held, e->bytes);
	tn_net_lock_take(s->lock);
	g->refs++;
	e->next = s->gold;
	s->gold = e;
	trim_gold(s, tn_budget_level() == TN_BUDGET_CALM ? s->o.gold_bytes :
	    0, e);
	tn_net_lock_drop(s->lock);
}

void
tn_serving_shrink(struct tn_serving *s)
{
	tn_assert(tn_net_on_loop());
	tn_serving_cache_free(s);
	tn_net_lock_take(s->lock);
	trim_gold(s, 0, NULL);
	tn_net_lock_drop(s->lock);
}

void
tn_serving_gold_put(struct tn_serving *s, struct tn_serving_gold *g)
{
	if (g == NULL)
		return;
	tn_net_lock_take(s->lock);
	unref_gold(g);
	tn_net_lock_drop(s->lock);
}

void
tn_serving_gold_free(struct tn_serving *s)
{
	while (s->gold != NULL) {
		struct gold_entry *e = s->gold;
		s->gold = e->next;
		unref_gold(e->gold);
		tn_free(e);
	}
}

struct load {
	const struct tn_exec_program *program;
	struct tn_serving_gold_slice *p;
	struct tn_exec_fold *fold;
};

static enum tn_status
load_batch(void *arg, struct tn_batch *b)
{
	struct load *l = arg;
	struct tn_exec_fold *part = NULL, *all;
	enum tn_status st = tn_exec_fold_load(l->program, b, &part);

	if (st == TN_OK)
		st = tn_serving_awaited(l->p->left);
	if (st != TN_OK) {
		tn_exec_fold_free(part);
		return st;
	}
	l->p->rows += b->rows;
	if (l->p->slice.count > 1) {
		all = part;
		part = tn_exec_fold_slice(all, &l->p->slice, NULL, 0);
		tn_exec_fold_free(all);
	}
	if (l->fold == NULL) {
		l->fold = part;
	} else {
		tn_exec_fold_merge(l->fold, part);
		tn_exec_fold_free(part);
	}
	return l->p->bytes_max != 0 &&
	    tn_exec_fold_bytes(l->fold) > l->p->bytes_max ? TN_ELIMIT : TN_OK;
}

/* The gold file's columns, as the program saves them, are found by saving an
 * empty fold: one place decides their shape. */
enum tn_status
tn_serving_gold_slice(struct tn_serving *s, struct tn_serving_gold_slice *p,
    struct tn_exec_fold **out, struct tn_diag *d)
{
	const struct tn_serving_view *v = p->view;
	struct tn_exec_fold *empty = tn_exec_fold_new(v->program);
	struct tn_batch *shape = tn_exec_fold_save(empty);
	uint8_t *used = tn_zalloc(shape->schema->count + 1);
	struct load l = { v->program, p, NULL };
	struct tn_lake_read r = { .path = p->file->path,
	    .schema = shape->schema, .used = used, .each = load_batch,
	    .arg = &l };
	enum tn_status st;

	p->rows = 0;
	for (uint32_t i = 0; i < shape->schema->count; i++)
		used[i] = strncmp(shape->schema->fields[i].name, "_k", 2) == 0
		    || strcmp(shape->schema->fields[i].name, "_state") == 0;
	st = tn_lake_read(s->o.lake, &r, d);
	if (st == TN_ECORRUPT && d != NULL && d->message[0] == '\0')
		tn_diag_set(d, st, "gold_state", "%s holds states that "
		    "cannot be read; tarn recompute %s makes it anew",
		    p->file->path, v->def->name);
	tn_record_batch_unref(shape);
	tn_free(used);
	if (st != TN_OK) {
		tn_exec_fold_free(l.fold);
		tn_exec_fold_free(empty);
		return st;
	}
	*out = l.fold != NULL ? l.fold : empty;
	if (l.fold != NULL)
		tn_exec_fold_free(empty);
	return TN_OK;
}

enum tn_status
tn_serving_gold_load(struct tn_serving *s, struct tn_serving_gold_slice *p,
    struct tn_serving_gold **out, struct tn_diag *d)
{
	struct tn_serving_gold *g = tn_serving_gold_cached(s, p->file);
	enum tn_status st;

	*out = g;
	if (g != NULL)
		return TN_OK;
	g = tn_zalloc(sizeof *g);
	g->refs = 1;
	st = tn_serving_gold_slice(s, p, &g->fold, d);
	if (st != TN_OK) {
		tn_free(g);
		return st;
	}
	keep_gold(s, p->file->id, g);
	*out = g;
	return TN_OK;
}

enum tn_status
tn_serving_gold_get(struct tn_serving *s, const struct tn_serving_view *v,
    const struct tn_catalog_file *f, struct tn_serving_gold **out,
    struct tn_diag *d)
{
	struct tn_serving_gold_slice p = { .view = v, .file = f,
	    .slice = { 0, 1 } };

	return tn_serving_gold_load(s, &p, out, d);
}
