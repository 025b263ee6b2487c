/* vN.metadata.json of an Iceberg table (specification, format version 2), from
 * what iceberg.c keeps in memory, and back at a start.
 *
 * Files carry no field ids: columns are told by name. So a column's id belongs
 * to its name for ever, and the name mapping, which readers find columns by,
 * is also where the ids of names long gone are kept. A type that changed in
 * another way than Iceberg's evolution allows does no harm: all files of a
 * table are made anew with the definition, and older snapshots have the schema
 * of their time. */
#include "lake/iceberg_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define MAPPING "schema.name-mapping.default"
#define PRINT "tarn.files"

/* ---- texts with ids -------------------------------------------------- */

static int
text_of(struct tn_lake_texts *x, const char *json, bool *fresh)
{
	int next = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		if (strcmp(x->p[i].json, json) == 0)
			return x->p[i].id;
		if (x->p[i].id >= next)
			next = x->p[i].id + 1;
	}
	x->p = tn_realloc(x->p, (x->count + 1ul) * sizeof *x->p);
	x->p[x->count++] = (struct tn_lake_text){ next, tn_strdup(json) };
	*fresh = true;
	return next;
}

const char *
tn_lake_iceberg_text(const struct tn_lake_texts *x, int id)
{
	for (uint32_t i = 0; i < x->count; i++)
		if (x->p[i].id == id)
			return x->p[i].json;
	return "";
}

/* ---- columns --------------------------------------------------------- */

int
tn_lake_iceberg_column(const struct tn_lake_iceberg *x, const char *name)
{
	for (uint32_t i = 0; i < x->column_count; i++)
		if (strcmp(x->columns[i], name) == 0)
			return (int)i + 1;
	return 0;
}

static void
add_column(struct tn_lake_iceberg *x, const char *name)
{
	x->columns = tn_realloc(x->columns, (x->column_count + 1ul) *
	    sizeof *x->columns);
	x->columns[x->column_count++] = tn_strdup(name);
}

static void
put_type(struct tn_buf *b, struct tn_type t)
{
	static const char *const names[TN_T_COUNT] = {
		[TN_T_BOOL] = "boolean", [TN_T_INT2] = "int",
		[TN_T_INT4] = "int", [TN_T_INT8] = "long",
		[TN_T_FLOAT4] = "float", [TN_T_FLOAT8] = "double",
		[TN_T_TEXT] = "string", [TN_T_DATE] = "date",
		[TN_T_TIME] = "time", [TN_T_TIMESTAMP] = "timestamp",
		[TN_T_TIMESTAMPTZ] = "timestamptz", [TN_T_JSONB] = "string",
		[TN_T_UUID] = "uuid", [TN_T_BYTES] = "binary",
	};

	if (t.id == TN_T_NUMERIC)
		tn_buf_printf(b, "\"decimal(%d,%d)\"", t.precision, t.scale);
	else
		tn_buf_printf(b, "\"%s\"", names[t.id]);
}

static void
put_fields(struct tn_buf *b, const struct tn_lake_table *t)
{
	tn_buf_str(b, "\"fields\":[");
	for (uint32_t i = 0; i < t->schema->count; i++) {
		const struct tn_field *f = &t->schema->fields[i];
		tn_buf_printf(b, "%s{\"id\":%d,\"name\":", i > 0 ? "," : "",
		    tn_lake_iceberg_column(t->iceberg, f->name));
		tn_lake_put_json(b, f->name);
		tn_buf_str(b, ",\"required\":false,\"type\":");
		put_type(b, f->type);
		tn_buf_char(b, '}');
	}
	tn_buf_char(b, ']');
}

/* A text that carries its own id: the id that its fields have already, or
 * the next. */
