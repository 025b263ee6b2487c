/* The gate: raw rows to a typed batch with a mark and a reason a row.
 *
 *   decode -> defaults -> generated columns -> NOT NULL -> CHECK -> event time
 *
 * The first rule a row breaks is its reason; a row error inside a rule breaks
 * it. When a stored block is read again its marks are the truth: CHECKs and
 * the future limit are not run a second time, because a changed rule could
 * decide otherwise. Only a row that does not fit its redefined table any more
 * (it cannot be decoded, or has nulls where none may be) turns from accepted to
 * quarantined, "definition_changed": later rooms rely on NOT NULL. Decoding,
 * defaults and generated columns see nothing but the definition, the raw bytes
 * and the received time (now() is that), so both passes give the same rows.
 *
 * When memory is out anywhere in a pass there are no rows at all: a value or a
 * mark that is missing for that reason would be taken for the truth. */
#include "governance/governance.h"

#include <stdio.h>
#include <string.h>

#define REASON_MAX 400           /* Bytes of a message. */

struct tn_governance_gate {
	const struct tn_governance_stream *stream;
	struct tn_codec_decoder *decoder;
	struct tn_builder *builder;
	uint8_t *absent;         /* Scratch: rows x absent_bytes. */
	size_t absent_cap;
	bool has_defaults;
};

/* A pass in progress. */
struct pass {
	struct tn_governance_rows *out;
	const struct tn_sql_table *table;
	uint32_t reason_cap;
	bool again;              /* Marks were given. */
	bool no_memory;          /* The rows are not what they should be. */
	const struct tn_codec_rows *raw;
};

struct tn_governance_gate *
tn_governance_gate_new(const struct tn_governance_stream *s,
    const struct tn_codec_spec *spec)
{
	struct tn_governance_gate *g = tn_zalloc(sizeof *g);

	g->stream = s;
	g->decoder = tn_codec_decoder_new(s->table->schema, spec);
	g->builder = tn_record_builder_new(s->table->schema, 1024);
	for (uint32_t i = 0; i < s->table->schema->count; i++)
		if (s->table->defaults[i] != NULL)
			g->has_defaults = true;
	return g;
}

void
tn_governance_gate_free(struct tn_governance_gate *g)
{
	if (g == NULL)
		return;
	tn_codec_decoder_free(g->decoder);
	tn_record_builder_free(g->builder);
	tn_free(g->absent);
	tn_free(g);
}

const char *const *
tn_governance_gate_unknown(const struct tn_governance_gate *g)
{
	return tn_codec_decoder_unknown(g->decoder);
}

