/* The actions of Delta Lake's protocol: as JSON lines of a commit, and as rows
 * of a checkpoint (Parquet, one column a field of an action).
 *
 *   commitInfo  time, operation, and of us: lsn, sequence, fingerprints
 *   protocol    reader 1, writer 2; 3 and 7 with timestampNtz when a column
 *               has no time zone
 *   metaData    schema, no partition columns: a file's day is in its bounds
 *   txn         application "tarn" with the publication's sequence
 *   add         path beside the table's folder, bytes, statistics
 *   remove      path; dataChange false where only files were merged
 *
 * Delta has no time of day: such columns are left out. */
#include "lake/delta_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BOUNDED_MAX 32           /* Columns with statistics. */
#define DAY_US INT64_C(86400000000)
#define NTZ "[\"timestampNtz\"]"

static bool
has_type(const struct tn_lake_table *t, enum tn_type_id id)
{
	for (uint32_t i = 0; i < t->schema->count; i++)
		if (t->schema->fields[i].type.id == id)
			return true;
	return false;
}

static bool
is_shown(struct tn_type t)
{
	return t.id != TN_T_TIME;
}

/* ---- schema ---------------------------------------------------------- */

static void
put_type(struct tn_buf *b, struct tn_type t)
{
	static const char *const names[TN_T_COUNT] = {
		[TN_T_BOOL] = "boolean", [TN_T_INT2] = "short",
		[TN_T_INT4] = "integer", [TN_T_INT8] = "long",
		[TN_T_FLOAT4] = "float", [TN_T_FLOAT8] = "double",
		[TN_T_TEXT] = "string", [TN_T_DATE] = "date",
		[TN_T_TIMESTAMP] = "timestamp_ntz",
		[TN_T_TIMESTAMPTZ] = "timestamp", [TN_T_JSONB] = "string",
		[TN_T_UUID] = "binary", [TN_T_BYTES] = "binary",
	};

	if (t.id == TN_T_NUMERIC)
		tn_buf_printf(b, "\"decimal(%d,%d)\"", t.precision, t.scale);
	else
		tn_buf_printf(b, "\"%s\"", names[t.id]);
}

char *
tn_lake_delta_schema(const struct tn_lake_table *t, char print[static 20])
{
	struct tn_buf b = { 0 };
	const char *comma = "";
	char *s;

	tn_buf_str(&b, "{\"type\":\"struct\",\"fields\":[");
	for (uint32_t i = 0; i < t->schema->count; i++) {
		const struct tn_field *f = &t->schema->fields[i];
		if (!is_shown(f->type))
			continue;
		tn_buf_printf(&b, "%s{\"name\":", comma);
		tn_lake_put_json(&b, f->name);
		tn_buf_str(&b, ",\"type\":");
		put_type(&b, f->type);
		tn_buf_str(&b, ",\"nullable\":true,\"metadata\":{}}");
		comma = ",";
	}
	tn_buf_str(&b, "]}");
	s = tn_strdup(tn_buf_cstr(&b));
	(void)snprintf(print, 20, "%016llx", (unsigned long long)
	    tn_hash64(b.p, b.n, 0));
	tn_buf_fini(&b);
	return s;
}

/* ---- statistics ------------------------------------------------------ */

static void
put_date(struct tn_buf *b, int64_t day)
{
	int32_t y;
	uint32_t m, d;

	tn_record_civil(day, &y, &m, &d);
	tn_buf_printf(b, "%04d-%02u-%02u", (int)y, (unsigned)m, (unsigned)d);
}

static void
put_time(struct tn_buf *b, int64_t us, bool zone)
{
	int64_t day = us / DAY_US - (us % DAY_US < 0), in = us - day * DAY_US;
	int64_t s = in / 1000000;

	put_date(b, day);
	tn_buf_printf(b, "T%02d:%02d:%02d.%06d%s", (int)(s / 3600),
	    (int)(s / 60 % 60), (int)(s % 60), (int)(in % 1000000),
	    zone ? "Z" : "");
}

/* Years 1 to 9999: what every reader can take. */
static bool
is_plain_time(struct tn_type t, const struct tn_parquet_range *r)
{
	__int128 unit = t.id == TN_T_DATE ? 1 : DAY_US;

	return r->min_i >= -719162 * unit && r->max_i < 2932897 * unit;
}

static bool
is_bounded(struct tn_type t, const struct tn_parquet_range *r)
{
	if (!r->bounded)
		return false;
	switch (t.id) {
	case TN_T_INT2: case TN_T_INT4: case TN_T_INT8: case TN_T_TEXT:
		return true;
	case TN_T_FLOAT4: case TN_T_FLOAT8:
		return isfinite(r->min_f) && isfinite(r->max_f);
	case TN_T_DATE: case TN_T_TIMESTAMP: case TN_T_TIMESTAMPTZ:
		return is_plain_time(t, r);
	default:
		return false;
	}
}

