/* footer_read: FileMetaData of a mapped file into the reader. Everything that
 * the footer says about places in the file is checked here once: chunks and
 * indexes lie between the magic and the footer, rows add up, every row group
 * has a chunk for every column.
 *
 * A hostile footer costs at most a small multiple of its own bytes (32 MiB at
 * most): a list can not have more elements than bytes left, and chunks are
 * made a row group at a time, while they parse. */
#include "parquet/parquet_int.h"

struct load {
	struct tn_parquet_reader *r;
	struct tn_cursor c;
	struct tn_diag *d;
	enum tn_status st;       /* The first failure with a message. */
	struct pq_element *elements;
	uint32_t leaf_count;
	bool *ordered;
	uint32_t groups_cap;
};

static void
refuse(struct load *l, enum tn_status st, const char *what)
{
	if (l->st == TN_OK)
		l->st = tn_diag_set(l->d, st, st == TN_EUNSUPPORTED ?
		    "unsupported_file" : "bad_file", "%s: %s", l->r->path,
		    what);
	l->c.failed = true;
}

/* ---- schema ---------------------------------------------------------- */

static void
read_unit(struct tn_cursor *c, struct pq_element *e)
{
	int16_t id = 0, unit = 0;
	uint8_t type;

	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1) {
			e->utc = tn_parquet_get_bool(c, type);
			continue;
		}
		if (id != 2) {
			tn_parquet_skip(c, type);
			continue;
		}
		tn_parquet_want_struct(c, type);
		while (tn_parquet_field(c, &unit, &type)) {
			e->unit = (uint8_t)unit;
			tn_parquet_skip(c, type);
		}
	}
}

static void
read_numbers(struct tn_cursor *c, struct pq_element *e)
{
	bool decimal = e->logical == TN_PQ_L_DECIMAL;
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(c, &id, &type)) {
		if (decimal && id == 1)
			e->scale = tn_parquet_get_i32(c, type);
		else if (decimal && id == 2)
			e->precision = tn_parquet_get_i32(c, type);
		else if (!decimal && id == 1)
			e->bits = (uint8_t)tn_parquet_get_i32(c, type);
		else if (!decimal && id == 2)
			e->is_signed = tn_parquet_get_bool(c, type);
		else
			tn_parquet_skip(c, type);
	}
}

static void
read_logical(struct tn_cursor *c, struct pq_element *e)
{
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(c, &id, &type)) {
		tn_parquet_want_struct(c, type);
		e->logical = id > 0 && id < 255 ? (uint8_t)id : 255;
		if (id == TN_PQ_L_TIME || id == TN_PQ_L_TIMESTAMP)
			read_unit(c, e);
		else if (id == TN_PQ_L_DECIMAL || id == TN_PQ_L_INTEGER)
			read_numbers(c, e);
		else
			tn_parquet_skip(c, type);
	}
}

static void
read_element(struct tn_cursor *c, struct pq_element *e)
{
	int16_t id = 0;
	uint8_t type;

	*e = (struct pq_element){ .physical = -1, .converted = TN_PQ_C_NONE };
	while (tn_parquet_field(c, &id, &type)) {
		if (id == 4)
			e->name = tn_parquet_get_binary(c, type);
		else if (id == 1)
			e->physical = tn_parquet_get_i32(c, type);
		else if (id == 2)
			e->fixed_bytes = tn_parquet_get_i32(c, type);
		else if (id == 3)
			e->repetition = tn_parquet_get_i32(c, type);
		else if (id == 5)
			e->children = tn_parquet_get_i32(c, type);
		else if (id == 6)
			e->converted = tn_parquet_get_i32(c, type);
		else if (id == 7)
			e->scale = tn_parquet_get_i32(c, type);
		else if (id == 8)
			e->precision = tn_parquet_get_i32(c, type);
		else if (id == 10 && type == TN_PQ_T_STRUCT)
			read_logical(c, e);
		else
			tn_parquet_skip(c, type);
	}
	if (e->physical < -1)
		c->failed = true;
}

static bool
name_is_fine(struct tn_slice s)
{
	return s.p != NULL && s.n > 0 && memchr(s.p, 0, s.n) == NULL &&
	    tn_utf8_valid(s.p, s.n);
}

