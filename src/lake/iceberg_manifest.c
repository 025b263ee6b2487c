/* Iceberg's Avro files (table specification, format version 2):
 *
 *   manifest       an entry a data file: status, the snapshot and sequence that
 *                  added it, path, day, rows, bytes, and for each column the
 *                  count of values and nulls and the bounds of its Parquet
 *                  statistics
 *   manifest list  a row a manifest of a snapshot, with counts of its entries
 *                  and the days they lie between
 *
 * Fields are told by their field ids, names are for people. */
#include "lake/iceberg_int.h"

#include <stdio.h>
#include <string.h>

#define BOUNDED_MAX 64           /* Columns with statistics. */
#define DAY_US INT64_C(86400000000)

enum { STATUS_EXISTING = 0, STATUS_ADDED = 1, STATUS_DELETED = 2 };

#define OPTIONAL(type) "[\"null\"," type "],\"default\":null"
#define FIELD(name, type, id) \
	"{\"name\":\"" name "\",\"type\":" type ",\"field-id\":" #id "}"
/* A map with integer keys is an array of pairs in Avro. */
#define PAIRS(name, k, v, value, id) \
	FIELD(name, OPTIONAL("{\"type\":\"array\",\"logicalType\":\"map\"," \
	"\"items\":{\"type\":\"record\",\"name\":\"k" #k "_v" #v "\"," \
	"\"fields\":[" FIELD("key", "\"int\"", k) "," \
	FIELD("value", value, v) "]}}"), id)

static const char entry_head[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    FIELD("status", "\"int\"", 0) ","
    FIELD("snapshot_id", OPTIONAL("\"long\""), 1) ","
    FIELD("sequence_number", OPTIONAL("\"long\""), 3) ","
    FIELD("file_sequence_number", OPTIONAL("\"long\""), 4) ","
    "{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\","
    "\"fields\":["
    FIELD("content", "\"int\"", 134) ","
    FIELD("file_path", "\"string\"", 100) ","
    FIELD("file_format", "\"string\"", 101) ","
    "{\"name\":\"partition\",\"type\":{\"type\":\"record\","
    "\"name\":\"r102\",\"fields\":[";
static const char entry_tail[] =
    "]},\"field-id\":102},"
    FIELD("record_count", "\"long\"", 103) ","
    FIELD("file_size_in_bytes", "\"long\"", 104) ","
    PAIRS("value_counts", 119, 120, "\"long\"", 109) ","
    PAIRS("null_value_counts", 121, 122, "\"long\"", 110) ","
    PAIRS("lower_bounds", 126, 127, "\"bytes\"", 125) ","
    PAIRS("upper_bounds", 129, 130, "\"bytes\"", 128) ","
    FIELD("sort_order_id", OPTIONAL("\"int\""), 140)
    "]},\"field-id\":2}]}";
static const char list_schema[] =
    "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
    FIELD("manifest_path", "\"string\"", 500) ","
    FIELD("manifest_length", "\"long\"", 501) ","
    FIELD("partition_spec_id", "\"int\"", 502) ","
    FIELD("content", "\"int\"", 517) ","
    FIELD("sequence_number", "\"long\"", 515) ","
    FIELD("min_sequence_number", "\"long\"", 516) ","
    FIELD("added_snapshot_id", "\"long\"", 503) ","
    FIELD("added_files_count", "\"int\"", 504) ","
    FIELD("existing_files_count", "\"int\"", 505) ","
    FIELD("deleted_files_count", "\"int\"", 506) ","
    FIELD("added_rows_count", "\"long\"", 512) ","
    FIELD("existing_rows_count", "\"long\"", 513) ","
    FIELD("deleted_rows_count", "\"long\"", 514) ","
    FIELD("partitions", OPTIONAL("{\"type\":\"array\",\"element-id\":508,"
    "\"items\":{\"type\":\"record\",\"name\":\"r508\",\"fields\":["
    FIELD("contains_null", "\"boolean\"", 509) ","
    FIELD("contains_nan", OPTIONAL("\"boolean\""), 518) ","
    FIELD("lower_bound", OPTIONAL("\"bytes\""), 510) ","
    FIELD("upper_bound", OPTIONAL("\"bytes\""), 511) "]}}"), 507)
    "]}";

/* ---- values ---------------------------------------------------------- */

static void
put_some_long(struct tn_buf *b, int64_t v)
{
	tn_codec_avro_long(b, 1);
	tn_codec_avro_long(b, v);
}

/* Shortest big-endian two's complement. */
static void
put_decimal(struct tn_buf *b, __int128 v)
{
	uint8_t bytes[16];
	int n = 16;

	for (int i = 0; i < 16; i++)
		bytes[15 - i] = (uint8_t)(v >> (8 * i));
	while (n > 1 && ((bytes[16 - n] == 0 && bytes[17 - n] < 0x80) ||
	    (bytes[16 - n] == 0xff && bytes[17 - n] >= 0x80)))
		n--;
	tn_codec_avro_bytes(b, (struct tn_slice){ bytes + 16 - n,
	    (size_t)n });
}

static bool
is_bounded(struct tn_type t, const struct tn_parquet_range *r)
{
	return r->bounded && t.id != TN_T_JSONB && t.id != TN_T_BYTES;
}

/* A bound in Iceberg's single-value form (appendix D). */
static void
put_bound(struct tn_buf *b, struct tn_type t,
    const struct tn_parquet_range *r, bool max)
{
	__int128 i = max ? r->max_i : r->min_i;
	double f = max ? r->max_f : r->min_f;
	int64_t wide = (int64_t)i;
	int32_t narrow = (int32_t)i;
	float single = (float)f;
	uint8_t bit = i != 0;

	switch (t.id) {
	case TN_T_BOOL:
		tn_codec_avro_bytes(b, (struct tn_slice){ &bit, 1 });
		return;
	case TN_T_INT2: case TN_T_INT4: case TN_T_DATE:
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&narrow, 4 });
		return;
	case TN_T_FLOAT4:
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&single, 4 });
		return;
	case TN_T_FLOAT8:
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&f, 8 });
		return;
	case TN_T_NUMERIC:
		put_decimal(b, i);
		return;
	case TN_T_TEXT: case TN_T_UUID:
		tn_codec_avro_bytes(b, max ? r->max_s : r->min_s);
		return;
	default:
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&wide, 8 });
		return;
	}
}

