/* topic: how the topics of a broker's messages fill columns. A pattern is
 * written like an MQTT filter with names in braces:
 *
 *   office/{office}/door/{door}      two levels become columns
 *   shelly-{device}/status/switch:{channel}
 *                                    part of a level; one name a level
 *   site/+/{room}/#                  + and # match and are thrown away
 *   meters/{meter}/total -> total    the whole payload goes to one column;
 *                                    without the arrow it is JSON whose
 *                                    fields fill columns by their names
 *
 * Parsing makes the filter that routes (captures become +) and a list of
 * captures; matching gives the captured texts, borrowed from the topic; two
 * patterns overlap when there is a topic that both take. */
#include "codec/codec_int.h"

#include <string.h>

#define TOPIC_BYTES_MAX 4096

static enum tn_status
bad(struct tn_diag *d, const char *what)
{
	tn_diag_hint(d, "%s", "write levels parted by /, with {column} for a "
	    "level that fills a column, e.g. 'office/{office}/door/{door}', "
	    "or 'meters/{meter}/total -> total' for plain payloads");
	return tn_diag_set(d, TN_EINVAL, "bad_topic", "%s", what);
}

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == '\n'))
		s = (struct tn_slice){ s.p + 1, s.n - 1 };
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' ||
	    s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

static char *
copy(const uint8_t *from, const uint8_t *to)
{
	return tn_strndup((const char *)from, (size_t)(to - from));
}

static bool
is_name(const uint8_t *from, const uint8_t *to)
{
	if (from == to || to - from > 63)
		return false;
	for (; from < to; from++)
		if (!((*from >= 'a' && *from <= 'z') || *from == '_' ||
		    (*from >= 'A' && *from <= 'Z') || *from >= 0x80 ||
		    (*from >= '0' && *from <= '9')))
			return false;
	return true;
}

static enum tn_status
add_capture(struct tn_codec_topic *t, struct tn_slice level, uint32_t at,
    struct tn_diag *d)
{
	const uint8_t *end = level.p + level.n;
	const uint8_t *open = memchr(level.p, '{', level.n);
	const uint8_t *close = memchr(level.p, '}', level.n);

	if (open == NULL || close == NULL || close < open)
		return bad(d, "a brace is missing in the topic");
	if (!is_name(open + 1, close))
		return bad(d, "a column's name stands between the braces");
	if (memchr(open + 1, '{', (size_t)(end - open - 1)) != NULL ||
	    memchr(close + 1, '}', (size_t)(end - close - 1)) != NULL)
		return bad(d, "a level of a topic has one {column} at most");
	if (memchr(level.p, '+', level.n) != NULL ||
	    memchr(level.p, '#', level.n) != NULL)
		return bad(d, "a level is + or has a {column}, not both");
	if (t->capture_count == TN_CODEC_CAPTURES_MAX)
		return bad(d, "a topic has at most 16 columns");
	t->captures[t->capture_count].level = at;
	t->captures[t->capture_count].before = copy(level.p, open);
	t->captures[t->capture_count].column = copy(open + 1, close);
	t->captures[t->capture_count++].after = copy(close + 1, end);
	return TN_OK;
}

/* Level by level into captures and the filter. */
static enum tn_status
parse_levels(struct tn_codec_topic *t, struct tn_slice text,
    struct tn_buf *filter, struct tn_diag *d)
{
	enum tn_status st = TN_OK;
	const uint8_t *p = text.p, *end = text.p + text.n, *slash;

	for (uint32_t at = 0; st == TN_OK && p <= end; at++) {
		struct tn_slice level;
		slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
		if (slash == NULL)
			slash = end;
		level = (struct tn_slice){ p, (size_t)(slash - p) };
		if (at > 0)
			tn_buf_char(filter, '/');
		if (memchr(level.p, '{', level.n) != NULL ||
		    memchr(level.p, '}', level.n) != NULL) {
			st = add_capture(t, level, at, d);
			tn_buf_char(filter, '+');
		} else {
			tn_buf_add(filter, level.p, level.n);
		}
		p = slash + 1;
	}
	return st;
}

static const uint8_t *
find_arrow(struct tn_slice text)
{
	for (size_t i = 0; i + 1 < text.n; i++)
		if (text.p[i] == '-' && text.p[i + 1] == '>')
			return text.p + i;
	return NULL;
}

enum tn_status
tn_codec_topic_parse(struct tn_codec_topic *t, struct tn_slice text,
    struct tn_diag *d)
{
	struct tn_buf filter = { 0 };
	struct tn_slice value = { NULL, 0 };
	const uint8_t *arrow;
	enum tn_status st;

