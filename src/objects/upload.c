/* upload: a content on its way in.
 *
 *   loop: feed --piece full--> pool: write, digest --> loop: next piece
 *         end  --last piece--> pool: write, sync, compare, look at its head
 *                              --> keeper: place, name (keep.c) --> loop
 *
 * Two pieces of memory: while one is written the other fills. When both are
 * taken, feed says TN_EFULL and resume() comes when there is room again.
 *
 * What can go wrong: too many bytes, a full disk, other bytes than were
 * announced, a digest that differs: the file in tmp is removed, done() tells,
 * and what still comes is dropped. The sender goes away: the same without
 * done(). A crash: tmp is emptied at the next start. */
#include "objects/objects_int.h"

#include <stdio.h>
#include <string.h>

#define SLOT_BYTES (PIECE_BYTES + TN_OBJECTS_FEED_MAX)

struct tn_objects_upload {
	struct tn_net_job job;   /* First. */
	struct tn_objects *o;
	struct op *op;
	uint8_t *fill, *work;
	size_t fill_n, work_n;
	uint64_t taken;          /* Bytes given so far. */
	uint64_t announced;
	bool has_announced;
	uint8_t want[SHA_BYTES];
	bool has_want;
	uint8_t want_md5[16];
	bool has_md5;
	bool busy;               /* The pool has it. */
	bool ended, waiting, aborted;
	bool dead;               /* Too large: what comes is dropped. */
	bool last;               /* The piece at work is the last one. */
	bool handed;             /* The operation goes its own way. */
	void (*resume)(void *arg);
	void *resume_arg;
	struct tn_budget_share held;
	/* The pool's. */
	struct tn_os_file *file;
	struct tn_governance_digest *digest;
	struct tn_codec_md5 md5;
	uint64_t written, looked;
	bool image;
};

static void
set_back(struct tn_objects_upload *u, void (*run)(struct tn_net_job *job))
{
	u->job.run = run;
	tn_net_loop_post(u->o->opt.loop, &u->job);
}

/* What it needed to receive; the rest goes with the operation, because who
 * sent it may still call abort until done() came. */
static void
give_back(struct tn_objects_upload *u)
{
	tn_assert(!u->busy && u->file == NULL);
	tn_governance_digest_free(u->digest);
	u->digest = NULL;
	tn_budget_set(&u->held, 0);
	tn_free(u->fill);
	tn_free(u->work);
	u->fill = u->work = NULL;
	u->o->uploads--;
}

/* ---- giving up -------------------------------------------------------- */

static void
run_discarded(struct tn_net_job *job)
{
	struct tn_objects_upload *u = (struct tn_objects_upload *)job;
	struct op *op = u->op;

	u->busy = false;
	if (u->aborted)
		op->done = NULL;
	u->handed = true;
	give_back(u);
	tn_objects_finish(op);
}

/* On the pool, or by its last job. */
static void
discard(struct tn_objects_upload *u)
{
	tn_os_close(u->file);
	/* What stays is removed at the next start. */
	if (u->file != NULL)
		(void)!tn_os_unlink(u->op->tmp);
	u->file = NULL;
	set_back(u, run_discarded);
}

static void
run_discard(struct tn_net_job *job)
{
	discard((struct tn_objects_upload *)job);
}

/* By who has the upload: the pool while it is busy, else the loop. */
static void
fail(struct tn_objects_upload *u, enum tn_status st, const char *code,
    const char *words)
{
	struct tn_objects_result *r = &u->op->r;

	if (r->status == TN_OK)
		r->status = tn_diag_set(&r->diag, st, code, "%s", words);
}

/* ---- on the pool ------------------------------------------------------ */

