/* load: one file through ingest.
 *
 *   actor  hash_step ... -> known? -> open the source
 *   loop                              `-> begin (ingest full: again later)
 *   actor  piece_fill <------------------ two pieces
 *   loop   `-> piece_filled: feed, refill; the last one ends the body
 *   loop   body_done -> actor: finish (records, moves) -> loop: gone
 *
 * The first pass also inflates a compressed file, so that one that was cut off
 * is refused before a row of it is taken. A dropped file's body carries its
 * hash as Idempotency-Key, which ingest remembers in the same commits as the
 * rows: after a kill the same file goes on behind the last of them. The key
 * is kept until the file is in our own table, whatever idempotency_window is.
 *
 * What can go wrong: the source (the body is ended, so that what it came to
 * is known), ingest (its words), the stop (the body is given up; the next
 * start goes on). */
#include "inbox/inbox_int.h"

#include <stdio.h>
#include <string.h>

#define HASH_PIECE (1u << 20)
#define INFLATE_BYTES (256u << 10)
#define TURN_BYTES ((size_t)64 << 20)    /* Inflated at once. */
#define AGAIN_MS 100
#define OPTIONS_BYTES_MAX (64u << 10)
#define COPIES_MAX 8
#define KEEP_US (INT64_C(3650) * 86400 * 1000000)

static void finish(struct tn_net_job *job);

/* ---- life -------------------------------------------------------------- */

static void
free_load(struct load *l)
{
	tn_os_close(l->file);
	tn_governance_digest_free(l->digest);
	tn_inflate_free(l->inflate);
	tn_inbox_source_close(l->source);
	for (uint32_t i = 0; i < TN_INBOX_PIECES; i++)
		tn_buf_fini(&l->pieces[i].bytes);
	tn_buf_fini(&l->buf);
	tn_buf_fini(&l->lines);
	tn_arena_free(l->arena);
	tn_free(l->path);
	tn_free(l->name);
	__atomic_sub_fetch(&l->in->under_way, 1, __ATOMIC_RELEASE);
	tn_free(l);
}

static struct load *
new_load(struct tn_inbox *in, uint32_t stream, const char *path,
    const char *name)
{
	struct load *l = tn_zalloc(sizeof *l);

	l->in = in;
	l->stream = stream;
	l->path = tn_strdup(path);
	l->name = tn_strdup(name);
	l->arena = tn_arena_new(1024);
	l->begun_us = tn_os_mono_us();
	for (uint32_t i = 0; i < TN_INBOX_PIECES; i++) {
		l->pieces[i].load = l;
		l->pieces[i].bytes.max = SIZE_MAX;
	}
	__atomic_add_fetch(&in->under_way, 1, __ATOMIC_RELAXED);
	return l;
}

static void
gone(struct tn_net_job *job)
{
	struct load *l = (struct load *)job;
	struct tn_inbox *in = l->in;

	if (l->item == NULL && l->done != NULL)
		in->copies--;
	free_load(l);
	tn_inbox_poke(in);
}

/* What was on its way when the loop stopped is settled after the actor went. */
static bool
post(struct tn_inbox *in, struct tn_net_job *job)
{
	return in->actor != NULL && tn_net_actor_post_internal(in->actor,
	    job);
}

/* To the thread that is named; when it takes no more, the load ends. */
static void
to_loop(struct load *l, void (*run)(struct tn_net_job *job))
{
	l->job.run = run;
	tn_net_loop_post(l->in->o.loop, &l->job);
}

static void
to_actor(struct load *l, void (*run)(struct tn_net_job *job))
{
	l->job.run = run;
	if (!post(l->in, &l->job))
		to_loop(l, gone);
}

/* ---- actor: hash ------------------------------------------------------- */

static void
fail(struct load *l, enum tn_status st, const char *code, const char *text)
{
	l->status = st;
	if (l->diag.message[0] == '\0')
		tn_diag_set(&l->diag, st, code, "%s", text);
}

static enum tn_status
read_options(struct load *l, const char *path)
{
	struct tn_buf b = { 0 };
	enum tn_status st = tn_os_read_file(path, &b, OPTIONS_BYTES_MAX);
	struct tn_slice text = { b.p, b.n };

	if (st == TN_OK)
		st = tn_inbox_options_parse(&l->options, text, l->arena,
		    &l->diag);
	else
		tn_diag_set(&l->diag, st, "unreadable",
		    "the options cannot be read: %s", tn_status_text(st));
	if (st != TN_OK)
		snprintf(l->diag.file, sizeof l->diag.file, "%s", path);
	tn_buf_fini(&b);
	return st;
}