	memset(t, 0, sizeof *t);
	text = trim(text);
	arrow = find_arrow(text);
	if (arrow != NULL) {
		value = trim((struct tn_slice){ arrow + 2,
		    (size_t)(text.p + text.n - arrow - 2) });
		text = trim((struct tn_slice){ text.p,
		    (size_t)(arrow - text.p) });
		if (!is_name(value.p, value.p + value.n))
			return bad(d, "a column's name stands behind ->");
	}
	if (text.n == 0 || text.n > TOPIC_BYTES_MAX)
		return bad(d, "the topic is empty or longer than 4096 bytes");
	st = parse_levels(t, text, &filter, d);
	if (st == TN_OK && !tn_codec_mqtt_filter_ok((struct tn_slice){
	    filter.p, filter.n }))
		st = bad(d, "# stands alone at the end and + alone in its "
		    "level");
	if (st == TN_OK) {
		t->filter = tn_strdup(tn_buf_cstr(&filter));
		t->value = arrow == NULL ? NULL :
		    copy(value.p, value.p + value.n);
	} else {
		tn_codec_topic_fini(t);
	}
	tn_buf_fini(&filter);
	return st;
}

void
tn_codec_topic_fini(struct tn_codec_topic *t)
{
	for (uint32_t i = 0; i < t->capture_count; i++) {
		tn_free(t->captures[i].before);
		tn_free(t->captures[i].column);
		tn_free(t->captures[i].after);
	}
	tn_free(t->filter);
	tn_free(t->value);
	memset(t, 0, sizeof *t);
}

/* ---- matching -------------------------------------------------------- */

/* Level ${at} of a topic that has it. */
static struct tn_slice
level_of(struct tn_slice topic, uint32_t at)
{
	const uint8_t *p = topic.p, *end = topic.p + topic.n, *slash;

	for (; at > 0; at--) {
		slash = memchr(p, '/', (size_t)(end - p));
		tn_assert(slash != NULL);
		p = slash + 1;
	}
	slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
	return (struct tn_slice){ p, (size_t)((slash == NULL ? end : slash) -
	    p) };
}

bool
tn_codec_topic_match(const struct tn_codec_topic *t, struct tn_slice topic,
    struct tn_slice *values)
{
	if (!tn_codec_mqtt_match(tn_slice_of(t->filter), topic))
		return false;
	for (uint32_t i = 0; i < t->capture_count; i++) {
		struct tn_slice level = level_of(topic, t->captures[i].level);
		size_t before = strlen(t->captures[i].before);
		size_t after = strlen(t->captures[i].after);

		if (level.n < before + after || memcmp(level.p,
		    t->captures[i].before, before) != 0 ||
		    memcmp(level.p + level.n - after, t->captures[i].after,
		    after) != 0)
			return false;
		values[i] = (struct tn_slice){ level.p + before,
		    level.n - before - after };
	}
	return true;
}

/* ---- overlap --------------------------------------------------------- */

/* A level of a pattern: a text, or any text between two. */
struct part {
	struct tn_slice before, after;
	bool open;
};

static struct part
part_of(const struct tn_codec_topic *t, uint32_t at, const char *level)
{
	struct tn_slice text = { (const uint8_t *)level,
	    strcspn(level, "/") };
	struct part any = { .open = true };

	for (uint32_t i = 0; i < t->capture_count; i++)
		if (t->captures[i].level == at)
			return (struct part){
			    tn_slice_of(t->captures[i].before),
			    tn_slice_of(t->captures[i].after), true };
	return tn_slice_is(text, "+") || tn_slice_is(text, "#") ? any :
	    (struct part){ .before = text };
}

/* Of two texts that stand at the beginning (the end) of one level the shorter
 * must be how the longer begins (ends). */
static bool
begin_alike(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	return n == 0 || memcmp(a.p, b.p, n) == 0;
}

static bool
end_alike(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	return n == 0 || memcmp(a.p + a.n - n, b.p + b.n - n, n) == 0;
}

static bool
parts_meet(const struct part *a, const struct part *b)
{
	const struct part *text = a->open ? b : a, *gap = a->open ? a : b;

	if (!gap->open)
		return tn_slice_eq(a->before, b->before);
	if (text->open)
		return begin_alike(a->before, b->before) &&
		    end_alike(a->after, b->after);
	return text->before.n >= gap->before.n + gap->after.n &&
	    begin_alike(text->before, gap->before) &&
	    end_alike(text->before, gap->after);
}

/* A wildcard at the front takes no topic that begins with $. */
static bool
dollar_apart(const struct tn_codec_topic *a, const struct tn_codec_topic *b)
{
	struct part x = part_of(a, 0, a->filter);
	struct part y = part_of(b, 0, b->filter);

	return x.before.n > 0 && x.before.p[0] == '$' && y.open &&
	    y.before.n == 0;
}

static bool
ends(const char *rest)
{
	return *rest == '\0' || strcmp(rest, "/#") == 0;
}

bool
tn_codec_topic_overlap(const struct tn_codec_topic *a,
    const struct tn_codec_topic *b)
{
	const char *p = a->filter, *q = b->filter;

	if (dollar_apart(a, b) || dollar_apart(b, a))
		return false;
	for (uint32_t at = 0; *p != '#' && *q != '#'; at++) {
		struct part x = part_of(a, at, p), y = part_of(b, at, q);

		if (!parts_meet(&x, &y))
			return false;
		p += strcspn(p, "/");
		q += strcspn(q, "/");
		if (*p == '\0' || *q == '\0')
			return ends(p) && ends(q);
		p++;
		q++;
	}
	return true;
}
