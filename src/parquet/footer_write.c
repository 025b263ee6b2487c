/* footer_write: what stands behind the last row group: the column indexes of
 * all chunks, then their offset indexes, our seal, then FileMetaData, its
 * length and the magic. Fields are written in the order of their ids.
 *
 * Parquet has no checksum for its metadata, and a turned bit in it can make
 * rows vanish (a bound) or change (an encoding). So 12 bytes that no other
 * reader looks at stand between the indexes and FileMetaData: "TNSL", the
 * bytes of the indexes, CRC-32C of indexes and FileMetaData. */
#include "parquet/parquet_int.h"

static void
put_slices(struct tn_buf *b, const struct pq_chunk_written *w, bool max)
{
	for (uint32_t i = 0; i < w->page_count; i++) {
		const struct pq_page_written *p = &w->pages[i];
		uint32_t at = max ? p->max_at : p->min_at;
		uint32_t n = max ? p->max_bytes : p->min_bytes;

		tn_buf_varint(b, p->has ? n : 0);
		if (p->has && n > 0)
			tn_buf_add(b, w->stat_bytes.p + at, n);
	}
}

static void
put_column_index(struct tn_buf *b, const struct pq_chunk_written *w,
    bool floats)
{
	int16_t last = 0;

	tn_parquet_put_list(b, &last, 1, TN_PQ_T_TRUE, w->page_count);
	for (uint32_t i = 0; i < w->page_count; i++)
		tn_buf_char(b, w->pages[i].has ? TN_PQ_T_FALSE :
		    TN_PQ_T_TRUE);
	tn_parquet_put_list(b, &last, 2, TN_PQ_T_BINARY, w->page_count);
	put_slices(b, w, false);
	tn_parquet_put_list(b, &last, 3, TN_PQ_T_BINARY, w->page_count);
	put_slices(b, w, true);
	tn_parquet_put_i32(b, &last, 4, w->boundary);
	tn_parquet_put_list(b, &last, 5, TN_PQ_T_I64, w->page_count);
	for (uint32_t i = 0; i < w->page_count; i++)
		tn_parquet_put_zigzag(b, (int64_t)w->pages[i].nulls);
	if (floats) {
		tn_parquet_put_list(b, &last, 8, TN_PQ_T_I64, w->page_count);
		for (uint32_t i = 0; i < w->page_count; i++)
			tn_parquet_put_zigzag(b, (int64_t)w->pages[i].nans);
	}
	tn_parquet_put_stop(b);
}

static void
put_offset_index(struct tn_buf *b, const struct pq_chunk_written *w)
{
	int16_t last = 0;

	tn_parquet_put_list(b, &last, 1, TN_PQ_T_STRUCT, w->page_count);
	for (uint32_t i = 0; i < w->page_count; i++) {
		int16_t inner = 0;

		tn_parquet_put_i64(b, &inner, 1, (int64_t)w->pages[i].at);
		tn_parquet_put_i32(b, &inner, 2, (int32_t)w->pages[i].bytes);
		tn_parquet_put_i64(b, &inner, 3, w->pages[i].row);
		tn_parquet_put_stop(b);
	}
	tn_parquet_put_stop(b);
}

static void
put_indexes(struct tn_buf *b, uint64_t base, const struct pq_footer *f)
{
	for (uint32_t i = 0; i < f->group_count * f->schema->count; i++) {
		uint32_t c = i % f->schema->count;
		struct pq_chunk_written *w =
		    &f->groups[i / f->schema->count].chunks[c];
		size_t before = b->n;

		if (!w->indexed)
			continue;
		put_column_index(b, w, tn_parquet_order(
		    f->columns[c].leaf.type) == TN_PQ_BY_FLOAT);
		w->column_index_at = base + before;
		w->column_index_bytes = b->n - before;
	}
	for (uint32_t i = 0; i < f->group_count * f->schema->count; i++) {
		struct pq_chunk_written *w = &f->groups[i /
		    f->schema->count].chunks[i % f->schema->count];
		size_t before = b->n;

		put_offset_index(b, w);
		w->offset_index_at = base + before;
		w->offset_index_bytes = b->n - before;
	}
}

