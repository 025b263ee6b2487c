/* The hash chain of bronze: who alters, swaps, removes or adds a file of raw
 * bytes in the middle is found out, also when the catalog's checksum is altered
 * to fit.
 *
 *   tarn.chain_prev    SHA-256 of the stream's bronze file before this one, in
 *                      order of LSN, as it was when this one was written; empty
 *                      for the first of all
 *   tarn.chain_links   of a file made by compaction: a line for each stretch of
 *                      the chain that it holds: "first-last prev ends". prev
 *                      is the chain_prev of the stretch's first file, ends the
 *                      hashes by which the file after the stretch may name it:
 *                      that of the last file replaced, and what that one had
 *                      as its ends. chain_prev is the first line's.
 *   tarn.chain_seals   "path hash" of files that compaction made since the
 *                      file before: nothing that comes later names them
 *
 *   a(p) <- b(h a) <- c(h b)   a and b merged: ab [p; ends: h b] <- c(h b)
 *
 * Compaction reads the hash of every file that it replaces: two files join into
 * one stretch only where the second names the first, so a merge hides nothing.
 * Where the clock stepped back the files of a day are not neighbours; the
 * merged file then has several stretches. One that is full goes on in the next
 * one, which names it.
 *
 * The catalog has a value "chain:<stream>", set with the publication that it
 * tells of:
 *   tip <path> <hash>      the newest file: what the next one names
 *   seal <path> <hash>     made by compaction, in no footer yet
 *   gone <first>-<last>    LSNs of files that retention dropped, up to the
 *                          file that stays: there the chain has a gap, or
 *                          begins
 *
 * Files of before the chain say nothing: their prev is "?". What can go wrong:
 * a file cannot be read; a cut then fails and says so, as a compaction does. */
#include "batch/batch_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX 64

struct tn_batch_chain {
	struct tn_batch_jobs *b;
	uint32_t stream;                 /* Catalog's id. */
	struct tn_arena *arena;
	struct tn_batch_stretch *all;    /* In order of LSN, joined late. */
	uint32_t count, cap, at;         /* Given out before ${at}. */
	struct tn_buf seals;
	const _Atomic bool *left;        /* Or NULL. */
};

/* ---- hashes ---------------------------------------------------------- */

void
tn_batch_chain_add(void *arg, const void *p, size_t n)
{
	tn_governance_digest_add(arg, p, n);
}

enum tn_status
tn_batch_chain_hash(struct tn_lake *lake, const char *path,
    const _Atomic bool *left, struct tn_batch_hash *out)
{
	struct tn_governance_digest *d = tn_governance_digest_new();
	struct tn_lake_bytes b = { .path = path, .each = tn_batch_chain_add,
	    .arg = d, .left = left };
	enum tn_status st = tn_lake_bytes(lake, &b);

	tn_governance_digest_end(d, out->sha);
	out->crc = b.crc;
	out->bytes = b.bytes;
	return st;
}

/* ---- the catalog's value --------------------------------------------- */

/* "word a b\n" of a value or of seals; false at the end. */
static bool
next_line(const char **text, char word[static 8], char a[static 200],
    char b[static 80])
{
	int n = 0;

	while (**text != '\0') {
		const char *line = *text;
		size_t len = strcspn(line, "\n");
		*text = line + len + (line[len] == '\n');
		a[0] = b[0] = '\0';
		if (sscanf(line, "%7s %199s %79s%n", word, a, b, &n) >= 2)
			return true;
	}
	return false;
}

/* The value as a file of lines; "" when there is none. */
static enum tn_status
load_value(struct tn_batch_jobs *b, uint32_t stream, struct tn_arena *a,
    const char **text)
{
	char key[40];
	enum tn_status st;

	*text = "";
	snprintf(key, sizeof key, "chain:%u", (unsigned)stream);
	st = tn_catalog_get(b->o.catalog, key, a, text);
	if (st == TN_ENOTFOUND)
		*text = "";
	return st == TN_ENOTFOUND ? TN_OK : st;
}

enum tn_status
tn_batch_chain_known(struct tn_batch_jobs *b, uint32_t stream,
    struct tn_arena *a, struct tn_batch_known *out)
{
	const char *text = NULL;
	char word[8], x[200], y[80];
	struct tn_batch_known k = { .seal_count = 0 };
	enum tn_status st = load_value(b, stream, a, &text);
	size_t lines = 1;

