/* What the other rooms tell the intake: rows that are in the log already, key
 * files after a cut, how far the log may be trimmed; and what it tells them of
 * each stream. Key files are opened here, off the writer, which only takes
 * them over between two groups. They never change, so those of the publication
 * before stay open: opening reads a file whole, for its checksum. */
#include "ingest/ingest_int.h"

#include <string.h>

#include "os/os.h"

enum tn_status
tn_ingest_recall(struct tn_ingest *g, const struct tn_governance_rows *r)
{
	const struct tn_serving_model *m = g->o.model;
	struct keyset *k = NULL;
	enum tn_status st = TN_OK;
	bool fresh;

	for (uint32_t i = 0; i < m->stream_count; i++)
		if (&m->streams[i] == r->stream)
			k = g->keys[i];
	if (k == NULL)
		return TN_OK;
	for (uint32_t i = 0; i < r->batch->rows && st == TN_OK; i++)
		if (tn_governance_holds_key(r, i))
			st = tn_ingest_keyset_add(k, r->keys[i], r->lsn,
			    &fresh);
	return st;
}

struct files_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	uint32_t stream;
	struct tn_lake_keys **files;
	uint32_t count;
	uint64_t lsn;
};

static void
run_files(struct tn_net_job *job)
{
	struct files_job *f = (struct files_job *)job;

	tn_ingest_keyset_files(f->g->keys[f->stream], f->files, f->count,
	    f->lsn);
	tn_free(f);
}

static void
drop_files_job(struct files_job *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		tn_lake_keys_close(f->files[i]);
	tn_free(f->files);
	tn_free(f);
}

void
tn_ingest_key_files_fini(struct key_files *o)
{
	for (uint32_t i = 0; i < o->count; i++)
		tn_lake_keys_close(o->files[i]);
	tn_free(o->ids);
	tn_free(o->files);
	memset(o, 0, sizeof *o);
}

static enum tn_status
open_keys(struct tn_ingest *g, const struct key_files *open,
    const struct tn_catalog_file *f, struct tn_lake_keys **k,
    struct tn_diag *d)
{
	for (uint32_t i = 0; i < open->count; i++)
		if (open->ids[i] == f->id) {
			*k = tn_lake_keys_again(open->files[i]);
			return TN_OK;
		}
	return tn_lake_keys_open(g->o.lake, f->path, k, d);
}

/* The files of ${f} are those that stay open. */
static void
keep_open(struct key_files *open, const struct files_job *f,
    const struct tn_catalog_file *named)
{
	struct key_files now = { .count = f->count };

	now.ids = tn_alloc((f->count + 1) * sizeof *now.ids);
	now.files = tn_alloc((f->count + 1) * sizeof *now.files);
	for (uint32_t i = 0; i < f->count; i++) {
		now.ids[i] = named[i].id;
		now.files[i] = tn_lake_keys_again(f->files[i]);
	}
	tn_ingest_key_files_fini(open);
	*open = now;
}

static enum tn_status
swap_files(struct tn_ingest *g, uint32_t stream,
    const struct tn_catalog_snapshot *s, struct tn_diag *d)
{
	const struct tn_governance_stream *gs = &g->o.model->streams[stream];
	struct files_job *f = tn_zalloc(sizeof *f);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_KEYS, gs->id,
	    &first);
	enum tn_status st = TN_OK;

	f->job.run = run_files;
	f->g = g;
	f->stream = stream;
	f->lsn = s->lsn;
	f->files = tn_zalloc((n + 1) * sizeof *f->files);
	for (uint32_t i = 0; st == TN_OK && i < n; i++) {
		st = open_keys(g, &g->key_files[stream], &s->files[first + i],
		    &f->files[f->count], d);
		f->count += st == TN_OK;
	}
	if (st != TN_OK) {
		/* Without it duplicates could not be told: keep the old. */
		drop_files_job(f);
		return st;
	}
	keep_open(&g->key_files[stream], f, s->files + first);
	if (!tn_net_actor_post_internal(g->writer, &f->job))
		tn_assert(!"batch stops before the writer");
	return TN_OK;
}

enum tn_status
tn_ingest_published(struct tn_ingest *g,
    const struct tn_catalog_snapshot *s, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < g->o.model->stream_count; i++) {
		enum tn_status one = TN_OK;
		if (g->keys[i] != NULL)
			one = swap_files(g, i, s, d);
		if (one != TN_OK)
			st = one;
	}
	return st;
}

struct trim_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	uint64_t lsn;
};