/* ---- schema ---------------------------------------------------------- */

static void
put_unit(struct tn_buf *b, int16_t *last, const struct pq_element *e)
{
	int16_t inner = 0;

	tn_parquet_put_bool(b, last, 1, e->utc);
	tn_parquet_put_field(b, last, 2, TN_PQ_T_STRUCT);
	tn_parquet_put_field(b, &inner, e->unit, TN_PQ_T_STRUCT);
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
}

/* The LogicalType union: a struct with one field, which is a struct. */
static void
put_logical(struct tn_buf *b, const struct pq_element *e)
{
	int16_t outer = 0, last = 0;

	tn_parquet_put_field(b, &outer, e->logical, TN_PQ_T_STRUCT);
	if (e->logical == TN_PQ_L_DECIMAL) {
		tn_parquet_put_i32(b, &last, 1, e->scale);
		tn_parquet_put_i32(b, &last, 2, e->precision);
	}
	if (e->logical == TN_PQ_L_INTEGER) {
		tn_parquet_put_field(b, &last, 1, TN_PQ_T_I8);
		tn_buf_char(b, (char)e->bits);
		tn_parquet_put_bool(b, &last, 2, e->is_signed);
	}
	if (e->logical == TN_PQ_L_TIME || e->logical == TN_PQ_L_TIMESTAMP)
		put_unit(b, &last, e);
	tn_parquet_put_stop(b);
	tn_parquet_put_stop(b);
}

static void
put_element(struct tn_buf *b, const struct pq_element *e)
{
	int16_t last = 0;

	tn_parquet_put_i32(b, &last, 1, e->physical);
	if (e->fixed_bytes > 0)
		tn_parquet_put_i32(b, &last, 2, e->fixed_bytes);
	tn_parquet_put_i32(b, &last, 3, e->repetition);
	tn_parquet_put_binary(b, &last, 4, e->name.p, e->name.n);
	if (e->converted != TN_PQ_C_NONE)
		tn_parquet_put_i32(b, &last, 6, e->converted);
	if (e->logical == TN_PQ_L_DECIMAL) {
		tn_parquet_put_i32(b, &last, 7, e->scale);
		tn_parquet_put_i32(b, &last, 8, e->precision);
	}
	/* No field id: a number that is not the table's would mislead readers
	 * of Iceberg; without one they go by the name. */
	if (e->logical != TN_PQ_L_NONE) {
		tn_parquet_put_field(b, &last, 10, TN_PQ_T_STRUCT);
		put_logical(b, e);
	}
	tn_parquet_put_stop(b);
}

static void
put_schema(struct tn_buf *b, int16_t *last, const struct pq_footer *f)
{
	const char *name = f->schema->name != NULL ? f->schema->name : "schema";
	int16_t root = 0;

	tn_parquet_put_list(b, last, 2, TN_PQ_T_STRUCT,
	    f->schema->count + 1);
	tn_parquet_put_binary(b, &root, 4, name, strlen(name));
	tn_parquet_put_i32(b, &root, 5, (int32_t)f->schema->count);
	tn_parquet_put_stop(b);
	for (uint32_t i = 0; i < f->schema->count; i++)
		put_element(b, &f->columns[i].element);
}

/* ---- row groups ------------------------------------------------------ */

static void
put_stats(struct tn_buf *b, int16_t *outer, const struct pq_chunk_written *w,
    bool floats)
{
	const uint8_t *p = w->stat_bytes.p;
	int16_t last = 0;

	tn_parquet_put_field(b, outer, 12, TN_PQ_T_STRUCT);
	tn_parquet_put_i64(b, &last, 3, (int64_t)w->nulls);
	if (w->has_max)
		tn_parquet_put_binary(b, &last, 5, p + w->max_at,
		    w->max_bytes);
	if (w->has_min)
		tn_parquet_put_binary(b, &last, 6, p + w->min_at,
		    w->min_bytes);
	if (w->has_max)
		tn_parquet_put_bool(b, &last, 7, w->max_exact);
	if (w->has_min)
		tn_parquet_put_bool(b, &last, 8, w->min_exact);
	if (floats)
		tn_parquet_put_i64(b, &last, 9, (int64_t)w->nans);
	tn_parquet_put_stop(b);
}

