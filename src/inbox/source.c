/* source: a file as bytes that ingest can read.
 *
 *   magic of gzip, zstd    -> what is inside is looked at, too
 *   magic of Parquet       -> Parquet; else the option format, the ending of
 *                             the name, the first bytes
 *
 * Text formats are given as they are (ingest inflates). A Parquet file is read
 * piece by piece, each piece printed as NDJSON; a compressed one is first
 * written plain into the work folder, because its footer is at its end.
 *
 * What can go wrong: a file that is none of these (TN_EUNSUPPORTED), a damaged
 * one (TN_ECORRUPT) - both the sender's fault - and the disk (TN_EIO,
 * TN_ENOSPC). */
#include "inbox/inbox_int.h"

#include <stdio.h>
#include <string.h>

#include "parquet/parquet.h"

#define HEAD_BYTES 4096
#define PIECE_BYTES (256u << 10)
#define TEXT_BYTES (2u << 20)    /* Of a piece of a Parquet file, about. */
#define ROOM_STEP (16u << 20)     /* Written between two looks for room. */
#define ROWS_FIRST 512
#define ROWS_MAX 65536

struct tn_inbox_source {
	struct tn_inbox_format format;
	struct tn_os_file *file;         /* Texts. */
	uint64_t bytes;
	uint64_t at;
	struct tn_parquet_reader *parquet;
	uint32_t group;
	uint64_t row;                    /* Of the group. */
	uint64_t rows_done;
	uint32_t piece_rows;
	struct tn_schema as;             /* Of rows with JSON; fields NULL: none. */
};

/* ---- which format ----------------------------------------------------- */

static bool
starts(struct tn_slice s, const char *magic, size_t n)
{
	return s.n >= n && memcmp(s.p, magic, n) == 0;
}

static bool
ends(const char *name, size_t n, const char *ending)
{
	size_t m = strlen(ending);

	return n >= m && strncasecmp(name + n - m, ending, m) == 0;
}

/* The name without .gz or .zst. */
static size_t
bare(const char *name)
{
	size_t n = strlen(name);

	if (ends(name, n, ".gz"))
		return n - 3;
	return ends(name, n, ".zst") ? n - 4 : n;
}

static struct tn_slice
skip_blanks(struct tn_slice s)
{
	if (starts(s, "\xef\xbb\xbf", 3)) {
		s.p += 3;
		s.n -= 3;
	}
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == '\n' ||
	    *s.p == '\r')) {
		s.p++;
		s.n--;
	}
	return s;
}

/* An object whose first line is whole, or very long, is one of many. */
static enum tn_inbox_kind
kind_of_json(struct tn_slice s)
{
	const uint8_t *line;
	size_t n;

	s = skip_blanks(s);
	if (s.n == 0 || *s.p != '{')
		return TN_INBOX_JSON;
	line = memchr(s.p, '\n', s.n);
	n = line != NULL ? (size_t)(line - s.p) : s.n;
	while (n > 0 && (s.p[n - 1] == '\r' || s.p[n - 1] == ' '))
		n--;
	return line == NULL || s.p[n - 1] == '}' ? TN_INBOX_NDJSON :
	    TN_INBOX_JSON;
}

static bool
kind_of_name(const char *name, struct tn_slice plain,
    struct tn_inbox_format *f)
{
	size_t n = bare(name);

	f->tab = ends(name, n, ".tsv");
	if (f->tab || ends(name, n, ".csv"))
		f->kind = TN_INBOX_CSV;
	else if (ends(name, n, ".ndjson") || ends(name, n, ".jsonl"))
		f->kind = TN_INBOX_NDJSON;
	else if (ends(name, n, ".json"))
		f->kind = kind_of_json(plain);
	else
		return false;
	return true;
}

static bool
kind_of_option(const struct tn_inbox_options *o, struct tn_inbox_format *f)
{
	static const char *const names[] = { "json", "ndjson", "csv",
	    "parquet" };

	for (uint32_t i = 0; i < o->count; i++)
		for (int k = 0; strcmp(o->items[i].name, "format") == 0 &&
		    k < (int)TN_COUNT(names); k++)
			if (tn_slice_is(o->items[i].value, names[k])) {
				f->kind = (enum tn_inbox_kind)k;
				return true;
			}
	return false;
}

