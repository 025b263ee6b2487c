/* nested: small files with nested columns, made whole in memory; what Delta
 * Lake's checkpoints are. One row group, one page a column, PLAIN, zstd.
 *
 * A leaf has one entry a row: a value, or the definition level at which it
 * stops to be there (Dremel's levels: one for each optional or repeated node
 * on the way down that is present). A list or map holds at most one item of a
 * row, so every repetition level is 0 and nothing of it needs to be told. */
#include "parquet/parquet_int.h"

#define LEVEL 1                  /* Of zstd. */
#define PATH_MAX_NODES 8

struct leaf {
	uint32_t node;           /* Its index in the schema. */
	uint32_t path[PATH_MAX_NODES];
	uint32_t depth;
	uint32_t define_max;
	bool repeats;
	struct tn_buf levels;    /* uint32_t an entry. */
	struct tn_buf values;    /* PLAIN; booleans a byte each. */
	uint64_t at, bytes, raw_bytes;
};
struct tn_parquet_nested {
	const struct tn_parquet_node *nodes;
	uint32_t node_count;
	struct leaf *leaves;
	uint32_t leaf_count;
};

/* Leaves below node *i, which moves behind it. */
static void
find_leaves(struct tn_parquet_nested *n, uint32_t *i, struct leaf way)
{
	const struct tn_parquet_node *node = &n->nodes[*i];

	tn_assert(*i < n->node_count && way.depth < PATH_MAX_NODES);
	way.node = *i;
	way.path[way.depth++] = *i;
	way.define_max += node->repetition != 0;
	way.repeats = way.repeats || node->repetition == 2;
	++*i;
	if (node->children == 0) {
		n->leaves[n->leaf_count++] = way;
		return;
	}
	for (uint32_t k = 0; k < node->children; k++)
		find_leaves(n, i, way);
}

struct tn_parquet_nested *
tn_parquet_nested_new(const struct tn_parquet_node *nodes, uint32_t count)
{
	struct tn_parquet_nested *n = tn_zalloc(sizeof *n);
	uint32_t i = 0;

	n->nodes = nodes;
	n->node_count = count;
	n->leaves = tn_zalloc((count + 1) * sizeof *n->leaves);
	while (i < count)
		find_leaves(n, &i, (struct leaf){ .depth = 0 });
	return n;
}

static void
put_level(struct leaf *l, uint32_t level)
{
	tn_assert(level <= l->define_max);
	tn_buf_u32(&l->levels, level);
}

void
tn_parquet_nested_none(struct tn_parquet_nested *n, uint32_t leaf,
    uint32_t level)
{
	tn_assert(leaf < n->leaf_count &&
	    level < n->leaves[leaf].define_max);
	put_level(&n->leaves[leaf], level);
}

void
tn_parquet_nested_text(struct tn_parquet_nested *n, uint32_t leaf,
    struct tn_slice s)
{
	struct leaf *l = &n->leaves[leaf];

	tn_assert(n->nodes[l->node].kind == TN_PARQUET_TEXT);
	put_level(l, l->define_max);
	tn_buf_u32(&l->values, (uint32_t)s.n);
	if (s.n > 0)
		tn_buf_add(&l->values, s.p, s.n);
}

void
tn_parquet_nested_number(struct tn_parquet_nested *n, uint32_t leaf,
    int64_t v)
{
	struct leaf *l = &n->leaves[leaf];

	put_level(l, l->define_max);
	switch (n->nodes[l->node].kind) {
	case TN_PARQUET_BOOL:
		tn_buf_char(&l->values, v != 0);
		break;
	case TN_PARQUET_INT4:
		tn_buf_u32(&l->values, (uint32_t)v);
		break;
	default:
		tn_assert(n->nodes[l->node].kind == TN_PARQUET_INT8);
		tn_buf_u64(&l->values, (uint64_t)v);
		break;
	}
}

/* ---- pages ----------------------------------------------------------- */

/* A run of levels with its length in front, as data pages v1 have them. */
static void
put_run(struct tn_buf *b, const uint32_t *levels, size_t n, uint32_t max)
{
	size_t at = b->n;
	uint32_t bytes;

	tn_buf_u32(b, 0);
	tn_parquet_hybrid_encode(b, levels, n, pq_bits_for(max));
	if (b->failed)
		return;
	bytes = (uint32_t)(b->n - at - 4);
	memcpy(b->p + at, &bytes, 4);
}

