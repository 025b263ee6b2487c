/* thrift: the compact protocol of Apache Thrift, as far as Parquet's metadata
 * uses it. A struct is a row of fields, each with a header byte (id step and
 * type), ended by a zero byte; integers are zigzag varints; a list has a
 * header with its count and the type of its elements.
 *
 * Input may be hostile: every read is bounded by the cursor, a count can not
 * exceed the bytes left, skipping goes at most SKIP_DEPTH_MAX levels deep. */
#include "parquet/parquet_int.h"

#define SKIP_DEPTH_MAX 16

static int64_t
unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

bool
tn_parquet_field(struct tn_cursor *c, int16_t *id, uint8_t *type)
{
	uint8_t head = tn_cursor_u8(c);

	if (c->failed || head == 0)
		return false;
	*type = head & 15;
	if ((head >> 4) != 0)
		*id = (int16_t)(*id + (head >> 4));
	else
		*id = (int16_t)unzigzag(tn_cursor_varint(c));
	if (*type == 0 || *type > TN_PQ_T_STRUCT)
		c->failed = true;
	return !c->failed;
}

int64_t
tn_parquet_get_i64(struct tn_cursor *c, uint8_t type)
{
	if (type == TN_PQ_T_I8)
		return (int8_t)tn_cursor_u8(c);
	if (type >= TN_PQ_T_I16 && type <= TN_PQ_T_I64)
		return unzigzag(tn_cursor_varint(c));
	c->failed = true;
	return 0;
}

int32_t
tn_parquet_get_i32(struct tn_cursor *c, uint8_t type)
{
	int64_t v = tn_parquet_get_i64(c, type);

	if (v < INT32_MIN || v > INT32_MAX) {
		c->failed = true;
		return 0;
	}
	return (int32_t)v;
}

bool
tn_parquet_get_bool(struct tn_cursor *c, uint8_t type)
{
	if (type != TN_PQ_T_TRUE && type != TN_PQ_T_FALSE)
		c->failed = true;
	return type == TN_PQ_T_TRUE;
}

struct tn_slice
tn_parquet_get_binary(struct tn_cursor *c, uint8_t type)
{
	uint64_t n = 0;

	if (type == TN_PQ_T_BINARY)
		n = tn_cursor_varint(c);
	else
		c->failed = true;
	if (c->failed || n > (size_t)(c->end - c->p)) {
		c->failed = true;
		return (struct tn_slice){ NULL, 0 };
	}
	return tn_cursor_bytes(c, (size_t)n);
}

