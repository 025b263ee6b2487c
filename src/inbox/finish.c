/* finish: the end of a dropped file. The order makes it exactly once:
 *
 *   rows and key in the log -> record (moved: no) -> rename, sync folders
 *   -> record (moved: yes) -> the key may be forgotten
 *
 * A kill before the record: the file is loaded again, and the key says that
 * all of it was taken. Between record and rename: the record says that this
 * name was loaded and not moved yet. Later: another file of this content was
 * loaded before.
 *
 * Table: "h:" stream ":" hash -> version, moved, bytes, counts, time, name. */
#include "inbox/inbox_int.h"

#include <stdio.h>
#include <string.h>

#define RECORD_VERSION 1
#define RETRY_US 5000000
#define NAMES_TRIED 100000
#define NAME_BYTES 220           /* Then come .100000 and .options.json. */

/* ---- records ------------------------------------------------------------ */

static void
record_key(struct tn_inbox *in, uint32_t stream, const char *hash,
    struct tn_buf *key)
{
	tn_buf_printf(key, "h:%s:%s", tn_inbox_stream_name(in, stream), hash);
}

struct reading {
	struct record *out;
	bool found, good;
};

static bool
take_record(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct reading *x = arg;
	struct tn_cursor c = { value.p, value.p + value.n, false };
	struct record *r = x->out;
	struct tn_slice name;

	(void)key;
	x->found = true;
	if (tn_cursor_u8(&c) != RECORD_VERSION)
		return false;
	r->moved = tn_cursor_u8(&c) != 0;
	r->bytes = tn_cursor_varint(&c);
	r->accepted = tn_cursor_varint(&c);
	r->quarantined = tn_cursor_varint(&c);
	r->duplicates = tn_cursor_varint(&c);
	r->at_us = (int64_t)tn_cursor_u64(&c);
	name = tn_cursor_bytes(&c, tn_cursor_varint(&c));
	snprintf(r->name, sizeof r->name, "%.*s", (int)name.n,
	    name.n > 0 ? (const char *)name.p : "");
	x->good = !c.failed;
	return false;
}

enum tn_status
tn_inbox_record_get(struct tn_inbox *in, uint32_t stream, const char *hash,
    struct record *out)
{
	struct reading x = { .out = out };
	struct tn_buf key = { 0 };
	enum tn_status st;

	memset(out, 0, sizeof *out);
	record_key(in, stream, hash, &key);
	st = tn_log_table_each(in->table, (struct tn_slice){ key.p, key.n },
	    take_record, &x);
	tn_buf_fini(&key);
	if (st != TN_OK)
		return st;
	return !x.found ? TN_ENOTFOUND : x.good ? TN_OK : TN_ECORRUPT;
}

static enum tn_status
record_put(struct load *l)
{
	const struct record *r = &l->record;
	struct tn_buf key = { 0 }, value = { 0 };
	struct tn_log_change c = { .drop = false };
	enum tn_status st;

	record_key(l->in, l->stream, l->hash, &key);
	tn_buf_char(&value, RECORD_VERSION);
	tn_buf_char(&value, r->moved);
	tn_buf_varint(&value, r->bytes);
	tn_buf_varint(&value, r->accepted);
	tn_buf_varint(&value, r->quarantined);
	tn_buf_varint(&value, r->duplicates);
	tn_buf_u64(&value, (uint64_t)r->at_us);
	tn_buf_varint(&value, strlen(r->name));
	tn_buf_str(&value, r->name);
	c.key = (struct tn_slice){ key.p, key.n };
	c.value = (struct tn_slice){ value.p, value.n };
	st = tn_log_table_commit(l->in->table, &c, 1);
	tn_buf_fini(&key);
	tn_buf_fini(&value);
	return st;
}

/* ---- moves --------------------------------------------------------------- */

bool
tn_inbox_is_unchanged(const struct load *l)
{
	const struct tn_os_info *was = &l->item->info;
	struct tn_os_info now;

	return tn_os_look(l->path, &now) == TN_OK && now.kind == was->kind &&
	    now.bytes == was->bytes && now.inode == was->inode &&
	    now.modified_ns == was->modified_ns;
}

