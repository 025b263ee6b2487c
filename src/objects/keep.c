/* keep: what the keeper does with names and contents, one operation after the
 * other, so that nothing is removed while a name is being given to it.
 *
 *   put     look at what is there (If-Match) --> move tmp to its place
 *           --> sync the folder --> one commit: name, counts, event
 *   delete  one commit: no name, counts, event --> with erase and no name
 *           left: the content away at once
 *
 * The index of a content says how many names it has, and since when it has
 * none; tidy.c removes it later. The order is always file first, name second;
 * away: name first, file second. A crash leaves a file without a name, which
 * tidy.c finds, never a name without a file. */
#include "objects/objects_int.h"

#include <stdio.h>
#include <string.h>

#define CHANGES_MAX 12

/* Changes of one commit; keys and values live in the operation's arena. */
struct commit {
	struct op *op;
	struct tn_log_change c[CHANGES_MAX];
	size_t n;
};

/* ---- reading the index ------------------------------------------------- */

static void
content_key(uint8_t key[static 1 + SHA_BYTES],
    const uint8_t sha[static SHA_BYTES])
{
	key[0] = 'c';
	memcpy(key + 1, sha, SHA_BYTES);
}

static void
garbage_key(uint8_t key[static 9 + SHA_BYTES], int64_t gone_us,
    const uint8_t sha[static SHA_BYTES])
{
	key[0] = 'g';
	for (int i = 0; i < 8; i++)
		key[1 + i] = (uint8_t)((uint64_t)gone_us >> (56 - 8 * i));
	memcpy(key + 9, sha, SHA_BYTES);
}

enum tn_status
tn_objects_get_name(struct tn_objects *o, struct tn_arena *a,
    struct tn_slice bucket, struct tn_slice key, struct name *n)
{
	struct tn_buf k = { 0 };
	struct tn_slice v;
	enum tn_status st;

	tn_objects_name_key(&k, bucket, key);
	st = tn_log_table_get(o->table, (struct tn_slice){ k.p, k.n }, a, &v);
	tn_buf_fini(&k);
	if (st == TN_OK && !tn_objects_name_get(v, n))
		return TN_ECORRUPT;
	return st;
}

enum tn_status
tn_objects_get_content(struct tn_objects *o, struct tn_arena *a,
    const uint8_t sha[static SHA_BYTES], struct content *c)
{
	uint8_t k[1 + SHA_BYTES];
	struct tn_slice v;
	enum tn_status st;

	content_key(k, sha);
	st = tn_log_table_get(o->table, (struct tn_slice){ k, sizeof k }, a,
	    &v);
	if (st == TN_OK && !tn_objects_content_get(v, c))
		return TN_ECORRUPT;
	return st;
}

/* ---- changes ---------------------------------------------------------- */

/* Takes the buffers' bytes over into the arena. */
static void
add(struct commit *x, struct tn_slice key, struct tn_buf *value)
{
	struct tn_log_change *c = &x->c[x->n++];

	tn_assert(x->n <= CHANGES_MAX);
	memset(c, 0, sizeof *c);
	c->key = tn_objects_copy(x->op->a, key);
	c->drop = value == NULL;
	if (value == NULL)
		return;
	tn_assert(!value->failed);
	c->value = tn_objects_copy(x->op->a, (struct tn_slice){ value->p,
	    value->n });
	tn_buf_fini(value);
}

static void
add_content(struct commit *x, const uint8_t sha[static SHA_BYTES],
    const struct content *c)
{
	struct tn_buf v = { 0 };
	uint8_t k[1 + SHA_BYTES];

	content_key(k, sha);
	tn_objects_content_put(&v, c);
	add(x, (struct tn_slice){ k, sizeof k }, &v);
}

static void
add_garbage(struct commit *x, int64_t gone_us,
    const uint8_t sha[static SHA_BYTES], bool drop)
{
	uint8_t k[9 + SHA_BYTES];
	struct tn_buf v = { 0 };

	garbage_key(k, gone_us, sha);
	tn_buf_char(&v, 1);
	add(x, (struct tn_slice){ k, sizeof k }, drop ? NULL : &v);
	if (drop)
		tn_buf_fini(&v);
}