/* The columns behind the root. */
static void
read_leaves(struct load *l)
{
	for (uint32_t i = 0; i < l->leaf_count && !l->c.failed; i++) {
		struct pq_element *e = &l->elements[i];

		read_element(&l->c, e);
		if (l->c.failed)
			return;
		if (e->physical == -1 || e->repetition > 1 || e->children > 0)
			refuse(l, TN_EUNSUPPORTED, "nested and repeated "
			    "columns (lists, maps, structs) are not read");
		else if (!name_is_fine(e->name) || e->repetition < 0)
			refuse(l, TN_ECORRUPT, "a column has no valid name");
	}
}

static void
read_schema(struct load *l, uint8_t type)
{
	uint32_t n = tn_parquet_get_list(&l->c, type, TN_PQ_T_STRUCT);
	struct pq_element root;

	if (n < 2 || l->elements != NULL) {
		refuse(l, TN_ECORRUPT, "the schema is missing");
		return;
	}
	if (n - 1 > TN_COLUMNS_MAX) {
		refuse(l, TN_ELIMIT, "more than 1600 columns");
		return;
	}
	l->leaf_count = n - 1;
	l->elements = tn_arena_zalloc(l->r->arena,
	    l->leaf_count * sizeof *l->elements);
	l->ordered = tn_arena_zalloc(l->r->arena, l->leaf_count);
	read_element(&l->c, &root);
	l->r->schema.name = tn_arena_strndup(l->r->arena,
	    root.name.p == NULL ? "" : (const char *)root.name.p,
	    root.name.n < 200 ? root.name.n : 0);
	read_leaves(l);
	if (!l->c.failed && root.children != (int32_t)l->leaf_count)
		refuse(l, TN_ECORRUPT, "the schema does not add up");
}

/* ---- column chunks --------------------------------------------------- */

void
tn_parquet_stats_read(struct tn_cursor *c, struct pq_stats *s)
{
	struct tn_slice old[3] = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	bool has_old[3] = { false, false, false };
	int16_t id = 0;
	uint8_t type;

	*s = (struct pq_stats){ .nulls = -1, .nans = -1 };
	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1 || id == 2) {
			old[id] = tn_parquet_get_binary(c, type);
			has_old[id] = true;
		} else if (id == 3) {
			s->nulls = tn_parquet_get_i64(c, type);
		} else if (id == 5) {
			s->max = tn_parquet_get_binary(c, type);
			s->has_max = true;
		} else if (id == 6) {
			s->min = tn_parquet_get_binary(c, type);
			s->has_min = true;
		} else if (id == 9) {
			s->nans = tn_parquet_get_i64(c, type);
		} else {
			tn_parquet_skip(c, type);
		}
	}
	if (s->has_min || s->has_max || !has_old[1] || !has_old[2])
		return;
	s->old = s->has_min = s->has_max = true;
	s->max = old[1];
	s->min = old[2];
}

/* What ColumnMetaData says, before it is checked. */
struct chunk_said {
	int32_t physical;
	int64_t data_at;
	int64_t dict_at;
	int64_t bytes;
	int64_t values;
	bool seen;
};

static void
read_meta(struct tn_cursor *c, struct pq_chunk *k, struct chunk_said *said)
{
	int16_t id = 0;
	uint8_t type;

	said->seen = true;
	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1)
			said->physical = tn_parquet_get_i32(c, type);
		else if (id == 4)
			k->codec = tn_parquet_get_i32(c, type);
		else if (id == 5)
			said->values = tn_parquet_get_i64(c, type);
		else if (id == 7)
			said->bytes = tn_parquet_get_i64(c, type);
		else if (id == 9)
			said->data_at = tn_parquet_get_i64(c, type);
		else if (id == 11)
			said->dict_at = tn_parquet_get_i64(c, type);
		else if (id == 12 && type == TN_PQ_T_STRUCT)
			tn_parquet_stats_read(c, &k->stats);
		else
			tn_parquet_skip(c, type);
	}
}

/* A piece of the file before the footer. */
static struct tn_slice
piece(struct load *l, int64_t at, int64_t bytes)
{
	struct tn_slice s = { NULL, 0 };

	if (at == 0 || bytes == 0)
		return s;
	if (at < 4 || bytes < 0 || (uint64_t)at > l->r->data_end ||
	    (uint64_t)bytes > l->r->data_end - (uint64_t)at) {
		refuse(l, TN_ECORRUPT, "a part lies outside of the file");
		return s;
	}
	s.p = l->r->map + at;
	s.n = (size_t)bytes;
	return s;
}

