/* types: how our types are stored in Parquet, what foreign columns mean, and
 * the conversion of stored values.
 *
 * A foreign column that has no counterpart is refused with its name and a
 * hint, never guessed. Timestamps in nanoseconds lose their last three
 * digits; JSON is jsonb only in our own files, because foreign JSON is not
 * canonical. */
#include "parquet/parquet_int.h"

/* ---- ours to Parquet's ----------------------------------------------- */

struct mapping {
	uint8_t physical;
	uint8_t convert;
	int8_t converted;
	uint8_t logical;
	uint8_t fixed_bytes;
	uint8_t bits;
	bool utc;
};

static const struct mapping mappings[TN_T_COUNT] = {
	[TN_T_BOOL] = { TN_PQ_BOOLEAN, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_NONE, 0, 0, false },
	[TN_T_INT2] = { TN_PQ_INT32, TN_PQ_TO_I16, TN_PQ_C_I8 + 1,
	    TN_PQ_L_INTEGER, 0, 16, false },
	[TN_T_INT4] = { TN_PQ_INT32, TN_PQ_SAME, TN_PQ_C_I8 + 2,
	    TN_PQ_L_INTEGER, 0, 32, false },
	[TN_T_INT8] = { TN_PQ_INT64, TN_PQ_SAME, TN_PQ_C_I64,
	    TN_PQ_L_INTEGER, 0, 64, false },
	[TN_T_FLOAT4] = { TN_PQ_FLOAT, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_NONE, 0, 0, false },
	[TN_T_FLOAT8] = { TN_PQ_DOUBLE, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_NONE, 0, 0, false },
	[TN_T_NUMERIC] = { TN_PQ_FIXED, TN_PQ_DEC_FIXED, TN_PQ_C_DECIMAL,
	    TN_PQ_L_DECIMAL, 16, 0, false },
	[TN_T_TEXT] = { TN_PQ_BYTE_ARRAY, TN_PQ_SAME, TN_PQ_C_UTF8,
	    TN_PQ_L_STRING, 0, 0, false },
	[TN_T_DATE] = { TN_PQ_INT32, TN_PQ_SAME, TN_PQ_C_DATE,
	    TN_PQ_L_DATE, 0, 0, false },
	[TN_T_TIME] = { TN_PQ_INT64, TN_PQ_SAME, TN_PQ_C_TIME_US,
	    TN_PQ_L_TIME, 0, 0, false },
	/* The converted type means UTC, so the local one must not have it. */
	[TN_T_TIMESTAMP] = { TN_PQ_INT64, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_TIMESTAMP, 0, 0, false },
	[TN_T_TIMESTAMPTZ] = { TN_PQ_INT64, TN_PQ_SAME, TN_PQ_C_TS_US,
	    TN_PQ_L_TIMESTAMP, 0, 0, true },
	[TN_T_JSONB] = { TN_PQ_BYTE_ARRAY, TN_PQ_SAME, TN_PQ_C_JSON,
	    TN_PQ_L_JSON, 0, 0, false },
	[TN_T_UUID] = { TN_PQ_FIXED, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_UUID, 16, 0, false },
	[TN_T_BYTES] = { TN_PQ_BYTE_ARRAY, TN_PQ_SAME, TN_PQ_C_NONE,
	    TN_PQ_L_NONE, 0, 0, false },
};

/* Numerics of up to 18 digits fit INT64, which every reader does fast. */
#define INT64_DIGITS 18

enum tn_status
tn_parquet_leaf_of(const struct tn_field *f, struct pq_leaf *leaf,
    struct pq_element *e)
{
	struct mapping m;

