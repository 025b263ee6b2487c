/* read: the reader's outside: open a file (map it, read its footer), read row
 * groups as batches, close. After open nothing of the reader changes, so that
 * threads may read different groups at once; each call has its own memory. */
#include "os/os.h"
#include "parquet/parquet_int.h"

#define MAGIC_BYTES 4u
#define TAIL_BYTES 8u        /* Length of the footer, magic. */
#define ARENA_BYTES (64u << 10)

static void
keep_path(struct tn_parquet_reader *r, const char *path)
{
	size_t n = strlen(path);
	size_t skip = n < sizeof r->path ? 0 : n - sizeof r->path + 1;

	memcpy(r->path, path + skip, n - skip + 1);
}

/* Find the footer. */
static enum tn_status
check_frame(struct tn_parquet_reader *r, struct tn_diag *d)
{
	const uint8_t *tail;
	uint32_t footer;

	if (r->map_bytes < MAGIC_BYTES + TAIL_BYTES ||
	    memcmp(r->map, "PAR1", 4) != 0)
		return tn_diag_set(d, TN_ECORRUPT, "bad_file",
		    "%s is not a Parquet file", r->path);
	tail = r->map + r->map_bytes - TAIL_BYTES;
	if (memcmp(tail + 4, "PARE", 4) == 0)
		return tn_diag_set(d, TN_EUNSUPPORTED, "unsupported_file",
		    "%s: the footer is encrypted", r->path);
	if (memcmp(tail + 4, "PAR1", 4) != 0)
		return tn_diag_set(d, TN_ECORRUPT, "bad_file",
		    "%s does not end like a Parquet file; it may be cut off",
		    r->path);
	footer = pq_load32(tail);
	if (footer < TN_PQ_FOOTER_BYTES_MIN ||
	    footer > r->map_bytes - TAIL_BYTES - MAGIC_BYTES)
		return tn_diag_set(d, TN_ECORRUPT, "bad_file",
		    "%s: the length of the footer is wrong", r->path);
	if (footer > TN_PQ_FOOTER_BYTES_MAX)
		return tn_diag_set(d, TN_ELIMIT, "too_large",
		    "%s: the footer is larger than 32 MiB", r->path);
	r->data_end = r->map_bytes - TAIL_BYTES - footer;
	return TN_OK;
}

/* A file with our seal has the metadata that we wrote. Others have none, and
 * one whose seal itself is damaged passes for such a file. */
static enum tn_status
check_seal(const struct tn_parquet_reader *r, struct tn_diag *d)
{
	const uint8_t *footer = r->map + r->data_end;
	const uint8_t *seal = footer - TN_PQ_SEAL_BYTES;
	uint32_t bytes, crc;

	if (r->data_end < MAGIC_BYTES + TN_PQ_SEAL_BYTES ||
	    memcmp(seal, TN_PQ_SEAL, 4) != 0)
		return TN_OK;
	bytes = pq_load32(seal + 4);
	if (bytes <= r->data_end - MAGIC_BYTES - TN_PQ_SEAL_BYTES) {
		crc = tn_crc32c(0, seal - bytes, bytes);
		crc = tn_crc32c(crc, footer, r->map_bytes - TAIL_BYTES -
		    r->data_end);
		if (crc == pq_load32(seal + 8))
			return TN_OK;
	}
	return tn_diag_set(d, TN_ECORRUPT, "bad_file",
	    "%s: its metadata is damaged", r->path);
}

enum tn_status
tn_parquet_open(struct tn_parquet_reader **out, const char *path,
    struct tn_diag *d)
{
	struct tn_parquet_reader *r = tn_zalloc(sizeof *r);
	enum tn_status st;

	keep_path(r, path);
	r->arena = tn_arena_new(ARENA_BYTES);
	st = tn_os_map(path, &r->map, &r->map_bytes);
	if (st != TN_OK)
		(void)tn_diag_set(d, st, "cannot_open", "%s: %s", r->path,
		    tn_status_text(st));
	if (st == TN_OK)
		st = check_frame(r, d);
	if (st == TN_OK)
		st = check_seal(r, d);
	if (st == TN_OK)
		st = tn_parquet_footer_read(r, d);
	if (st != TN_OK) {
		tn_parquet_close(r);
		return st;
	}
	*out = r;
	return TN_OK;
}

void
tn_parquet_close(struct tn_parquet_reader *r)
{
	if (r == NULL)
		return;
	if (r->map != NULL)
		tn_os_unmap(r->map, r->map_bytes);
	tn_arena_free(r->arena);
	tn_free(r->groups);
	tn_free(r);
}

const struct tn_schema *
tn_parquet_schema(const struct tn_parquet_reader *r)
{
	return &r->schema;
}

bool
tn_parquet_is_json(const struct tn_parquet_reader *r, uint32_t column)
{
	tn_assert(column < r->schema.count);
	return r->leaves[column].json;
}