/* The first bytes, decompressed as far as they go. */
static void
peel(struct tn_slice head, enum tn_coding coding, struct tn_buf *plain)
{
	struct tn_inflate *z;
	enum tn_status st;

	if (coding == TN_CODING_IDENTITY) {
		tn_buf_add(plain, head.p, head.n);
		return;
	}
	z = tn_inflate_new(coding);
	/* Damage leaves what came before it; who reads it all will say. */
	st = tn_inflate_step(z, &head, plain, HEAD_BYTES);
	(void)st;
	tn_inflate_free(z);
}

static enum tn_status
not_known(const char *name, struct tn_slice plain, struct tn_diag *d)
{
	tn_diag_hint(d, "name it .csv, .tsv, .ndjson, .jsonl, .json or "
	    ".parquet (and .gz or .zst), or say \"format\" in its options");
	if (ends(name, bare(name), ".parquet"))
		return tn_diag_set(d, TN_ECORRUPT, "bad_file",
		    "it does not begin like a Parquet file");
	return tn_diag_set(d, TN_EUNSUPPORTED, "unknown_format",
	    "neither its name nor its first %u bytes say what it is",
	    (unsigned)plain.n);
}

enum tn_status
tn_inbox_format_of(const char *name, struct tn_slice head,
    const struct tn_inbox_options *o, struct tn_inbox_format *out,
    struct tn_diag *d)
{
	struct tn_buf b = { 0 };
	struct tn_slice plain, text;
	enum tn_status st = TN_OK;
	bool magic;

	memset(out, 0, sizeof *out);
	if (starts(head, "\x1f\x8b", 2))
		out->coding = TN_CODING_GZIP;
	else if (starts(head, "\x28\xb5\x2f\xfd", 4))
		out->coding = TN_CODING_ZSTD;
	peel(head, out->coding, &b);
	plain = (struct tn_slice){ b.p, b.n };
	text = skip_blanks(plain);
	magic = starts(plain, "PAR1", 4);
	if (kind_of_option(o, out))
		st = magic != (out->kind == TN_INBOX_PARQUET) ?
		    tn_diag_set(d, TN_ECORRUPT, "bad_file", magic ?
		    "it is a Parquet file, not what its options say" :
		    "it does not begin like a Parquet file") : TN_OK;
	else if (magic)
		out->kind = TN_INBOX_PARQUET;
	else if (kind_of_name(name, plain, out))
		;
	else if (text.n > 0 && (*text.p == '{' || *text.p == '['))
		out->kind = kind_of_json(plain);
	else
		st = not_known(name, plain, d);
	tn_buf_fini(&b);
	return st;
}

/* ---- opening ---------------------------------------------------------- */

static enum tn_status
read_head(struct tn_inbox_source *s, struct tn_buf *head)
{
	size_t n = s->bytes < HEAD_BYTES ? (size_t)s->bytes : HEAD_BYTES;
	enum tn_status st = tn_os_pread(s->file, tn_buf_reserve(head, n + 1),
	    n, 0);

	if (st == TN_OK)
		head->n = n;
	return st;
}

/* Bytes that arrive must find room, whatever a file unpacks to. */
static enum tn_status
look_for_room(const struct tn_inbox_work *work, struct tn_diag *d)
{
	uint64_t room = 0;

	if (tn_os_disk_free(work->folder, &room) != TN_OK ||
	    room >= work->reserve_bytes + ROOM_STEP)
		return TN_OK;
	return tn_diag_set(d, TN_ENOSPC, "disk_full",
	    "the disk is too full to unpack it");
}

static enum tn_status
look_for_stop(const struct tn_inbox_work *work, struct tn_diag *d)
{
	if (work->stop == NULL ||
	    __atomic_load_n(work->stop, __ATOMIC_ACQUIRE) == 0)
		return TN_OK;
	return tn_diag_set(d, TN_ECLOSED, "stopping", "tarn stops");
}

