/* Result rows to bytes. JSON of a view:
 *
 *   {"view":"v","columns":["office",...],"types":["text",...],
 *    "rows":[[...],...],"provisional":[3,4],"recomputed":2,"lsn":n,
 *    "batch_lsn":n,"truncated":false}
 *
 * provisional: indexes of rows in which the speed layer has a share, so that
 * a chart can draw them dashed. recomputed: groups whose exact answer was found
 * again from rows; left out when there are none. */
#include "serving/serving_int.h"

#include <stdlib.h>
#include <string.h>

void
tn_serving_encode_begin(struct tn_buf *out, const char *view,
    const struct tn_schema *s)
{
	char type[48];

	tn_buf_char(out, '{');
	if (view != NULL) {
		tn_buf_str(out, "\"view\":\"");
		tn_buf_str(out, view);
		tn_buf_str(out, "\",");
	}
	tn_buf_str(out, "\"columns\":[");
	for (uint32_t i = 0; i < s->count; i++) {
		tn_buf_str(out, i > 0 ? ",\"" : "\"");
		tn_buf_json(out, s->fields[i].name,
		    strlen(s->fields[i].name));
		tn_buf_char(out, '"');
	}
	tn_buf_str(out, "],\"types\":[");
	for (uint32_t i = 0; i < s->count; i++)
		tn_buf_printf(out, "%s\"%s\"", i > 0 ? "," : "",
		    tn_record_type_name(s->fields[i].type, type));
	tn_buf_str(out, "],\"rows\":[");
}

/* One answer's rows on their way into bytes. */
struct table {
	struct tn_serving_answer *answer;
	enum tn_serving_format format;
	const char *view;                /* Named in JSON, or NULL. */
	const uint8_t *provisional;      /* A byte a row, or NULL. */
	bool truncated;
};

static void
encode_end(const struct table *t, uint32_t rows)
{
	struct tn_buf *out = &t->answer->body;
	bool first = true;

	tn_buf_char(out, ']');
	if (t->provisional != NULL) {
		tn_buf_str(out, ",\"provisional\":[");
		for (uint32_t i = 0; i < rows; i++) {
			if (t->provisional[i] == 0)
				continue;
			tn_buf_printf(out, first ? "%u" : ",%u",
			    (unsigned)i);
			first = false;
		}
		tn_buf_char(out, ']');
	}
	if (t->answer->recomputed > 0)
		tn_buf_printf(out, ",\"recomputed\":%u",
		    (unsigned)t->answer->recomputed);
	tn_buf_printf(out, ",\"lsn\":%llu,\"batch_lsn\":%llu,"
	    "\"truncated\":%s}", (unsigned long long)t->answer->lsn,
	    (unsigned long long)t->answer->batch_lsn,
	    t->truncated ? "true" : "false");
}

static void
encode_table(const struct table *t, struct tn_batch *b)
{
	struct tn_serving_answer *a = t->answer;
	struct tn_buf *out = &a->body;
	bool first = true;

	out->max = 1u << 30;
	a->rows = b->rows;
	switch (t->format) {
	case TN_FORMAT_CSV:
		tn_codec_csv_header(out, b->schema);
		tn_codec_csv_rows(out, b);
		break;
	case TN_FORMAT_NDJSON:
		tn_codec_ndjson_rows(out, b);
		break;
	case TN_FORMAT_JSON:
		tn_serving_encode_begin(out, t->view, b->schema);
		tn_codec_json_rows(out, b, &first);
		encode_end(t, b->rows);
		break;
	}
	if (out->no_memory) {
		tn_serving_no_memory(a);
	} else if (out->failed) {
		a->status = tn_diag_set(&a->diag, TN_ELIMIT, "too_large",
		    "the answer is larger than 1 GiB");
		tn_diag_hint(&a->diag, "ask for fewer rows: filters, "
		    "from and to, or limit");
	}
}

void
tn_serving_encode(struct tn_serving_answer *a, enum tn_serving_format format,
    struct tn_batch *b)
{
	const struct table t = { .answer = a, .format = format };

