/* verify's look at files: each against its catalog row (size, CRC-32C), and
 * those of bronze against one another (chain.c):
 *
 *   prev     what a file names is the file before it, in order of LSN, also
 *            within files that compaction made; a gap only where retention made
 *            one, a begin that names nothing or where retention ended
 *   seals    a file that compaction made is the one that a later file, or the
 *            catalog, tells of
 *   tip      the newest one is the one that the catalog knows
 *
 * With a sample only a share of the files is read whole; of the others the
 * size and, of bronze, the footer is looked at: what they say of a file that
 * was not read cannot be told to be wrong.
 *
 * Cuts come in between. What the catalog knows of the chains is therefore taken
 * at the begin, when it is of the very files that are looked at. */
#include "batch/batch_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct one {
	const struct tn_catalog_file *f;
	struct tn_batch_hash hash;
	bool hashed, merged, sealed;
};
struct bronze {
	const struct tn_batch_check *x;
	const char *name;                /* Of the stream. */
	struct one *ones;
	uint32_t count;
	struct tn_batch_stretch *all;
	uint32_t all_count, all_cap;
	struct tn_batch_seal *seals;
	uint32_t seal_count, seal_cap;
	struct tn_batch_known known;
	struct tn_arena *arena;
	uint32_t differences;
};

static void
differ(struct bronze *z, const char *line)
{
	z->differences++;
	z->x->differ(z->x->arg, line);
}

bool
tn_batch_sampled(const struct tn_batch_check *x, const char *what)
{
	return x->share >= 1 || (double)(tn_hash64(what, strlen(what),
	    x->seed) >> 11) < x->share * 9007199254740992.0;
}

/* Size and checksum; *hash is set when it was read whole: true. */
static bool
check_file(const struct tn_batch_check *x, const struct tn_catalog_file *f,
    struct tn_batch_hash *hash)
{
	bool whole = tn_batch_sampled(x, f->path);
	char line[400];
	enum tn_status st;

	memset(hash, 0, sizeof *hash);
	if (whole && f->tier == TN_TIER_BRONZE)
		st = tn_batch_chain_hash(x->b->o.lake, f->path, NULL, hash);
	else if (whole)
		st = tn_lake_check(x->b->o.lake, f->path, &hash->crc,
		    &hash->bytes);
	else
		st = tn_lake_size(x->b->o.lake, f->path, &hash->bytes);
	if (st == TN_OK && hash->bytes == f->bytes &&
	    (!whole || hash->crc == f->crc))
		return whole;
	snprintf(line, sizeof line, "file %s: %s", f->path,
	    st != TN_OK ? tn_status_text(st) : hash->bytes != f->bytes ?
	    "its size is not the one in the catalog" :
	    "its checksum is not the one in the catalog");
	x->differ(x->arg, line);
	return whole && st == TN_OK;
}

/* ---- what the files of a stream say ----------------------------------- */

static void
add_stretch(struct bronze *z, const struct tn_batch_stretch *s,
    struct one *of)
{
	if (z->all_count == z->all_cap) {
		z->all_cap = z->all_cap == 0 ? 64 : z->all_cap * 2;
		z->all = tn_realloc(z->all, z->all_cap * sizeof *z->all);
	}
	z->all[z->all_count] = *s;
	z->all[z->all_count++].user = of;
}

static void
add_seal(struct bronze *z, const struct tn_batch_seal *s, const char *by)
{
	if (z->seal_count == z->seal_cap) {
		z->seal_cap = z->seal_cap == 0 ? 64 : z->seal_cap * 2;
		z->seals = tn_realloc(z->seals, z->seal_cap *
		    sizeof *z->seals);
	}
	z->seals[z->seal_count] = *s;
	z->seals[z->seal_count++].by = by;
}

