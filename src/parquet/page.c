/* page: page headers. Sizes are only read here; chunk_read holds them against
 * the chunk. */
#include "parquet/parquet_int.h"

static uint32_t
get_size(struct tn_cursor *c, uint8_t type)
{
	int32_t v = tn_parquet_get_i32(c, type);

	if (v < 0)
		c->failed = true;
	return v < 0 ? 0 : (uint32_t)v;
}

/* DataPageHeader and DictionaryPageHeader begin alike. */
static void
read_v1(struct tn_cursor *c, struct pq_page_header *h)
{
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1)
			h->values = get_size(c, type);
		else if (id == 2)
			h->encoding = tn_parquet_get_i32(c, type);
		else if (id == 3 && h->kind == TN_PQ_DATA_PAGE)
			h->level_encoding = tn_parquet_get_i32(c, type);
		else
			tn_parquet_skip(c, type);
	}
}

static void
read_v2(struct tn_cursor *c, struct pq_page_header *h)
{
	int16_t id = 0;
	uint8_t type;

	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1)
			h->values = get_size(c, type);
		else if (id == 2)
			h->nulls = get_size(c, type);
		else if (id == 4)
			h->encoding = tn_parquet_get_i32(c, type);
		else if (id == 5)
			h->level_bytes = get_size(c, type);
		else if (id == 6)
			h->repeat_bytes = get_size(c, type);
		else if (id == 7)
			h->compressed = tn_parquet_get_bool(c, type);
		else
			tn_parquet_skip(c, type);
	}
}

/* The field of the header that belongs to its kind. */
static bool
is_header_of(const struct pq_page_header *h, int16_t id)
{
	return (h->kind == TN_PQ_DATA_PAGE && id == 5) ||
	    (h->kind == TN_PQ_DICT_PAGE && id == 7) ||
	    (h->kind == TN_PQ_DATA_PAGE2 && id == 8);
}

bool
tn_parquet_page_header(struct tn_cursor *c, struct pq_page_header *h)
{
	bool seen = false;
	int16_t id = 0;
	uint8_t type;

	*h = (struct pq_page_header){ .kind = -1, .encoding = -1,
	    .level_encoding = TN_PQ_RLE, .compressed = true };
	while (tn_parquet_field(c, &id, &type)) {
		if (id == 1) {
			h->kind = tn_parquet_get_i32(c, type);
		} else if (id == 2) {
			h->raw_bytes = get_size(c, type);
		} else if (id == 3) {
			h->disk_bytes = get_size(c, type);
		} else if (id == 4) {
			h->crc = (uint32_t)tn_parquet_get_i32(c, type);
			h->has_crc = true;
		} else if (is_header_of(h, id) && type == TN_PQ_T_STRUCT) {
			seen = true;
			if (id == 8)
				read_v2(c, h);
			else
				read_v1(c, h);
		} else {
			tn_parquet_skip(c, type);
		}
	}
	if (c->failed)
		return false;
	return seen || h->kind == TN_PQ_INDEX_PAGE || h->kind > 3;
}