/* How much of a name may stand before endings of ours: not half a letter. */
static int
name_bytes(const char *name)
{
	size_t n = strlen(name);

	if (n <= NAME_BYTES)
		return (int)n;
	n = NAME_BYTES;
	while (n > 1 && ((uint8_t)name[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

/* A path in ${to} that is free: NAME, NAME.2, NAME.3, ... */
static char *
free_path(struct load *l, const char *to)
{
	const char *folder = l->in->places[l->stream].folder;
	struct tn_buf b = { 0 };
	char *s;

	for (uint32_t i = 1; i < NAMES_TRIED; i++) {
		tn_buf_clear(&b);
		tn_buf_printf(&b, "%s/%s/%.*s", folder, to,
		    name_bytes(l->name), l->name);
		if (i > 1)
			tn_buf_printf(&b, ".%u", (unsigned)i);
		if (tn_os_kind(tn_buf_cstr(&b)) == TN_OS_NONE)
			break;
	}
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static enum tn_status
move_side(struct load *l, const char *path)
{
	char *from = tn_arena_printf(l->arena, "%s.options.json", l->path);
	char *to = tn_arena_printf(l->arena, "%s.options.json", path);

	return tn_os_kind(from) == TN_OS_FILE ? tn_os_rename(from, to) :
	    TN_OK;
}

/* The file and its options to ${to}, with words beside it when there are
 * some. */
static enum tn_status
move(struct load *l, const char *to, const char *ending, struct tn_buf *words)
{
	const char *folder = l->in->places[l->stream].folder;
	char *into = tn_arena_printf(l->arena, "%s/%s", folder, to);
	char *path = free_path(l, to);
	enum tn_status st = tn_os_mkdirs(into);

	if (st == TN_OK && words->n > 0)
		st = tn_os_write_file(tn_arena_printf(l->arena, "%s.%s", path,
		    ending), words->p, words->n, 0640);
	/* The file first: without its options it would be read another way,
	 * should we end here. */
	if (st == TN_OK)
		st = tn_os_rename(l->path, path);
	if (st == TN_OK)
		st = move_side(l, path);
	if (st == TN_OK)
		st = tn_os_sync_dir(into);
	if (st == TN_OK)
		st = tn_os_sync_dir(folder);
	if (st == TN_OK)
		snprintf(l->moved, sizeof l->moved, "%s",
		    strrchr(path, '/') + 1);
	tn_free(path);
	return st;
}

/* ---- words --------------------------------------------------------------- */

static void
put_counts(struct tn_buf *out, const struct load *l)
{
	tn_buf_printf(out, "%llu rows accepted, %llu quarantined, %llu "
	    "duplicates\n", (unsigned long long)l->accepted,
	    (unsigned long long)l->quarantined,
	    (unsigned long long)l->duplicates);
}

static void
words_done(const struct load *l, struct tn_buf *out)
{
	if (l->quarantined == 0)
		return;
	tn_buf_printf(out, "%s: loaded; ", l->name);
	put_counts(out, l);
	tn_buf_printf(out, "bad rows are in quarantine (GET /api/v1/"
	    "quarantine/%s)", tn_inbox_stream_name(l->in, l->stream));
	tn_buf_str(out, l->lines.n > 0 ? "; the first of them:\n" : "\n");
	tn_buf_add(out, l->lines.p, l->lines.n);
}

static void
words_repeated(const struct load *l, struct tn_buf *out)
{
	tn_buf_printf(out, "%s: loaded before, as %s at ", l->name,
	    l->record.name);
	tn_record_print_json_time(out, l->record.at_us);
	tn_buf_printf(out, " (SHA-256 %s): nothing was taken\nhint: tarn load "
	    "takes it again\n", l->hash);
}

static void
words_rejected(const struct load *l, struct tn_buf *out)
{
	tn_buf_printf(out, "%s: rejected: %s (%s)\n", l->name,
	    l->diag.message, l->diag.code);
	if (l->diag.file[0] != '\0')
		tn_buf_printf(out, "in: %s\n", l->diag.file);
	if (l->diag.line > 0)
		tn_buf_printf(out, "row: %u\n", (unsigned)l->diag.line);
	if (l->diag.column > 0)
		tn_buf_printf(out, "byte: %u\n", (unsigned)l->diag.column);
	if (l->diag.hint[0] != '\0')
		tn_buf_printf(out, "hint: %s\n", l->diag.hint);
	if (l->accepted + l->quarantined + l->duplicates > 0) {
		tn_buf_str(out, "taken before that: ");
		put_counts(out, l);
	}
	tn_buf_add(out, l->lines.p, l->lines.n);
}

/* ---- ends ---------------------------------------------------------------- */

/* From what is there to what was, at once for whoever looks. */
static void
remember(struct load *l, enum recent_result result)
{
	struct tn_inbox *in = l->in;
	struct recent *r = &in->recent[in->recent_count % TN_INBOX_RECENT];

	tn_net_lock_take(in->lock);
	*r = (struct recent){ .result = result, .stream = l->stream,
	    .bytes = l->bytes, .accepted = l->accepted,
	    .quarantined = l->quarantined, .duplicates = l->duplicates,
	    .at_us = tn_os_wall_us() };
	snprintf(r->name, sizeof r->name, "%s", l->name);
	r->taken = l->item->info;
	if (result != RECENT_REJECTED)
		snprintf(r->moved, sizeof r->moved, "%s", l->moved);
	if (result == RECENT_REJECTED)
		snprintf(r->why, sizeof r->why, "%s", l->diag.message);
	else if (result == RECENT_REPEATED)
		snprintf(r->why, sizeof r->why, "loaded before, as %s",
		    l->record.name);
	in->recent_count++;
	tn_inbox_forget(in, l->item);
	tn_net_lock_drop(in->lock);
}

static void
tell_grown(struct tn_inbox *in, struct recent *r, uint64_t more)
{
	tn_net_lock_take(in->lock);
	r->grown = true;
	snprintf(r->why, sizeof r->why, "%llu bytes were written to done/%s "
	    "after it was taken: they are not loaded; raise inbox_settle, or "
	    "let the writer rename NAME.part when it is done",
	    (unsigned long long)more, r->moved);
	tn_net_lock_drop(in->lock);
	tn_counter_add(in->places[r->stream].grown, 1);
	tn_say(TN_WARN, "inbox", "%s: %s", tn_inbox_stream_name(in,
	    r->stream), r->why);
}

/* A writer that paused for longer than inbox_settle has the file still open
 * and goes on writing to it where it is now: that must not go unseen. */
void
tn_inbox_look_back(struct tn_inbox *in)
{
	for (uint32_t i = 0; i < in->recent_count && i < TN_INBOX_RECENT;
	    i++) {
		struct recent *r = &in->recent[i];
		struct tn_buf path = { 0 };
		struct tn_os_info now;
		if (r->moved[0] == '\0' || r->grown)
			continue;
		tn_buf_printf(&path, "%s/done/%s",
		    in->places[r->stream].folder, r->moved);
		/* Another file under this name is none of that writer's. */
		if (tn_os_look(tn_buf_cstr(&path), &now) == TN_OK &&
		    now.device == r->taken.device &&
		    now.inode == r->taken.inode &&
		    now.born_ns == r->taken.born_ns &&
		    now.bytes > r->taken.bytes)
			tell_grown(in, r, now.bytes - r->taken.bytes);
		tn_buf_fini(&path);
	}
}

/* Ours is the fault: it stays where it is, and is tried again. */
static void
wait_for_better(struct load *l, const char *what)
{
	struct item *it = l->item;

	if (strcmp(it->why, what) != 0)
		tn_say(TN_WARN, "inbox", "%s waits: %s", l->path, what);
	tn_net_lock_take(l->in->lock);
	snprintf(it->why, sizeof it->why, "%s", what);
	it->state = ITEM_WAITING;
	it->retry_us = tn_os_mono_us() + RETRY_US;
	tn_net_lock_drop(l->in->lock);
}

/* Another file took its name meanwhile: that one stays, and gets its turn. */
static bool
was_replaced(struct load *l)
{
	struct tn_os_info now;

	if (tn_inbox_is_unchanged(l) || tn_os_look(l->path, &now) != TN_OK)
		return false;
	tn_say(TN_WARN, "inbox", "%s changed while it was loaded: it is "
	    "loaded again as it is now", l->path);
	return true;
}

static bool
failed_to(struct load *l, enum tn_status st, const char *act)
{
	char why[TN_INBOX_WHY];

	if (st == TN_OK)
		return false;
	snprintf(why, sizeof why, "%s: %s", act, tn_status_text(st));
	wait_for_better(l, why);
	return true;
}

/* The key in the log is needed no more once the table has the content. */
static void
release_key(struct load *l)
{
	char key[80];

	snprintf(key, sizeof key, "inbox-%s", l->hash);
	tn_ingest_key_release(l->in->o.ingest, l->stream, tn_slice_of(key));
}

static void
end_done(struct load *l)
{
	struct place *p = &l->in->places[l->stream];
	struct tn_buf words = { 0 };
	enum tn_status st;

	words_done(l, &words);
	st = was_replaced(l) ? TN_OK : move(l, "done", "result.txt", &words);
	tn_buf_fini(&words);
	if (failed_to(l, st, "it is loaded, but cannot be moved to done"))
		return;
	tn_os_crash_point("inbox_moved");
	l->record.moved = true;
	st = record_put(l);
	if (st != TN_OK)
		tn_say(TN_WARN, "inbox", "%s: the table of loaded files: %s",
		    l->name, tn_status_text(st));
	release_key(l);
	tn_say(TN_INFO, "inbox", "%s: loaded %s: %llu rows accepted, %llu "
	    "quarantined, %llu duplicates", tn_inbox_stream_name(l->in,
	    l->stream), l->name, (unsigned long long)l->accepted,
	    (unsigned long long)l->quarantined,
	    (unsigned long long)l->duplicates);
	tn_counter_add(p->done, 1);
	tn_counter_add(p->bytes, (int64_t)l->bytes);
	remember(l, RECENT_DONE);
}

static void
end_loaded(struct load *l)
{
	enum tn_status st;

	tn_os_crash_point("inbox_loaded");
	l->record = (struct record){ .bytes = l->bytes,
	    .accepted = l->accepted, .quarantined = l->quarantined,
	    .duplicates = l->duplicates, .at_us = tn_os_wall_us() };
	snprintf(l->record.name, sizeof l->record.name, "%s", l->name);
	st = record_put(l);
	if (failed_to(l, st, "it is loaded, but the table of loaded files "
	    "(inbox_table_bytes) cannot take it"))
		return;
	tn_os_crash_point("inbox_recorded");
	end_done(l);
}

static void
end_repeated(struct load *l)
{
	struct tn_buf words = { 0 };
	enum tn_status st;

	if (was_replaced(l))
		return;
	words_repeated(l, &words);
	st = move(l, "done", "result.txt", &words);
	tn_buf_fini(&words);
	if (failed_to(l, st, "it was loaded before, but cannot be moved to "
	    "done"))
		return;
	tn_say(TN_INFO, "inbox", "%s: %s was loaded before, as %s: nothing "
	    "was taken", tn_inbox_stream_name(l->in, l->stream), l->name,
	    l->record.name);
	tn_counter_add(l->in->places[l->stream].repeated, 1);
	remember(l, RECENT_REPEATED);
}

static void
end_rejected(struct load *l)
{
	struct tn_buf words = { 0 };
	enum tn_status st;

	if (was_replaced(l)) {
		release_key(l);
		return;
	}
	words_rejected(l, &words);
	st = move(l, "rejected", "error.txt", &words);
	tn_buf_fini(&words);
	if (failed_to(l, st, "it cannot be read, and not be moved to "
	    "rejected"))
		return;
	/* Of what was taken before that; it need not be known for years. */
	release_key(l);
	tn_say(TN_ERROR, "inbox", "%s: rejected %s: %s",
	    tn_inbox_stream_name(l->in, l->stream), l->name,
	    l->diag.message);
	tn_counter_add(l->in->places[l->stream].rejected, 1);
	remember(l, RECENT_REJECTED);
}

static bool
is_ours(enum tn_status st)
{
	switch (st) {
	case TN_EFULL: case TN_ENOSPC: case TN_EIO: case TN_ENOMEM:
	case TN_ECLOSED:
		return true;
	default:
		return false;
	}
}

/* Loaded under this name in a life before, and killed before the move? */
static bool
was_not_moved(struct load *l)
{
	if (!l->known || l->record.moved || strcmp(l->record.name, l->name)
	    != 0)
		return false;
	l->accepted = l->record.accepted;
	l->quarantined = l->record.quarantined;
	l->duplicates = l->record.duplicates;
	return true;
}

void
tn_inbox_finish(struct load *l)
{
	struct tn_inbox *in = l->in;

	tn_net_lock_take(in->lock);
	l->item->load = NULL;
	l->item->state = ITEM_SETTLING;
	l->item->since_us = tn_os_mono_us();
	in->loading--;
	tn_net_lock_drop(in->lock);
	if (l->status == TN_ECLOSED && tn_inbox_draining(in))
		return;
	if (l->status == TN_ENOTFOUND)
		return;                 /* Taken away; the next look tells. */
	if (l->status != TN_OK && is_ours(l->status))
		wait_for_better(l, l->diag.message[0] != '\0' ?
		    l->diag.message : tn_status_text(l->status));
	else if (l->status == TN_ECONFLICT && strcmp(l->diag.code,
	    "idempotency_in_flight") == 0)
		wait_for_better(l, "the same content is being loaded");
	else if (l->status != TN_OK)
		end_rejected(l);
	else if (was_not_moved(l))
		end_done(l);
	else if (l->known)
		end_repeated(l);
	else
		end_loaded(l);
	tn_inbox_start(in);
	tn_inbox_count(in);
}