/* Its hash and its footer. What cannot be read names nothing. */
static void
take_file(struct bronze *z, struct one *o)
{
	const struct tn_catalog_file *f = o->f;
	struct tn_batch_stretch none = { f->lsn_min, f->lsn_max, NULL, NULL,
	    o };
	struct tn_batch_links l;
	struct tn_batch_seal s;
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	o->hashed = check_file(z->x, f, &o->hash);
	st = tn_batch_chain_read(z->x->b->o.lake, f, z->arena, &l, &d);
	if (st != TN_OK) {
		char line[400];
		snprintf(line, sizeof line, "file %s: %.160s", f->path,
		    d.message[0] != '\0' ? d.message : tn_status_text(st));
		differ(z, line);
		add_stretch(z, &none, o);
		return;
	}
	o->merged = l.merged;
	if (o->hashed)
		tn_batch_chain_end(&l, o->hash.sha, z->arena);
	for (uint32_t i = 0; i < l.count; i++)
		add_stretch(z, &l.all[i], o);
	while (tn_batch_chain_seal(&l.seals, z->arena, &s))
		add_seal(z, &s, f->path);
}

/* ---- the chain -------------------------------------------------------- */

/* Retention ended just before ${b}, and began behind ${a} (NULL: nothing). */
static bool
is_gap(const struct bronze *z, const struct tn_batch_stretch *a,
    const struct tn_batch_stretch *b)
{
	for (uint32_t i = 0; i < z->known.gone_count; i++) {
		const struct tn_batch_gone *g = &z->known.gone[i];
		if (g->last + 1 == b->first && (a == NULL ||
		    g->first > a->last))
			return true;
	}
	return false;
}

static void
say_break(struct bronze *z, const struct tn_batch_stretch *a,
    const struct tn_batch_stretch *b)
{
	const struct one *before = a == NULL ? NULL : a->user, *o = b->user;
	struct tn_buf line = { 0 };

	tn_buf_printf(&line, "chain of %s: file %s", z->name, o->f->path);
	if (strcmp(b->prev, "?") == 0)
		tn_buf_str(&line, " does not name the file before it: it is "
		    "not of this chain");
	else if (a == NULL)
		tn_buf_printf(&line, " names %.12s as the file before it, but "
		    "it is the first one: files are missing", b->prev);
	else if (before == o)
		tn_buf_printf(&line, " took the place of files that did not "
		    "follow one another at LSN %llu: one was altered or is "
		    "missing", b->first);
	else
		tn_buf_printf(&line, " names %.12s as the file before it, "
		    "which %s is not: one of the two was altered or swapped, "
		    "or a file between them is missing", b->prev[0] == '\0' ?
		    "none" : b->prev, before->f->path);
	differ(z, tn_buf_cstr(&line));
	tn_buf_fini(&line);
}

static void
check_order(struct bronze *z)
{
	const struct tn_batch_stretch *a = NULL;
	bool chained = false;

	tn_batch_chain_sort(z->all, z->all_count);
	for (uint32_t i = 0; i < z->all_count; i++) {
		const struct tn_batch_stretch *b = &z->all[i];
		bool good = b->prev == NULL || (a != NULL && a->prev == NULL);
		if (!good && strcmp(b->prev, "?") == 0)
			good = !chained;
		else if (!good && a == NULL)
			good = b->prev[0] == '\0' || is_gap(z, NULL, b);
		else if (!good)
			good = tn_batch_chain_follows(a, b) ||
			    is_gap(z, a, b) || (b->prev[0] != '\0' &&
			    !((const struct one *)a->user)->hashed);
		if (!good)
			say_break(z, a, b);
		chained = chained || (b->prev != NULL &&
		    strcmp(b->prev, "?") != 0);
		a = b;
	}
}

static struct one *
find_one(struct bronze *z, const char *path)
{
	for (uint32_t i = 0; i < z->count; i++)
		if (strcmp(z->ones[i].f->path, path) == 0)
			return &z->ones[i];
	return NULL;
}

/* The newest of all is named by nothing but the catalog. */
static void
check_seals(struct bronze *z)
{
	const struct tn_batch_seal *tip = &z->known.tip;
	char line[700];

	for (uint32_t i = 0; i < z->known.seal_count; i++)
		add_seal(z, &z->known.seals[i], "the catalog");
	if (tip->path != NULL)
		add_seal(z, tip, "the catalog");
	for (uint32_t i = 0; i < z->seal_count; i++) {
		const struct tn_batch_seal *s = &z->seals[i];
		struct one *o = find_one(z, s->path);
		if (o == NULL)
			continue;
		o->sealed = true;
		if (!o->hashed || strcmp(o->hash.sha, s->sha) == 0)
			continue;
		snprintf(line, sizeof line, "chain of %s: file %s has the "
		    "SHA-256 %.12s, but %s says %.12s: it was altered",
		    z->name, s->path, o->hash.sha, s->by, s->sha);
		differ(z, line);
	}
	if (tip->path != NULL && find_one(z, tip->path) == NULL &&
	    z->known.gone_count == 0) {
		snprintf(line, sizeof line, "chain of %s: the newest file, "
		    "%s, is missing", z->name, tip->path);
		differ(z, line);
	}
}