static void
check_chunk(struct load *l, struct pq_chunk *k, const struct chunk_said *said,
    const struct pq_element *e)
{
	int64_t at = said->data_at;

	if (l->c.failed)
		return;
	if (said->dict_at > 0 && said->dict_at < at)
		at = said->dict_at;
	if (!said->seen || said->physical != e->physical || at < 4 ||
	    (uint64_t)at > l->r->data_end || said->bytes < 0 ||
	    said->values < 0) {
		refuse(l, TN_ECORRUPT, "a column chunk does not fit the "
		    "schema");
		return;
	}
	k->values = (uint64_t)said->values;
	k->at = (uint64_t)at;
	k->bytes = (uint64_t)said->bytes;
	if (k->bytes > 0)
		(void)piece(l, at, said->bytes);
}

static void
read_chunk(struct load *l, struct pq_chunk *k, const struct pq_element *e)
{
	struct chunk_said said = { .physical = -1, .seen = false };
	int64_t at[2] = { 0, 0 };
	int64_t bytes[2] = { 0, 0 };
	int16_t id = 0;
	uint8_t type;

	*k = (struct pq_chunk){ .codec = -1,
	    .stats = { .nulls = -1, .nans = -1 } };
	while (tn_parquet_field(&l->c, &id, &type)) {
		if (id == 3 && type == TN_PQ_T_STRUCT)
			read_meta(&l->c, k, &said);
		else if (id == 4 || id == 6)
			at[id / 2 - 2] = tn_parquet_get_i64(&l->c, type);
		else if (id == 5 || id == 7)
			bytes[id / 2 - 2] = tn_parquet_get_i64(&l->c, type);
		else if (id == 1)
			refuse(l, TN_EUNSUPPORTED, "a column lies in "
			    "another file");
		else if (id == 8 || id == 9)
			refuse(l, TN_EUNSUPPORTED, "a column is encrypted");
		else
			tn_parquet_skip(&l->c, type);
	}
	check_chunk(l, k, &said, e);
	k->offset_index = piece(l, at[0], bytes[0]);
	k->column_index = piece(l, at[1], bytes[1]);
}

static void
read_chunks(struct load *l, struct pq_group *g, uint8_t type)
{
	uint32_t n = tn_parquet_get_list(&l->c, type, TN_PQ_T_STRUCT);

	if (l->c.failed || n != l->leaf_count || g->chunks != NULL) {
		refuse(l, TN_ECORRUPT, "a row group lacks columns");
		return;
	}
	g->chunks = tn_arena_alloc(l->r->arena, n * sizeof *g->chunks);
	for (uint32_t i = 0; i < n && !l->c.failed; i++)
		read_chunk(l, &g->chunks[i], &l->elements[i]);
}

static void
read_group(struct load *l, struct pq_group *g)
{
	int16_t id = 0;
	int64_t rows = -1;
	uint8_t type;

	*g = (struct pq_group){ 0, NULL };
	while (tn_parquet_field(&l->c, &id, &type)) {
		if (id == 1)
			read_chunks(l, g, type);
		else if (id == 3)
			rows = tn_parquet_get_i64(&l->c, type);
		else
			tn_parquet_skip(&l->c, type);
	}
	if (l->c.failed)
		return;
	if (rows < 0 || rows > INT64_MAX / 2 || g->chunks == NULL)
		refuse(l, TN_ECORRUPT, "a row group has no rows or columns");
	g->rows = (uint64_t)rows;
	for (uint32_t i = 0; i < l->leaf_count && !l->c.failed; i++)
		if (g->chunks[i].values != g->rows)
			refuse(l, TN_ECORRUPT, "a column chunk has not as "
			    "many values as its row group has rows");
}

static void
read_groups(struct load *l, uint8_t type)
{
	uint32_t n = tn_parquet_get_list(&l->c, type, TN_PQ_T_STRUCT);
	struct tn_parquet_reader *r = l->r;

	if (l->leaf_count == 0 || r->groups != NULL) {
		refuse(l, TN_ECORRUPT, "row groups before the schema");
		return;
	}
	for (uint32_t i = 0; i < n && !l->c.failed; i++) {
		if (i == l->groups_cap) {
			l->groups_cap = i == 0 ? 8 : i * 2;
			r->groups = tn_realloc(r->groups,
			    l->groups_cap * sizeof *r->groups);
		}
		read_group(l, &r->groups[i]);
		r->group_count = i + 1;
	}
}

/* ---- the rest -------------------------------------------------------- */