	for (const char *p = text; st == TN_OK && *p != '\0'; p++)
		lines += *p == '\n';
	k.seals = tn_arena_zalloc(a, lines * sizeof *k.seals);
	k.gone = tn_arena_zalloc(a, lines * sizeof *k.gone);
	while (st == TN_OK && next_line(&text, word, x, y)) {
		struct tn_batch_seal s = { tn_arena_strdup(a, x),
		    tn_arena_strdup(a, y), NULL };
		struct tn_batch_gone *g = &k.gone[k.gone_count];
		if (strcmp(word, "tip") == 0)
			k.tip = s;
		else if (strcmp(word, "seal") == 0)
			k.seals[k.seal_count++] = s;
		else if (sscanf(x, "%llu-%llu", &g->first, &g->last) == 2)
			k.gone_count++;
	}
	*out = k;
	return st;
}

/* ---- what a footer says ---------------------------------------------- */

static struct tn_batch_stretch *
parse_links(struct tn_arena *a, const char *text, uint32_t *count)
{
	uint32_t n = 0, lines = 1;
	struct tn_batch_stretch *out;

	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	out = tn_arena_zalloc(a, lines * sizeof *out);
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		char *line = tn_arena_strndup(a, text, len), *prev, *ends;
		struct tn_batch_stretch *s = &out[n];
		text += len + (text[len] == '\n');
		prev = strchr(line, ' ');
		ends = prev == NULL ? NULL : strchr(prev + 1, ' ');
		if (ends == NULL || sscanf(line, "%llu-%llu", &s->first,
		    &s->last) != 2)
			continue;
		*ends = '\0';
		s->prev = strcmp(prev + 1, "-") == 0 ? "" : prev + 1;
		s->ends = ends + 1;
		n++;
	}
	*count = n;
	return out;
}

enum tn_status
tn_batch_chain_read(struct tn_lake *lake, const struct tn_catalog_file *f,
    struct tn_arena *a, struct tn_batch_links *out, struct tn_diag *d)
{
	static const char *const keys[] = { "tarn.chain_prev",
	    "tarn.chain_links", "tarn.chain_seals" };
	const char *values[3] = { NULL };
	struct tn_lake_notes n = { f->path, keys, TN_COUNT(keys), values };
	enum tn_status st = tn_lake_notes(lake, &n, a, d);

	memset(out, 0, sizeof *out);
	if (st != TN_OK)
		return st;
	out->seals = values[2] != NULL ? values[2] : "";
	out->merged = values[1] != NULL;
	if (values[1] != NULL)
		out->all = parse_links(a, values[1], &out->count);
	if (out->count > 0)
		return TN_OK;
	out->all = tn_arena_zalloc(a, sizeof *out->all);
	out->count = 1;
	out->all[0] = (struct tn_batch_stretch){ f->lsn_min, f->lsn_max,
	    values[0] == NULL ? "?" : values[0], "", NULL };
	return TN_OK;
}

bool
tn_batch_chain_follows(const struct tn_batch_stretch *a,
    const struct tn_batch_stretch *b)
{
	return strlen(b->prev) == HEX && strstr(a->ends, b->prev) != NULL;
}

bool
tn_batch_chain_seal(const char **text, struct tn_arena *a,
    struct tn_batch_seal *out)
{
	char path[200], sha[80];
	int n = 0;

	while (**text != '\0') {
		int got = sscanf(*text, "%199s %79s%n", path, sha, &n);
		*text += strcspn(*text, "\n");
		*text += **text == '\n';
		if (got != 2)
			continue;
		*out = (struct tn_batch_seal){ tn_arena_strdup(a, path),
		    tn_arena_strdup(a, sha), NULL };
		return true;
	}
	return false;
}

/* ---- a publication --------------------------------------------------- */

/* A new bronze file, as it will be in the catalog. */
static void
note_file(struct change *c, uint32_t stream, const struct tn_lake_file *f,
    const struct tn_batch_chained *x)
{
	struct tn_batch_chained *to;

	c->chained = tn_realloc(c->chained, (c->chained_count + 1ul) *
	    sizeof *c->chained);
	to = &c->chained[c->chained_count++];
	*to = *x;
	to->stream = stream;
	memcpy(to->path, f->path, sizeof to->path);
}

