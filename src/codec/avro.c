/* Avro object container files (specification 1.11): what Apache Iceberg keeps
 * its manifests in.
 *
 *   "Obj" 1 | metadata: a map of bytes (avro.schema, avro.codec, ...) | sync
 *   block: count of values, bytes of them, the values, sync | ...
 *
 * The writer knows no schema: the caller says what it is in JSON and puts the
 * values in its order. Values are not compressed (codec null): manifests are
 * small, and are edited on the way out. The sync marker is made of the bytes
 * it parts, so that equal input gives an equal file.
 *
 * edit walks the values by the schema that the file carries and copies them,
 * with other texts and numbers where its caller wants them. It trusts nothing
 * of the file: lengths and counts are checked, depth is bounded, values that
 * take no bytes are bounded by the values of their block. Named types that
 * are used a second time, enums and fixed are not known. */
#include "codec/codec.h"

#include <string.h>

#define SYNC_BYTES 16
#define DEPTH_MAX 32
#define PAIRS_MAX 64
#define EMPTY_MAX 65536          /* Values without bytes, of one file. */

/* ---- writing --------------------------------------------------------- */

void
tn_codec_avro_long(struct tn_buf *b, int64_t v)
{
	tn_buf_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void
tn_codec_avro_bytes(struct tn_buf *b, struct tn_slice s)
{
	tn_codec_avro_long(b, (int64_t)s.n);
	if (s.n > 0)
		tn_buf_add(b, s.p, s.n);
}

void
tn_codec_avro_text(struct tn_buf *b, const char *s)
{
	tn_codec_avro_bytes(b, tn_slice_of(s));
}

static void
make_sync(uint8_t sync[static SYNC_BYTES], struct tn_slice schema,
    struct tn_slice values)
{
	struct tn_hash128 h = tn_hash128(values.p, values.n,
	    tn_hash64(schema.p, schema.n, 0));

	memcpy(sync, &h.lo, 8);
	memcpy(sync + 8, &h.hi, 8);
}

void
tn_codec_avro_file(struct tn_buf *out, const struct tn_codec_avro *f,
    uint64_t count, struct tn_slice values)
{
	uint8_t sync[SYNC_BYTES];

	make_sync(sync, f->schema, values);
	tn_buf_add(out, "Obj\1", 4);
	tn_codec_avro_long(out, (int64_t)f->pair_count + 2);
	tn_codec_avro_text(out, "avro.schema");
	tn_codec_avro_bytes(out, f->schema);
	tn_codec_avro_text(out, "avro.codec");
	tn_codec_avro_text(out, "null");
	for (uint32_t i = 0; i < f->pair_count; i++) {
		tn_codec_avro_text(out, f->pairs[i].name);
		tn_codec_avro_bytes(out, f->pairs[i].value);
	}
	tn_codec_avro_long(out, 0);
	tn_buf_add(out, sync, sizeof sync);
	if (count == 0)
		return;
	tn_codec_avro_long(out, (int64_t)count);
	tn_codec_avro_bytes(out, values);
	tn_buf_add(out, sync, sizeof sync);
}

/* ---- editing --------------------------------------------------------- */

struct walk {
	struct tn_cursor in;
	struct tn_buf *out;
	const struct tn_codec_avro_edit *edit;
	uint32_t empty_left;
	enum tn_status st;
};

static bool
fail(struct walk *w, enum tn_status st)
{
	if (w->st == TN_OK)
		w->st = st;
	return false;
}

static int64_t
get_long(struct walk *w)
{
	uint64_t v = tn_cursor_varint(&w->in);

	if (w->in.failed)
		fail(w, TN_ECORRUPT);
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static struct tn_slice
get_bytes(struct walk *w)
{
	int64_t n = get_long(w);
	struct tn_slice none = { NULL, 0 };

	if (w->st != TN_OK)
		return none;
	if (n < 0 || n > w->in.end - w->in.p) {
		fail(w, TN_ECORRUPT);
		return none;
	}
	return tn_cursor_bytes(&w->in, (size_t)n);
}

static bool
copy(struct walk *w, size_t n)
{
	struct tn_slice s = tn_cursor_bytes(&w->in, n);

	if (w->in.failed)
		return fail(w, TN_ECORRUPT);
	if (n > 0)
		tn_buf_add(w->out, s.p, s.n);
	return true;
}

/* Values that take no bytes could be announced without end. */
static bool
spend_empty(struct walk *w)
{
	if (w->empty_left == 0)
		return fail(w, TN_ECORRUPT);
	w->empty_left--;
	return true;
}

static bool walk_value(struct walk *w, const struct tn_json *type,
    struct tn_slice field, int depth);

static bool
walk_text(struct walk *w, struct tn_slice field)
{
	struct tn_slice s = get_bytes(w);

	if (w->st != TN_OK)
		return false;
	if (w->edit->text != NULL)
		s = w->edit->text(w->edit->arg, field, s);
	tn_codec_avro_bytes(w->out, s);
	return true;
}

static bool
walk_long(struct walk *w, struct tn_slice field)
{
	int64_t v = get_long(w);

	if (w->st != TN_OK)
		return false;
	if (w->edit->number != NULL)
		v = w->edit->number(w->edit->arg, field, v);
	tn_codec_avro_long(w->out, v);
	return true;
}

static bool
walk_plain(struct walk *w, struct tn_slice name, struct tn_slice field)
{
	if (tn_slice_is(name, "null"))
		return spend_empty(w);
	if (tn_slice_is(name, "boolean"))
		return copy(w, 1);
	if (tn_slice_is(name, "int") || tn_slice_is(name, "long"))
		return walk_long(w, field);
	if (tn_slice_is(name, "float"))
		return copy(w, 4);
	if (tn_slice_is(name, "double"))
		return copy(w, 8);
	if (tn_slice_is(name, "string"))
		return walk_text(w, field);
	if (tn_slice_is(name, "bytes")) {
		tn_codec_avro_bytes(w->out, get_bytes(w));
		return w->st == TN_OK;
	}
	return fail(w, TN_EUNSUPPORTED);
}

static bool
walk_union(struct walk *w, const struct tn_json *type, struct tn_slice field,
    int depth)
{
	int64_t i = get_long(w);

	if (w->st != TN_OK)
		return false;
	if (i < 0 || i >= (int64_t)type->count)
		return fail(w, TN_ECORRUPT);
	tn_codec_avro_long(w->out, i);
	return walk_value(w, &type->items[i], field, depth + 1);
}

/* Arrays, and maps (each item has a key in front). */
static bool
walk_items(struct walk *w, const struct tn_json *of, bool keys, int depth)
{
	struct tn_slice none = { NULL, 0 };
	int64_t n = get_long(w);

	while (w->st == TN_OK && n != 0) {
		/* A negative count is followed by the bytes, which an edit
		 * may change: blocks are written without them. */
		if (n < 0 && (n == INT64_MIN || get_long(w) < 0))
			return fail(w, TN_ECORRUPT);
		n = n < 0 ? -n : n;
		tn_codec_avro_long(w->out, n);
		for (; n > 0 && w->st == TN_OK; n--) {
			if (keys)
				tn_codec_avro_bytes(w->out, get_bytes(w));
			(void)walk_value(w, of, none, depth + 1);
		}
		n = get_long(w);
	}
	tn_codec_avro_long(w->out, 0);
	return w->st == TN_OK;
}

static bool
walk_record(struct walk *w, const struct tn_json *type, int depth)
{
	const struct tn_json *fields = tn_codec_json_get(type, "fields");

	if (fields == NULL || fields->kind != TN_JSON_ARRAY)
		return fail(w, TN_ECORRUPT);
	if (fields->count == 0)
		return spend_empty(w);
	for (uint32_t i = 0; w->st == TN_OK && i < fields->count; i++) {
		const struct tn_json *name = tn_codec_json_get(
		    &fields->items[i], "name");
		const struct tn_json *of = tn_codec_json_get(
		    &fields->items[i], "type");
		if (name == NULL || name->kind != TN_JSON_STRING || of == NULL)
			return fail(w, TN_ECORRUPT);
		(void)walk_value(w, of, name->text, depth + 1);
	}
	return w->st == TN_OK;
}

static bool
walk_value(struct walk *w, const struct tn_json *type, struct tn_slice field,
    int depth)
{
	const struct tn_json *name, *of;

	if (depth > DEPTH_MAX)
		return fail(w, TN_ECORRUPT);
	if (type->kind == TN_JSON_STRING)
		return walk_plain(w, type->text, field);
	if (type->kind == TN_JSON_ARRAY)
		return walk_union(w, type, field, depth);
	name = tn_codec_json_get(type, "type");
	if (name == NULL)
		return fail(w, TN_ECORRUPT);
	if (name->kind != TN_JSON_STRING)
		return walk_value(w, name, field, depth + 1);
	if (tn_slice_is(name->text, "record"))
		return walk_record(w, type, depth);
	of = tn_codec_json_get(type, "items");
	if (tn_slice_is(name->text, "array") && of != NULL)
		return walk_items(w, of, false, depth);
	of = tn_codec_json_get(type, "values");
	if (tn_slice_is(name->text, "map") && of != NULL)
		return walk_items(w, of, true, depth);
	return walk_plain(w, name->text, field);
}

/* The head: its pairs without schema and codec. */
struct head {
	struct tn_codec_avro f;
	struct tn_codec_avro_pair pairs[PAIRS_MAX];
	struct tn_json *schema;
};

static bool
take_pair(struct walk *w, struct head *h, struct tn_arena *a)
{
	struct tn_slice name = get_bytes(w), value = get_bytes(w);

	if (w->st != TN_OK)
		return false;
	if (tn_slice_is(name, "avro.schema")) {
		h->f.schema = value;
		return true;
	}
	if (tn_slice_is(name, "avro.codec"))
		return tn_slice_is(value, "null") ||
		    fail(w, TN_EUNSUPPORTED);
	if (h->f.pair_count == PAIRS_MAX)
		return fail(w, TN_ELIMIT);
	h->pairs[h->f.pair_count++] = (struct tn_codec_avro_pair){
	    tn_arena_strndup(a, (const char *)name.p, name.n), value };
	return true;
}

static enum tn_status
read_head(struct walk *w, struct head *h, struct tn_arena *a)
{
	struct tn_slice magic = tn_cursor_bytes(&w->in, 4);
	struct tn_diag d = { .line = 0 };
	int64_t n;

	memset(h, 0, sizeof *h);
	h->f.pairs = h->pairs;
	if (w->in.failed || memcmp(magic.p, "Obj\1", 4) != 0)
		return TN_ECORRUPT;
	for (n = get_long(w); w->st == TN_OK && n != 0; n = get_long(w)) {
		if (n < 0 && (n == INT64_MIN || get_long(w) < 0))
			return TN_ECORRUPT;
		for (n = n < 0 ? -n : n; n > 0 && w->st == TN_OK; n--)
			(void)take_pair(w, h, a);
	}
	(void)tn_cursor_bytes(&w->in, SYNC_BYTES);
	if (w->st == TN_OK && (w->in.failed || h->f.schema.p == NULL))
		return TN_ECORRUPT;
	if (w->st != TN_OK)
		return w->st;
	return tn_codec_json_parse(a, h->f.schema, &h->schema, &d) == TN_OK ?
	    TN_OK : TN_ECORRUPT;
}

/* The values of one block behind those of the blocks before. */
static enum tn_status
read_block(struct walk *w, const struct head *h, uint64_t *count)
{
	struct tn_slice none = { NULL, 0 }, block;
	const uint8_t *end = w->in.end;
	int64_t n = get_long(w);

	block = get_bytes(w);
	if (w->st != TN_OK)
		return w->st;
	if (n < 0)
		return TN_ECORRUPT;
	w->in.p = block.p;
	w->in.end = block.p + block.n;
	*count += (uint64_t)n;
	for (; w->st == TN_OK && n > 0; n--)
		(void)walk_value(w, h->schema, none, 0);
	if (w->st == TN_OK && w->in.p != w->in.end)
		return TN_ECORRUPT;
	w->in.end = end;
	(void)tn_cursor_bytes(&w->in, SYNC_BYTES);
	return w->st == TN_OK && w->in.failed ? TN_ECORRUPT : w->st;
}

enum tn_status
tn_codec_avro_edit(struct tn_buf *out, struct tn_slice file,
    const struct tn_codec_avro_edit *edit)
{
	struct tn_arena *a = tn_arena_new(8192);
	struct tn_buf values = { .max = out->max };
	struct walk w = { .in = { file.p, file.p + file.n, false },
	    .out = &values, .edit = edit, .empty_left = EMPTY_MAX };
	uint64_t count = 0;
	struct head h;
	enum tn_status st = read_head(&w, &h, a);

	/* Nulls are free of bytes but stand behind a union's index: a file
	 * cannot hold more of them than bytes. */
	w.empty_left += file.n > UINT32_MAX - EMPTY_MAX ?
	    UINT32_MAX - EMPTY_MAX : (uint32_t)file.n;
	while (st == TN_OK && w.in.p < w.in.end)
		st = read_block(&w, &h, &count);
	if (st == TN_OK)
		st = tn_buf_status(&values);
	if (st == TN_OK)
		tn_codec_avro_file(out, &h.f, count, (struct tn_slice){
		    values.p, values.n });
	if (st == TN_OK)
		st = tn_buf_status(out);
	tn_buf_fini(&values);
	tn_arena_free(a);
	return st;
}
