/* look: reading the index, on the pool. A commit of the keeper does not hold
 * it up: readers see the state before or after it.
 *
 * A content is given its place before its name, and loses it after; still a
 * reader may come between an older name and the removal of its content. When
 * a file is missing, the keeper is asked, who does one thing after the other;
 * what is missing then is really lost. */
#include "objects/objects_int.h"

#include <string.h>

#define LIMIT_MAX 10000

/* ---- one --------------------------------------------------------------- */

static enum tn_status
find_content(struct op *op)
{
	struct content c;
	enum tn_status st = tn_objects_get_content(op->o, op->a,
	    op->name.sha, &c);

	if (st != TN_OK)
		return st;
	tn_objects_hex(op->name.sha, op->r.info.sha256);
	op->r.info.bytes = c.bytes;
	op->r.info.type = c.type;
	op->r.info.names = c.names;
	return TN_OK;
}

static enum tn_status
find(struct op *op)
{
	enum tn_status st;

	memset(&op->r.info, 0, sizeof op->r.info);
	if (op->key.n == 0) {
		if (!tn_objects_unhex(op->bucket, op->name.sha))
			return TN_ENOTFOUND;
		return find_content(op);
	}
	st = tn_objects_get_name(op->o, op->a, op->bucket, op->key,
	    &op->name);
	if (st == TN_OK)
		tn_objects_info_of(&op->r.info, op->bucket, op->key,
		    &op->name);
	return st;
}

static void
run_find(struct tn_net_job *job)
{
	struct op *op = (struct op *)job;
	enum tn_status st = find(op);

	tn_buf_clear(&op->out);
	if (st == TN_OK)
		st = tn_objects_content_path(op->o, op->name.sha, &op->out);
	op->r.path = tn_buf_cstr(&op->out);
	if (st == TN_OK && tn_os_kind(op->r.path) != TN_OS_FILE) {
		if (!op->again) {
			op->again = true;
			tn_objects_to_keeper(op, run_find);
			return;
		}
		tn_say(TN_ERROR, "objects", "%s is missing", op->r.path);
		st = tn_diag_set(&op->r.diag, TN_ECORRUPT, "object_lost",
		    "the content of this object is missing on the disk");
	} else if (st == TN_ENOTFOUND) {
		tn_diag_set(&op->r.diag, st, "no_such_object",
		    "there is no such object");
	}
	op->r.status = st;
	tn_objects_to_loop(op);
}

static void
found(struct op *op)
{
	op->o->finds--;
}

/* Give it to the pool, or say that too many are under way. */
static void
start(struct op *op, void (*run)(struct tn_net_job *job))
{
	struct tn_objects *o = op->o;
	enum tn_status st = TN_EFULL;

	op->back = found;
	op->job.run = run;
	if (o->finds++ < FINDS_MAX && !o->stopping)
		st = tn_net_pool_post(o->pool, &op->job);
	if (st == TN_OK)
		return;
	op->r.status = tn_diag_set(&op->r.diag, TN_EFULL, "overloaded",
	    "too many requests wait already");
	tn_objects_to_loop(op);
}

void
tn_objects_find(struct tn_objects *o, struct tn_slice bucket,
    struct tn_slice key, tn_objects_done *done, void *arg)
{
	struct op *op = tn_objects_op_new(o, OP_FIND, done, arg);

	tn_assert(tn_net_on_loop());
	op->bucket = tn_objects_copy(op->a, bucket);
	op->key = tn_objects_copy(op->a, key);
	start(op, run_find);
}

/* ---- many -------------------------------------------------------------- */

struct listing {
	struct op *op;
	size_t skip;             /* Of a key: what is the bucket's. */
	uint32_t count;
	bool more;
	struct tn_slice last;
};