/* One name more. */
static enum tn_status
refer(struct commit *x, const struct name *n)
{
	struct content c = { 0 };
	enum tn_status st = tn_objects_get_content(x->op->o, x->op->a,
	    n->sha, &c);

	if (st != TN_OK && st != TN_ENOTFOUND)
		return st;
	if (st == TN_OK && c.names == 0)
		add_garbage(x, c.gone_us, n->sha, true);
	c.names++;
	c.bytes = n->bytes;
	c.gone_us = 0;
	c.type = n->type;
	add_content(x, n->sha, &c);
	return TN_OK;
}

/* One name less; without any it is garbage from ${gone_us} on. */
static enum tn_status
unrefer(struct commit *x, const struct name *n, int64_t gone_us,
    uint64_t *left)
{
	struct content c;
	enum tn_status st = tn_objects_get_content(x->op->o, x->op->a,
	    n->sha, &c);

	*left = 0;
	if (st != TN_OK)
		return st == TN_ENOTFOUND ? TN_OK : st;
	c.names -= c.names > 0;
	*left = c.names;
	c.gone_us = c.names == 0 ? gone_us : 0;
	if (c.names == 0)
		add_garbage(x, c.gone_us, n->sha, false);
	add_content(x, n->sha, &c);
	return TN_OK;
}

static enum tn_status
count_bucket(struct commit *x, const struct name *more,
    const struct name *less)
{
	struct bucket b = { 0, 0 };
	struct tn_buf v = { 0 };
	char k[TN_OBJECTS_BUCKET_MAX + 2];
	struct tn_slice key = { (const uint8_t *)k, x->op->bucket.n + 1 };
	struct tn_slice s;
	enum tn_status st;

	k[0] = 'b';
	memcpy(k + 1, x->op->bucket.p, x->op->bucket.n);
	st = tn_log_table_get(x->op->o->table, key, x->op->a, &s);
	if (st == TN_OK && !tn_objects_bucket_get(s, &b))
		return TN_ECORRUPT;
	if (st != TN_OK && st != TN_ENOTFOUND)
		return st;
	b.objects += (more != NULL) - (less != NULL && b.objects > 0);
	b.bytes += more != NULL ? more->bytes : 0;
	b.bytes -= less == NULL ? 0 : less->bytes < b.bytes ? less->bytes :
	    b.bytes;
	tn_objects_bucket_put(&v, &b);
	if (b.objects == 0)
		tn_buf_fini(&v);
	add(x, key, b.objects == 0 ? NULL : &v);
	return TN_OK;
}

/* The event, in the index and for the loop. */
static void
add_event(struct commit *x, const char *action, const struct name *n,
    int64_t at_us)
{
	struct op *op = x->op;
	struct untold *u = tn_zalloc(sizeof *u);
	struct tn_buf row = { 0 };
	uint8_t k[9] = { 'e' };
	uint64_t word[2];
	struct change_row r = { .action = action, .bucket = op->bucket,
	    .key = op->key, .name = n, .at_us = at_us };

	tn_os_random(word, sizeof word);
	r.id = tn_arena_printf(op->a, "%016llx%016llx",
	    (unsigned long long)word[0], (unsigned long long)word[1]);
	tn_objects_row(&row, &r);
	u->o = op->o;
	u->op = op;
	u->seq = op->o->next_seq++;
	u->row = tn_strndup((const char *)row.p, row.n);
	u->row_bytes = row.n;
	u->source = tn_strdup(op->source);
	for (int i = 0; i < 8; i++)
		k[1 + i] = (uint8_t)(u->seq >> (56 - 8 * i));
	add(x, (struct tn_slice){ k, sizeof k }, &row);
	op->untold = u;
}