static void
put_bound(struct tn_buf *b, struct tn_type t,
    const struct tn_parquet_range *r, bool max)
{
	int64_t i = (int64_t)(max ? r->max_i : r->min_i);
	struct tn_slice s = max ? r->max_s : r->min_s;

	if (t.id == TN_T_FLOAT4 || t.id == TN_T_FLOAT8) {
		tn_buf_printf(b, "%.17g", max ? r->max_f : r->min_f);
		return;
	}
	if (t.id == TN_T_INT2 || t.id == TN_T_INT4 || t.id == TN_T_INT8) {
		tn_buf_printf(b, "%lld", (long long)i);
		return;
	}
	tn_buf_char(b, '"');
	if (t.id == TN_T_TEXT)
		tn_buf_json(b, s.p, s.n);
	else if (t.id == TN_T_DATE)
		put_date(b, i);
	else
		put_time(b, i, t.id == TN_T_TIMESTAMPTZ);
	tn_buf_char(b, '"');
}

static void
put_bounds(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_parquet_range *ranges, bool max)
{
	const char *comma = "";

	tn_buf_printf(b, ",\"%sValues\":{", max ? "max" : "min");
	for (uint32_t i = 0; i < t->schema->count && i < BOUNDED_MAX; i++) {
		const struct tn_field *f = &t->schema->fields[i];
		if (!is_bounded(f->type, &ranges[i]))
			continue;
		tn_buf_str(b, comma);
		tn_lake_put_json(b, f->name);
		tn_buf_char(b, ':');
		put_bound(b, f->type, &ranges[i], max);
		comma = ",";
	}
	tn_buf_char(b, '}');
}

static void
put_nulls(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_parquet_range *ranges)
{
	const char *comma = "";

	tn_buf_str(b, ",\"nullCount\":{");
	for (uint32_t i = 0; i < t->schema->count && i < BOUNDED_MAX; i++) {
		if (!ranges[i].counted ||
		    !is_shown(t->schema->fields[i].type))
			continue;
		tn_buf_str(b, comma);
		tn_lake_put_json(b, t->schema->fields[i].name);
		tn_buf_printf(b, ":%llu", (unsigned long long)
		    ranges[i].nulls);
		comma = ",";
	}
	tn_buf_char(b, '}');
}

static void
put_stats(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_table_file *f)
{
	struct tn_parquet_range *ranges = tn_alloc((t->schema->count + 1) *
	    sizeof *ranges);
	struct tn_parquet_reader *reader = NULL;

	tn_lake_ranges(t, f->path, &reader, ranges);
	tn_buf_printf(b, "{\"numRecords\":%llu", (unsigned long long)f->rows);
	put_bounds(b, t, ranges, false);
	put_bounds(b, t, ranges, true);
	put_nulls(b, t, ranges);
	tn_buf_char(b, '}');
	tn_parquet_close(reader);
	tn_free(ranges);
}

/* ---- a commit -------------------------------------------------------- */

/* Beside the table's folder; a file elsewhere by its whole location. */
static void
put_path(struct tn_buf *b, const struct tn_lake_table *t, const char *path)
{
	size_t tier = strlen(t->tier), name = strlen(t->name);

	if (strncmp(path, t->tier, tier) == 0 && path[tier] == '/' &&
	    strncmp(path + tier + 1, t->name, name) == 0 &&
	    path[tier + 1 + name] == '/') {
		tn_buf_str(b, path + tier + name + 2);
		return;
	}
	tn_buf_printf(b, "%.*s%s", (int)(strlen(t->location) - tier - name -
	    1), t->location, path);
}

static void
put_json_path(struct tn_buf *b, const struct tn_lake_table *t,
    const char *path)
{
	struct tn_buf p = { 0 };

	put_path(&p, t, path);
	tn_lake_put_json(b, tn_buf_cstr(&p));
	tn_buf_fini(&p);
}

static void
put_add(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c, const struct tn_lake_table_file *f)
{
	struct tn_buf stats = { 0 };

	tn_buf_str(b, "{\"add\":{\"path\":");
	put_json_path(b, t, f->path);
	tn_buf_printf(b, ",\"partitionValues\":{},\"size\":%llu,"
	    "\"modificationTime\":%lld,\"dataChange\":%s,\"stats\":",
	    (unsigned long long)f->bytes, (long long)(c->cut->at_us / 1000),
	    c->cut->same_rows ? "false" : "true");
	put_stats(&stats, t, f);
	tn_lake_put_json(b, tn_buf_cstr(&stats));
	tn_buf_str(b, "}}\n");
	tn_buf_fini(&stats);
}