static const struct tn_catalog_file *
newest_of(const struct tn_catalog_snapshot *s, uint32_t stream)
{
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_BRONZE, stream,
	    &first);
	const struct tn_catalog_file *best = NULL;

	for (uint32_t i = first; i < first + n; i++)
		if (best == NULL || s->files[i].lsn_max > best->lsn_max)
			best = &s->files[i];
	return best;
}

/* What the next file of a stream names, and the seals that it takes along: from
 * this change, else from the catalog, else (files of before the chain) from the
 * newest file itself. */
static enum tn_status
find_tip(struct change *c, uint32_t stream, char sha[static 65],
    struct tn_buf *seals)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_batch_known k;
	struct tn_batch_hash h = { .crc = 0 };
	const struct tn_catalog_snapshot *now;
	const struct tn_catalog_file *f;
	enum tn_status st = TN_OK;

	for (uint32_t i = c->chained_count; i > 0; i--)
		if (c->chained[i - 1].stream == stream) {
			memcpy(sha, c->chained[i - 1].sha, 65);
			goto out;
		}
	st = tn_batch_chain_known(c->b, stream, a, &k);
	for (uint32_t i = 0; st == TN_OK && i < k.seal_count; i++)
		tn_buf_printf(seals, "%s %s\n", k.seals[i].path,
		    k.seals[i].sha);
	if (st == TN_OK && k.tip.sha != NULL) {
		snprintf(sha, 65, "%s", k.tip.sha);
	} else if (st == TN_OK) {
		now = tn_catalog_snapshot(c->b->o.catalog);
		f = newest_of(now, stream);
		if (f != NULL)
			st = tn_batch_chain_hash(c->b->o.lake, f->path, NULL, &h);
		memcpy(sha, h.sha, 65);
		tn_catalog_snapshot_put(now);
	}
out:
	tn_arena_free(a);
	return st;
}

enum tn_status
tn_batch_chain_finish(struct change *c, uint32_t stream,
    struct tn_lake_writer *w, struct tn_governance_digest *sum,
    struct tn_lake_file *f)
{
	struct tn_batch_chained x = { .merged = false };
	struct tn_buf seals = { 0 };
	char prev[65] = "";
	enum tn_status st = find_tip(c, stream, prev, &seals);

	if (st == TN_OK) {
		tn_lake_note(w, "tarn.chain_prev", prev);
		if (seals.n > 0)
			tn_lake_note(w, "tarn.chain_seals",
			    tn_buf_cstr(&seals));
		st = tn_lake_finish(w, f);
	} else {
		tn_lake_abandon(w);
	}
	tn_buf_fini(&seals);
	tn_governance_digest_end(sum, x.sha);
	if (st == TN_OK)
		note_file(c, stream, f, &x);
	return st;
}

/* A change under way of one stream's value. */
struct value {
	const struct change *c;
	const struct tn_catalog_snapshot *now;
	uint32_t stream;
	struct tn_batch_known old;
	struct tn_buf *out;
};

static bool
is_dropped(const struct change *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->drop_count; i++)
		if (c->drop[i] == id)
			return true;
	return false;
}

/* In force, and not dropped by this change. */
static bool
stays(const struct value *v, const char *path)
{
	uint32_t first, n = tn_catalog_snapshot_find(v->now, TN_TIER_BRONZE,
	    v->stream, &first);

	for (uint32_t i = first; i < first + n; i++)
		if (strcmp(v->now->files[i].path, path) == 0)
			return !is_dropped(v->c, v->now->files[i].id);
	return false;
}

/* The last file of a cut; the newest merged one, where that replaces it. */
static void
put_tip(struct value *v)
{
	const struct tn_batch_chained *best = NULL;
	bool replaced = v->old.tip.path != NULL && (v->c->same_rows ||
	    v->c->replaces) && !stays(v, v->old.tip.path);

	for (uint32_t i = 0; i < v->c->chained_count; i++) {
		const struct tn_batch_chained *x = &v->c->chained[i];
		if (x->stream != v->stream || (x->merged && !replaced))
			continue;
		if (best == NULL || !x->merged || x->last > best->last)
			best = x;
	}
	if (best != NULL)
		tn_buf_printf(v->out, "tip %s %s\n", best->path, best->sha);
	else if (v->old.tip.path != NULL)
		tn_buf_printf(v->out, "tip %s %s\n", v->old.tip.path,
		    v->old.tip.sha);
}

