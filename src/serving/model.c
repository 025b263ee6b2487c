/* The model: what the pipeline's definitions are called in the catalog, and
 * what the engine needs to run them. Made at the start; change.c adds views. */
#include "serving/serving_int.h"

#include <string.h>

const struct tn_schema *
tn_serving_silver_schema(const struct tn_sql_table *t)
{
	uint32_t n = t->schema->count;
	struct tn_field *f = tn_alloc((n + TN_SQL_HIDDEN) * sizeof *f);
	struct tn_schema s = { t->name, n + TN_SQL_HIDDEN, f };
	struct tn_schema *copy;

	memcpy(f, t->schema->fields, n * sizeof *f);
	f[n] = (struct tn_field){ TN_SQL_LSN_NAME,
	    tn_record_type(TN_T_INT8), true };
	f[n + 1] = (struct tn_field){ TN_SQL_OFFSET_NAME,
	    tn_record_type(TN_T_INT8), true };
	f[n + 2] = (struct tn_field){ TN_SQL_RECEIVED_NAME,
	    tn_record_type(TN_T_TIMESTAMPTZ), true };
	copy = tn_record_schema_copy(&s);
	tn_free(f);
	return copy;
}

static enum tn_status
add_stream(struct tn_serving_model *m, const struct tn_sql_table *t,
    struct tn_catalog *cat)
{
	struct tn_governance_stream *s = &m->streams[m->stream_count];
	struct tn_catalog_object o;
	enum tn_status st = tn_catalog_define(cat,
	    t->kind == TN_SQL_REFERENCE ? TN_CATALOG_REFERENCE :
	    TN_CATALOG_STREAM, t->name, t->definition, t->comment, &o);

	if (st != TN_OK)
		return st;
	s->table = t;
	s->id = o.id;
	s->version = o.version;
	s->silver = tn_serving_silver_schema(t);
	m->stream_count++;
	return TN_OK;
}

/* What a view's states depend on: its own text and that of the tables it
 * reads. A generated column that becomes another one changes them too. */
void
tn_serving_view_text(const struct tn_sql_pipeline *p,
    const struct tn_sql_view *def, struct tn_buf *out)
{
	const struct tn_sql_select *s = def->select;

	tn_buf_str(out, def->definition);
	for (uint32_t i = 0; i <= s->join_count; i++) {
		const struct tn_sql_table *t = tn_sql_table(p, tn_slice_of(
		    i == 0 ? s->source : s->joins[i - 1].table));
		tn_assert(t != NULL);   /* Views read tables only. */
		tn_buf_printf(out, "\n-- reads: %s", t->definition);
	}
}

enum tn_status
tn_serving_view_name(struct tn_serving_view *v,
    const struct tn_sql_pipeline *p, struct tn_catalog *cat)
{
	struct tn_catalog_object o;
	struct tn_buf text = { 0 };
	enum tn_status st;

	tn_serving_view_text(p, v->def, &text);
	st = tn_catalog_define(cat, TN_CATALOG_VIEW, v->def->name,
	    tn_buf_cstr(&text), v->def->comment, &o);
	tn_buf_fini(&text);
	if (st != TN_OK)
		return st;
	v->id = o.id;
	v->version = o.version;
	v->fresh = o.changed;
	return TN_OK;
}

void
tn_serving_view_make(struct tn_serving_model *m,
    const struct tn_sql_view *def)
{
	struct tn_serving_view *v = &m->views[m->view_count];
	int stream = tn_serving_stream_find(m,
	    tn_slice_of(def->select->source));

	tn_assert(stream >= 0 && m->view_count < m->slots);
	v->def = def;
	v->stream = (uint32_t)stream;
	/* A cut writes anew the partitions of the buckets that it touched: that
	 * is a day's hours, not a month's. */
	v->by_month = def->select->bucket_us > INT64_C(86400) * 1000000;
	v->program = tn_exec_program_new(def->select);
}