uint64_t
tn_parquet_rows(const struct tn_parquet_reader *r)
{
	return r->rows;
}

uint32_t
tn_parquet_groups(const struct tn_parquet_reader *r)
{
	return r->group_count;
}

uint64_t
tn_parquet_group_rows(const struct tn_parquet_reader *r, uint32_t group)
{
	tn_assert(group < r->group_count);
	return r->groups[group].rows;
}

const char *
tn_parquet_value(const struct tn_parquet_reader *r, const char *key)
{
	for (uint32_t i = 0; i < r->pair_count; i++)
		if (strcmp(r->pairs[i].key, key) == 0)
			return r->pairs[i].value;
	return NULL;
}

enum tn_status
tn_parquet_fail(struct pq_call *call, uint32_t column, enum tn_status st,
    const char *what)
{
	const char *code = st == TN_EUNSUPPORTED ? "unsupported_file" :
	    st == TN_ECORRUPT ? "bad_file" : "cannot_read";

	return tn_diag_set(call->d, st, code,
	    "%s: column \"%s\", row group %u: %s", call->r->path,
	    call->r->leaves[column].name, call->group, what);
}

void *
tn_parquet_slot(struct pq_call *call, enum pq_slot slot, size_t bytes)
{
	size_t cap = call->slots[slot].cap;
	void *p;

	bytes += 64;
	if (bytes <= cap)
		return call->slots[slot].p;
	/* What was in it is not needed any more: no realloc. */
	p = tn_try_alloc(bytes > cap * 2 ? bytes : cap * 2);
	if (p == NULL)
		return NULL;
	tn_free(call->slots[slot].p);
	call->slots[slot].p = p;
	call->slots[slot].cap = bytes > cap * 2 ? bytes : cap * 2;
	return p;
}

/* ---- reading a group ------------------------------------------------- */

/* Schema of the wanted columns, in the batch's arena. */
static struct tn_schema *
wanted_schema(struct pq_call *call, const uint32_t *columns, uint32_t count)
{
	const struct tn_schema *from = &call->r->schema;
	struct tn_schema *s = tn_arena_zalloc(call->arena, sizeof *s);
	struct tn_field *f;

	f = tn_arena_zalloc(call->arena, (count + 1) * sizeof *f);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t c = columns == NULL ? i : columns[i];

		tn_assert(c < from->count);
		f[i] = from->fields[c];
		f[i].name = tn_arena_strdup(call->arena, f[i].name);
	}
	*s = (struct tn_schema){ tn_arena_strdup(call->arena, from->name),
	    count, f };
	return s;
}

static enum tn_status
read_columns(struct pq_call *call, struct tn_batch **out)
{
	const struct tn_parquet_read_opts *o = call->opts;
	uint32_t count = o->columns == NULL ? call->r->schema.count :
	    o->column_count;
	struct tn_schema *schema;
	struct tn_column *columns;
	enum tn_status st = TN_OK;

	if (call->rows > UINT32_MAX / 2)
		return tn_diag_set(call->d, TN_ELIMIT, "too_large",
		    "%s: row group %u has %llu rows; read fewer at once",
		    call->r->path, call->group,
		    (unsigned long long)call->rows);
	call->arena = tn_arena_new(ARENA_BYTES);
	schema = wanted_schema(call, o->columns, count);
	columns = tn_arena_zalloc(call->arena, (count + 1) * sizeof *columns);
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		st = o->left != NULL && *o->left ? TN_ECLOSED :
		    tn_parquet_column_read(call, o->columns == NULL ? i :
		    o->columns[i], &columns[i]);
	if (st == TN_OK)
		*out = tn_record_batch_new(call->arena, schema,
		    (uint32_t)call->rows, columns);
	else
		tn_arena_free(call->arena);
	return st;
}

enum tn_status
tn_parquet_read(struct tn_parquet_reader *r, uint32_t group,
    const struct tn_parquet_read_opts *opts, struct tn_batch **out,
    struct tn_diag *d)
{
	static const struct tn_parquet_read_opts all;
	struct pq_call call = { .r = r, .group = group, .d = d,
	    .opts = opts == NULL ? &all : opts,
	    .bytes_max = TN_PARQUET_BATCH_BYTES_MAX };
	enum tn_status st;

	tn_assert(group < r->group_count);
	*out = NULL;
	call.scratch = tn_arena_new(ARENA_BYTES);
	st = tn_parquet_prune(&call);
	if (st == TN_OK && call.rows > 0)
		st = read_columns(&call, out);
	for (size_t i = 0; i < TN_PQ_SLOTS; i++)
		tn_free(call.slots[i].p);
	tn_buf_fini(&call.page);
	tn_buf_fini(&call.dict);
	tn_buf_fini(&call.joined);
	tn_arena_free(call.scratch);
	tn_assert(st == TN_OK || *out == NULL);
	return st;
}