/* Its own options, else those of the folder. */
static enum tn_status
find_options(struct load *l)
{
	const char *folder = l->in->places[l->stream].folder;
	char *own = tn_arena_printf(l->arena, "%s.options.json", l->path);
	char *all = tn_arena_printf(l->arena, "%s/options.json", folder);

	if (tn_os_kind(own) == TN_OS_FILE)
		return read_options(l, own);
	return tn_os_kind(all) == TN_OS_FILE ? read_options(l, all) : TN_OK;
}

static bool
has_more(const struct load *l)
{
	return l->rest.n > 0 || l->full;
}

/* Inflate and throw away: is it whole? A few bytes may unpack to very many, so
 * this is no more than a turn of it: others, and the stop, wait for us. */
static enum tn_status
try_inflate(struct load *l)
{
	struct tn_buf out = { 0 };
	enum tn_status st = TN_OK;

	for (size_t done = 0; st == TN_OK && has_more(l) &&
	    done < TURN_BYTES; done += out.n) {
		tn_buf_clear(&out);
		st = tn_inflate_step(l->inflate, &l->rest, &out,
		    INFLATE_BYTES);
		l->full = out.n >= INFLATE_BYTES;
		if (st == TN_END)
			st = TN_OK;
	}
	tn_buf_fini(&out);
	if (st == TN_ECORRUPT || st == TN_ELIMIT)
		fail(l, st, "bad_encoding", st == TN_ECORRUPT ? "the "
		    "compressed file is damaged" : "its zstd window is larger "
		    "than 8 MiB");
	return st;
}

static void
open_source(struct load *l)
{
	const struct tn_inbox_work work = { l->in->work,
	    l->in->o.reserve_bytes, &l->in->draining };
	enum tn_status st = tn_inbox_source_open(&l->source, l->path, l->name,
	    &l->options, &work, &l->diag);

	/* What is read now must be what was hashed. */
	if (st == TN_OK && l->item != NULL && !tn_inbox_is_unchanged(l)) {
		fail(l, TN_EFULL, "file_changed",
		    "it changed while it was read");
		return;
	}
	if (st == TN_OK) {
		__atomic_store_n(&l->bytes, tn_inbox_source_bytes(l->source),
		    __ATOMIC_RELAXED);
		__atomic_store_n(&l->permille, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&l->phase, LOAD_LOADING, __ATOMIC_RELAXED);
	}
	l->status = st;
}

static void begin(struct tn_net_job *job);

static void
hash_end(struct load *l)
{
	enum tn_status st;

	tn_governance_digest_end(l->digest, l->hash);
	l->digest = NULL;
	/* Not of one that we left in the midst. */
	if (l->status == TN_OK && l->inflate != NULL &&
	    !tn_inflate_done(l->inflate))
		fail(l, TN_ECORRUPT, "bad_encoding",
		    "the compressed file is cut off");
	tn_inflate_free(l->inflate);
	l->inflate = NULL;
	tn_os_close(l->file);
	l->file = NULL;
	tn_buf_fini(&l->buf);
	if (l->status == TN_OK) {
		st = tn_inbox_record_get(l->in, l->stream, l->hash,
		    &l->record);
		l->known = st == TN_OK;
		if (st != TN_OK && st != TN_ENOTFOUND)
			fail(l, TN_EIO, "table", "the table of loaded files "
			    "cannot be read");
	}
	if (l->status == TN_OK && !l->known)
		open_source(l);
	if (l->status == TN_OK && !l->known)
		to_loop(l, begin);
	else
		finish(&l->job);
}