/* ---- statistics of a file -------------------------------------------- */

struct stats {
	const struct tn_lake_table *t;
	const struct tn_parquet_range *ranges;
	uint32_t columns;
	uint64_t rows;
};

static int
column_id(const struct stats *s, uint32_t i)
{
	return tn_lake_iceberg_column(s->t->iceberg,
	    s->t->schema->fields[i].name);
}

static void
put_counts(struct tn_buf *b, const struct stats *s, bool nulls)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->columns; i++)
		n += s->ranges[i].counted;
	tn_codec_avro_long(b, 1);
	if (n > 0)
		tn_codec_avro_long(b, n);
	for (uint32_t i = 0; i < s->columns; i++) {
		if (!s->ranges[i].counted)
			continue;
		tn_codec_avro_long(b, column_id(s, i));
		tn_codec_avro_long(b, (int64_t)(nulls ? s->ranges[i].nulls :
		    s->rows));
	}
	tn_codec_avro_long(b, 0);
}

static void
put_bounds(struct tn_buf *b, const struct stats *s, bool max)
{
	const struct tn_field *f = s->t->schema->fields;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->columns; i++)
		n += is_bounded(f[i].type, &s->ranges[i]);
	tn_codec_avro_long(b, 1);
	if (n > 0)
		tn_codec_avro_long(b, n);
	for (uint32_t i = 0; i < s->columns; i++) {
		if (!is_bounded(f[i].type, &s->ranges[i]))
			continue;
		tn_codec_avro_long(b, column_id(s, i));
		put_bound(b, f[i].type, &s->ranges[i], max);
	}
	tn_codec_avro_long(b, 0);
}

static int32_t
day_of(const struct tn_lake_table_file *f)
{
	int64_t d = f->time_min / DAY_US - (f->time_min % DAY_US < 0);

	return (int32_t)d;
}