static uint32_t
list_head(struct tn_cursor *c, uint8_t *element)
{
	uint8_t head = tn_cursor_u8(c);
	uint64_t n = head >> 4;

	*element = head & 15;
	if (n == 15)
		n = tn_cursor_varint(c);
	if (c->failed || n > (size_t)(c->end - c->p)) {
		c->failed = true;
		return 0;
	}
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint32_t
tn_parquet_get_list(struct tn_cursor *c, uint8_t type, uint8_t element)
{
	uint8_t got = 0;
	uint32_t n = 0;
	bool bools;

	if (type == TN_PQ_T_LIST)
		n = list_head(c, &got);
	else
		c->failed = true;
	/* Both types of bool stand for a list of bools. */
	bools = element == TN_PQ_T_TRUE && got == TN_PQ_T_FALSE;
	if (n > 0 && got != element && !bools)
		c->failed = true;
	return c->failed ? 0 : n;
}

void
tn_parquet_want_struct(struct tn_cursor *c, uint8_t type)
{
	if (type != TN_PQ_T_STRUCT)
		c->failed = true;
}

static void skip(struct tn_cursor *c, uint8_t type, unsigned depth);

static void
skip_list(struct tn_cursor *c, unsigned depth)
{
	uint8_t element = 0;
	uint32_t n = list_head(c, &element);

	for (uint32_t i = 0; i < n && !c->failed; i++) {
		if (element == TN_PQ_T_TRUE || element == TN_PQ_T_FALSE)
			(void)tn_cursor_u8(c);
		else
			skip(c, element, depth + 1);
	}
}

static void
skip_map(struct tn_cursor *c, unsigned depth)
{
	uint64_t n = tn_cursor_varint(c);
	uint8_t types = n == 0 ? 0 : tn_cursor_u8(c);

	if (n > (size_t)(c->end - c->p))
		c->failed = true;
	for (uint64_t i = 0; i < 2 * n && !c->failed; i++)
		skip(c, i % 2 == 0 ? types >> 4 : types & 15, depth + 1);
}

static void
skip(struct tn_cursor *c, uint8_t type, unsigned depth)
{
	int16_t id = 0;
	uint8_t inner;

	if (depth > SKIP_DEPTH_MAX) {
		c->failed = true;
		return;
	}
	switch (type) {
	case TN_PQ_T_TRUE:
	case TN_PQ_T_FALSE:
		break;
	case TN_PQ_T_I8:
		(void)tn_cursor_u8(c);
		break;
	case TN_PQ_T_I16:
	case TN_PQ_T_I32:
	case TN_PQ_T_I64:
		(void)tn_cursor_varint(c);
		break;
	case TN_PQ_T_DOUBLE:
		(void)tn_cursor_u64(c);
		break;
	case TN_PQ_T_BINARY:
		(void)tn_parquet_get_binary(c, type);
		break;
	case TN_PQ_T_LIST:
	case TN_PQ_T_SET:
		skip_list(c, depth);
		break;
	case TN_PQ_T_MAP:
		skip_map(c, depth);
		break;
	case TN_PQ_T_STRUCT:
		while (tn_parquet_field(c, &id, &inner))
			skip(c, inner, depth + 1);
		break;
	default:
		c->failed = true;
	}
}

void
tn_parquet_skip(struct tn_cursor *c, uint8_t type)
{
	skip(c, type, 0);
}

void
tn_parquet_put_zigzag(struct tn_buf *b, int64_t v)
{
	tn_buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void
tn_parquet_put_field(struct tn_buf *b, int16_t *last, int16_t id, uint8_t type)
{
	int step = id - *last;

	tn_assert(step >= 1 && step <= 15);
	tn_buf_char(b, (char)(step << 4 | type));
	*last = id;
}

void
tn_parquet_put_i32(struct tn_buf *b, int16_t *last, int16_t id, int32_t v)
{
	tn_parquet_put_field(b, last, id, TN_PQ_T_I32);
	tn_parquet_put_zigzag(b, v);
}

void
tn_parquet_put_i64(struct tn_buf *b, int16_t *last, int16_t id, int64_t v)
{
	tn_parquet_put_field(b, last, id, TN_PQ_T_I64);
	tn_parquet_put_zigzag(b, v);
}

void
tn_parquet_put_bool(struct tn_buf *b, int16_t *last, int16_t id, bool v)
{
	tn_parquet_put_field(b, last, id, v ? TN_PQ_T_TRUE : TN_PQ_T_FALSE);
}

void
tn_parquet_put_binary(struct tn_buf *b, int16_t *last, int16_t id,
    const void *p, size_t n)
{
	tn_parquet_put_field(b, last, id, TN_PQ_T_BINARY);
	tn_buf_varint(b, n);
	tn_buf_add(b, p, n);
}

void
tn_parquet_put_list(struct tn_buf *b, int16_t *last, int16_t id,
    uint8_t element, size_t count)
{
	tn_parquet_put_field(b, last, id, TN_PQ_T_LIST);
	if (count < 15) {
		tn_buf_char(b, (char)(count << 4 | element));
		return;
	}
	tn_buf_char(b, (char)(0xf0 | element));
	tn_buf_varint(b, count);
}

void
tn_parquet_put_stop(struct tn_buf *b)
{
	tn_buf_char(b, 0);
}