static void
hash_step(struct tn_net_job *job)
{
	struct load *l = (struct load *)job;
	uint64_t left = l->bytes - l->at;
	size_t n = left < HASH_PIECE ? (size_t)left : HASH_PIECE;
	uint8_t *p;

	if (tn_inbox_draining(l->in))
		fail(l, TN_ECLOSED, "stopping", "tarn stops");
	if (l->status == TN_OK && has_more(l)) {
		l->status = try_inflate(l);
		to_actor(l, hash_step);
		return;
	}
	if (l->status != TN_OK || n == 0) {
		hash_end(l);
		return;
	}
	tn_buf_clear(&l->buf);
	p = tn_buf_reserve(&l->buf, n);
	l->status = p == NULL ? TN_ENOMEM : tn_os_pread(l->file, p, n, l->at);
	if (l->status == TN_ECORRUPT)    /* Shorter: it is not at rest. */
		l->status = TN_EFULL;
	if (l->status == TN_OK) {
		tn_governance_digest_add(l->digest, p, n);
		l->at += n;
		if (l->inflate != NULL)
			l->rest = (struct tn_slice){ p, n };
	}
	__atomic_store_n(&l->permille, (uint32_t)(l->at * 1000 / l->bytes),
	    __ATOMIC_RELAXED);
	to_actor(l, hash_step);
}

/* Open for hashing; a failure goes the same way. */
static void
hash_begin(struct load *l)
{
	struct tn_inbox_format f;
	uint64_t bytes = 0;
	uint8_t head[4];
	enum tn_status st = find_options(l);

	l->digest = tn_governance_digest_new();
	if (st == TN_OK) {
		st = tn_os_open(&l->file, l->path, TN_OS_READ);
		if (st == TN_OK)
			st = tn_os_size(l->file, &bytes);
		if (st != TN_OK)
			tn_diag_set(&l->diag, st, "unreadable",
			    "it cannot be read: %s", tn_status_text(st));
	}
	__atomic_store_n(&l->bytes, bytes, __ATOMIC_RELAXED);
	if (st == TN_OK && bytes >= sizeof head &&
	    tn_os_pread(l->file, head, sizeof head, 0) == TN_OK) {
		struct tn_diag none = { .line = 0 };
		/* Only the coding matters here. */
		enum tn_status any = tn_inbox_format_of(l->name,
		    (struct tn_slice){ head, sizeof head }, &l->options, &f,
		    &none);
		(void)any;
		if (f.coding != TN_CODING_IDENTITY)
			l->inflate = tn_inflate_new(f.coding);
	}
	l->status = st;
	to_actor(l, hash_step);
}

void
tn_inbox_start(struct tn_inbox *in)
{
	for (struct item *it = in->items; it != NULL && in->loading <
	    in->o.files_max && !tn_inbox_draining(in); it = it->next) {
		struct tn_buf path = { 0 };
		struct load *l;
		if (it->state != ITEM_QUEUED)
			continue;
		tn_buf_printf(&path, "%s/%s", in->places[it->stream].folder,
		    it->name);
		l = new_load(in, it->stream, tn_buf_cstr(&path), it->name);
		tn_buf_fini(&path);
		l->item = it;
		l->bytes = it->info.bytes;
		tn_net_lock_take(in->lock);
		it->state = ITEM_LOADING;
		it->load = l;
		in->loading++;
		tn_net_lock_drop(in->lock);
		hash_begin(l);
	}
}

/* ---- actor: pieces ----------------------------------------------------- */

static void piece_filled(struct tn_net_job *job);

static void
piece_fill(struct tn_net_job *job)
{
	struct piece *p = (struct piece *)job;
	struct load *l = p->load;
	enum tn_status st = l->read_status;

	tn_buf_clear(&p->bytes);
	if (st == TN_OK)
		st = tn_inbox_source_read(l->source, &p->bytes,
		    &l->read_diag);
	if (st != TN_OK) {
		tn_buf_clear(&p->bytes);
		p->last = true;
	}
	/* Once: the loop may look at it from the first last piece on. */
	if (st != TN_OK && l->read_status == TN_OK) {
		if (st != TN_END && l->read_diag.message[0] == '\0')
			tn_diag_set(&l->read_diag, st, "unreadable",
			    "it cannot be read: %s", tn_status_text(st));
		l->read_status = st;
	}
	__atomic_store_n(&l->permille, (uint32_t)(1000 *
	    tn_inbox_source_part(l->source)), __ATOMIC_RELAXED);
	p->job.run = piece_filled;
	tn_net_loop_post(l->in->o.loop, &p->job);
}

/* ---- loop -------------------------------------------------------------- */