static void
put_file(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_table_file *f)
{
	struct tn_parquet_range *ranges = tn_alloc((t->schema->count + 1) *
	    sizeof *ranges);
	struct tn_parquet_reader *reader = NULL;
	struct tn_buf path = { 0 };
	struct stats s = { t, ranges, t->schema->count, f->rows };

	if (s.columns > BOUNDED_MAX)
		s.columns = BOUNDED_MAX;
	tn_lake_ranges(t, f->path, &reader, ranges);
	/* The location ends in tier and name, as the path begins. */
	tn_buf_printf(&path, "%.*s%s", (int)(strlen(t->location) -
	    strlen(t->tier) - strlen(t->name) - 1), t->location, f->path);
	tn_codec_avro_long(b, 0);
	tn_codec_avro_text(b, tn_buf_cstr(&path));
	tn_codec_avro_text(b, "PARQUET");
	if (t->day_column >= 0)
		put_some_long(b, day_of(f));
	tn_codec_avro_long(b, (int64_t)f->rows);
	tn_codec_avro_long(b, (int64_t)f->bytes);
	put_counts(b, &s, false);
	put_counts(b, &s, true);
	put_bounds(b, &s, false);
	put_bounds(b, &s, true);
	/* Merged files may be sorted by more than the order in force says. */
	tn_codec_avro_long(b, 0);
	tn_buf_fini(&path);
	tn_parquet_close(reader);
	tn_free(ranges);
}

/* ---- manifests ------------------------------------------------------- */

static void
put_entry(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_named *x, int status, uint64_t snapshot)
{
	tn_codec_avro_long(b, status);
	put_some_long(b, (int64_t)snapshot);
	put_some_long(b, (int64_t)x->since);
	put_some_long(b, (int64_t)x->since);
	put_file(b, t, &x->f);
}

static void
note(struct tn_lake_manifest *m, const struct tn_lake_table *t,
    const struct tn_lake_named *x, bool live)
{
	int32_t day = t->day_column >= 0 ? day_of(&x->f) : 0;

	if (live && (m->oldest == 0 || x->since < m->oldest))
		m->oldest = x->since;
	if (t->day_column < 0)
		return;
	if (!m->has_days || day < m->day_min)
		m->day_min = day;
	if (!m->has_days || day > m->day_max)
		m->day_max = day;
	m->has_days = true;
}

static void
put_manifest_file(struct tn_buf *b, const struct tn_lake_table *t,
    uint64_t count, const struct tn_buf *values)
{
	const struct tn_lake_iceberg *x = t->iceberg;
	struct tn_buf schema = { 0 };
	const char *spec = tn_lake_iceberg_text(&x->specs, x->spec);
	char id[16], spec_id[16], day[24];
	struct tn_codec_avro_pair pairs[] = {
		{ "schema", tn_slice_of(tn_lake_iceberg_text(&x->schemas,
		    x->schema)) },
		{ "schema-id", { NULL, 0 } },
		{ "partition-spec", tn_slice_of(spec) },
		{ "partition-spec-id", { NULL, 0 } },
		{ "format-version", tn_slice_of("2") },
		{ "content", tn_slice_of("data") },
	};

	(void)snprintf(id, sizeof id, "%d", x->schema);
	(void)snprintf(spec_id, sizeof spec_id, "%d", x->spec);
	pairs[1].value = tn_slice_of(id);
	pairs[3].value = tn_slice_of(spec_id);
	tn_buf_str(&schema, entry_head);
	tn_lake_iceberg_day(t, day);
	if (t->day_column >= 0)
		tn_buf_printf(&schema, "{\"name\":\"%s\",\"type\":[\"null\","
		    "{\"type\":\"int\",\"logicalType\":\"date\"}],\"default\":"
		    "null,\"field-id\":%d}", day, 1000 + x->spec);
	tn_buf_str(&schema, entry_tail);
	tn_codec_avro_file(b, &(struct tn_codec_avro){ { schema.p, schema.n },
	    pairs, TN_COUNT(pairs) }, count, (struct tn_slice){ values->p,
	    values->n });
	tn_buf_fini(&schema);
}