static enum tn_status
commit(struct commit *x)
{
	struct op *op = x->op;
	enum tn_status st = tn_log_table_commit(op->o->table, x->c, x->n);

	tn_os_crash_point("object_named");
	if (st == TN_OK)
		return st;
	if (op->untold != NULL) {
		tn_free(op->untold->row);
		tn_free(op->untold->source);
		tn_free(op->untold);
		op->untold = NULL;
	}
	return tn_diag_set(&op->r.diag, st, st == TN_ENOSPC ?
	    "index_full" : "index", "the index of objects: %s",
	    tn_status_text(st));
}

/* ---- put -------------------------------------------------------------- */

static enum tn_status
move_content(struct op *op)
{
	struct tn_buf path = { 0 };
	enum tn_status st = tn_objects_content_path(op->o, op->name.sha,
	    &path);
	char *folder = tn_strdup(tn_buf_cstr(&path));

	*strrchr(folder, '/') = '\0';
	if (st == TN_OK)
		st = tn_os_mkdirs(folder);
	/* Also when it is there: what lies there may be damaged. */
	if (st == TN_OK)
		st = tn_os_rename(op->tmp, tn_buf_cstr(&path));
	tn_os_crash_point("object_moved");
	if (st == TN_OK)
		st = tn_os_sync_dir(folder);
	tn_os_crash_point("object_folder_synced");
	if (st != TN_OK)
		tn_diag_set(&op->r.diag, st, st == TN_ENOSPC ? "disk_full" :
		    "object_write", "the object could not be put in its "
		    "place: %s", tn_status_text(st));
	tn_free(folder);
	tn_buf_fini(&path);
	return st;
}

static enum tn_status
refused(struct op *op)
{
	return tn_diag_set(&op->r.diag, TN_ECONFLICT, "precondition",
	    "the object is not as If-Match or If-None-Match demand");
}

static enum tn_status
put_name(struct op *op, const struct name *old)
{
	struct commit x = { .op = op };
	struct tn_buf k = { 0 }, v = { 0 };
	uint64_t left;
	enum tn_status st = TN_OK;

	tn_objects_name_key(&k, op->bucket, op->key);
	tn_objects_name_put(&v, &op->name);
	add(&x, (struct tn_slice){ k.p, k.n }, &v);
	tn_buf_fini(&k);
	if (old == NULL || memcmp(old->sha, op->name.sha, SHA_BYTES) != 0) {
		st = refer(&x, &op->name);
		if (st == TN_OK && old != NULL)
			st = unrefer(&x, old, op->name.uploaded_us, &left);
	}
	if (st == TN_OK)
		st = count_bucket(&x, &op->name, old);
	if (st != TN_OK)
		return st;
	add_event(&x, "put", &op->name, op->name.uploaded_us);
	return commit(&x);
}

/* Nobody refers to what was just moved there. */
static void
take_back(struct op *op)
{
	struct content c;

	if (tn_objects_get_content(op->o, op->a, op->name.sha, &c) ==
	    TN_ENOTFOUND)
		(void)!tn_objects_remove_content(op->o, op->name.sha, 0);
}

static enum tn_status
put(struct op *op)
{
	struct name old;
	enum tn_status st = tn_objects_get_name(op->o, op->a, op->bucket,
	    op->key, &old);
	bool has = st == TN_OK;

	if (st != TN_OK && st != TN_ENOTFOUND)
		return st;
	if (!tn_objects_if_holds(&op->must, has ? &old : NULL))
		return refused(op);
	if (op->must.same && has &&
	    memcmp(old.sha, op->name.sha, SHA_BYTES) != 0)
		return tn_diag_set(&op->r.diag, TN_EDENIED, "overwrite",
		    "another content stands under this name");
	op->name.uploaded_us = tn_os_wall_us();
	/* Later than what it replaces, whatever the clock does. */
	if (has && op->name.uploaded_us <= old.uploaded_us)
		op->name.uploaded_us = old.uploaded_us + 1;
	st = move_content(op);
	if (st != TN_OK)
		return st;
	st = put_name(op, has ? &old : NULL);
	if (st != TN_OK) {
		take_back(op);
		return st;
	}
	op->r.created = !has;
	tn_objects_info_of(&op->r.info, op->bucket, op->key, &op->name);
	tn_counter_add(op->o->objects, !has);
	tn_counter_add(op->o->bytes, (int64_t)op->name.bytes -
	    (has ? (int64_t)old.bytes : 0));
	tn_counter_add(op->o->puts, 1);
	return TN_OK;
}