static void
put_values(struct tn_buf *b, const struct leaf *l, bool bits)
{
	if (!bits) {
		if (l->values.n > 0)
			tn_buf_add(b, l->values.p, l->values.n);
		return;
	}
	for (size_t i = 0; i < l->values.n; i += 8) {
		uint8_t byte = 0;
		for (size_t k = 0; k < 8 && i + k < l->values.n; k++)
			byte |= (uint8_t)(l->values.p[i + k] << k);
		tn_buf_char(b, (char)byte);
	}
}

static void
put_page_head(struct tn_buf *b, size_t raw, size_t packed, size_t rows)
{
	int16_t last = 0, inner = 0;

	tn_parquet_put_i32(b, &last, 1, TN_PQ_DATA_PAGE);
	tn_parquet_put_i32(b, &last, 2, (int32_t)raw);
	tn_parquet_put_i32(b, &last, 3, (int32_t)packed);
	tn_parquet_put_field(b, &last, 5, TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &inner, 1, (int32_t)rows);
	tn_parquet_put_i32(b, &inner, 2, TN_PQ_PLAIN);
	tn_parquet_put_i32(b, &inner, 3, TN_PQ_RLE);
	tn_parquet_put_i32(b, &inner, 4, TN_PQ_RLE);
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
}

static enum tn_status
put_chunk(struct tn_buf *out, struct leaf *l, bool bits)
{
	struct tn_buf raw = { 0 }, packed = { 0 };
	size_t rows = l->levels.n / 4, at = out->n;
	uint32_t *zeros = tn_try_alloc(l->levels.n + 4);
	enum tn_status st = zeros == NULL ? TN_ENOMEM : TN_OK;

	if (st == TN_OK && l->repeats) {
		memset(zeros, 0, l->levels.n);
		put_run(&raw, zeros, rows, 1);
	}
	if (st == TN_OK && l->define_max > 0)
		put_run(&raw, (const uint32_t *)(const void *)l->levels.p,
		    rows, l->define_max);
	if (st == TN_OK) {
		put_values(&raw, l, bits);
		st = tn_buf_status(&raw);
	}
	if (st == TN_OK)
		st = tn_zstd_compress(&packed, (struct tn_slice){ raw.p,
		    raw.n }, LEVEL);
	if (st == TN_OK) {
		put_page_head(out, raw.n, packed.n, rows);
		l->raw_bytes = out->n - at + raw.n;
		tn_buf_add(out, packed.p, packed.n);
		l->at = at;
		l->bytes = out->n - at;
	}
	tn_free(zeros);
	tn_buf_fini(&raw);
	tn_buf_fini(&packed);
	return st;
}

/* ---- the footer ------------------------------------------------------ */

static const struct {
	int8_t physical;         /* -1: a group */
	int8_t converted;        /* -1: none */
} kinds[] = {
	[TN_PARQUET_GROUP] = { -1, -1 },
	[TN_PARQUET_MAP] = { -1, 1 },
	[TN_PARQUET_LIST] = { -1, 3 },
	[TN_PARQUET_TEXT] = { TN_PQ_BYTE_ARRAY, TN_PQ_C_UTF8 },
	[TN_PARQUET_BOOL] = { TN_PQ_BOOLEAN, -1 },
	[TN_PARQUET_INT4] = { TN_PQ_INT32, -1 },
	[TN_PARQUET_INT8] = { TN_PQ_INT64, -1 },
};

static void
put_node(struct tn_buf *b, const struct tn_parquet_node *n)
{
	int16_t last = 0;

	if (kinds[n->kind].physical >= 0)
		tn_parquet_put_i32(b, &last, 1, kinds[n->kind].physical);
	tn_parquet_put_i32(b, &last, 3, n->repetition);
	tn_parquet_put_binary(b, &last, 4, n->name, strlen(n->name));
	if (n->children > 0)
		tn_parquet_put_i32(b, &last, 5, (int32_t)n->children);
	if (kinds[n->kind].converted >= 0)
		tn_parquet_put_i32(b, &last, 6, kinds[n->kind].converted);
	tn_parquet_put_stop(b);
}