	tn_assert(f->type.id < TN_T_COUNT);
	if (f->type.id == TN_T_NONE || f->type.id == TN_T_INTERVAL)
		return TN_EUNSUPPORTED;
	m = mappings[f->type.id];
	if (f->type.id == TN_T_NUMERIC && f->type.precision <= INT64_DIGITS) {
		m.physical = TN_PQ_INT64;
		m.convert = TN_PQ_DEC64;
		m.fixed_bytes = 0;
	}
	*leaf = (struct pq_leaf){ f->name, f->type, m.physical, m.convert,
	    !f->not_null, true, m.fixed_bytes, false };
	*e = (struct pq_element){ .name = tn_slice_of(f->name),
	    .physical = m.physical, .repetition = f->not_null ? 0 : 1,
	    .fixed_bytes = m.fixed_bytes, .converted = m.converted,
	    .precision = f->type.precision, .scale = f->type.scale,
	    .logical = m.logical, .unit = TN_PQ_MICROS, .bits = m.bits,
	    .is_signed = true, .utc = m.utc };
	return TN_OK;
}

/* ---- Parquet's to ours ----------------------------------------------- */

static void
set(struct pq_leaf *leaf, enum tn_type_id id, enum pq_convert convert)
{
	leaf->type = tn_record_type(id);
	leaf->convert = (uint8_t)convert;
}

static void
set_numeric(struct pq_leaf *leaf, int precision, int scale,
    enum pq_convert convert)
{
	set(leaf, TN_T_NUMERIC, convert);
	leaf->type.precision = (uint8_t)precision;
	leaf->type.scale = (uint8_t)scale;
	leaf->type.declared = precision != TN_NUMERIC_DIGITS_MAX ||
	    scale != TN_NUMERIC_SCALE_DEFAULT;
}

static bool
from_decimal(const struct pq_element *e, struct pq_leaf *leaf)
{
	static const uint8_t convert[] = {
		[TN_PQ_INT32] = TN_PQ_DEC32, [TN_PQ_INT64] = TN_PQ_DEC64,
		[TN_PQ_BYTE_ARRAY] = TN_PQ_DEC_BYTES,
		[TN_PQ_FIXED] = TN_PQ_DEC_FIXED,
	};

	if (e->precision < 1 || e->precision > TN_NUMERIC_DIGITS_MAX ||
	    e->scale < 0 || e->scale > e->precision ||
	    convert[e->physical] == 0)
		return false;
	set_numeric(leaf, e->precision, e->scale, convert[e->physical]);
	return true;
}

static bool
from_integer(const struct pq_element *e, struct pq_leaf *leaf)
{
	static const struct {
		uint8_t bits;
		uint8_t physical;
		uint8_t id[2];          /* Unsigned, signed. */
		uint8_t convert[2];
	} kinds[] = {
		{ 8, TN_PQ_INT32, { TN_T_INT2, TN_T_INT2 },
		    { TN_PQ_FROM_U8, TN_PQ_TO_I16 } },
		{ 16, TN_PQ_INT32, { TN_T_INT4, TN_T_INT2 },
		    { TN_PQ_FROM_U16, TN_PQ_TO_I16 } },
		{ 32, TN_PQ_INT32, { TN_T_INT8, TN_T_INT4 },
		    { TN_PQ_FROM_U32, TN_PQ_SAME } },
		{ 64, TN_PQ_INT64, { TN_T_NUMERIC, TN_T_INT8 },
		    { TN_PQ_FROM_U64, TN_PQ_SAME } },
	};

	for (size_t i = 0; i < TN_COUNT(kinds); i++) {
		if (kinds[i].bits != e->bits ||
		    kinds[i].physical != e->physical)
			continue;
		if (kinds[i].id[e->is_signed] == TN_T_NUMERIC)
			set_numeric(leaf, 20, 0, TN_PQ_FROM_U64);
		else
			set(leaf, kinds[i].id[e->is_signed],
			    kinds[i].convert[e->is_signed]);
		return true;
	}
	return false;
}