/* Those that no cut has taken along, and new ones. */
static void
put_seals(struct value *v)
{
	bool taken = false;

	for (uint32_t i = 0; i < v->c->chained_count; i++) {
		const struct tn_batch_chained *x = &v->c->chained[i];
		if (x->stream != v->stream)
			continue;
		taken = taken || !x->merged;
		if (x->merged)
			tn_buf_printf(v->out, "seal %s %s\n", x->path,
			    x->sha);
	}
	for (uint32_t i = 0; !taken && i < v->old.seal_count; i++)
		if (stays(v, v->old.seals[i].path))
			tn_buf_printf(v->out, "seal %s %s\n",
			    v->old.seals[i].path, v->old.seals[i].sha);
}

static int
order_gone(const void *pa, const void *pb)
{
	const struct tn_batch_gone *a = pa, *b = pb;

	if (a->last != b->last)
		return a->last < b->last ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

struct ranges {
	struct tn_batch_gone *all;
	uint32_t count, cap;
};

static void
add_range(struct ranges *r, unsigned long long first, unsigned long long last)
{
	if (r->count == r->cap) {
		r->cap = r->cap == 0 ? 16 : r->cap * 2;
		r->all = tn_realloc(r->all, r->cap * sizeof *r->all);
	}
	r->all[r->count++] = (struct tn_batch_gone){ first, last };
}

/* LSNs of the files that are dropped, and of those that are there after the
 * change; in order. */
static void
look_at_files(const struct value *v, struct ranges *dropped,
    struct ranges *kept)
{
	const struct change *c = v->c;
	uint32_t first, n = tn_catalog_snapshot_find(v->now, TN_TIER_BRONZE,
	    v->stream, &first);

	for (uint32_t i = first; i < first + n; i++) {
		const struct tn_catalog_file *f = &v->now->files[i];
		add_range(is_dropped(c, f->id) ? dropped : kept, f->lsn_min,
		    f->lsn_max);
	}
	for (uint32_t i = 0; i < c->add_count; i++)
		if (c->add[i].tier == TN_TIER_BRONZE &&
		    c->add[i].object == v->stream)
			add_range(kept, c->add[i].lsn_min,
			    c->add[i].lsn_max);
	if (kept->count > 0)
		qsort(kept->all, kept->count, sizeof *kept->all, order_gone);
}

/* A gap, up to what stays; should files of another day stay within it (the
 * clock stepped back), the gaps beside them. */
static void
add_gaps(struct ranges *out, const struct tn_batch_gone *g,
    const struct ranges *kept)
{
	unsigned long long at = g->first;
	bool open = true;

	for (uint32_t i = 0; i < kept->count && open; i++) {
		const struct tn_batch_gone *k = &kept->all[i];
		if (k->first < g->first)
			continue;
		if (at < k->first)
			add_range(out, at, k->first - 1);
		at = k->last + 1;
		open = k->first <= g->last;
	}
	if (open)
		add_range(out, at, ULLONG_MAX);
}

/* Whether what stood behind a gap goes, too, or nothing did. */
static bool
is_moved(const struct tn_batch_gone *g, const struct ranges *dropped)
{
	bool moved = g->last == ULLONG_MAX;

	for (uint32_t i = 0; !moved && i < dropped->count; i++)
		moved = dropped->all[i].first == g->last + 1;
	return moved;
}

/* What retention dropped, now and before. */
static void
put_gone(struct value *v)
{
	struct ranges dropped = { 0 }, kept = { 0 }, out = { 0 };

	look_at_files(v, &dropped, &kept);
	if (v->c->same_rows || v->c->replaces)
		dropped.count = 0;       /* Replaced. */
	for (uint32_t i = 0; i < v->old.gone_count; i++)
		if (is_moved(&v->old.gone[i], &dropped))
			add_gaps(&out, &v->old.gone[i], &kept);
		else
			add_range(&out, v->old.gone[i].first,
			    v->old.gone[i].last);
	for (uint32_t i = 0; i < dropped.count; i++)
		add_gaps(&out, &dropped.all[i], &kept);
	if (out.count > 0)
		qsort(out.all, out.count, sizeof *out.all, order_gone);
	for (uint32_t i = 0; i < out.count; i++)
		if (i == 0 || out.all[i].last != out.all[i - 1].last)
			tn_buf_printf(v->out, "gone %llu-%llu\n",
			    out.all[i].first, out.all[i].last);
	tn_free(dropped.all);
	tn_free(kept.all);
	tn_free(out.all);
}

/* Is the chain of the stream touched by the change? */
static bool
is_touched(const struct change *c, const struct tn_catalog_snapshot *now,
    uint32_t stream)
{
	uint32_t first, n = tn_catalog_snapshot_find(now, TN_TIER_BRONZE,
	    stream, &first);

	for (uint32_t i = 0; i < c->chained_count; i++)
		if (c->chained[i].stream == stream)
			return true;
	for (uint32_t i = first; i < first + n; i++)
		if (is_dropped(c, now->files[i].id))
			return true;
	return false;
}

enum tn_status
tn_batch_chain_values(const struct change *c, struct tn_arena *a,
    struct tn_catalog_value **out, uint32_t *count)
{
	const struct tn_serving_model *m = c->b->o.model;
	struct value v = { .c = c };
	enum tn_status st = TN_OK;

	*count = 0;
	*out = tn_arena_zalloc(a, (m->stream_count + 1) * sizeof **out);
	v.now = tn_catalog_snapshot(c->b->o.catalog);
	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++) {
		struct tn_buf text = { 0 };
		v.stream = m->streams[i].id;
		v.out = &text;
		if (!is_touched(c, v.now, v.stream))
			continue;
		st = tn_batch_chain_known(c->b, v.stream, a, &v.old);
		put_tip(&v);
		put_seals(&v);
		put_gone(&v);
		(*out)[(*count)++] = (struct tn_catalog_value){
		    tn_arena_printf(a, "chain:%u", (unsigned)v.stream),
		    tn_arena_strdup(a, tn_buf_cstr(&text)) };
		tn_buf_fini(&text);
	}
	tn_catalog_snapshot_put(v.now);
	return st;
}