struct tn_governance_rows *
tn_governance_rows_ref(struct tn_governance_rows *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void
tn_governance_rows_unref(struct tn_governance_rows *r)
{
	if (r == NULL)
		return;
	if (__atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tn_record_batch_unref(r->batch);
	tn_arena_free(r->arena);   /* Holds r itself too. */
}

/* ---- reasons --------------------------------------------------------- */

/* At most ${max} bytes of ${s}, without half a letter at the end. */
static int
cut(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n <= max)
		return (int)n;
	n = max;
	while (n > 0 && (s[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

/* Cut to REASON_MAX, and valid UTF-8 whatever cut it before: reasons go to
 * text columns that foreign readers check. */
static const char *
reason_text(struct tn_arena *a, const char *s)
{
	size_t n = (size_t)cut(s, REASON_MAX);
	char *text = tn_arena_strndup(a, s, n);

	if (!tn_utf8_valid(text, n))
		for (size_t i = 0; i < n; i++)
			if ((text[i] & 0x80) != 0)
				text[i] = '?';
	return text;
}

static void
refuse(struct pass *p, uint32_t row, const char *code, const char *column,
    const char *message)
{
	struct tn_governance_rows *r = p->out;
	struct tn_log_reason *x;

	if (r->marks[row] != TN_MARK_ACCEPTED)
		return;
	if (r->reason_count == p->reason_cap) {
		uint32_t cap = p->reason_cap == 0 ? 16 : p->reason_cap * 2;
		x = tn_arena_alloc(r->arena, cap * sizeof *x);
		if (r->reason_count > 0)
			memcpy(x, r->reasons, r->reason_count * sizeof *x);
		r->reasons = x;
		p->reason_cap = cap;
	}
	r->marks[row] = TN_MARK_QUARANTINED;
	x = &r->reasons[r->reason_count++];
	x->row = row;
	x->code = tn_arena_strdup(r->arena, p->again ? "definition_changed" :
	    code);
	x->column = tn_arena_strdup(r->arena, column);
	x->message = reason_text(r->arena, message);
}

/* Reasons come rule by rule; the log wants them by row. Insertion sort would
 * be quadratic when every row is bad, so count by row: at most one a row. */
static void
order_reasons(struct tn_governance_rows *r)
{
	uint32_t rows = r->batch->rows, n = 0;
	struct tn_log_reason *sorted;
	uint32_t *at;

	r->bad = 0;
	for (uint32_t i = 0; i < rows; i++)
		r->bad += r->marks[i] == TN_MARK_QUARANTINED;
	if (r->reason_count < 2)
		return;
	at = tn_zalloc(rows * sizeof *at);
	sorted = tn_arena_alloc(r->arena, r->reason_count * sizeof *sorted);
	for (uint32_t i = 0; i < r->reason_count; i++)
		at[r->reasons[i].row] = i + 1;
	for (uint32_t i = 0; i < rows; i++)
		if (at[i] != 0)
			sorted[n++] = r->reasons[at[i] - 1];
	tn_assert(n == r->reason_count);
	r->reasons = sorted;
	tn_free(at);
}

/* ---- columns --------------------------------------------------------- */

/* Rows of ${use} (non-zero) from the constant, the others from ${c}. False when
 * memory is out. */
static bool
blend(struct tn_column *c, const struct tn_column *constant,
    const uint8_t *use, struct tn_arena *a)
{
	struct tn_schema one = { "", 1,
	    &(struct tn_field){ "c", c->type, false } };
	struct tn_builder *b = tn_record_builder_new(&one, c->rows);
	struct tn_batch *done;

	for (uint32_t i = 0; i < c->rows; i++) {
		if (use[i] != 0)
			tn_record_builder_copy(b, 0, constant, 0);
		else
			tn_record_builder_copy(b, 0, c, i);
		tn_record_builder_row_end(b);
	}
	done = tn_record_builder_take(b);
	tn_record_builder_free(b);
	if (done == NULL)
		return false;
	/* Copy into the batch's own arena: the small batch goes away. */
	struct tn_column n = done->columns[0];
	size_t w = tn_record_type_width(n.type);
	if (n.valid != NULL)
		n.valid = memcpy(tn_arena_alloc(a, c->rows / 8 + 1), n.valid,
		    (c->rows + 7) / 8);
	if (w > 0) {
		n.values = memcpy(tn_arena_alloc(a, c->rows * w + 1),
		    n.values, c->rows * w);
	} else {
		uint32_t bytes = n.offsets[c->rows];
		n.offsets = memcpy(tn_arena_alloc(a, (c->rows + 1) * 4),
		    n.offsets, (c->rows + 1) * 4);
		n.bytes = memcpy(tn_arena_alloc(a, bytes + 1), n.bytes,
		    bytes);
	}
	*c = n;
	tn_record_batch_unref(done);
	return true;
}

static void
fill_defaults(struct tn_governance_gate *g, struct pass *p)
{
	struct tn_batch *b = p->out->batch;
	const struct tn_schema *s = p->table->schema;
	size_t stride = (s->count + 7) / 8;
	uint8_t *use = tn_alloc(b->rows + 1);

	for (uint32_t c = 0; c < s->count; c++) {
		uint32_t any = 0;
		if (p->table->defaults[c] == NULL)
			continue;
		for (uint32_t i = 0; i < b->rows; i++) {
			use[i] = g->absent[i * stride + c / 8] >> (c % 8) & 1;
			any += use[i];
		}
		if (any == 0)
			continue;
		struct tn_exec_env env = { .batch = b, .arena = b->arena,
		    .now_us = p->out->received_us,
		    .no_memory = &p->no_memory };
		const struct tn_column *v = tn_exec_eval(
		    p->table->defaults[c], &env);
		p->no_memory |= !blend(&b->columns[c], v, use, b->arena);
	}
	tn_free(use);
}

static void
generate(struct pass *p)
{
	struct tn_batch *b = p->out->batch;
	const struct tn_schema *s = p->table->schema;
	uint8_t *bad = NULL;

	for (uint32_t c = 0; c < s->count; c++) {
		if (p->table->generated[c] == NULL)
			continue;
		if (bad == NULL)
			bad = tn_alloc(b->rows + 1);
		memset(bad, 0, b->rows + 1);
		struct tn_exec_env env = { .batch = b, .arena = b->arena,
		    .now_us = p->out->received_us, .error_rows = bad,
		    .no_memory = &p->no_memory };
		b->columns[c] = *tn_exec_eval(p->table->generated[c], &env);
		for (uint32_t i = 0; env.errors > 0 && i < b->rows; i++)
			if (bad[i] != 0)
				refuse(p, i, "generated", s->fields[c].name,
				    env.message);
	}
	tn_free(bad);
}

/* ---- rules ----------------------------------------------------------- */

static void
check_not_null(struct pass *p)
{
	struct tn_batch *b = p->out->batch;
	const struct tn_schema *s = p->table->schema;
	char text[160];

	for (uint32_t c = 0; c < s->count; c++) {
		if (!s->fields[c].not_null || b->columns[c].valid == NULL)
			continue;
		snprintf(text, sizeof text, "\"%.100s\" must not be null",
		    s->fields[c].name);
		for (uint32_t i = 0; i < b->rows; i++)
			if (!tn_column_valid(&b->columns[c], i))
				refuse(p, i, "not_null", s->fields[c].name,
				    text);
	}
}

/* ${errors}: a byte a row, zero, and zero again afterwards. */
static void
check_rule(struct pass *p, const struct tn_sql_check *check,
    struct tn_arena *scratch, uint8_t *errors)
{
	struct tn_batch *b = p->out->batch;
	struct tn_exec_env env = { .batch = b, .arena = scratch,
	    .now_us = p->out->received_us, .error_rows = errors,
	    .no_memory = &p->no_memory };
	const struct tn_column *v = tn_exec_eval(check->expr, &env);
	const uint8_t *truth = v->values;
	const char *column = check->column != NULL ? check->column : "";
	char text[600];

	snprintf(text, sizeof text, "fails %.*s: CHECK (%.*s): %.*s",
	    cut(check->name, 80), check->name, cut(check->text, 200),
	    check->text, cut(env.message, 100), env.message);
	for (uint32_t i = 0; i < b->rows && env.errors > 0; i++) {
		if (errors[i] != 0)
			refuse(p, i, "check", column, text);
		errors[i] = 0;
	}
	snprintf(text, sizeof text, "fails %.*s: CHECK (%.*s)",
	    cut(check->name, 80), check->name, cut(check->text, 290),
	    check->text);
	for (uint32_t i = 0; i < b->rows; i++)
		if (truth[i] == 0 && tn_column_valid(v, i))
			refuse(p, i, "check", column, text);
}

static void
check_rules(struct pass *p)
{
	struct tn_arena *scratch;
	uint8_t *errors;

	if (p->table->check_count == 0)
		return;
	scratch = tn_arena_new(65536);
	errors = tn_zalloc(p->out->batch->rows + 1);
	for (uint32_t k = 0; k < p->table->check_count; k++) {
		check_rule(p, &p->table->checks[k], scratch, errors);
		tn_arena_reset(scratch);
	}
	tn_free(errors);
	tn_arena_free(scratch);
}

/* Late dates do not fit microseconds: the last one instead. */
static int64_t
event_time(const struct tn_column *c, uint32_t row)
{
	int64_t t;

	if (c->type.id != TN_T_DATE)
		return ((const int64_t *)c->values)[row];
	t = ((const int32_t *)c->values)[row];
	return __builtin_mul_overflow(t, INT64_C(86400000000), &t) ?
	    INT64_MAX : t;
}

static bool
too_far(int64_t t, int64_t received_us, int64_t skew_us)
{
	int64_t ahead;

	return t > received_us && (__builtin_sub_overflow(t, received_us,
	    &ahead) || ahead > skew_us);
}

static void
check_event_time(struct pass *p)
{
	struct tn_batch *b = p->out->batch;
	int at = p->table->event_time;
	int64_t skew = p->table->max_future_skew_us;
	const char *name;
	const struct tn_column *c;

	if (at < 0)
		return;
	c = &b->columns[at];
	name = p->table->schema->fields[at].name;
	for (uint32_t i = 0; i < b->rows; i++) {
		if (!tn_column_valid(c, i))
			refuse(p, i, "missing_event_time", name,
			    "the event time must not be null");
		else if (!p->again && skew > 0 && too_far(event_time(c, i),
		    p->out->received_us, skew))
			refuse(p, i, "future", name, "the event time is "
			    "further in the future than max_future_skew");
	}
}

/* ---- the pass -------------------------------------------------------- */

static struct tn_governance_rows *
begin_rows(const struct tn_governance_stream *s, uint32_t rows,
    int64_t received_us, const uint8_t *marks)
{
	struct tn_arena *a = tn_arena_new((size_t)rows * 17 + 1024);
	struct tn_governance_rows *r = tn_arena_zalloc(a, sizeof *r);
	uint8_t *said;

	r->arena = a;
	r->refs = 1;
	r->stream = s;
	r->received_us = received_us;
	r->marks = tn_arena_zalloc(a, rows + 1);
	if (marks == NULL)
		return r;
	memcpy(r->marks, marks, rows);
	said = tn_arena_alloc(a, rows + 1);
	memcpy(said, marks, rows);
	r->said = said;
	return r;
}

bool
tn_governance_holds_key(const struct tn_governance_rows *r, uint32_t i)
{
	const struct tn_sql_table *t = r->stream->table;

	if (r->marks[i] == TN_MARK_ACCEPTED)
		return true;
	if (r->said == NULL || r->said[i] != TN_MARK_ACCEPTED)
		return false;
	/* Without its key a row cannot be told from others. */
	for (uint32_t k = 0; k < t->key_count; k++)
		if (!tn_column_valid(&r->batch->columns[t->key[k]], i))
			return false;
	return true;
}

/* False when memory is out. */
static bool
decode(struct tn_governance_gate *g, struct pass *p, const uint8_t *marks)
{
	const struct tn_codec_error *errors = NULL;
	uint32_t count = 0;
	size_t need = p->raw->count *
	    ((size_t)(p->table->schema->count + 7) / 8) + 1;

	if (g->has_defaults && g->absent_cap < need) {
		tn_free(g->absent);
		g->absent = tn_alloc(need);
		g->absent_cap = need;
	}
	if (g->has_defaults)
		memset(g->absent, 0, need);
	tn_codec_decode(g->decoder, p->raw, marks, g->builder,
	    g->has_defaults ? g->absent : NULL, &errors, &count);
	p->out->batch = tn_record_builder_take(g->builder);
	if (p->out->batch == NULL ||
	    tn_codec_decoder_no_memory(g->decoder))
		return false;
	tn_assert(p->out->batch->rows == p->raw->count);
	for (uint32_t i = 0; i < count; i++)
		refuse(p, errors[i].row, errors[i].code, errors[i].column,
		    errors[i].message);
	return true;
}

struct tn_governance_rows *
tn_governance_gate_pass(struct tn_governance_gate *g,
    const struct tn_codec_rows *raw, int64_t received_us,
    const uint8_t *marks)
{
	const struct tn_sql_table *t = g->stream->table;
	struct pass p = { .table = t, .again = marks != NULL, .raw = raw };

	p.out = begin_rows(g->stream, raw->count, received_us, marks);
	p.no_memory = !decode(g, &p, marks);
	if (g->has_defaults && !p.no_memory)
		fill_defaults(g, &p);
	if (!p.no_memory)
		generate(&p);
	if (!p.no_memory)
		check_not_null(&p);
	if (!p.again && !p.no_memory)
		check_rules(&p);
	if (p.no_memory) {
		tn_governance_rows_unref(p.out);
		return NULL;
	}
	check_event_time(&p);
	order_reasons(p.out);
	if (t->key_count > 0) {
		p.out->keys = tn_arena_alloc(p.out->arena,
		    (raw->count + 1) * sizeof *p.out->keys);
		tn_record_hash_keys(p.out->batch, t->key, t->key_count,
		    p.out->keys);
	}
	return p.out;
}

/* ---- silver ---------------------------------------------------------- */

static void
hidden_columns(const struct tn_governance_rows *r, const uint32_t *rows,
    uint32_t count, struct tn_arena *a, struct tn_column *cols)
{
	int64_t *v[TN_SQL_HIDDEN];

	for (int k = 0; k < TN_SQL_HIDDEN; k++) {
		v[k] = tn_arena_alloc(a, (count + 1) * sizeof **v);
		cols[k] = (struct tn_column){ .type = tn_record_type(
		    k < 2 ? TN_T_INT8 : TN_T_TIMESTAMPTZ),
		    .rows = count, .values = v[k] };
	}
	for (uint32_t i = 0; i < count; i++) {
		v[0][i] = (int64_t)r->lsn;
		v[1][i] = (int64_t)(r->offset + rows[i]);
		v[2][i] = r->received_us;
	}
}

enum tn_status
tn_governance_silver_of(const struct tn_governance_rows *r,
    struct tn_batch **out)
{
	const struct tn_schema *s = r->stream->silver;
	uint32_t declared = s->count - TN_SQL_HIDDEN, n = 0;
	uint32_t *rows = tn_alloc(((size_t)r->batch->rows + 1) * sizeof *rows);
	struct tn_batch *kept;
	struct tn_column *cols;

	*out = NULL;
	tn_assert(declared == r->batch->schema->count);
	for (uint32_t i = 0; i < r->batch->rows; i++)
		if (r->marks[i] == TN_MARK_ACCEPTED)
			rows[n++] = i;
	if (n == 0) {
		tn_free(rows);
		return TN_OK;
	}
	/* Mostly all are: their columns are shared. */
	kept = n == r->batch->rows ? tn_record_batch_share(r->batch) :
	    tn_record_batch_take(r->batch, rows, n);
	if (kept == NULL) {
		tn_free(rows);
		return TN_ENOMEM;
	}
	tn_assert(kept->refs == 1);
	cols = tn_arena_alloc(kept->arena, s->count * sizeof *cols);
	memcpy(cols, kept->columns, declared * sizeof *cols);
	hidden_columns(r, rows, n, kept->arena, cols + declared);
	/* The batch is ours alone: give it silver's shape in place. */
	kept->columns = cols;
	kept->schema = s;
	tn_free(rows);
	*out = kept;
	return TN_OK;
}