static bool
from_time(const struct pq_element *e, struct pq_leaf *leaf)
{
	bool stamp = e->logical == TN_PQ_L_TIMESTAMP;
	enum tn_type_id id = TN_T_TIME;
	bool is64 = e->physical == TN_PQ_INT64;

	if (stamp)
		id = e->utc ? TN_T_TIMESTAMPTZ : TN_T_TIMESTAMP;
	if (e->unit == TN_PQ_MILLIS && !stamp && e->physical == TN_PQ_INT32)
		set(leaf, id, TN_PQ_MS32);
	else if (e->unit == TN_PQ_MILLIS && stamp && is64)
		set(leaf, id, TN_PQ_MS);
	else if (e->unit == TN_PQ_MICROS && is64)
		set(leaf, id, TN_PQ_SAME);
	else if (e->unit == TN_PQ_NANOS && is64)
		set(leaf, id, TN_PQ_NS);
	else
		return false;
	return true;
}

/* No logical type: what the physical type says. */
static bool
from_physical(const struct pq_element *e, struct pq_leaf *leaf)
{
	static const uint8_t ids[] = {
		[TN_PQ_BOOLEAN] = TN_T_BOOL, [TN_PQ_INT32] = TN_T_INT4,
		[TN_PQ_INT64] = TN_T_INT8, [TN_PQ_INT96] = TN_T_TIMESTAMP,
		[TN_PQ_FLOAT] = TN_T_FLOAT4, [TN_PQ_DOUBLE] = TN_T_FLOAT8,
		[TN_PQ_BYTE_ARRAY] = TN_T_BYTES, [TN_PQ_FIXED] = TN_T_BYTES,
	};
	enum pq_convert convert = TN_PQ_SAME;

	if (e->physical == TN_PQ_INT96)
		convert = TN_PQ_JULIAN;
	if (e->physical == TN_PQ_FIXED)
		convert = TN_PQ_BLOB;
	set(leaf, ids[e->physical], convert);
	return true;
}

static bool
from_bytes(const struct pq_element *e, bool ours, struct pq_leaf *leaf)
{
	bool json = e->logical == TN_PQ_L_JSON;

	if (e->physical != TN_PQ_BYTE_ARRAY)
		return false;
	set(leaf, json && ours ? TN_T_JSONB : TN_T_TEXT, TN_PQ_SAME);
	leaf->json = json && !ours;
	return true;
}

static bool
from_fixed(const struct pq_element *e, struct pq_leaf *leaf, int32_t bytes,
    enum tn_type_id id, enum pq_convert convert)
{
	if (e->physical != TN_PQ_FIXED || e->fixed_bytes != bytes)
		return false;
	set(leaf, id, convert);
	return true;
}

/* Files of before logical types have converted ones. */
static void
converted_to_logical(struct pq_element *e)
{
	static const struct {
		uint8_t logical;
		uint8_t unit;
		uint8_t bits;
	} known[] = {
		[TN_PQ_C_UTF8] = { TN_PQ_L_STRING, 0, 0 },
		[TN_PQ_C_ENUM] = { TN_PQ_L_STRING, 0, 0 },
		[TN_PQ_C_DECIMAL] = { TN_PQ_L_DECIMAL, 0, 0 },
		[TN_PQ_C_DATE] = { TN_PQ_L_DATE, 0, 0 },
		[TN_PQ_C_TIME_MS] = { TN_PQ_L_TIME, TN_PQ_MILLIS, 0 },
		[TN_PQ_C_TIME_US] = { TN_PQ_L_TIME, TN_PQ_MICROS, 0 },
		[TN_PQ_C_TS_MS] = { TN_PQ_L_TIMESTAMP, TN_PQ_MILLIS, 0 },
		[TN_PQ_C_TS_US] = { TN_PQ_L_TIMESTAMP, TN_PQ_MICROS, 0 },
		[TN_PQ_C_U8] = { TN_PQ_L_INTEGER, 0, 8 },
		[TN_PQ_C_U8 + 1] = { TN_PQ_L_INTEGER, 0, 16 },
		[TN_PQ_C_U8 + 2] = { TN_PQ_L_INTEGER, 0, 32 },
		[TN_PQ_C_U64] = { TN_PQ_L_INTEGER, 0, 64 },
		[TN_PQ_C_I8] = { TN_PQ_L_INTEGER, 0, 8 },
		[TN_PQ_C_I8 + 1] = { TN_PQ_L_INTEGER, 0, 16 },
		[TN_PQ_C_I8 + 2] = { TN_PQ_L_INTEGER, 0, 32 },
		[TN_PQ_C_I64] = { TN_PQ_L_INTEGER, 0, 64 },
		[TN_PQ_C_JSON] = { TN_PQ_L_JSON, 0, 0 },
	};
	int c = e->converted;

	if (e->logical != TN_PQ_L_NONE || c < 0 || c >= (int)TN_COUNT(known))
		return;
	e->logical = known[c].logical;
	e->unit = known[c].unit;
	e->bits = known[c].bits;
	e->utc = true;
	e->is_signed = c >= TN_PQ_C_I8;
}