static void
count_load(struct load *l, int32_t more)
{
	if (l->in->o.loads != NULL)
		__atomic_fetch_add(l->in->o.loads, (uint32_t)more,
		    __ATOMIC_RELAXED);
}

static void
unlink_load(struct load *l)
{
	if (!l->begun)
		return;
	l->begun = false;
	count_load(l, -1);
	if (l->prev != NULL)
		l->prev->next = l->next;
	else
		l->in->loads = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
}

/* No body any more: when the pieces are back, the actor ends it. */
static void
leave(struct load *l)
{
	if (l->body != NULL || l->out > 0)
		return;
	unlink_load(l);
	to_actor(l, finish);
}

static void
refill(struct piece *p)
{
	p->ready = false;
	p->job.run = piece_fill;
	p->load->out++;
	if (post(p->load->in, &p->job))
		return;
	p->load->out--;
	p->last = true;
}

/* It has no answer of ingest: the asker is told now. */
static void
refuse(struct load *l)
{
	struct tn_ingest_result r = { .status = l->status, .diag = l->diag };

	if (l->done != NULL)
		l->done(l->arg, &r);
	leave(l);
}

static void
give_up(struct load *l)
{
	if (l->body == NULL)
		return;
	tn_ingest_abort(l->body);
	l->body = NULL;
	fail(l, TN_ECLOSED, "stopping", "tarn stops");
	refuse(l);
}

/* A failure of the disk under the file may pass: then nothing was said yet. */
static bool
may_pass(enum tn_status st)
{
	return st == TN_EIO || st == TN_ENOMEM || st == TN_EFULL ||
	    st == TN_ENOSPC || st == TN_ECLOSED;
}

static void
end_body(struct load *l)
{
	if (l->ended)
		return;
	l->ended = true;
	if (!may_pass(l->read_status)) {
		tn_ingest_end(l->body);
		return;
	}
	tn_ingest_abort(l->body);
	l->body = NULL;
	l->status = l->read_status;
	l->diag = l->read_diag;
	refuse(l);
}

static void
pump(void *arg)
{
	struct load *l = arg;

	while (l->body != NULL && l->pieces[l->head].ready && !l->ended) {
		struct piece *p = &l->pieces[l->head];
		if (p->bytes.n > 0 && tn_ingest_feed_whole(l->body,
		    &p->bytes) == TN_EFULL)
			return;
		if (p->last) {
			end_body(l);
			return;
		}
		l->head = (l->head + 1) % TN_INBOX_PIECES;
		refill(p);
	}
}

static void
piece_filled(struct tn_net_job *job)
{
	struct piece *p = (struct piece *)job;
	struct load *l = p->load;

	l->out--;
	p->ready = true;
	if (l->body != NULL)
		pump(l);
	else
		leave(l);
}

static void
put_line(struct tn_buf *out, const struct tn_ingest_error *e)
{
	tn_buf_printf(out, "row %llu", (unsigned long long)e->row + 1);
	if (e->line > 0)
		tn_buf_printf(out, ", line %llu", (unsigned long long)e->line);
	if (e->column[0] != '\0')
		tn_buf_printf(out, ", column %s", e->column);
	tn_buf_printf(out, ": %s (%s)\n", e->message, e->code);
}

static void
body_done(void *arg, const struct tn_ingest_result *r)
{
	struct load *l = arg;
	struct tn_ingest_result told = *r;

	l->body = NULL;
	if (told.status == TN_OK && l->ended && l->read_status != TN_END) {
		told.status = l->read_status;
		told.diag = l->read_diag;
	}
	l->status = told.status;
	l->diag = told.diag;
	l->accepted = r->accepted;
	l->quarantined = r->quarantined;
	l->duplicates = r->duplicates;
	for (uint32_t i = 0; i < r->error_count; i++)
		put_line(&l->lines, &r->errors[i]);
	if (l->done != NULL)
		l->done(l->arg, &told);
	leave(l);
}