static void
put_schema(struct tn_buf *b, int16_t *last, const struct tn_parquet_nested *n)
{
	uint32_t tops = 0;
	int16_t root = 0;

	for (uint32_t i = 0; i < n->leaf_count; i++)
		tops += i == 0 || n->leaves[i].path[0] !=
		    n->leaves[i - 1].path[0];
	tn_parquet_put_list(b, last, 2, TN_PQ_T_STRUCT, n->node_count + 1);
	tn_parquet_put_binary(b, &root, 4, "schema", 6);
	tn_parquet_put_i32(b, &root, 5, (int32_t)tops);
	tn_parquet_put_stop(b);
	for (uint32_t i = 0; i < n->node_count; i++)
		put_node(b, &n->nodes[i]);
}

static void
put_column(struct tn_buf *b, const struct tn_parquet_nested *n,
    const struct leaf *l)
{
	int16_t outer = 0, last = 0;

	tn_parquet_put_i64(b, &outer, 2, 0);
	tn_parquet_put_field(b, &outer, 3, TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &last, 1, kinds[n->nodes[l->node].kind].physical);
	tn_parquet_put_list(b, &last, 2, TN_PQ_T_I32, 2);
	tn_parquet_put_zigzag(b, TN_PQ_RLE);
	tn_parquet_put_zigzag(b, TN_PQ_PLAIN);
	tn_parquet_put_list(b, &last, 3, TN_PQ_T_BINARY, l->depth);
	for (uint32_t i = 0; i < l->depth; i++) {
		const char *name = n->nodes[l->path[i]].name;
		tn_buf_varint(b, strlen(name));
		tn_buf_str(b, name);
	}
	tn_parquet_put_i32(b, &last, 4, TN_PQ_ZSTD);
	tn_parquet_put_i64(b, &last, 5, (int64_t)(l->levels.n / 4));
	tn_parquet_put_i64(b, &last, 6, (int64_t)l->raw_bytes);
	tn_parquet_put_i64(b, &last, 7, (int64_t)l->bytes);
	tn_parquet_put_i64(b, &last, 9, (int64_t)l->at);
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
}

static void
put_group(struct tn_buf *b, int16_t *outer,
    const struct tn_parquet_nested *n, uint64_t rows)
{
	uint64_t raw = 0;
	int16_t last = 0;

	tn_parquet_put_list(b, outer, 4, TN_PQ_T_STRUCT, 1);
	tn_parquet_put_list(b, &last, 1, TN_PQ_T_STRUCT, n->leaf_count);
	for (uint32_t i = 0; i < n->leaf_count; i++) {
		put_column(b, n, &n->leaves[i]);
		raw += n->leaves[i].raw_bytes;
	}
	tn_parquet_put_i64(b, &last, 2, (int64_t)raw);
	tn_parquet_put_i64(b, &last, 3, (int64_t)rows);
	tn_parquet_put_stop(b);
}

enum tn_status
tn_parquet_nested_finish(struct tn_parquet_nested *n, struct tn_buf *out)
{
	static const char created_by[] = "tarn version " TN_VERSION;
	uint64_t rows = n->leaves[0].levels.n / 4;
	int16_t last = 0;
	size_t start;
	enum tn_status st = TN_OK;

	tn_assert(out->n == 0 && rows > 0);
	tn_buf_str(out, "PAR1");
	for (uint32_t i = 0; st == TN_OK && i < n->leaf_count; i++) {
		struct leaf *l = &n->leaves[i];
		st = tn_buf_status(&l->levels);
		if (st == TN_OK)
			st = tn_buf_status(&l->values);
		if (st == TN_OK)
			st = put_chunk(out, l, n->nodes[l->node].kind ==
			    TN_PARQUET_BOOL);
		tn_assert(st != TN_OK || l->levels.n / 4 == rows);
	}
	if (st != TN_OK)
		return st;
	start = out->n;
	tn_parquet_put_i32(out, &last, 1, 1);
	put_schema(out, &last, n);
	tn_parquet_put_i64(out, &last, 3, (int64_t)rows);
	put_group(out, &last, n, rows);
	tn_parquet_put_binary(out, &last, 6, created_by,
	    sizeof created_by - 1);
	tn_parquet_put_stop(out);
	tn_buf_u32(out, (uint32_t)(out->n - start));
	tn_buf_str(out, "PAR1");
	return tn_buf_status(out);
}

void
tn_parquet_nested_free(struct tn_parquet_nested *n)
{
	if (n == NULL)
		return;
	for (uint32_t i = 0; i < n->leaf_count; i++) {
		tn_buf_fini(&n->leaves[i].levels);
		tn_buf_fini(&n->leaves[i].values);
	}
	tn_free(n->leaves);
	tn_free(n);
}
