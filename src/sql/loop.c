/* Views that feed themselves. A row that a view publishes into a topic of a
 * stream's mqtt = '...' is an event of that stream; when views lead from there
 * back to the stream that the first one reads, each event makes another one for
 * ever, and nobody is told. So a pipeline with such a way is refused.
 *
 *   stream --read by--> view --publish = 'x/{k}' overlaps mqtt = 'x/+'--> stream
 *
 * Whether two patterns overlap is for codec to say; that values of a column may
 * never make the topic in question is not looked at. Where it may well come to
 * rest nothing is refused: behind a view with WHERE or HAVING (alarms in the
 * topic tree of their devices), in a stream with a PRIMARY KEY or a CHECK, and in one that
 * cannot take such a row, as a column that must not be null is in neither its
 * topic nor its payload. A reference table is no part of the way: rows are
 * joined with what it held at their LSN, so a new row there changes nothing
 * that is published. */
#include "sql/sql_int.h"

#include <string.h>

#define TOPIC_SHOWN 60
#define WAY_SHOWN 220

struct graph {
	const struct tn_sql_pipeline *p;
	/* Of a view and a table: which of the table's patterns takes what the
	 * view publishes, from 1; 0: none. */
	uint8_t *takes;
	uint32_t *source;            /* Of a view: the table it reads. */
	/* Of a table: the view by which a walk came to it, or -1. */
	int *by;
	uint32_t *queue;
};

static const char *
publish_of(const struct tn_sql_view *v)
{
	for (uint32_t i = 0; i < v->option_count; i++)
		if (strcmp(v->options[i].name, "publish") == 0)
			return v->options[i].value;
	return NULL;
}

/* ---- who takes what -------------------------------------------------- */

static bool
is_number(enum tn_type_id t)
{
	return t >= TN_T_INT2 && t <= TN_T_NUMERIC;
}

/* Does the row bring a value that the column takes? */
static bool
is_given(const struct tn_sql_view *v, const struct tn_codec_topic *pattern,
    const struct tn_field *column)
{
	const struct tn_schema *s = v->select->schema;

	/* All of the payload: an object. */
	if (pattern->value != NULL && strcmp(pattern->value, column->name) == 0)
		return column->type.id == TN_T_TEXT ||
		    column->type.id == TN_T_JSONB;
	for (uint32_t i = 0; i < pattern->capture_count; i++)
		if (strcmp(pattern->captures[i].column, column->name) == 0)
			return true;
	for (uint32_t i = 0; pattern->value == NULL && i < s->count; i++)
		if (strcmp(s->fields[i].name, column->name) == 0)
			return s->fields[i].type.id == column->type.id ||
			    (is_number(s->fields[i].type.id) &&
			    is_number(column->type.id));
	return false;
}

/* May each row that the view publishes be one of the table's? */
static bool
is_row_of(const struct tn_sql_view *v, const struct tn_sql_table *t,
    const struct tn_codec_topic *pattern)
{
	if (v->select->where != NULL || v->select->having != NULL ||
	    t->key_count > 0 || t->check_count > 0)
		return false;
	for (uint32_t i = 0; i < t->schema->count; i++)
		if (t->schema->fields[i].not_null && t->defaults[i] == NULL &&
		    t->generated[i] == NULL &&
		    !is_given(v, pattern, &t->schema->fields[i]))
			return false;
	return true;
}

static void
look_at_table(struct graph *g, uint32_t table,
    const struct tn_codec_topic *published)
{
	const struct tn_sql_table *t = g->p->tables[table];
	struct tn_codec_topic pattern;

	for (uint32_t i = 0; i < t->topic_count; i++) {
		enum tn_status st = tn_codec_topic_parse(&pattern,
		    tn_slice_of(t->topics[i]), NULL);

		tn_assert(st == TN_OK);         /* topic.c has looked. */
		for (uint32_t v = 0; v < g->p->view_count; v++) {
			uint8_t *takes = &g->takes[v * g->p->table_count +
			    table];

			if (*takes == 0 && published[v].filter != NULL &&
			    is_row_of(g->p->views[v], t, &pattern) &&
			    tn_codec_topic_overlap(&published[v], &pattern))
				*takes = (uint8_t)(i + 1);
		}
		tn_codec_topic_fini(&pattern);
	}
}