enum tn_status
tn_serving_model_new(struct tn_serving_model **out,
    struct tn_sql_pipeline *p, struct tn_catalog *cat, struct tn_diag *d)
{
	struct tn_serving_model *m = tn_zalloc(sizeof *m);
	enum tn_status st = TN_OK;

	*out = NULL;
	m->pipeline = p;
	m->slots = p->view_count + TN_VIEWS_MORE;
	m->streams = tn_zalloc((p->table_count + 1) * sizeof *m->streams);
	m->views = tn_zalloc(m->slots * sizeof *m->views);
	for (uint32_t i = 0; st == TN_OK && i < p->table_count; i++)
		st = add_stream(m, p->tables[i], cat);
	for (uint32_t i = 0; st == TN_OK && i < p->view_count; i++) {
		tn_serving_view_make(m, p->views[i]);
		st = tn_serving_view_name(&m->views[m->view_count++], p, cat);
	}
	if (st != TN_OK) {
		tn_serving_model_free(m);
		return tn_diag_set(d, st, "catalog",
		    "the definitions could not be stored: %s",
		    tn_status_text(st));
	}
	*out = m;
	return TN_OK;
}

void
tn_serving_model_state_max(struct tn_serving_model *m, size_t bytes)
{
	m->state_max = bytes;
	for (uint32_t i = 0; i < m->view_count; i++)
		tn_exec_program_state_max(m->views[i].program, bytes);
}

void
tn_serving_model_free(struct tn_serving_model *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->view_count; i++)
		tn_exec_program_free(m->views[i].program);
	for (uint32_t i = 0; i < m->stream_count; i++)
		tn_free((void *)m->streams[i].silver);
	tn_free(m->streams);
	tn_free(m->views);
	tn_sql_pipeline_free((struct tn_sql_pipeline *)m->pipeline);
	for (uint32_t i = 0; i < m->older_count; i++)
		tn_sql_pipeline_free(m->older[i]);
	tn_free(m->older);
	tn_free(m);
}

int
tn_serving_stream_find(const struct tn_serving_model *m,
    struct tn_slice name)
{
	for (uint32_t i = 0; i < m->stream_count; i++)
		if (tn_slice_is(name, m->streams[i].table->name))
			return (int)i;
	return -1;
}

int
tn_serving_view_find(const struct tn_serving_model *m, struct tn_slice name)
{
	/* The newest: for an instant of a swap two of a name are live. */
	for (uint32_t i = m->view_count; i-- > 0; )
		if (tn_slice_is(name, m->views[i].def->name) &&
		    tn_serving_view_live(m, i))
			return (int)i;
	return -1;
}

bool
tn_serving_view_live(const struct tn_serving_model *m, uint32_t view)
{
	return __atomic_load_n(&m->views[view].state, __ATOMIC_ACQUIRE) ==
	    TN_VIEW_LIVE;
}

uint32_t
tn_serving_view_slots(const struct tn_serving_model *m)
{
	return m->slots > m->view_count ? m->slots : m->view_count;
}

const struct tn_sql_pipeline *
tn_serving_pipeline(const struct tn_serving_model *m)
{
	return __atomic_load_n(&m->pipeline, __ATOMIC_ACQUIRE);
}

int
tn_serving_stream_by_id(const struct tn_serving_model *m, uint32_t id)
{
	for (uint32_t i = 0; i < m->stream_count; i++)
		if (m->streams[i].id == id)
			return (int)i;
	return -1;
}

void
tn_serving_refs_fini(struct tn_serving_refs *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		tn_exec_ref_free(r->refs[i]);
	tn_free(r->refs);
	tn_free(r->names);
	memset(r, 0, sizeof *r);
}

struct tn_exec_refs
tn_serving_refs_view(const struct tn_serving_refs *r)
{
	return (struct tn_exec_refs){ (const void *)r->refs,
	    (const void *)r->names, r->count };
}