	encode_table(&t, b);
}

void
tn_serving_encode_rows(struct request *r, struct tn_batch *b,
    bool truncated)
{
	const struct table t = { .answer = r->answer, .format = r->format,
	    .truncated = truncated };

	encode_table(&t, b);
}

static bool
same_row(const struct tn_batch *a, uint32_t i, const struct tn_batch *b,
    uint32_t k)
{
	for (uint32_t c = 0; c < a->schema->count; c++)
		if (tn_record_compare(&a->columns[c], i, &b->columns[c], k)
		    != 0)
			return false;
	return true;
}

/* Rows of all that also are in some. Both come in key order, and some is a
 * part of all, so one walk is enough. */
static void
mark_provisional(const struct tn_batch *all, const struct tn_batch *some,
    uint8_t *marks)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < all->rows && k < some->rows; i++)
		if (same_row(all, i, some, k)) {
			marks[i] = 1;
			k++;
		}
}

struct order {
	const struct tn_column *by;
	uint32_t row;
};

static int
newest_first(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	int c = tn_record_compare(y->by, y->row, x->by, x->row);

	return c != 0 ? c : x->row < y->row ? -1 : x->row > y->row;
}

/* The rows wanted, in the order wanted; *marks follows. NULL: memory is out. */
static struct tn_batch *
arrange(struct request *r, struct tn_batch *b, uint8_t **marks)
{
	const struct tn_sql_view *v = r->s->o.model->views[r->view].def;
	int bucket = v->select->bucket_group;
	int by = bucket >= 0 ? v->group_output[bucket] : -1;
	uint32_t n = b->rows < r->limit ? b->rows : r->limit;
	struct order *o = tn_try_alloc((b->rows + 1ul) * sizeof *o);
	uint32_t *rows = tn_arena_alloc(r->arena, (n + 1ul) * sizeof *rows);
	uint8_t *moved = tn_arena_zalloc(r->arena, n + 1ul);
	struct tn_batch *out;

	if (o == NULL) {
		tn_record_batch_unref(b);
		return NULL;
	}
	for (uint32_t i = 0; i < b->rows; i++)
		o[i] = (struct order){ by >= 0 ? &b->columns[by] : NULL, i };
	if (r->newest_first && by >= 0)
		qsort(o, b->rows, sizeof *o, newest_first);
	for (uint32_t i = 0; i < n; i++) {
		rows[i] = o[i].row;
		moved[i] = *marks != NULL ? (*marks)[o[i].row] : 0;
	}
	tn_free(o);
	*marks = *marks != NULL ? moved : NULL;
	out = tn_record_batch_take(b, rows, n);
	tn_record_batch_unref(b);
	return out;
}

void
tn_serving_encode_view(struct request *r, struct tn_exec_fold *merged)
{
	struct tn_batch *b = tn_exec_fold_finish(merged, NULL), *some;
	struct tn_exec_fold *touched;
	uint8_t *marks = NULL;
	bool truncated = b->rows > r->limit;
	struct table t = { .answer = r->answer, .format = r->format,
	    .view = r->s->o.model->views[r->view].def->name,
	    .truncated = truncated };

	if (r->layer == TN_LAYER_MERGED && r->ask.fold != NULL &&
	    r->past.kind == PAST_NOT && r->format == TN_FORMAT_JSON) {
		marks = tn_arena_zalloc(r->arena, b->rows + 1);
		touched = tn_exec_fold_pick(merged, r->ask.fold);
		/* A view without GROUP BY has one row even when empty. */
		if (tn_exec_fold_groups(touched) > 0) {
			some = tn_exec_fold_finish(touched, NULL);
			mark_provisional(b, some, marks);
			tn_record_batch_unref(some);
		}
		tn_exec_fold_free(touched);
	}
	if (truncated || r->newest_first)
		b = arrange(r, b, &marks);
	if (b == NULL) {
		tn_serving_no_memory(r->answer);
		return;
	}
	t.provisional = marks;
	encode_table(&t, b);
	tn_record_batch_unref(b);
}