static enum tn_status
look_for_room(struct tn_objects_upload *u)
{
	uint64_t more = u->work_n;

	if (u->file != NULL && u->written < u->looked + SPACE_STEP)
		return TN_OK;
	if (u->has_announced && u->announced > u->written + more)
		more = u->announced - u->written;
	u->looked = u->written;
	if (!tn_objects_disk_full(u->o, more))
		return TN_OK;
	tn_diag_hint(&u->op->r.diag, "make room on the disk; Tarn keeps "
	    "objects_reserve_bytes of it free");
	fail(u, TN_ENOSPC, "disk_full", "the disk is too full for it");
	return TN_ENOSPC;
}

static enum tn_status
write_piece(struct tn_objects_upload *u)
{
	struct tn_codec_image i;
	enum tn_status st = look_for_room(u);

	if (st == TN_OK && u->file == NULL) {
		st = tn_os_open(&u->file, u->op->tmp, TN_OS_CREATE);
		tn_codec_image_read((struct tn_slice){ u->work, u->work_n },
		    &i);
		u->image = i.type != NULL;
	}
	if (st == TN_OK && u->work_n > 0)
		st = tn_os_write(u->file, u->work, u->work_n);
	if (st != TN_OK) {
		fail(u, st, st == TN_ENOSPC ? "disk_full" : "object_write",
		    st == TN_ENOSPC ? "the disk is full" :
		    "the file could not be written");
		return st;
	}
	tn_governance_digest_add(u->digest, u->work, u->work_n);
	if (u->has_md5)
		tn_codec_md5_add(&u->md5, u->work, u->work_n);
	u->written += u->work_n;
	u->work_n = 0;
	return TN_OK;
}

static enum tn_status
compare(struct tn_objects_upload *u)
{
	struct name *n = &u->op->name;
	uint8_t sum[16];
	char hex[SHA_HEX + 1];
	bool good;

	tn_governance_digest_end(u->digest, hex);
	u->digest = NULL;
	good = tn_objects_unhex(tn_slice_of(hex), n->sha);
	tn_assert(good);
	if (u->has_want && memcmp(u->want, n->sha, SHA_BYTES) != 0)
		good = false;
	tn_codec_md5_end(&u->md5, sum);
	if (u->has_md5 && memcmp(u->want_md5, sum, sizeof sum) != 0)
		good = false;
	if (good)
		return TN_OK;
	tn_diag_hint(&u->op->r.diag, "send it again; what came has SHA-256 "
	    "%s", hex);
	fail(u, TN_EINVAL, "checksum", "the bytes that came are not those "
	    "of the checksum");
	return TN_EINVAL;
}

/* Without memory for the head the picture's size stays unknown. */
static void
look_at_head(struct tn_objects_upload *u)
{
	struct name *n = &u->op->name;
	size_t head = u->written < HEAD_BYTES ? (size_t)u->written :
	    HEAD_BYTES;
	uint8_t *p = u->image ? tn_try_alloc(head) : NULL;

	if (p == NULL)
		return;
	if (tn_os_pread(u->file, p, head, 0) == TN_OK)
		tn_codec_image_read((struct tn_slice){ p, head }, &n->image);
	if (n->image.type != NULL)
		n->type = tn_slice_of(n->image.type);
	tn_free(p);
}

static enum tn_status
finish_file(struct tn_objects_upload *u)
{
	enum tn_status st;

	if (u->has_announced && u->written != u->announced) {
		fail(u, TN_EINVAL, "short_body",
		    "other bytes came than Content-Length said");
		return TN_EINVAL;
	}
	st = compare(u);
	if (st != TN_OK)
		return st;
	look_at_head(u);
	u->op->name.bytes = u->written;
	st = tn_os_sync(u->file);
	if (st != TN_OK)
		fail(u, st, "object_write", "the file could not be synced");
	tn_os_crash_point("object_received");
	return st;
}

static void run_back(struct tn_net_job *job);

static void
too_large(struct tn_objects_upload *u)
{
	tn_diag_hint(&u->op->r.diag, "the setting object_bytes_max says how "
	    "large");
	fail(u, TN_ELIMIT, "object_too_large",
	    "the object is larger than objects may be");
}