static void
look_at_all(struct graph *g)
{
	struct tn_codec_topic *published = tn_zalloc((g->p->view_count + 1) *
	    sizeof *published);
	bool any = false;

	for (uint32_t v = 0; v < g->p->view_count; v++) {
		const char *topic = publish_of(g->p->views[v]);
		enum tn_status st = topic == NULL ? TN_OK :
		    tn_codec_topic_parse(&published[v], tn_slice_of(topic),
		    NULL);

		tn_assert(st == TN_OK);
		any = any || topic != NULL;
	}
	for (uint32_t t = 0; any && t < g->p->table_count; t++)
		look_at_table(g, t, published);
	for (uint32_t v = 0; v < g->p->view_count; v++)
		tn_codec_topic_fini(&published[v]);
	tn_free(published);
}

/* ---- ways ------------------------------------------------------------ */

static void
find_sources(struct graph *g)
{
	for (uint32_t v = 0; v < g->p->view_count; v++) {
		const char *name = g->p->views[v]->select->source;
		uint32_t t = 0;

		while (strcmp(g->p->tables[t]->name, name) != 0)
			t++;
		g->source[v] = t;
	}
}

/* Tables that take what the view publishes and were not met yet. */
static uint32_t
reach(struct graph *g, uint32_t view, uint32_t count)
{
	for (uint32_t t = 0; t < g->p->table_count; t++)
		if (g->by[t] < 0 &&
		    g->takes[view * g->p->table_count + t] > 0) {
			g->by[t] = (int)view;
			g->queue[count++] = t;
		}
	return count;
}

/* Does a way lead from what the view publishes to the stream it reads? The
 * nearest tables come first, so by[] has the shortest. */
static bool
comes_back(struct graph *g, uint32_t view)
{
	uint32_t home = g->source[view], count;

	for (uint32_t t = 0; t < g->p->table_count; t++)
		g->by[t] = -1;
	count = reach(g, view, 0);
	for (uint32_t at = 0; at < count && g->by[home] < 0; at++)
		for (uint32_t v = 0; v < g->p->view_count; v++)
			if (g->source[v] == g->queue[at])
				count = reach(g, v, count);
	return g->by[home] >= 0;
}

/* ---- told ------------------------------------------------------------ */

/* Backwards, as by[] goes, so each piece is put in front. */
static const char *
way_text(const struct graph *g, uint32_t view)
{
	struct tn_arena *a = g->p->arena;
	uint32_t home = g->source[view], at = home;
	const char *text = g->p->tables[home]->name;
	int v;

	do {
		v = g->by[at];
		at = g->source[v];
		text = tn_arena_printf(a, "%s -> view %s -> %.*s%s",
		    g->p->tables[at]->name, g->p->views[v]->name, WAY_SHOWN,
		    text, strlen(text) > WAY_SHOWN ? "..." : "");
	} while (v != (int)view);
	return text;
}

static const char *
message_of(const struct graph *g, uint32_t view)
{
	const uint8_t *takes = &g->takes[view * g->p->table_count];
	const char *way = way_text(g, view), *pattern;
	uint32_t home = g->source[view], first = home;

	/* The first table on the way: from home back to it. */
	while (g->by[first] != (int)view)
		first = g->source[g->by[first]];
	pattern = g->p->tables[first]->topics[takes[first] - 1];
	pattern += strspn(pattern, " \t\n");
	return tn_arena_printf(g->p->arena, "publish: view \"%s\" would feed "
	    "itself for ever: stream \"%s\" takes its topic '%.*s' by mqtt = "
	    "'%.*s', and so round: %s", g->p->views[view]->name,
	    g->p->tables[first]->name, TOPIC_SHOWN,
	    publish_of(g->p->views[view]), TOPIC_SHOWN,
	    pattern, way);
}

bool
tn_sql_loop_find(const struct tn_sql_pipeline *p, struct tn_sql_loop *out)
{
	struct graph g = { .p = p };
	bool found = false;

	g.takes = tn_zalloc((size_t)p->view_count * p->table_count + 1);
	g.source = tn_zalloc((p->view_count + 1) * sizeof *g.source);
	g.by = tn_zalloc((p->table_count + 1) * sizeof *g.by);
	g.queue = tn_zalloc((p->table_count + 1) * sizeof *g.queue);
	find_sources(&g);
	look_at_all(&g);
	for (uint32_t v = 0; v < p->view_count && !found; v++) {
		found = publish_of(p->views[v]) != NULL && comes_back(&g, v);
		if (found)
			*out = (struct tn_sql_loop){ v, message_of(&g, v) };
	}
	tn_free(g.takes);
	tn_free(g.source);
	tn_free(g.by);
	tn_free(g.queue);
	return found;
}