/* ---- a merge --------------------------------------------------------- */

struct tn_batch_chain *
tn_batch_chain_new(struct tn_batch_jobs *b, uint32_t stream,
    const _Atomic bool *left)
{
	struct tn_batch_chain *x = tn_zalloc(sizeof *x);

	x->b = b;
	x->stream = stream;
	x->left = left;
	x->arena = tn_arena_new(4096);
	return x;
}

void
tn_batch_chain_free(struct tn_batch_chain *x)
{
	if (x == NULL)
		return;
	tn_buf_fini(&x->seals);
	tn_free(x->all);
	tn_arena_free(x->arena);
	tn_free(x);
}

static void
add_stretch(struct tn_batch_chain *x, const struct tn_batch_stretch *s)
{
	if (x->count == x->cap) {
		x->cap = x->cap == 0 ? 8 : x->cap * 2;
		x->all = tn_realloc(x->all, x->cap * sizeof *x->all);
	}
	x->all[x->count++] = *s;
}

/* Those of files that are in force. */
static void
take_seals(struct tn_batch_chain *x, const char *text)
{
	struct change none = { .b = x->b };
	struct value v = { .c = &none, .stream = x->stream };
	struct tn_batch_seal s;

	v.now = tn_catalog_snapshot(x->b->o.catalog);
	while (tn_batch_chain_seal(&text, x->arena, &s))
		if (stays(&v, s.path))
			tn_buf_printf(&x->seals, "%s %s\n", s.path, s.sha);
	tn_catalog_snapshot_put(v.now);
}