static int
with_id(struct tn_lake_texts *x, const char *id_name, const char *rest,
    bool *fresh)
{
	struct tn_buf b = { 0 };
	int found = -1, next = 0;

	for (uint32_t i = 0; i < x->count && found < 0; i++) {
		tn_buf_clear(&b);
		tn_buf_printf(&b, "{\"%s\":%d,%s}", id_name, x->p[i].id,
		    rest);
		if (strcmp(tn_buf_cstr(&b), x->p[i].json) == 0)
			found = x->p[i].id;
		if (x->p[i].id >= next)
			next = x->p[i].id + 1;
	}
	if (found < 0) {
		tn_buf_clear(&b);
		tn_buf_printf(&b, "{\"%s\":%d,%s}", id_name, next, rest);
		found = next;
		x->p = tn_realloc(x->p, (x->count + 1ul) * sizeof *x->p);
		x->p[x->count++] = (struct tn_lake_text){ next,
		    tn_strdup(tn_buf_cstr(&b)) };
		*fresh = true;
	}
	tn_buf_fini(&b);
	return found;
}

void
tn_lake_iceberg_day(const struct tn_lake_table *t, char out[static 24])
{
	(void)snprintf(out, 24, "day_of_event");
	while (tn_record_schema_find(t->schema, tn_slice_of(out)) >= 0 &&
	    strlen(out) < 22)
		strcat(out, "_");
}

/* The spec is the bare array of its fields, as manifests want it. */
static void
shape_spec(struct tn_lake_table *t, bool *fresh)
{
	struct tn_lake_iceberg *x = t->iceberg;
	struct tn_buf b = { 0 };
	char day[24];
	int next = 0;

	tn_lake_iceberg_day(t, day);
	/* A field's id says which spec it is of: no two share one. */
	for (uint32_t i = 0; i < x->specs.count; i++)
		if (x->specs.p[i].id >= next)
			next = x->specs.p[i].id + 1;
	for (int id = 0; id <= next; id++) {
		tn_buf_clear(&b);
		if (t->day_column < 0)
			tn_buf_str(&b, "[]");
		else
			tn_buf_printf(&b, "[{\"name\":\"%s\",\"transform\":"
			    "\"day\",\"source-id\":%d,\"field-id\":%d}]", day,
			    tn_lake_iceberg_column(x, t->schema->fields[
			    t->day_column].name), 1000 + id);
		if (strcmp(tn_lake_iceberg_text(&x->specs, id),
		    tn_buf_cstr(&b)) == 0)
			break;
	}
	x->spec = text_of(&x->specs, tn_buf_cstr(&b), fresh);
	tn_buf_fini(&b);
}

static void
shape_order(struct tn_lake_table *t, bool *fresh)
{
	struct tn_lake_iceberg *x = t->iceberg;
	char rest[160];

	x->order = with_id(&x->orders, "order-id", "\"fields\":[]", fresh);
	if (t->sorted_column < 0)
		return;
	(void)snprintf(rest, sizeof rest, "\"fields\":[{\"transform\":"
	    "\"identity\",\"source-id\":%d,\"direction\":\"asc\","
	    "\"null-order\":\"nulls-last\"}]", tn_lake_iceberg_column(x,
	    t->schema->fields[t->sorted_column].name));
	x->order = with_id(&x->orders, "order-id", rest, fresh);
}

bool
tn_lake_iceberg_shape(struct tn_lake_table *t)
{
	struct tn_lake_iceberg *x = t->iceberg;
	int schema = x->schema, spec = x->spec, order = x->order;
	struct tn_buf b = { 0 };
	bool fresh = false;

	for (uint32_t i = 0; i < t->schema->count; i++)
		if (tn_lake_iceberg_column(x, t->schema->fields[i].name) == 0)
			add_column(x, t->schema->fields[i].name);
	/* A name that the mapping lacks makes some readers give up. */
	for (uint32_t i = 0; i < t->hidden_count; i++)
		if (tn_lake_iceberg_column(x, t->hidden[i]) == 0)
			add_column(x, t->hidden[i]);
	tn_buf_str(&b, "\"type\":\"struct\",");
	put_fields(&b, t);
	x->schema = with_id(&x->schemas, "schema-id", tn_buf_cstr(&b),
	    &fresh);
	tn_buf_fini(&b);
	shape_spec(t, &fresh);
	shape_order(t, &fresh);
	return fresh || schema != x->schema || spec != x->spec ||
	    order != x->order;
}

