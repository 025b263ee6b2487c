/* WITH (mqtt = '...') of a table and WITH (publish = '...') of a view: topics
 * with {columns} in them. The pattern language is codec's (topic.c there);
 * here the columns are looked up, so that a mistake is told at its place and
 * not by every message. Several patterns of a table are parted by commas. */
#include "sql/sql_int.h"

#include <string.h>

#define TOPICS_MAX 64

static bool
bad(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_diag *d)
{
	(void)tn_sql_fail(b, o->at, "bad_topic", tn_arena_strdup(b->a,
	    d->hint), "%.*s: %s", (int)o->name.n, (const char *)o->name.p,
	    d->message);
	return false;
}

static bool
check_column(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_field *fields, uint32_t count, const char *name)
{
	struct tn_sql_near near = { .word = tn_slice_of(name) };

	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(fields[i].name, name) == 0)
			return true;
		tn_sql_near_try(&near, fields[i].name);
	}
	(void)tn_sql_fail(b, o->at, "unknown_column",
	    tn_sql_near_hint(b, &near, "Name columns between the braces."),
	    "%.*s: there is no column \"%s\"", (int)o->name.n,
	    (const char *)o->name.p, name);
	return false;
}

/* The name that is there before capture ${at}, or behind the arrow: the later of
 * two would take the place of the first, whose text would be lost. */
static bool
comes_before(const struct tn_codec_topic *t, uint32_t at, const char *name)
{
	for (uint32_t i = 0; i < at; i++)
		if (strcmp(t->captures[i].column, name) == 0)
			return true;
	return t->value != NULL && strcmp(t->value, name) == 0;
}

static bool
fills_once(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_codec_topic *t)
{
	for (uint32_t i = 0; i < t->capture_count; i++)
		if (comes_before(t, i, t->captures[i].column)) {
			(void)tn_sql_fail(b, o->at, "bad_topic",
			    "Use + for a level that fills no column.",
			    "mqtt: a pattern fills \"%s\" twice",
			    t->captures[i].column);
			return false;
		}
	return true;
}

/* What nothing would ever match: shared subscriptions, which are no topics, and
 * $x{a}, whose filter begins with +. */
static bool
is_topic(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_codec_topic *t)
{
	if (t->capture_count > 0 && t->captures[0].level == 0 &&
	    t->captures[0].before[0] == '$' && tn_slice_is(o->name, "mqtt")) {
		(void)tn_sql_fail(b, o->at, "bad_topic", "Write the first "
		    "level as it is.", "%.*s: a first level that begins with "
		    "$ has no {column}", (int)o->name.n,
		    (const char *)o->name.p);
		return false;
	}
	if (strncmp(t->filter, "$share/", 7) != 0)
		return true;
	(void)tn_sql_fail(b, o->at, "bad_topic", "Write the topic alone.",
	    "%.*s: no topic begins with $share/", (int)o->name.n,
	    (const char *)o->name.p);
	return false;
}

static bool
check_pattern(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    struct tn_slice text, const struct tn_field *fields, uint32_t count)
{
	struct tn_codec_topic t;
	struct tn_diag d = { .line = 0 };
	bool good;

	if (tn_codec_topic_parse(&t, text, &d) != TN_OK)
		return bad(b, o, &d);
	good = is_topic(b, o, &t) &&
	    (!tn_slice_is(o->name, "mqtt") || fills_once(b, o, &t));
	for (uint32_t i = 0; good && i < t.capture_count; i++)
		good = check_column(b, o, fields, count,
		    t.captures[i].column);
	if (good && t.value != NULL)
		good = check_column(b, o, fields, count, t.value);
	tn_codec_topic_fini(&t);
	return good;
}

bool
tn_sql_topics_bind(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_field *fields, uint32_t count, struct tn_sql_table *t)
{
	const uint8_t *p = o->value.p, *end = o->value.p + o->value.n, *comma;
	const char **topics = tn_arena_zalloc(b->a, TOPICS_MAX *
	    sizeof *topics);

	for (; p <= end; p = comma + 1) {
		struct tn_slice one;
		comma = p == end ? NULL : memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		one = (struct tn_slice){ p, (size_t)(comma - p) };
		if (!check_pattern(b, o, one, fields, count))
			return false;
		if (t->topic_count == TOPICS_MAX) {
			(void)tn_sql_fail(b, o->at, "bad_topic",
			    "Use + and # to say it with fewer.",
			    "mqtt: more than %d patterns", TOPICS_MAX);
			return false;
		}
		topics[t->topic_count++] = tn_arena_strndup(b->a,
		    (const char *)p, one.n);
	}
	t->topics = topics;
	return true;
}

bool
tn_sql_publish_check(struct tn_sql_bind *b, const struct tn_sql_opt *o,
    const struct tn_schema *outputs)
{
	struct tn_codec_topic t;
	struct tn_diag d = { .line = 0 };
	bool plain;

	if (tn_codec_topic_parse(&t, o->value, &d) != TN_OK)
		return bad(b, o, &d);
	plain = t.value == NULL && memchr(o->value.p, '+', o->value.n) ==
	    NULL && memchr(o->value.p, '#', o->value.n) == NULL;
	tn_codec_topic_fini(&t);
	if (!plain) {
		(void)tn_sql_fail(b, o->at, "bad_topic",
		    "Write it like publish = 'views/visits/{office}'.",
		    "publish: a topic to publish to has no +, # or ->");
		return false;
	}
	return check_pattern(b, o, o->value, outputs->fields,
	    outputs->count);
}