/* The whole file, inflated, to ${to}. */
static enum tn_status
inflate_to(struct tn_inbox_source *s, struct tn_os_file *to,
    const struct tn_inbox_work *work, struct tn_diag *d)
{
	uint64_t written = 0, looked = 0;
	struct tn_inflate *z = tn_inflate_new(s->format.coding);
	struct tn_buf in = { 0 }, out = { 0 };
	struct tn_slice left = { NULL, 0 };
	enum tn_status st = TN_OK;

	while (st == TN_OK && (left.n > 0 || out.n > 0 || s->at < s->bytes)) {
		st = look_for_stop(work, d);
		tn_buf_clear(&out);
		if (st == TN_OK && left.n == 0 && s->at < s->bytes) {
			tn_buf_clear(&in);
			st = tn_inbox_source_read(s, &in, d);
			left = (struct tn_slice){ in.p, in.n };
		}
		if (st == TN_OK)
			st = tn_inflate_step(z, &left, &out, PIECE_BYTES);
		if ((st == TN_OK || st == TN_END) && out.n > 0) {
			st = written == 0 || written - looked >= ROOM_STEP ?
			    look_for_room(work, d) : TN_OK;
			looked = written - looked >= ROOM_STEP ? written :
			    looked;
			if (st == TN_OK)
				st = tn_os_write(to, out.p, out.n);
			written += out.n;
		} else if (st == TN_END) {
			st = TN_OK;
		}
	}
	if (st == TN_OK && !tn_inflate_done(z))
		st = tn_diag_set(d, TN_ECORRUPT, "bad_encoding",
		    "the compressed file is cut off");
	tn_inflate_free(z);
	tn_buf_fini(&in);
	tn_buf_fini(&out);
	return st;
}

/* The name in the work folder is gone when this returns. */
static enum tn_status
open_inflated(struct tn_inbox_source *s, const struct tn_inbox_work *work,
    struct tn_diag *d)
{
	struct tn_os_file *to = NULL;
	struct tn_buf path = { 0 };
	uint64_t salt;
	enum tn_status st;

	if (work == NULL)
		return tn_diag_set(d, TN_EUNSUPPORTED, "unsupported_file",
		    "a compressed Parquet file must be unpacked first");
	tn_os_random(&salt, sizeof salt);
	tn_buf_printf(&path, "%s/%016llx.tmp", work->folder,
	    (unsigned long long)salt);
	st = tn_os_mkdirs(work->folder);
	if (st == TN_OK)
		st = tn_os_open(&to, tn_buf_cstr(&path), TN_OS_CREATE);
	if (st == TN_OK) {
		st = inflate_to(s, to, work, d);
		tn_os_close(to);
		if (st == TN_OK)
			st = tn_parquet_open(&s->parquet, tn_buf_cstr(&path),
			    d);
		if (tn_os_unlink(tn_buf_cstr(&path)) != TN_OK)
			tn_say(TN_WARN, "inbox", "%s stays",
			    tn_buf_cstr(&path));
	}
	tn_buf_fini(&path);
	return st;
}

enum tn_status
tn_inbox_source_open(struct tn_inbox_source **out, const char *path,
    const char *name, const struct tn_inbox_options *o,
    const struct tn_inbox_work *work, struct tn_diag *d)
{
	struct tn_inbox_source *s = tn_zalloc(sizeof *s);
	struct tn_buf head = { 0 };
	enum tn_status st = tn_os_open(&s->file, path, TN_OS_READ);

	if (st == TN_OK)
		st = tn_os_size(s->file, &s->bytes);
	if (st == TN_OK)
		st = read_head(s, &head);
	if (st != TN_OK)
		tn_diag_set(d, st, "unreadable", "it cannot be read: %s",
		    tn_status_text(st));
	else
		st = tn_inbox_format_of(name, (struct tn_slice){ head.p,
		    head.n }, o, &s->format, d);
	if (st == TN_OK && s->format.kind == TN_INBOX_PARQUET)
		st = s->format.coding != TN_CODING_IDENTITY ?
		    open_inflated(s, work, d) :
		    tn_parquet_open(&s->parquet, path, d);
	tn_buf_fini(&head);
	if (st == TN_OK) {
		s->piece_rows = ROWS_FIRST;
		*out = s;
		return TN_OK;
	}
	if (d->message[0] == '\0')
		tn_diag_set(d, st, "unreadable", "it cannot be read: %s",
		    tn_status_text(st));
	tn_inbox_source_close(s);
	return st;
}