/* ---- writing --------------------------------------------------------- */

static bool
schema_is_used(const struct tn_lake_iceberg *x, int id)
{
	for (uint32_t i = 0; i < x->snapshot_count; i++)
		if (x->snapshots[i].schema == id)
			return true;
	return id == x->schema;
}

static void
put_mapping(struct tn_buf *b, const struct tn_lake_iceberg *x)
{
	struct tn_buf m = { 0 };

	for (uint32_t i = 0; i < x->column_count; i++) {
		tn_buf_printf(&m, "%s{\"field-id\":%u,\"names\":[",
		    i > 0 ? "," : "[", (unsigned)i + 1);
		tn_lake_put_json(&m, x->columns[i]);
		tn_buf_str(&m, "]}");
	}
	tn_buf_char(&m, ']');
	tn_lake_put_json(b, tn_buf_cstr(&m));
	tn_buf_fini(&m);
}

static void
put_snapshot(struct tn_buf *b, const struct tn_lake_table *t,
    const struct tn_lake_snapshot *s)
{
	unsigned long long id = s->id;

	tn_buf_printf(b, "{\"snapshot-id\":%llu,", id);
	if (s->parent != 0)
		tn_buf_printf(b, "\"parent-snapshot-id\":%llu,",
		    (unsigned long long)s->parent);
	tn_buf_printf(b, "\"sequence-number\":%llu,\"timestamp-ms\":%lld,"
	    "\"schema-id\":%d,\"manifest-list\":", id, (long long)s->at_ms,
	    s->schema);
	tn_buf_char(b, '"');
	tn_buf_json(b, t->location, strlen(t->location));
	tn_buf_printf(b, "/" TN_LAKE_ICEBERG_FOLDER "/snap-%llu.avro\","
	    "\"summary\":%s}", id, s->summary);
}

static void
put_history(struct tn_buf *b, const struct tn_lake_table *t)
{
	const struct tn_lake_iceberg *x = t->iceberg;

	tn_buf_str(b, ",\"snapshots\":[");
	for (uint32_t i = 0; i < x->snapshot_count; i++) {
		if (i > 0)
			tn_buf_char(b, ',');
		put_snapshot(b, t, &x->snapshots[i]);
	}
	tn_buf_str(b, "],\"snapshot-log\":[");
	for (uint32_t i = 0; i < x->snapshot_count; i++)
		tn_buf_printf(b, "%s{\"timestamp-ms\":%lld,\"snapshot-id\":"
		    "%llu}", i > 0 ? "," : "", (long long)
		    x->snapshots[i].at_ms, (unsigned long long)
		    x->snapshots[i].id);
	tn_buf_str(b, "],\"metadata-log\":[]}");
}

static void
put_shapes(struct tn_buf *b, const struct tn_lake_iceberg *x)
{
	const char *comma = "";
	unsigned top = 999;

	tn_buf_printf(b, ",\"current-schema-id\":%d,\"schemas\":[",
	    x->schema);
	for (uint32_t i = 0; i < x->schemas.count; i++) {
		if (!schema_is_used(x, x->schemas.p[i].id))
			continue;
		tn_buf_printf(b, "%s", comma);
		tn_buf_str(b, x->schemas.p[i].json);
		comma = ",";
	}
	tn_buf_printf(b, "],\"default-spec-id\":%d,\"partition-specs\":[",
	    x->spec);
	for (uint32_t i = 0; i < x->specs.count; i++) {
		tn_buf_printf(b, "%s{\"spec-id\":%d,\"fields\":",
		    i > 0 ? "," : "", x->specs.p[i].id);
		tn_buf_str(b, x->specs.p[i].json);
		tn_buf_char(b, '}');
		if (strcmp(x->specs.p[i].json, "[]") != 0)
			top = 1000 + (unsigned)x->specs.p[i].id;
	}
	tn_buf_printf(b, "],\"last-partition-id\":%u,"
	    "\"default-sort-order-id\":%d,\"sort-orders\":[", top, x->order);
	for (uint32_t i = 0; i < x->orders.count; i++) {
		tn_buf_str(b, i > 0 ? "," : "");
		tn_buf_str(b, x->orders.p[i].json);
	}
	tn_buf_char(b, ']');
}