/* For people, and a text of bronze: a name may be any bytes. */
static const char *
source_text(struct load *l)
{
	struct tn_buf b = { 0 };
	char *text;

	tn_buf_str(&b, l->item != NULL ? "inbox " : "copy ");
	tn_buf_shown(&b, l->name, strlen(l->name));
	text = tn_arena_strdup(l->arena, tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return text;
}

static enum tn_status
open_body(struct load *l)
{
	const struct tn_sql_table *t =
	    l->in->o.model->streams[l->stream].table;
	char key[80];
	struct tn_ingest_request q = { .stream =
	    tn_slice_of(tn_inbox_stream_name(l->in, l->stream)),
	    .coding = tn_inbox_source_coding(l->source),
	    .source = source_text(l),
	    .done = body_done, .resume = pump, .arg = l };
	enum tn_status st = tn_inbox_spec(tn_inbox_source_format(l->source),
	    &l->options, &q.spec, &l->diag);

	if (st == TN_OK)
		st = tn_inbox_source_for(l->source, q.spec, t->name, t->schema,
		    &l->diag);
	if (st != TN_OK) {
		if (q.spec != NULL)
			tn_codec_spec_fini(q.spec);
		tn_free(q.spec);
		return st;
	}
	if (l->item != NULL) {
		snprintf(key, sizeof key, "inbox-%s", l->hash);
		q.idempotency_key = tn_slice_of(key);
		q.keep_us = KEEP_US;
	}
	return tn_ingest_begin(l->in->o.ingest, &q, &l->body, &l->diag);
}

static void
begin(struct tn_net_job *job)
{
	struct load *l = (struct load *)job;
	struct tn_inbox *in = l->in;

	if (tn_inbox_draining(in)) {
		fail(l, TN_ECLOSED, "stopping", "tarn stops");
		refuse(l);
		return;
	}
	if (l->status == TN_OK)
		l->status = open_body(l);
	if (l->status == TN_EFULL) {
		/* Ingest wants no more now. */
		memset(&l->diag, 0, sizeof l->diag);
		l->status = TN_OK;
		l->next_waiting = in->waiting;
		in->waiting = l;
		tn_net_timer_start(in->again, AGAIN_MS, 0);
		return;
	}
	if (l->status != TN_OK) {
		refuse(l);
		return;
	}
	l->next = in->loads;
	if (in->loads != NULL)
		in->loads->prev = l;
	in->loads = l;
	l->begun = true;
	count_load(l, 1);
	for (uint32_t i = 0; i < TN_INBOX_PIECES; i++)
		refill(&l->pieces[i]);
}

void
tn_inbox_again(void *arg)
{
	struct tn_inbox *in = arg;
	struct load *l = in->waiting, *next;

	in->waiting = NULL;
	for (; l != NULL; l = next) {
		next = l->next_waiting;
		begin(&l->job);
	}
}

void
tn_inbox_give_up(struct tn_inbox *in)
{
	struct load *next;

	for (struct load *l = in->loads; l != NULL; l = next) {
		next = l->next;
		give_up(l);
	}
	tn_inbox_again(in);
}

/* ---- ends -------------------------------------------------------------- */

static void
finish(struct tn_net_job *job)
{
	struct load *l = (struct load *)job;

	tn_inbox_source_close(l->source);
	l->source = NULL;
	if (l->item != NULL)
		tn_inbox_finish(l);
	to_loop(l, gone);
}

/* ---- COPY ... FROM ------------------------------------------------------ */

static void
copy_open(struct tn_net_job *job)
{
	struct load *l = (struct load *)job;

	open_source(l);
	to_loop(l, begin);
}

enum tn_status
tn_inbox_copy(struct tn_inbox *in, const struct tn_inbox_copy *c)
{
	const char *slash = strrchr(c->path, '/');
	struct load *l;

	tn_assert(tn_net_on_loop());
	if (tn_inbox_draining(in))
		return TN_ECLOSED;
	if (in->copies >= COPIES_MAX)
		return TN_EFULL;
	l = new_load(in, c->stream, c->path, slash != NULL ? slash + 1 :
	    c->path);
	for (uint32_t i = 0; i < c->options->count; i++) {
		const struct tn_inbox_option *o = &c->options->items[i];
		l->options.items[l->options.count++] = (struct
		    tn_inbox_option){ tn_arena_strdup(l->arena, o->name),
		    { (const uint8_t *)tn_arena_strndup(l->arena,
		    (const char *)o->value.p, o->value.n), o->value.n } };
	}
	l->done = c->done;
	l->arg = c->arg;
	in->copies++;
	to_actor(l, copy_open);
	return TN_OK;
}