static bool
understand(const struct pq_element *e, bool ours, struct pq_leaf *leaf)
{
	switch (e->logical) {
	case TN_PQ_L_NONE:
		return from_physical(e, leaf);
	case TN_PQ_L_STRING:
	case TN_PQ_L_ENUM:
	case TN_PQ_L_JSON:
		return from_bytes(e, ours, leaf);
	case TN_PQ_L_DECIMAL:
		return from_decimal(e, leaf);
	case TN_PQ_L_DATE:
		set(leaf, TN_T_DATE, TN_PQ_SAME);
		return e->physical == TN_PQ_INT32;
	case TN_PQ_L_TIME:
	case TN_PQ_L_TIMESTAMP:
		return from_time(e, leaf);
	case TN_PQ_L_INTEGER:
		return from_integer(e, leaf);
	case TN_PQ_L_UUID:
		return from_fixed(e, leaf, 16, TN_T_UUID, TN_PQ_SAME);
	case TN_PQ_L_FLOAT16:
		return from_fixed(e, leaf, 2, TN_T_FLOAT4, TN_PQ_HALF);
	default:
		return false;
	}
}

#define FIXED_BYTES_MAX (1 << 20)

enum tn_status
tn_parquet_leaf_from(const struct pq_element *e, bool ours,
    struct pq_leaf *leaf, struct tn_diag *d)
{
	struct pq_element known = *e;
	int name_n = e->name.n < 100 ? (int)e->name.n : 100;
	const char *name = (const char *)e->name.p;

	*leaf = (struct pq_leaf){ .physical = (uint8_t)e->physical,
	    .optional = e->repetition == 1 };
	if (e->physical > TN_PQ_FIXED || e->fixed_bytes < 0 ||
	    e->fixed_bytes > FIXED_BYTES_MAX ||
	    (e->physical == TN_PQ_FIXED && e->fixed_bytes == 0))
		return tn_diag_set(d, TN_ECORRUPT, "bad_file",
		    "column \"%.*s\" has an impossible type", name_n, name);
	leaf->fixed_bytes = (uint32_t)e->fixed_bytes;
	converted_to_logical(&known);
	if (understand(&known, ours, leaf))
		return TN_OK;
	(void)tn_diag_set(d, TN_EUNSUPPORTED, "unsupported_type",
	    "column \"%.*s\" has a type that Tarn does not read "
	    "(physical %d, logical %d, converted %d)", name_n, name,
	    (int)e->physical, (int)e->logical, (int)e->converted);
	tn_diag_hint(d, "Cast the column to text, a number or a timestamp "
	    "before writing the file.");
	return TN_EUNSUPPORTED;
}

size_t
tn_parquet_stored_width(const struct pq_leaf *leaf)
{
	static const uint8_t widths[] = {
		[TN_PQ_BOOLEAN] = 1, [TN_PQ_INT32] = 4, [TN_PQ_INT64] = 8,
		[TN_PQ_INT96] = 12, [TN_PQ_FLOAT] = 4, [TN_PQ_DOUBLE] = 8,
		[TN_PQ_BYTE_ARRAY] = 0,
	};

	if (leaf->physical == TN_PQ_FIXED)
		return leaf->fixed_bytes;
	return widths[leaf->physical];
}