void
tn_inbox_source_close(struct tn_inbox_source *s)
{
	if (s == NULL)
		return;
	tn_os_close(s->file);
	if (s->parquet != NULL)
		tn_parquet_close(s->parquet);
	tn_free((void *)(uintptr_t)s->as.fields);
	tn_free(s);
}

const struct tn_inbox_format *
tn_inbox_source_format(const struct tn_inbox_source *s)
{
	return &s->format;
}

enum tn_coding
tn_inbox_source_coding(const struct tn_inbox_source *s)
{
	return s->parquet != NULL ? TN_CODING_IDENTITY : s->format.coding;
}

uint64_t
tn_inbox_source_bytes(const struct tn_inbox_source *s)
{
	return s->bytes;
}

double
tn_inbox_source_part(const struct tn_inbox_source *s)
{
	if (s->parquet != NULL)
		return tn_parquet_rows(s->parquet) == 0 ? 1 :
		    (double)s->rows_done /
		    (double)tn_parquet_rows(s->parquet);
	return s->bytes == 0 ? 1 : (double)s->at / (double)s->bytes;
}

/* ---- what the rows are for --------------------------------------------- */

bool
tn_inbox_source_has_json(const struct tn_inbox_source *s)
{
	bool any = false;

	for (uint32_t i = 0; s->parquet != NULL && !any &&
	    i < tn_parquet_schema(s->parquet)->count; i++)
		any = tn_parquet_is_json(s->parquet, i);
	return any;
}