enum tn_status
tn_batch_chain_take(struct tn_batch_chain *x,
    const struct tn_catalog_file *f, struct tn_diag *d)
{
	struct tn_batch_links l;
	struct tn_batch_hash h;
	enum tn_status st = tn_batch_chain_hash(x->b->o.lake, f->path,
	    x->left, &h);

	if (st == TN_OK)
		st = tn_batch_chain_read(x->b->o.lake, f, x->arena, &l, d);
	if (st != TN_OK)
		return st;
	tn_batch_chain_end(&l, h.sha, x->arena);
	for (uint32_t i = 0; i < l.count; i++)
		add_stretch(x, &l.all[i]);
	take_seals(x, l.seals);
	return TN_OK;
}

void
tn_batch_chain_end(struct tn_batch_links *l, const char *sha,
    struct tn_arena *a)
{
	struct tn_batch_stretch *last = &l->all[0];

	for (uint32_t i = 1; i < l->count; i++)
		if (l->all[i].last > last->last)
			last = &l->all[i];
	last->ends = last->ends[0] == '\0' ? tn_arena_strdup(a, sha) :
	    tn_arena_printf(a, "%s,%s", last->ends, sha);
}

static int
order_stretches(const void *pa, const void *pb)
{
	const struct tn_batch_stretch *a = pa, *b = pb;

	return a->first < b->first ? -1 : a->first > b->first;
}

void
tn_batch_chain_sort(struct tn_batch_stretch *all, uint32_t count)
{
	qsort(all, count, sizeof *all, order_stretches);
}

/* Stretches from ${at} on of which the second names the first are one; so are
 * those of before the chain. */
static void
join_stretches(struct tn_batch_chain *x)
{
	uint32_t to = x->at;

	tn_batch_chain_sort(x->all + x->at, x->count - x->at);
	for (uint32_t i = x->at + 1; i < x->count; i++) {
		struct tn_batch_stretch *a = &x->all[to], *b = &x->all[i];
		bool old = strcmp(a->prev, "?") == 0 &&
		    strcmp(b->prev, "?") == 0;
		if (old || tn_batch_chain_follows(a, b)) {
			a->last = b->last;
			a->ends = b->ends;
		} else {
			x->all[++to] = *b;
		}
	}
	if (x->count > x->at)
		x->count = to + 1;
}

/* The lines of a file with rows up to ${upto}. What reaches beyond goes on in
 * the next one: true. */
static bool
put_links(struct tn_batch_chain *x, uint64_t upto, struct tn_buf *out)
{
	bool cut = false;

	while (x->at < x->count && x->all[x->at].first <= upto && !cut) {
		struct tn_batch_stretch *s = &x->all[x->at];
		cut = s->last > upto;
		tn_buf_printf(out, "%llu-%llu %s %s\n", s->first, cut ?
		    (unsigned long long)upto : s->last,
		    s->prev[0] == '\0' ? "-" : s->prev, cut ? "" : s->ends);
		if (cut)
			s->first = upto + 1;
		else
			x->at++;
	}
	return cut;
}

enum tn_status
tn_batch_chain_merged(struct tn_batch_chain *x, struct change *c,
    struct tn_lake_writer *w, uint64_t upto, struct tn_lake_file *f)
{
	struct tn_batch_chained made = { .merged = true, .last = upto };
	struct tn_batch_hash h;
	struct tn_buf lines = { 0 };
	bool cut;
	enum tn_status st;

	join_stretches(x);
	tn_lake_note(w, "tarn.chain_prev", x->at < x->count ?
	    x->all[x->at].prev : "");
	cut = put_links(x, upto, &lines);
	tn_lake_note(w, "tarn.chain_links", tn_buf_cstr(&lines));
	if (x->seals.n > 0)
		tn_lake_note(w, "tarn.chain_seals", tn_buf_cstr(&x->seals));
	tn_buf_clear(&x->seals);
	tn_buf_fini(&lines);
	st = tn_lake_finish(w, f);
	if (st != TN_OK)
		return st;
	st = tn_batch_chain_hash(c->b->o.lake, f->path, x->left, &h);
	if (st != TN_OK) {
		/* Else the next start's sweep does it. */
		(void)!tn_lake_remove(c->b->o.lake, f->path);
		return st;
	}
	if (cut)
		x->all[x->at].prev = tn_arena_strdup(x->arena, h.sha);
	memcpy(made.sha, h.sha, sizeof made.sha);
	note_file(c, x->stream, f, &made);
	return TN_OK;
}