static void
put_encodings(struct tn_buf *b, int16_t *last,
    const struct pq_chunk_written *w)
{
	tn_parquet_put_list(b, last, 2, TN_PQ_T_I32, w->has_dict ? 3 : 2);
	if (w->has_dict)
		tn_parquet_put_zigzag(b, TN_PQ_PLAIN);
	tn_parquet_put_zigzag(b, TN_PQ_RLE);
	tn_parquet_put_zigzag(b, w->encoding);
}

static void
put_page_counts(struct tn_buf *b, int16_t *outer,
    const struct pq_chunk_written *w)
{
	tn_parquet_put_list(b, outer, 13, TN_PQ_T_STRUCT,
	    w->has_dict ? 2 : 1);
	for (int dict = w->has_dict; dict >= 0; dict--) {
		int16_t last = 0;

		tn_parquet_put_i32(b, &last, 1, dict ? TN_PQ_DICT_PAGE :
		    TN_PQ_DATA_PAGE);
		tn_parquet_put_i32(b, &last, 2, dict ? TN_PQ_PLAIN :
		    w->encoding);
		tn_parquet_put_i32(b, &last, 3, dict ? 1 :
		    (int32_t)w->page_count);
		tn_parquet_put_stop(b);
	}
}

static void
put_chunk(struct tn_buf *b, const struct pq_chunk_written *w,
    const struct pq_column *c)
{
	bool floats = tn_parquet_order(c->leaf.type) == TN_PQ_BY_FLOAT;
	int16_t outer = 0, last = 0;

	tn_parquet_put_i64(b, &outer, 2, 0);
	tn_parquet_put_field(b, &outer, 3, TN_PQ_T_STRUCT);
	tn_parquet_put_i32(b, &last, 1, c->leaf.physical);
	put_encodings(b, &last, w);
	tn_parquet_put_list(b, &last, 3, TN_PQ_T_BINARY, 1);
	tn_buf_varint(b, c->element.name.n);
	tn_buf_add(b, c->element.name.p, c->element.name.n);
	tn_parquet_put_i32(b, &last, 4, TN_PQ_ZSTD);
	tn_parquet_put_i64(b, &last, 5, (int64_t)w->values);
	tn_parquet_put_i64(b, &last, 6, (int64_t)w->raw_bytes);
	tn_parquet_put_i64(b, &last, 7, (int64_t)w->bytes);
	tn_parquet_put_i64(b, &last, 9, (int64_t)w->data_at);
	if (w->has_dict)
		tn_parquet_put_i64(b, &last, 11, (int64_t)w->at);
	put_stats(b, &last, w, floats);
	put_page_counts(b, &last, w);
	tn_parquet_put_stop(b);
	tn_parquet_put_i64(b, &outer, 4, (int64_t)w->offset_index_at);
	tn_parquet_put_i32(b, &outer, 5, (int32_t)w->offset_index_bytes);
	if (w->indexed) {
		tn_parquet_put_i64(b, &outer, 6, (int64_t)w->column_index_at);
		tn_parquet_put_i32(b, &outer, 7,
		    (int32_t)w->column_index_bytes);
	}
	tn_parquet_put_stop(b);
}

static void
put_sorting(struct tn_buf *b, int16_t *outer,
    const struct tn_parquet_write_opts *o)
{
	tn_parquet_put_list(b, outer, 4, TN_PQ_T_STRUCT, o->sorted_count);
	for (uint32_t i = 0; i < o->sorted_count; i++) {
		int16_t last = 0;

		tn_parquet_put_i32(b, &last, 1, (int32_t)o->sorted_by[i]);
		tn_parquet_put_bool(b, &last, 2, false);
		tn_parquet_put_bool(b, &last, 3, false);
		tn_parquet_put_stop(b);
	}
}