static void
run_write(struct tn_net_job *job)
{
	struct tn_objects_upload *u = (struct tn_objects_upload *)job;
	enum tn_status st = write_piece(u);

	if (st == TN_OK && u->last)
		st = finish_file(u);
	if (st != TN_OK) {
		discard(u);
		return;
	}
	if (u->last) {
		tn_os_close(u->file);
		u->file = NULL;
	}
	set_back(u, run_back);
}

/* ---- on the loop ------------------------------------------------------ */

static void
dispatch(struct tn_objects_upload *u, void (*run)(struct tn_net_job *job))
{
	enum tn_status st;

	tn_assert(!u->busy);
	u->busy = true;
	u->job.run = run;
	if (u->o->stopping) {
		fail(u, TN_ECLOSED, "stopping", "the program is stopping");
		discard(u);
		return;
	}
	st = tn_net_pool_post(u->o->pool, &u->job);
	tn_assert(st == TN_OK);  /* Room for each upload and each find. */
}

static void
go_on(struct tn_objects_upload *u)
{
	uint8_t *t = u->work;

	if (u->busy || (!u->ended && u->fill_n < PIECE_BYTES))
		return;
	u->work = u->fill;
	u->work_n = u->fill_n;
	u->fill = t;
	u->fill_n = 0;
	u->last = u->ended;
	dispatch(u, run_write);
}

static void
run_back(struct tn_net_job *job)
{
	struct tn_objects_upload *u = (struct tn_objects_upload *)job;
	struct op *op = u->op;

	u->busy = false;
	if (u->last) {
		u->handed = true;
		tn_objects_to_keeper(op, tn_objects_run_put);
		return;
	}
	if (u->dead)
		too_large(u);
	if (u->aborted || u->dead) {
		dispatch(u, run_discard);
		return;
	}
	go_on(u);
	if (u->waiting) {
		u->waiting = false;
		u->resume(u->resume_arg);
	}
}

/* The keeper is through with it. */
static void
kept(struct op *op)
{
	give_back(op->upload);
}

static enum tn_status
look_at_request(struct tn_objects *o, const struct tn_objects_put *p,
    struct tn_diag *d)
{
	enum tn_status st = tn_objects_name_check(p->bucket, p->key, d);
	uint8_t sha[SHA_BYTES];

	if (st != TN_OK)
		return st;
	if (p->sha256.n > 0 && !tn_objects_unhex(p->sha256, sha))
		return tn_diag_set(d, TN_EINVAL, "bad_checksum",
		    "a SHA-256 has 64 hex digits");
	if (p->metadata.n > TN_OBJECTS_META_MAX)
		return tn_diag_set(d, TN_EINVAL, "metadata_too_large",
		    "metadata may have %d bytes at most",
		    TN_OBJECTS_META_MAX);
	if (p->has_bytes && p->bytes > o->opt.bytes_max) {
		tn_diag_hint(d, "the setting object_bytes_max says how large");
		return tn_diag_set(d, TN_ELIMIT, "object_too_large",
		    "an object may have %llu bytes at most",
		    (unsigned long long)o->opt.bytes_max);
	}
	if (o->stopping)
		return tn_diag_set(d, TN_ECLOSED, "stopping",
		    "the program is stopping");
	if (o->uploads < o->opt.uploads_max && o->untold_count < UNTOLD_MAX)
		return TN_OK;
	return tn_diag_set(d, TN_EFULL, "overloaded",
	    "too many objects are on their way already");
}

