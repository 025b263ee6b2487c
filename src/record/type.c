/* Types and schemas: names and widths of types, deep copies of schemas.
 *
 * A schema copy is one block: the struct, its fields, then all names with
 * their NULs, so that one free drops it and a batch can hold it in its arena.
 * Nothing here can fail but memory. */
#include "record/record_int.h"

#include <stdio.h>
#include <string.h>

struct type_info {
	const char *name;  /* PostgreSQL's. */
	uint8_t width;
};

static const struct type_info infos[TN_T_COUNT] = {
	[TN_T_NONE] = { "unknown", 0 },
	[TN_T_BOOL] = { "boolean", 1 },
	[TN_T_INT2] = { "smallint", 2 },
	[TN_T_INT4] = { "integer", 4 },
	[TN_T_INT8] = { "bigint", 8 },
	[TN_T_FLOAT4] = { "real", 4 },
	[TN_T_FLOAT8] = { "double precision", 8 },
	[TN_T_NUMERIC] = { "numeric", 16 },
	[TN_T_TEXT] = { "text", 0 },
	[TN_T_DATE] = { "date", 4 },
	[TN_T_TIME] = { "time without time zone", 8 },
	[TN_T_TIMESTAMP] = { "timestamp without time zone", 8 },
	[TN_T_TIMESTAMPTZ] = { "timestamp with time zone", 8 },
	[TN_T_INTERVAL] = { "interval", 16 },
	[TN_T_JSONB] = { "jsonb", 0 },
	[TN_T_UUID] = { "uuid", 16 },
	[TN_T_BYTES] = { "bytea", 0 },
};

_Static_assert(sizeof(struct tn_interval) == 16, "interval is 16 bytes");
_Static_assert(sizeof(__int128) == 16, "numeric is 16 bytes");

struct tn_type
tn_record_type(enum tn_type_id id)
{
	struct tn_type t = { .id = (uint8_t)id };

	tn_assert((unsigned)id < TN_T_COUNT);
	if (id == TN_T_NUMERIC) {
		t.precision = TN_NUMERIC_DIGITS_MAX;
		t.scale = TN_NUMERIC_SCALE_DEFAULT;
	}
	return t;
}

const char *
tn_record_type_name(struct tn_type t, char buf[static 48])
{
	tn_assert(t.id < TN_T_COUNT);
	if (t.id == TN_T_NUMERIC && t.declared)
		snprintf(buf, 48, "numeric(%u,%u)", (unsigned)t.precision,
		    (unsigned)t.scale);
	else if (t.id == TN_T_TEXT && t.length_max != 0)
		snprintf(buf, 48, "character varying(%u)",
		    (unsigned)t.length_max);
	else
		snprintf(buf, 48, "%s", infos[t.id].name);
	return buf;
}

size_t
tn_record_type_width(struct tn_type t)
{
	tn_assert(t.id < TN_T_COUNT);
	return infos[t.id].width;
}

bool
tn_record_type_eq(struct tn_type a, struct tn_type b)
{
	if (a.id != b.id)
		return false;
	if (a.id == TN_T_NUMERIC)
		return a.precision == b.precision && a.scale == b.scale &&
		    a.declared == b.declared;
	return a.id != TN_T_TEXT || a.length_max == b.length_max;
}

size_t
tn_record_schema_bytes(const struct tn_schema *s)
{
	size_t n = sizeof *s + s->count * sizeof *s->fields;

	n += strlen(s->name != NULL ? s->name : "") + 1;
	for (uint32_t i = 0; i < s->count; i++)
		n += strlen(s->fields[i].name) + 1;
	return n;
}

static char *
name_write(char *at, const char *name)
{
	size_t n = strlen(name) + 1;

	memcpy(at, name, n);
	return at + n;
}

struct tn_schema *
tn_record_schema_write(void *at, const struct tn_schema *s)
{
	struct tn_schema *copy = at;
	struct tn_field *fields = (struct tn_field *)(copy + 1);
	char *names = (char *)(fields + s->count);

	tn_assert(s->count <= TN_COLUMNS_MAX);
	copy->name = names;
	copy->count = s->count;
	copy->fields = fields;
	names = name_write(names, s->name != NULL ? s->name : "");
	for (uint32_t i = 0; i < s->count; i++) {
		fields[i] = s->fields[i];
		fields[i].name = names;
		names = name_write(names, s->fields[i].name);
	}
	tn_assert((size_t)(names - (char *)at) == tn_record_schema_bytes(s));
	return copy;
}

struct tn_schema *
tn_record_schema_copy(const struct tn_schema *s)
{
	return tn_record_schema_write(tn_alloc(tn_record_schema_bytes(s)), s);
}

int
tn_record_schema_find(const struct tn_schema *s, struct tn_slice name)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const char *own = s->fields[i].name;

		if (strlen(own) == name.n &&
		    memcmp(own, name.p, name.n) == 0)
			return (int)i;
	}
	return -1;
}