static void
put_remove(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c, const struct tn_lake_table_file *f)
{
	tn_buf_str(b, "{\"remove\":{\"path\":");
	put_json_path(b, t, f->path);
	tn_buf_printf(b, ",\"deletionTimestamp\":%lld,\"dataChange\":%s}}\n",
	    (long long)(c->cut->at_us / 1000),
	    c->cut->same_rows ? "false" : "true");
}

static void
put_info(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c)
{
	const struct tn_lake_delta *x = t->delta;

	tn_buf_printf(b, "{\"commitInfo\":{\"timestamp\":%lld,"
	    "\"operation\":\"%s\",\"operationParameters\":{"
	    "\"tarn.lsn\":\"%llu\",\"tarn.sequence\":\"%llu\","
	    "\"tarn.version\":\"%u\",\"tarn.files\":\"%s\","
	    "\"tarn.schema\":\"%s\",\"tarn.id\":\"%s\","
	    "\"tarn.created\":\"%lld\"},\"engineInfo\":\"tarn/"
	    TN_VERSION "\"}}\n",
	    (long long)(c->cut->at_us / 1000),
	    c->cut->same_rows ? "OPTIMIZE" : "WRITE",
	    (unsigned long long)c->cut->lsn,
	    (unsigned long long)c->cut->sequence,
	    (unsigned)c->cut->version, c->print, x->schema_print, x->id,
	    (long long)x->created_ms);
}

static void
put_shape(struct tn_buf *b, const struct tn_lake_table *t)
{
	const struct tn_lake_delta *x = t->delta;

	if (has_type(t, TN_T_TIMESTAMP))
		tn_buf_str(b, "{\"protocol\":{\"minReaderVersion\":3,"
		    "\"minWriterVersion\":7,\"readerFeatures\":" NTZ ","
		    "\"writerFeatures\":" NTZ "}}\n");
	else
		tn_buf_str(b, "{\"protocol\":{\"minReaderVersion\":1,"
		    "\"minWriterVersion\":2}}\n");
	tn_buf_printf(b, "{\"metaData\":{\"id\":\"%s\",\"format\":"
	    "{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":",
	    x->id);
	tn_lake_put_json(b, x->schema);
	tn_buf_printf(b, ",\"partitionColumns\":[],\"configuration\":{},"
	    "\"createdTime\":%lld}}\n", (long long)x->created_ms);
}

void
tn_lake_delta_lines(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_change *c)
{
	put_info(b, t, c);
	if (t->delta->stale)
		put_shape(b, t);
	tn_buf_printf(b, "{\"txn\":{\"appId\":\"tarn\",\"version\":%llu,"
	    "\"lastUpdated\":%lld}}\n", (unsigned long long)c->cut->sequence,
	    (long long)(c->cut->at_us / 1000));
	for (uint32_t i = 0; i < c->gone_count; i++)
		put_remove(b, t, c, &c->gone[i]->f);
	for (uint32_t i = 0; i < c->added_count; i++)
		put_add(b, t, c, &c->added[i]->f);
}

/* ---- checkpoints ----------------------------------------------------- */

#define LEAF(name, kind) { name, TN_PARQUET_##kind, 1, 0 }
#define TEXT_MAP(name) { name, TN_PARQUET_MAP, 1, 1 }, \
	{ "key_value", TN_PARQUET_GROUP, 2, 2 }, \
	{ "key", TN_PARQUET_TEXT, 0, 0 }, { "value", TN_PARQUET_TEXT, 1, 0 }
#define TEXT_LIST(name) { name, TN_PARQUET_LIST, 1, 1 }, \
	{ "list", TN_PARQUET_GROUP, 2, 1 }, LEAF("element", TEXT)