static struct op *
put_op(struct tn_objects *o, const struct tn_objects_put *p)
{
	struct op *op = tn_objects_op_new(o, OP_PUT, p->done, p->arg);
	uint64_t word[2];

	op->bucket = tn_objects_copy(op->a, p->bucket);
	op->key = tn_objects_copy(op->a, p->key);
	op->must = p->must;
	if (p->must.match.p != NULL)
		op->must.match = tn_objects_copy(op->a, p->must.match);
	op->source = tn_arena_strdup(op->a, p->source);
	op->name.type = p->type.n > 0 ? tn_objects_copy(op->a, p->type) :
	    tn_slice_of("application/octet-stream");
	op->name.metadata = tn_objects_copy(op->a, p->metadata);
	tn_os_random(word, sizeof word);
	op->tmp = tn_arena_printf(op->a, "%s/tmp/%016llx%016llx", o->root,
	    (unsigned long long)word[0], (unsigned long long)word[1]);
	op->back = kept;
	return op;
}

/* Two pieces, or what a small object needs. */
static bool
take_memory(struct tn_objects_upload *u, struct tn_diag *d)
{
	u->held.class = TN_BUDGET_INGEST;
	if (!tn_budget_try(&u->held, 2 * SLOT_BYTES + sizeof *u)) {
		(void)tn_budget_refuse(d);
		return false;
	}
	u->fill = tn_try_alloc(SLOT_BYTES);
	u->work = tn_try_alloc(SLOT_BYTES);
	if (u->fill != NULL && u->work != NULL)
		return true;
	(void)tn_diag_set(d, TN_EFULL, "memory_full",
	    "memory is out for the object");
	return false;
}

enum tn_status
tn_objects_put_begin(struct tn_objects *o, const struct tn_objects_put *p,
    struct tn_objects_upload **out, struct tn_diag *d)
{
	struct tn_objects_upload *u;
	enum tn_status st;

	tn_assert(tn_net_on_loop());
	*out = NULL;
	st = look_at_request(o, p, d);
	if (st != TN_OK)
		return st;
	u = tn_zalloc(sizeof *u);
	u->o = o;
	o->uploads++;
	if (!take_memory(u, d)) {
		give_back(u);
		tn_free(u);
		return TN_EFULL;
	}
	u->has_announced = p->has_bytes;
	u->announced = p->bytes;
	u->has_want = p->sha256.n > 0 && tn_objects_unhex(p->sha256, u->want);
	u->has_md5 = p->md5.n == sizeof u->want_md5;
	if (u->has_md5)
		memcpy(u->want_md5, p->md5.p, sizeof u->want_md5);
	u->digest = tn_governance_digest_new();
	tn_codec_md5_init(&u->md5);
	u->resume = p->resume;
	u->resume_arg = p->arg;
	u->op = put_op(o, p);
	u->op->upload = u;
	*out = u;
	return TN_OK;
}

enum tn_status
tn_objects_put_feed(struct tn_objects_upload *u, struct tn_slice s)
{
	tn_assert(tn_net_on_loop() && !u->ended);
	tn_assert(s.n <= TN_OBJECTS_FEED_MAX);
	if (u->dead || u->aborted)
		return TN_OK;
	if (u->fill_n + s.n > SLOT_BYTES) {
		tn_assert(u->busy);
		u->waiting = true;
		return TN_EFULL;
	}
	u->taken += s.n;
	if (u->taken > u->o->opt.bytes_max) {
		u->dead = true;
		if (u->busy)
			return TN_OK;   /* run_back sees it. */
		too_large(u);
		dispatch(u, run_discard);
		return TN_OK;
	}
	memcpy(u->fill + u->fill_n, s.p, s.n);
	u->fill_n += s.n;
	tn_counter_add(u->o->received, (int64_t)s.n);
	go_on(u);
	return TN_OK;
}

void
tn_objects_put_end(struct tn_objects_upload *u)
{
	tn_assert(tn_net_on_loop() && !u->ended);
	u->ended = true;
	if (!u->dead)
		go_on(u);
}

void
tn_objects_put_abort(struct tn_objects_upload *u)
{
	tn_assert(tn_net_on_loop());
	if (u->ended || u->handed) {
		u->op->done = NULL;
		return;
	}
	u->aborted = true;
	if (!u->busy)
		dispatch(u, run_discard);
}