static void
run_trim(struct tn_net_job *job)
{
	struct trim_job *t = (struct trim_job *)job;
	enum tn_status st;

	tn_os_crash_point("trim_before");
	st = tn_log_trim(t->g->o.log, t->lsn);

	if (st != TN_OK)
		tn_say(TN_WARN, "ingest", "log segments up to %llu could not "
		    "be removed: %s", (unsigned long long)t->lsn,
		    tn_status_text(st));
	tn_free(t);
}

void
tn_ingest_trim(struct tn_ingest *g, uint64_t lsn)
{
	struct trim_job *t = tn_zalloc(sizeof *t);

	t->job.run = run_trim;
	t->g = g;
	t->lsn = lsn;
	if (!tn_net_actor_post_internal(g->writer, &t->job))
		tn_assert(!"batch stops before the writer");
}

struct roll_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	struct tn_net_latch *done;
	enum tn_status st;
	uint64_t last;
};

static void
run_roll(struct tn_net_job *job)
{
	struct roll_job *r = (struct roll_job *)job;

	r->st = tn_log_begin_segment(r->g->o.log, &r->last);
	tn_net_latch_open(r->done);
}

enum tn_status
tn_ingest_roll(struct tn_ingest *g, uint64_t *last)
{
	struct roll_job r = { .job = { NULL, run_roll }, .g = g,
	    .done = tn_net_latch_new(), .st = TN_ECLOSED };

	if (tn_net_actor_post_internal(g->writer, &r.job))
		tn_net_latch_wait(r.done);
	tn_net_latch_free(r.done);
	*last = r.last;
	return r.st;
}

bool
tn_ingest_trimmed(struct tn_ingest *g, uint64_t lsn)
{
	tn_ingest_trim(g, lsn);
	tn_ingest_flush(g);
	return tn_log_first(g->o.log) > lsn;
}

struct release_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	struct tn_buf key;
};

/* The same note with an end in sight. When that fails it stays for long,
 * which is only a little room. */
static void
run_release(struct tn_net_job *job)
{
	struct release_job *r = (struct release_job *)job;
	struct tn_arena *a = tn_arena_new(4096);
	int64_t now_us = tn_os_wall_us();
	struct tn_log_note n = { .key = { r->key.p, r->key.n },
	    .expires_us = now_us + r->g->o.idempotency_us };
	enum tn_status st = tn_log_note_get(r->g->o.log, n.key, now_us, a,
	    &n.value);

	if (st == TN_OK)
		st = tn_log_append(r->g->o.log, NULL, 0, &n, 1);
	if (st != TN_OK && st != TN_ENOTFOUND && st != TN_ECLOSED)
		tn_say(TN_WARN, "ingest", "a key that is needed no more "
		    "stays: %s", tn_status_text(st));
	tn_arena_free(a);
	tn_buf_fini(&r->key);
	tn_free(r);
}

void
tn_ingest_key_release(struct tn_ingest *g, uint32_t stream,
    struct tn_slice key)
{
	struct release_job *r = tn_zalloc(sizeof *r);

	r->job.run = run_release;
	r->g = g;
	tn_ingest_key_name(g, stream, key, &r->key);
	if (!tn_net_actor_post_internal(g->writer, &r->job)) {
		tn_buf_fini(&r->key);
		tn_free(r);
	}
}

void
tn_ingest_stats(const struct tn_ingest *g, uint32_t stream,
    struct tn_ingest_stats *out)
{
	const struct stream_stats *s = &g->stats[stream];
	int64_t now = tn_os_wall_us() / 1000000;
	uint64_t rows = 0;

	out->accepted = __atomic_load_n(&s->accepted, __ATOMIC_RELAXED);
	out->quarantined = __atomic_load_n(&s->quarantined, __ATOMIC_RELAXED);
	out->duplicates = __atomic_load_n(&s->duplicates, __ATOMIC_RELAXED);
	out->bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
	out->last_us = __atomic_load_n(&s->last_us, __ATOMIC_RELAXED);
	for (int64_t i = now - 10; i < now; i++)
		if (__atomic_load_n(&s->second_of[i % 16], __ATOMIC_RELAXED)
		    == i)
			rows += __atomic_load_n(&s->second[i % 16],
			    __ATOMIC_RELAXED);
	out->rate = (double)rows / 10;
}

/* A chunk ends behind the row or the inflated piece that fills it, and the
 * last row of a body comes on top; each row has a length and a line. */
uint64_t
tn_ingest_block_bytes(size_t chunk_bytes, size_t row_bytes_max)
{
	return (uint64_t)chunk_bytes + 2 * (uint64_t)row_bytes_max +
	    TN_INGEST_PLAIN + TN_INGEST_ROWS_MAX * UINT64_C(10);
}