static bool
put_item(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct listing *l = arg;
	struct op *op = l->op;
	struct tn_slice name = { key.p + l->skip, key.n - l->skip };
	struct tn_objects_info i;
	struct name n;

	if (tn_slice_eq(name, op->after))
		return true;
	if (l->count == op->limit) {
		l->more = true;
		return false;
	}
	if (!tn_objects_name_get(value, &n))
		return true;
	tn_objects_info_of(&i, op->bucket, name, &n);
	tn_buf_str(&op->out, l->count > 0 ? ",{" : "{");
	tn_objects_put_info(&op->out, &i);
	tn_buf_char(&op->out, '}');
	l->count++;
	l->last = tn_objects_copy(op->a, name);
	return true;
}

static bool
put_bucket(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct listing *l = arg;
	struct bucket b;

	if (!tn_objects_bucket_get(value, &b))
		return true;
	tn_buf_printf(&l->op->out, "%s{\"bucket\":\"%.*s\",\"objects\":%llu,"
	    "\"bytes\":%llu}", l->count > 0 ? "," : "", (int)(key.n - 1),
	    (const char *)key.p + 1, (unsigned long long)b.objects,
	    (unsigned long long)b.bytes);
	l->count++;
	return true;
}

static enum tn_status
list_names(struct listing *l)
{
	struct op *op = l->op;
	struct tn_buf prefix = { 0 }, from = { 0 };
	enum tn_status st;
	int order;

	tn_objects_name_key(&prefix, op->bucket, op->prefix);
	tn_objects_name_key(&from, op->bucket, op->after);
	order = memcmp(from.p, prefix.p, from.n < prefix.n ? from.n :
	    prefix.n);
	if (order < 0 || (order == 0 && from.n < prefix.n)) {
		tn_buf_clear(&from);
		tn_buf_add(&from, prefix.p, prefix.n);
	}
	l->skip = op->bucket.n + 2;
	/* As it was asked for: perhaps no name of a bucket. */
	tn_buf_str(&op->out, "{\"bucket\":\"");
	tn_buf_json(&op->out, op->bucket.p, op->bucket.n);
	tn_buf_str(&op->out, "\",\"objects\":[");
	st = tn_log_table_from(op->o->table, (struct tn_slice){ prefix.p,
	    prefix.n }, (struct tn_slice){ from.p, from.n }, put_item, l);
	tn_buf_str(&op->out, "],\"next\":");
	if (l->more && l->count > 0) {
		tn_buf_char(&op->out, '"');
		tn_buf_json(&op->out, l->last.p, l->last.n);
		tn_buf_str(&op->out, "\"}");
	} else {
		tn_buf_str(&op->out, "null}");
	}
	tn_buf_fini(&prefix);
	tn_buf_fini(&from);
	return st;
}

static void
run_list(struct tn_net_job *job)
{
	struct op *op = (struct op *)job;
	struct listing l = { .op = op };
	enum tn_status st;

	if (op->bucket.n > 0) {
		st = list_names(&l);
	} else {
		tn_buf_str(&op->out, "{\"buckets\":[");
		st = tn_log_table_each(op->o->table, tn_slice_of("b"),
		    put_bucket, &l);
		tn_buf_str(&op->out, "]}");
	}
	/* A damaged name was said and left out. */
	if (st == TN_OK || st == TN_ECORRUPT)
		st = tn_buf_status(&op->out);
	op->r.status = st;
	op->r.json = (struct tn_slice){ op->out.p, op->out.n };
	tn_objects_to_loop(op);
}

void
tn_objects_list(struct tn_objects *o, const struct tn_objects_list *q,
    tn_objects_done *done, void *arg)
{
	struct op *op = tn_objects_op_new(o, OP_LIST, done, arg);

	tn_assert(tn_net_on_loop());
	op->bucket = tn_objects_copy(op->a, q->bucket);
	op->prefix = tn_objects_copy(op->a, q->prefix);
	op->after = tn_objects_copy(op->a, q->after);
	op->limit = q->limit < LIMIT_MAX ? q->limit : LIMIT_MAX;
	start(op, run_list);
}