static void
read_pairs(struct load *l, uint8_t type)
{
	uint32_t n = tn_parquet_get_list(&l->c, type, TN_PQ_T_STRUCT);
	struct tn_parquet_pair *pairs;

	if (n > TN_PQ_PAIRS_MAX || l->r->pairs != NULL) {
		refuse(l, TN_ELIMIT, "more than 65536 key-value pairs");
		return;
	}
	pairs = tn_arena_zalloc(l->r->arena, (n + 1) * sizeof *pairs);
	for (uint32_t i = 0; i < n && !l->c.failed; i++) {
		struct tn_slice s[3] = { { NULL, 0 }, { NULL, 0 },
		    { NULL, 0 } };
		int16_t id = 0;

		while (tn_parquet_field(&l->c, &id, &type)) {
			if (id == 1 || id == 2)
				s[id] = tn_parquet_get_binary(&l->c, type);
			else
				tn_parquet_skip(&l->c, type);
		}
		pairs[i].key = tn_arena_strndup(l->r->arena,
		    s[1].n == 0 ? "" : (const char *)s[1].p, s[1].n);
		pairs[i].value = tn_arena_strndup(l->r->arena,
		    s[2].n == 0 ? "" : (const char *)s[2].p, s[2].n);
	}
	l->r->pairs = pairs;
	l->r->pair_count = n;
}

static void
read_orders(struct load *l, uint8_t type)
{
	uint32_t n = tn_parquet_get_list(&l->c, type, TN_PQ_T_STRUCT);

	for (uint32_t i = 0; i < n && !l->c.failed; i++) {
		int16_t id = 0;
		int16_t order = 0;

		while (tn_parquet_field(&l->c, &id, &type)) {
			order = id;
			tn_parquet_skip(&l->c, type);
		}
		if (i < l->leaf_count)
			l->ordered[i] = order == 1;
	}
}

static void
read_file_meta(struct load *l)
{
	static const char tarn[] = "tarn version ";
	struct tn_slice by;
	int64_t rows = -1;
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(&l->c, &id, &type)) {
		if (id == 2) {
			read_schema(l, type);
		} else if (id == 3) {
			rows = tn_parquet_get_i64(&l->c, type);
		} else if (id == 4) {
			read_groups(l, type);
		} else if (id == 5) {
			read_pairs(l, type);
		} else if (id == 6) {
			by = tn_parquet_get_binary(&l->c, type);
			l->r->ours = by.n >= sizeof tarn - 1 &&
			    memcmp(by.p, tarn, sizeof tarn - 1) == 0;
		} else if (id == 7) {
			read_orders(l, type);
		} else if (id == 8) {
			refuse(l, TN_EUNSUPPORTED, "the file is encrypted");
		} else {
			tn_parquet_skip(&l->c, type);
		}
	}
	for (uint32_t g = 0; g < l->r->group_count; g++)
		l->r->rows += l->r->groups[g].rows;
	if (l->c.failed || l->elements == NULL)
		refuse(l, TN_ECORRUPT, "the footer is damaged");
	else if (rows < 0 || (uint64_t)rows != l->r->rows)
		refuse(l, TN_ECORRUPT, "the row groups do not add up to the "
		    "rows of the file");
}

static enum tn_status
make_leaves(struct load *l)
{
	struct tn_parquet_reader *r = l->r;
	struct tn_field *fields = tn_arena_zalloc(r->arena,
	    l->leaf_count * sizeof *fields);
	enum tn_status st = TN_OK;

	r->leaves = tn_arena_zalloc(r->arena,
	    l->leaf_count * sizeof *r->leaves);
	for (uint32_t i = 0; st == TN_OK && i < l->leaf_count; i++) {
		struct pq_leaf *leaf = &r->leaves[i];

		st = tn_parquet_leaf_from(&l->elements[i], r->ours, leaf,
		    l->d);
		leaf->ordered = l->ordered[i];
		leaf->name = tn_arena_strndup(r->arena,
		    (const char *)l->elements[i].name.p,
		    l->elements[i].name.n);
		fields[i] = (struct tn_field){ leaf->name, leaf->type,
		    !leaf->optional };
	}
	r->schema.fields = fields;
	r->schema.count = l->leaf_count;
	return st;
}

enum tn_status
tn_parquet_footer_read(struct tn_parquet_reader *r, struct tn_diag *d)
{
	struct load l = { .r = r, .d = d, .st = TN_OK };

	l.c = (struct tn_cursor){ r->map + r->data_end,
	    r->map + r->map_bytes - 8, false };
	read_file_meta(&l);
	if (l.st != TN_OK)
		return l.st;
	return make_leaves(&l);
}