static void
say_chain(struct bronze *z)
{
	struct tn_buf *text = z->x->text;

	for (uint32_t i = 0; i < z->count; i++)
		if (z->ones[i].merged && !z->ones[i].sealed)
			tn_buf_printf(text, "UNSEALED   file %s: compaction "
			    "made it, and no file tells of it\n",
			    z->ones[i].f->path);
	if (z->differences == 0)
		tn_buf_printf(text, "equal      chain of %s: %u files\n",
		    z->name, (unsigned)z->count);
}

/* Bronze files ${first} ... of one stream; returns how many. */
static uint32_t
check_bronze(const struct tn_batch_check *x, uint32_t first,
    const struct tn_batch_known *known)
{
	const struct tn_catalog_file *f = &x->base->files[first];
	const struct tn_serving_model *m = x->b->o.model;
	int stream = tn_serving_stream_by_id(m, f->object);
	struct bronze z = { .x = x, .known = *known,
	    .name = stream < 0 ? "a stream that is no more" :
	    m->streams[stream].table->name };

	while (first + z.count < x->base->count &&
	    f[z.count].tier == TN_TIER_BRONZE &&
	    f[z.count].object == f->object)
		z.count++;
	z.arena = tn_arena_new(1 << 16);
	z.ones = tn_zalloc(z.count * sizeof *z.ones);
	for (uint32_t i = 0; i < z.count && tn_batch_stopping(x->b, NULL) ==
	    TN_OK; i++) {
		tn_batch_let_cut(x->b);
		z.ones[i].f = &f[i];
		take_file(&z, &z.ones[i]);
	}
	if (tn_batch_stopping(x->b, NULL) == TN_OK) {
		check_order(&z);
		check_seals(&z);
		say_chain(&z);
	}
	tn_free(z.ones);
	tn_free(z.all);
	tn_free(z.seals);
	tn_arena_free(z.arena);
	return z.count;
}

/* Of each stream that has bronze files, in their order. */
static enum tn_status
take_known(const struct tn_batch_check *x, struct tn_arena *a,
    struct tn_batch_known *known)
{
	const struct tn_catalog_file *f = x->base->files;
	enum tn_status st = TN_OK;
	uint32_t n = 0;

	for (uint32_t i = 0; st == TN_OK && i < x->base->count; i++)
		if (f[i].tier == TN_TIER_BRONZE && (i == 0 || f[i - 1].tier !=
		    TN_TIER_BRONZE || f[i - 1].object != f[i].object))
			st = tn_batch_chain_known(x->b, f[i].object, a,
			    &known[n++]);
	return st;
}

void
tn_batch_check_files(const struct tn_batch_check *x)
{
	struct tn_arena *a = tn_arena_new(1 << 12);
	struct tn_batch_known *known = tn_zalloc((x->base->count + 1ul) *
	    sizeof *known);
	uint32_t i = 0, n = 0;

	if (take_known(x, a, known) != TN_OK) {
		x->differ(x->arg, "the catalog cannot be read: chains of "
		    "bronze and files were not looked at");
		i = x->base->count;
	}
	while (i < x->base->count && tn_batch_stopping(x->b, NULL) == TN_OK) {
		struct tn_batch_hash hash;
		if (x->base->files[i].tier == TN_TIER_BRONZE) {
			i += check_bronze(x, i, &known[n++]);
			continue;
		}
		tn_batch_let_cut(x->b);
		(void)check_file(x, &x->base->files[i++], &hash);
	}
	tn_buf_printf(x->text, "files      %u compared with the catalog%s\n",
	    (unsigned)x->base->count, x->share >= 1 ? "" :
	    ", a share of them whole");
	tn_free(known);
	tn_arena_free(a);
}