void
tn_lake_iceberg_write(struct tn_buf *b, const struct tn_lake_table *t)
{
	const struct tn_lake_iceberg *x = t->iceberg;
	unsigned long long now = x->sequence;

	tn_buf_printf(b, "{\"format-version\":2,\"table-uuid\":\"%s\","
	    "\"location\":", x->uuid);
	tn_lake_put_json(b, t->location);
	tn_buf_printf(b, ",\"last-sequence-number\":%llu,"
	    "\"last-updated-ms\":%lld,\"last-column-id\":%u", now,
	    (long long)x->updated_ms, (unsigned)x->column_count);
	put_shapes(b, x);
	/* Spark's reader of whole columns does not know delta encodings. */
	tn_buf_str(b, ",\"properties\":{\"write.format.default\":\"parquet\","
	    "\"read.parquet.vectorization.enabled\":\"false\","
	    "\"" MAPPING "\":");
	put_mapping(b, x);
	tn_buf_printf(b, ",\"" PRINT "\":\"%s\"}", x->print);
	if (now != 0)
		tn_buf_printf(b, ",\"current-snapshot-id\":%llu,\"refs\":"
		    "{\"main\":{\"snapshot-id\":%llu,\"type\":\"branch\"}}",
		    now, now);
	put_history(b, t);
}

/* ---- reading --------------------------------------------------------- */

static void
put_tree(struct tn_buf *b, const struct tn_json *j)
{
	static const char *const words[] = { "null", "false", "true" };

	if (j->kind <= TN_JSON_TRUE) {
		tn_buf_str(b, words[j->kind]);
	} else if (j->kind == TN_JSON_NUMBER) {
		tn_buf_add(b, j->text.p, j->text.n);
	} else if (j->kind == TN_JSON_STRING) {
		tn_buf_char(b, '"');
		tn_buf_json(b, j->text.p, j->text.n);
		tn_buf_char(b, '"');
	} else {
		bool object = j->kind == TN_JSON_OBJECT;
		tn_buf_char(b, object ? '{' : '[');
		for (uint32_t i = 0; i < j->count; i++) {
			if (i > 0)
				tn_buf_char(b, ',');
			if (object) {
				tn_buf_char(b, '"');
				tn_buf_json(b, j->keys[i].p, j->keys[i].n);
				tn_buf_str(b, "\":");
			}
			put_tree(b, &j->items[i]);
		}
		tn_buf_char(b, object ? '}' : ']');
	}
}

static char *
tree_text(const struct tn_json *j)
{
	struct tn_buf b = { 0 };
	char *s;

	put_tree(&b, j);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static bool
text_is(const struct tn_json *o, const char *key, const char *want)
{
	const struct tn_json *j = tn_codec_json_get(o, key);

	return j != NULL && j->kind == TN_JSON_STRING &&
	    tn_slice_is(j->text, want);
}

static void
copy_text(const struct tn_json *o, const char *key, char *out, size_t n)
{
	const struct tn_json *j = tn_codec_json_get(o, key);

	out[0] = '\0';
	if (j != NULL && j->kind == TN_JSON_STRING && j->text.n < n)
		(void)snprintf(out, n, "%.*s", (int)j->text.n,
		    (const char *)j->text.p);
}

/* ${inner}: keep only that member of each item. */
static bool
read_texts(struct tn_lake_texts *x, const struct tn_json *list,
    const char *id_name, const char *inner)
{
	if (list == NULL || list->kind != TN_JSON_ARRAY)
		return false;
	x->p = tn_zalloc((list->count + 1ul) * sizeof *x->p);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct tn_json *j = inner == NULL ? &list->items[i] :
		    tn_codec_json_get(&list->items[i], inner);
		if (j == NULL)
			return false;
		x->p[x->count++] = (struct tn_lake_text){
		    (int)tn_codec_json_i64(&list->items[i], id_name, 0),
		    tree_text(j) };
	}
	return true;
}