/* The column that a field of the file fills, or NULL. */
static const struct tn_field *
filled_by(const struct tn_codec_spec *spec, const struct tn_schema *schema,
    const char *field)
{
	const char *name = field;

	for (uint32_t i = 0; i < spec->rename_count && name == field; i++)
		if (strcmp(spec->renames[i].from, field) == 0)
			name = spec->renames[i].to;
	for (uint32_t i = 0; i < schema->count; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return &schema->fields[i];
	return NULL;
}

enum tn_status
tn_inbox_source_for(struct tn_inbox_source *s,
    const struct tn_codec_spec *spec, const char *table,
    const struct tn_schema *schema, struct tn_diag *d)
{
	const struct tn_schema *file;
	struct tn_field *fields;
	bool json = false, any = spec->constant_count > 0;

	if (s->parquet == NULL)
		return TN_OK;
	file = tn_parquet_schema(s->parquet);
	fields = tn_alloc((file->count + 1) * sizeof *fields);
	for (uint32_t i = 0; i < file->count; i++) {
		const struct tn_field *f = filled_by(spec, schema,
		    file->fields[i].name);

		fields[i] = file->fields[i];
		any = any || f != NULL;
		if (f == NULL || f->type.id != TN_T_JSONB ||
		    !tn_parquet_is_json(s->parquet, i))
			continue;
		fields[i].type = f->type;
		json = true;
	}
	if (json && any) {
		s->as = *file;
		s->as.fields = fields;
		return TN_OK;
	}
	tn_free(fields);
	if (any || file->count == 0)
		return TN_OK;
	tn_diag_hint(d, "capitals count; the option rename=column:field names "
	    "a field otherwise");
	return tn_diag_set(d, TN_EINVAL, "no_column", "no column of the file "
	    "is one of %s: the first is \"%.60s\"", table,
	    file->fields[0].name);
}

/* ---- reading ---------------------------------------------------------- */

static enum tn_status
read_bytes(struct tn_inbox_source *s, struct tn_buf *out, struct tn_diag *d)
{
	uint64_t left = s->bytes - s->at;
	size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
	uint8_t *p;
	enum tn_status st;

	if (n == 0)
		return TN_END;
	p = tn_buf_reserve(out, n);
	if (p == NULL)
		return TN_ENOMEM;
	st = tn_os_pread(s->file, p, n, s->at);
	if (st == TN_ECORRUPT)
		return tn_diag_set(d, st, "file_changed",
		    "it became shorter while it was read");
	if (st != TN_OK)
		return tn_diag_set(d, st, "unreadable",
		    "it cannot be read: %s", tn_status_text(st));
	out->n += n;
	s->at += n;
	return TN_OK;
}

/* So many rows that their text is a piece, by what the last ones had. */
static void
adapt(struct tn_inbox_source *s, uint32_t rows, size_t bytes)
{
	uint64_t want = bytes == 0 ? ROWS_MAX :
	    (uint64_t)rows * TEXT_BYTES / bytes;

	s->piece_rows = want < 1 ? 1 : want > ROWS_MAX ? ROWS_MAX :
	    (uint32_t)want;
}

/* A text that a foreign file calls JSON: as it is, on one line, when it is
 * that; else the string that it is. False: memory is out. */
static bool
put_json(struct tn_builder *to, uint32_t column, struct tn_slice text,
    struct tn_arena *a)
{
	struct tn_buf line = { .max = SIZE_MAX };
	struct tn_json *v = NULL;
	struct tn_diag d;

	if (tn_codec_json_parse(a, text, &v, &d) == TN_OK) {
		tn_buf_add(&line, text.p, text.n);
		/* Within a string there is none. */
		for (size_t i = 0; i < line.n; i++)
			if (line.p[i] == '\n' || line.p[i] == '\r')
				line.p[i] = ' ';
	} else {
		tn_buf_char(&line, '"');
		tn_buf_json(&line, (const char *)text.p, text.n);
		tn_buf_char(&line, '"');
	}
	if (!line.failed)
		tn_record_builder_text(to, column, line.p, line.n);
	tn_buf_fini(&line);
	tn_arena_reset(a);
	return !line.failed;
}

/* In place of ${b}; NULL: memory is out. */
static struct tn_batch *
with_json(const struct tn_inbox_source *s, struct tn_batch *b)
{
	struct tn_builder *to = tn_record_builder_new(&s->as, b->rows);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_batch *out = NULL;
	bool good = true;

	for (uint32_t row = 0; good && row < b->rows; row++) {
		for (uint32_t i = 0; i < s->as.count; i++) {
			const struct tn_column *c = &b->columns[i];
			if (s->as.fields[i].type.id == c->type.id)
				tn_record_builder_copy(to, i, c, row);
			else if (!tn_column_valid(c, row))
				tn_record_builder_null(to, i);
			else
				good = put_json(to, i, tn_column_text(c, row),
				    a) && good;
		}
		if (good)
			tn_record_builder_row_end(to);
	}
	if (good)
		out = tn_record_builder_take(to);
	tn_record_builder_free(to);
	tn_arena_free(a);
	tn_record_batch_unref(b);
	return out;
}

static enum tn_status
read_rows(struct tn_inbox_source *s, struct tn_buf *out, struct tn_diag *d)
{
	struct tn_parquet_read_opts o = {
	    .keep_dictionary = s->as.fields == NULL,
	    .batch_rows_max = s->piece_rows };
	size_t from = out->n;
	struct tn_batch *b = NULL;
	enum tn_status st;

	while (s->group < tn_parquet_groups(s->parquet) &&
	    s->row >= tn_parquet_group_rows(s->parquet, s->group)) {
		s->group++;
		s->row = 0;
	}
	if (s->group >= tn_parquet_groups(s->parquet))
		return TN_END;
	o.row_first = s->row;
	st = tn_parquet_read(s->parquet, s->group, &o, &b, d);
	if (st != TN_OK)
		return st;
	tn_assert(b != NULL && b->rows > 0);
	if (s->as.fields != NULL)
		b = with_json(s, b);
	if (b == NULL)
		return TN_ENOMEM;
	tn_codec_ndjson_rows(out, b);
	s->row += b->rows;
	s->rows_done += b->rows;
	adapt(s, b->rows, out->n - from);
	tn_record_batch_unref(b);
	return tn_buf_status(out);
}

enum tn_status
tn_inbox_source_read(struct tn_inbox_source *s, struct tn_buf *out,
    struct tn_diag *d)
{
	return s->parquet != NULL ? read_rows(s, out, d) :
	    read_bytes(s, out, d);
}