static const struct tn_parquet_node nodes[] = {
	{ "txn", TN_PARQUET_GROUP, 1, 2 },
	LEAF("appId", TEXT), LEAF("version", INT8),
	{ "add", TN_PARQUET_GROUP, 1, 6 },
	LEAF("path", TEXT), TEXT_MAP("partitionValues"), LEAF("size", INT8),
	LEAF("modificationTime", INT8), LEAF("dataChange", BOOL),
	LEAF("stats", TEXT),
	{ "metaData", TN_PARQUET_GROUP, 1, 6 },
	LEAF("id", TEXT), { "format", TN_PARQUET_GROUP, 1, 2 },
	LEAF("provider", TEXT), TEXT_MAP("options"),
	LEAF("schemaString", TEXT), TEXT_LIST("partitionColumns"),
	TEXT_MAP("configuration"), LEAF("createdTime", INT8),
	{ "protocol", TN_PARQUET_GROUP, 1, 4 },
	LEAF("minReaderVersion", INT4), LEAF("minWriterVersion", INT4),
	TEXT_LIST("readerFeatures"), TEXT_LIST("writerFeatures"),
};
/* Its leaves in order. */
enum leaf {
	TXN_APP, TXN_VERSION,
	ADD_PATH, ADD_KEY, ADD_VALUE, ADD_SIZE, ADD_TIME, ADD_CHANGE,
	ADD_STATS,
	META_ID, META_PROVIDER, META_OPTION_KEY, META_OPTION_VALUE,
	META_SCHEMA, META_PARTITION, META_CONF_KEY, META_CONF_VALUE,
	META_CREATED,
	PROTO_READER, PROTO_WRITER, PROTO_READS, PROTO_WRITES,
	LEAVES
};

/* A row of one action: the leaves of all others are not there. */
static void
none_but(struct tn_parquet_nested *n, enum leaf first, enum leaf last)
{
	for (uint32_t i = 0; i < LEAVES; i++)
		if (i < first || i > last)
			tn_parquet_nested_none(n, i, 0);
}

static void
text(struct tn_parquet_nested *n, enum leaf at, const char *s)
{
	tn_parquet_nested_text(n, at, tn_slice_of(s));
}

static void
add_protocol(struct tn_parquet_nested *n, const struct tn_lake_table *t)
{
	bool ntz = has_type(t, TN_T_TIMESTAMP);

	none_but(n, PROTO_READER, PROTO_WRITES);
	tn_parquet_nested_number(n, PROTO_READER, ntz ? 3 : 1);
	tn_parquet_nested_number(n, PROTO_WRITER, ntz ? 7 : 2);
	for (enum leaf i = PROTO_READS; i <= PROTO_WRITES; i++) {
		if (ntz)
			text(n, i, "timestampNtz");
		else
			tn_parquet_nested_none(n, i, 1);
	}
}

static void
add_metadata(struct tn_parquet_nested *n, const struct tn_lake_table *t)
{
	const struct tn_lake_delta *x = t->delta;

	none_but(n, META_ID, META_CREATED);
	text(n, META_ID, x->id);
	text(n, META_PROVIDER, "parquet");
	/* Empty maps and lists: there, with nothing in them. */
	tn_parquet_nested_none(n, META_OPTION_KEY, 3);
	tn_parquet_nested_none(n, META_OPTION_VALUE, 3);
	text(n, META_SCHEMA, x->schema);
	tn_parquet_nested_none(n, META_PARTITION, 2);
	tn_parquet_nested_none(n, META_CONF_KEY, 2);
	tn_parquet_nested_none(n, META_CONF_VALUE, 2);
	tn_parquet_nested_number(n, META_CREATED, x->created_ms);
}

static void
add_file(struct tn_parquet_nested *n, const struct tn_lake_table *t,
    const struct tn_lake_table_file *f, int64_t at_us)
{
	struct tn_buf path = { 0 }, stats = { 0 };

	put_path(&path, t, f->path);
	put_stats(&stats, t, f);
	none_but(n, ADD_PATH, ADD_STATS);
	text(n, ADD_PATH, tn_buf_cstr(&path));
	tn_parquet_nested_none(n, ADD_KEY, 2);
	tn_parquet_nested_none(n, ADD_VALUE, 2);
	tn_parquet_nested_number(n, ADD_SIZE, (int64_t)f->bytes);
	tn_parquet_nested_number(n, ADD_TIME, at_us / 1000);
	tn_parquet_nested_number(n, ADD_CHANGE, 0);
	text(n, ADD_STATS, tn_buf_cstr(&stats));
	tn_buf_fini(&path);
	tn_buf_fini(&stats);
}

enum tn_status
tn_lake_delta_state(struct tn_buf *b, const struct tn_lake_table *t,
    int64_t at_us)
{
	const struct tn_lake_delta *x = t->delta;
	struct tn_parquet_nested *n = tn_parquet_nested_new(nodes,
	    TN_COUNT(nodes));
	enum tn_status st;

	add_protocol(n, t);
	add_metadata(n, t);
	none_but(n, TXN_APP, TXN_VERSION);
	text(n, TXN_APP, "tarn");
	tn_parquet_nested_number(n, TXN_VERSION, (int64_t)x->sequence);
	for (uint32_t i = 0; i < x->names.count; i++)
		add_file(n, t, &x->names.p[i].f, at_us);
	st = tn_parquet_nested_finish(n, b);
	tn_parquet_nested_free(n);
	return st;
}