static void
put_group(struct tn_buf *b, const struct pq_footer *f, uint32_t g)
{
	const struct pq_group_written *w = &f->groups[g];
	uint64_t raw = 0, bytes = 0;
	int16_t last = 0;

	tn_parquet_put_list(b, &last, 1, TN_PQ_T_STRUCT, f->schema->count);
	for (uint32_t i = 0; i < f->schema->count; i++) {
		put_chunk(b, &w->chunks[i], &f->columns[i]);
		raw += w->chunks[i].raw_bytes;
		bytes += w->chunks[i].bytes;
	}
	tn_parquet_put_i64(b, &last, 2, (int64_t)raw);
	tn_parquet_put_i64(b, &last, 3, (int64_t)w->rows);
	if (f->opts->sorted_count > 0)
		put_sorting(b, &last, f->opts);
	tn_parquet_put_i64(b, &last, 5, (int64_t)w->at);
	tn_parquet_put_i64(b, &last, 6, (int64_t)bytes);
	if (g <= INT16_MAX) {
		tn_parquet_put_field(b, &last, 7, TN_PQ_T_I16);
		tn_parquet_put_zigzag(b, g);
	}
	tn_parquet_put_stop(b);
}

static void
put_pairs(struct tn_buf *b, int16_t *outer,
    const struct tn_parquet_write_opts *o)
{
	tn_parquet_put_list(b, outer, 5, TN_PQ_T_STRUCT, o->pair_count);
	for (uint32_t i = 0; i < o->pair_count; i++) {
		const struct tn_parquet_pair *p = &o->pairs[i];
		int16_t last = 0;

		tn_parquet_put_binary(b, &last, 1, p->key, strlen(p->key));
		tn_parquet_put_binary(b, &last, 2, p->value,
		    strlen(p->value));
		tn_parquet_put_stop(b);
	}
}

static void
put_orders(struct tn_buf *b, int16_t *outer, uint32_t count)
{
	tn_parquet_put_list(b, outer, 7, TN_PQ_T_STRUCT, count);
	for (uint32_t i = 0; i < count; i++) {
		int16_t last = 0;

		tn_parquet_put_field(b, &last, 1, TN_PQ_T_STRUCT);
		tn_parquet_put_stop(b);
		tn_parquet_put_stop(b);
	}
}

void
tn_parquet_footer_write(struct tn_buf *out, uint64_t base,
    const struct pq_footer *f)
{
	static const char created_by[] = "tarn version " TN_VERSION;
	int16_t last = 0;
	size_t begun = out->n, start;
	uint32_t crc;

	put_indexes(out, base, f);
	tn_buf_str(out, TN_PQ_SEAL);
	tn_buf_u32(out, (uint32_t)(out->n - 4 - begun));
	tn_buf_u32(out, 0);
	start = out->n;
	tn_parquet_put_i32(out, &last, 1, 1);
	put_schema(out, &last, f);
	tn_parquet_put_i64(out, &last, 3, (int64_t)f->rows);
	tn_parquet_put_list(out, &last, 4, TN_PQ_T_STRUCT, f->group_count);
	for (uint32_t g = 0; g < f->group_count; g++)
		put_group(out, f, g);
	if (f->opts->pair_count > 0)
		put_pairs(out, &last, f->opts);
	tn_parquet_put_binary(out, &last, 6, created_by,
	    sizeof created_by - 1);
	put_orders(out, &last, f->schema->count);
	tn_parquet_put_stop(out);
	if (!out->failed) {
		crc = tn_crc32c(0, out->p + begun,
		    start - TN_PQ_SEAL_BYTES - begun);
		crc = tn_crc32c(crc, out->p + start, out->n - start);
		memcpy(out->p + start - 4, &crc, 4);
		tn_buf_u32(out, (uint32_t)(out->n - start));
	}
	tn_buf_str(out, "PAR1");
}