void
tn_lake_iceberg_manifest(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c, const struct tn_lake_named *const *kept,
    uint32_t kept_count, struct tn_lake_manifest *m)
{
	struct tn_buf values = { 0 };

	memset(m, 0, sizeof *m);
	m->made = c->cut->sequence;
	m->spec = t->iceberg->spec;
	for (uint32_t i = 0; i < c->added_count; i++) {
		put_entry(&values, t, c->added[i], STATUS_ADDED, m->made);
		m->added_rows += c->added[i]->f.rows;
		note(m, t, c->added[i], true);
	}
	for (uint32_t i = 0; i < kept_count; i++) {
		put_entry(&values, t, kept[i], STATUS_EXISTING,
		    kept[i]->since);
		m->existing_rows += kept[i]->f.rows;
		note(m, t, kept[i], true);
	}
	for (uint32_t i = 0; i < c->gone_count; i++) {
		put_entry(&values, t, c->gone[i], STATUS_DELETED, m->made);
		m->deleted_rows += c->gone[i]->f.rows;
		note(m, t, c->gone[i], false);
	}
	m->added = c->added_count;
	m->existing = kept_count;
	m->deleted = c->gone_count;
	m->live = m->added + m->existing;
	if (m->oldest == 0)
		m->oldest = m->made;
	put_manifest_file(b, t, m->live + m->deleted, &values);
	if (values.failed)
		b->failed = b->no_memory = true;
	tn_buf_fini(&values);
	m->bytes = b->n;
}

/* ---- lists ----------------------------------------------------------- */

static void
put_days(struct tn_buf *b, const struct tn_lake_manifest *m)
{
	tn_codec_avro_long(b, 1);
	if (m->has_days) {
		tn_codec_avro_long(b, 1);
		tn_buf_char(b, 0);
		put_some_long(b, 0);     /* No NaN: one byte, 0. */
		tn_codec_avro_long(b, 1);
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&m->day_min, 4 });
		tn_codec_avro_long(b, 1);
		tn_codec_avro_bytes(b, (struct tn_slice){
		    (const uint8_t *)&m->day_max, 4 });
	}
	tn_codec_avro_long(b, 0);
}

static void
put_manifest_row(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_manifest *m)
{
	struct tn_buf path = { 0 };

	tn_buf_printf(&path, "%s/" TN_LAKE_ICEBERG_FOLDER "/m-%llu.avro",
	    t->location, (unsigned long long)m->made);
	tn_codec_avro_text(b, tn_buf_cstr(&path));
	tn_codec_avro_long(b, (int64_t)m->bytes);
	tn_codec_avro_long(b, m->spec);
	tn_codec_avro_long(b, 0);
	tn_codec_avro_long(b, (int64_t)m->made);
	tn_codec_avro_long(b, (int64_t)m->oldest);
	tn_codec_avro_long(b, (int64_t)m->made);
	tn_codec_avro_long(b, m->added);
	tn_codec_avro_long(b, m->existing);
	tn_codec_avro_long(b, m->deleted);
	tn_codec_avro_long(b, (int64_t)m->added_rows);
	tn_codec_avro_long(b, (int64_t)m->existing_rows);
	tn_codec_avro_long(b, (int64_t)m->deleted_rows);
	put_days(b, m);
	tn_buf_fini(&path);
}

void
tn_lake_iceberg_list(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_snapshot *s, const struct tn_lake_manifest *manifests,
    uint32_t count)
{
	struct tn_buf values = { 0 };
	char id[24], parent[24];
	struct tn_codec_avro_pair pairs[] = {
		{ "snapshot-id", { NULL, 0 } },
		{ "parent-snapshot-id", { NULL, 0 } },
		{ "sequence-number", { NULL, 0 } },
		{ "format-version", tn_slice_of("2") },
	};

	(void)snprintf(id, sizeof id, "%llu", (unsigned long long)s->id);
	(void)snprintf(parent, sizeof parent, "%llu",
	    (unsigned long long)s->parent);
	pairs[0].value = pairs[2].value = tn_slice_of(id);
	pairs[1].value = tn_slice_of(s->parent != 0 ? parent : "null");
	for (uint32_t i = 0; i < count; i++)
		put_manifest_row(&values, t, &manifests[i]);
	tn_codec_avro_file(b, &(struct tn_codec_avro){
	    tn_slice_of(list_schema), pairs, TN_COUNT(pairs) }, count,
	    (struct tn_slice){ values.p, values.n });
	if (values.failed)
		b->failed = b->no_memory = true;
	tn_buf_fini(&values);
}