static bool
read_snapshots(struct tn_lake_iceberg *x, const struct tn_json *list)
{
	if (list == NULL || list->kind != TN_JSON_ARRAY)
		return false;
	x->snapshots = tn_zalloc((list->count + 1ul) * sizeof *x->snapshots);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct tn_json *j = &list->items[i];
		const struct tn_json *summary = tn_codec_json_get(j,
		    "summary");
		if (summary == NULL)
			return false;
		x->snapshots[x->snapshot_count++] = (struct tn_lake_snapshot){
		    (uint64_t)tn_codec_json_i64(j, "snapshot-id", 0),
		    (uint64_t)tn_codec_json_i64(j, "parent-snapshot-id", 0),
		    tn_codec_json_i64(j, "timestamp-ms", 0),
		    (int)tn_codec_json_i64(j, "schema-id", 0),
		    tree_text(summary) };
	}
	return true;
}

static bool
read_columns(struct tn_lake_iceberg *x, const struct tn_json *text,
    struct tn_arena *a)
{
	struct tn_json *list = NULL;
	struct tn_diag d = { .line = 0 };

	if (text == NULL || text->kind != TN_JSON_STRING ||
	    tn_codec_json_parse(a, text->text, &list, &d) != TN_OK ||
	    list->kind != TN_JSON_ARRAY)
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct tn_json *names = tn_codec_json_get(
		    &list->items[i], "names");
		if (names == NULL || names->count != 1 ||
		    tn_codec_json_i64(&list->items[i], "field-id", 0) != i + 1)
			return false;
		x->columns = tn_realloc(x->columns, (x->column_count + 1ul) *
		    sizeof *x->columns);
		x->columns[x->column_count++] = tn_strndup((const char *)
		    names->items[0].text.p, names->items[0].text.n);
	}
	return true;
}

bool
tn_lake_iceberg_read(struct tn_lake_table *t, struct tn_slice text)
{
	struct tn_lake_iceberg *x = t->iceberg;
	struct tn_arena *a = tn_arena_new(65536);
	struct tn_diag d = { .line = 0 };
	struct tn_json *j = NULL;
	const struct tn_json *p;
	bool good = tn_codec_json_parse(a, text, &j, &d) == TN_OK;

	p = good ? tn_codec_json_get(j, "properties") : NULL;
	good = p != NULL && text_is(j, "location", t->location) &&
	    read_texts(&x->schemas, tn_codec_json_get(j, "schemas"),
	    "schema-id", NULL) &&
	    read_texts(&x->specs, tn_codec_json_get(j, "partition-specs"),
	    "spec-id", "fields") &&
	    read_texts(&x->orders, tn_codec_json_get(j, "sort-orders"),
	    "order-id", NULL) &&
	    read_snapshots(x, tn_codec_json_get(j, "snapshots")) &&
	    read_columns(x, tn_codec_json_get(p, MAPPING), a);
	if (good) {
		copy_text(j, "table-uuid", x->uuid, sizeof x->uuid);
		copy_text(p, PRINT, x->print, sizeof x->print);
		x->sequence = (uint64_t)tn_codec_json_i64(j,
		    "current-snapshot-id", 0);
		x->updated_ms = tn_codec_json_i64(j, "last-updated-ms", 0);
		x->schema = (int)tn_codec_json_i64(j, "current-schema-id", 0);
		x->spec = (int)tn_codec_json_i64(j, "default-spec-id", 0);
		x->order = (int)tn_codec_json_i64(j, "default-sort-order-id",
		    0);
		good = strlen(x->uuid) == 36;
	}
	tn_arena_free(a);
	return good;
}