void
tn_objects_run_put(struct tn_net_job *job)
{
	struct op *op = (struct op *)job;

	op->r.status = put(op);
	/* Moved, or of no use. */
	if (op->r.status != TN_OK)
		(void)!tn_os_unlink(op->tmp);
	tn_objects_to_loop(op);
}

/* ---- delete ----------------------------------------------------------- */

enum tn_status
tn_objects_remove_content(struct tn_objects *o,
    const uint8_t sha[static SHA_BYTES], int64_t gone_us)
{
	uint8_t ck[1 + SHA_BYTES], gk[9 + SHA_BYTES];
	struct tn_log_change c[2] = { { .key = { ck, sizeof ck },
	    .drop = true }, { .key = { gk, sizeof gk }, .drop = true } };
	struct tn_buf path = { 0 };
	enum tn_status st = tn_objects_content_path(o, sha, &path);

	if (st == TN_OK)
		st = tn_os_unlink(tn_buf_cstr(&path));
	if (st == TN_ENOTFOUND)
		st = TN_OK;
	tn_os_crash_point("object_removed");
	tn_buf_fini(&path);
	if (st != TN_OK)
		return st;
	content_key(ck, sha);
	garbage_key(gk, gone_us, sha);
	return tn_log_table_commit(o->table, c, 2);
}

enum tn_status
tn_objects_drop_name(struct op *op)
{
	struct commit x = { .op = op };
	struct tn_buf k = { 0 };
	/* Garbage of time 0 is overdue: a crash does not spare it. */
	int64_t now = tn_os_wall_us();
	int64_t gone_us = op->erase ? 0 : now;
	uint64_t left = 0;
	enum tn_status st = unrefer(&x, &op->name, gone_us, &left);

	if (st == TN_OK)
		st = count_bucket(&x, NULL, &op->name);
	if (st != TN_OK)
		return st;
	tn_objects_name_key(&k, op->bucket, op->key);
	add(&x, (struct tn_slice){ k.p, k.n }, NULL);
	tn_buf_fini(&k);
	if (now <= op->name.uploaded_us)
		now = op->name.uploaded_us + 1;
	add_event(&x, "delete", &op->name, now);
	st = commit(&x);
	if (st != TN_OK)
		return st;
	tn_counter_add(op->o->objects, -1);
	tn_counter_add(op->o->bytes, -(int64_t)op->name.bytes);
	tn_counter_add(op->o->deletes, 1);
	op->r.info.names = left;
	if (!op->erase || left > 0)
		return TN_OK;
	/* The name is gone for good; what fails here is tried again. */
	op->r.removed = tn_objects_remove_content(op->o, op->name.sha,
	    gone_us) == TN_OK;
	return TN_OK;
}

void
tn_objects_run_delete(struct tn_net_job *job)
{
	struct op *op = (struct op *)job;
	enum tn_status st = tn_objects_get_name(op->o, op->a, op->bucket,
	    op->key, &op->name);

	if (st == TN_ENOTFOUND)
		tn_diag_set(&op->r.diag, st, "no_such_object",
		    "there is no object of this name");
	else if (st == TN_OK && !tn_objects_if_holds(&op->must, &op->name))
		st = refused(op);
	if (st == TN_OK) {
		tn_objects_info_of(&op->r.info, op->bucket, op->key,
		    &op->name);
		st = tn_objects_drop_name(op);
	}
	op->r.status = st;
	tn_objects_to_loop(op);
}
