/* json_decode: one JSON object into the open row.
 *
 * The hot path of the product. Senders repeat themselves: the bytes from the
 * end of one value to the start of the next, such as  ,"office":  are the
 * same in every row. They are kept as a plan of steps, learnt from a row that
 * was good; a row that follows the plan costs one comparison of 16 bytes a
 * key, with no look at blanks, quotes or names. A key that is left out is
 * found a few steps further on; any other key is read the long way, after
 * which the plan goes on behind that key's place.
 *
 * Equal bytes mean an equal key, also with escapes or odd blanks, and what
 * is between the values was checked when the plan was learnt; so a row that
 * follows the plan is as well checked as one that does not. Values always
 * are. On an error of a value the whole row is checked again, so that broken
 * JSON is called broken JSON. */
#include "codec/codec_int.h"

#include <string.h>

/* Steps looked ahead for a key that was left out. */
#define AHEAD 4
/* Rows between two lessons at most, when lessons do not help. */
#define LEARN_WAIT_MAX 63
#define PLAN_MAX (TN_COLUMNS_MAX + TN_CODEC_UNKNOWN_MAX)
#define UNMATCHED UINT32_MAX

/* ---- values ---------------------------------------------------------- */

static inline bool
put_str(struct tn_codec_decoder *d, uint32_t col,
    const struct tn_codec_str *str)
{
	struct tn_slice s = { str->p, str->n };

	if (str->nul)
		return tn_codec_fail(d, "nul_character", (int32_t)col,
		    "text cannot hold \\u0000, found %s",
		    tn_codec_quote(d, s));
	if (str->escaped) {
		tn_buf_clear(&d->text);
		tn_codec_unescape(&d->text, s.p, s.n);
		if (d->text.failed)
			return tn_codec_no_memory(d, (int32_t)col);
		s = (struct tn_slice){ d->text.p, d->text.n };
	}
	switch (d->schema->fields[col].type.id) {
	case TN_T_TEXT:
		return tn_codec_put_string(d, col, s);
	case TN_T_TIMESTAMP:
	case TN_T_TIMESTAMPTZ:
		return tn_codec_put_time(d, col, s);
	default:
		return tn_codec_put_text(d, col, s);
	}
}

/* true or false */
static bool
put_truth(struct tn_codec_decoder *d, uint32_t col, const uint8_t *p,
    const uint8_t *after)
{
	if (d->schema->fields[col].type.id != TN_T_BOOL)
		return tn_codec_put_text(d, col, (struct tn_slice){ p,
		    (size_t)(after - p) });
	tn_record_builder_bool(d->b, col, *p == 't');
	return true;
}

/* The value at p, whose first byte says that it is a container, or whose
 * column takes any JSON. */
static const uint8_t *
put_any(struct tn_codec_decoder *d, struct tn_codec_scan *s,
    const uint8_t *p, uint32_t col)
{
	const uint8_t *after = tn_codec_scan_value(s, p, 1);
	struct tn_slice text;
	char name[48];

	if (after == NULL)
		return NULL;
	text = (struct tn_slice){ p, (size_t)(after - p) };
	if (d->schema->fields[col].type.id == TN_T_JSONB)
		return tn_codec_put_jsonb(d, col, text) ? after : NULL;
	(void)tn_codec_fail(d, "not_a_scalar", (int32_t)col,
	    "expected %s, found %s", tn_record_type_name(
	    d->schema->fields[col].type, name), tn_codec_quote(d, text));
	return NULL;
}

static inline const uint8_t *
put_scalar(struct tn_codec_decoder *d, struct tn_codec_scan *s,
    const uint8_t *p, uint32_t col)
{
	struct tn_codec_str str;
	struct tn_codec_num num;
	const uint8_t *after;
	bool good;

	switch (*p) {
	case '"':
		after = tn_codec_scan_string(s, p, &str);
		good = after != NULL && put_str(d, col, &str);
		break;
	case 't':
	case 'f':
		after = tn_codec_scan_word(s, p,
		    *p == 't' ? "true" : "false");
		good = after != NULL && put_truth(d, col, p, after);
		break;
	case '{':
	case '[':
		after = put_any(d, s, p, col);
		good = after != NULL;
		break;
	case '-':
	case '0' ... '9':
		after = tn_codec_scan_number(s, p, &num);
		good = after != NULL && tn_codec_put_number(d, col, &num);
		break;
	default:
		return tn_codec_scan_fail(s, "expected a value", p);
	}
	return good ? after : NULL;
}

/* The column has a value in this row already: the last one counts. */
static void __attribute__((noinline))
repeat(struct tn_codec_decoder *d, uint32_t col)
{
	tn_record_builder_again(d->b, col);
	d->repeated = true;
}

static inline const uint8_t *
put_value(struct tn_codec_decoder *d, struct tn_codec_scan *s,
    const uint8_t *p, uint32_t col)
{
	if (d->careful && tn_record_builder_has(d->b, col))
		repeat(d, col);
	else
		d->filled++;
	if (*p == 'n') {
		p = tn_codec_scan_word(s, p, "null");
		if (p != NULL)
			tn_record_builder_null(d->b, col);
		return p;
	}
	if (d->schema->fields[col].type.id == TN_T_JSONB)
		return put_any(d, s, p, col);
	return put_scalar(d, s, p, col);
}

/* The value of a field into every column that takes it. */
static inline const uint8_t *
put_field(struct tn_codec_decoder *d, struct tn_codec_scan *s,
    const uint8_t *p, int32_t field)
{
	const uint8_t *after;
	int32_t also;

	if (p < s->end && *p <= ' ')
		p = tn_codec_scan_blank(p, s->end);
	if (p >= s->end)
		return tn_codec_scan_fail(s, "unexpected end", s->end);
	if (field < 0 || d->fields[field].column < 0)
		return tn_codec_scan_value(s, p, 1);
	after = put_value(d, s, p, (uint32_t)d->fields[field].column);
	for (also = d->fields[field].also; also >= 0 && after != NULL;
	    also = d->fields[also].also) {
		if (d->fields[also].column >= 0)
			after = put_value(d, s, p,
			    (uint32_t)d->fields[also].column);
	}
	return after;
}

/* ---- keys ------------------------------------------------------------ */

/* From the end of a value (or the start of the row) to the next value. Sets
 * *str to the key; str->p is NULL at the closing brace, which is passed. */
static const uint8_t *
next_key(struct tn_codec_scan *s, const uint8_t *p, bool first,
    struct tn_codec_str *str)
{
	str->p = NULL;
	p = tn_codec_scan_blank(p, s->end);
	if (first) {
		tn_assert(p < s->end && *p == '{');
		p = tn_codec_scan_blank(p + 1, s->end);
	}
	if (p < s->end && *p == '}')
		return p + 1;
	if (!first) {
		if (p >= s->end || *p != ',')
			return tn_codec_scan_fail(s,
			    "expected a comma or }", p);
		p = tn_codec_scan_blank(p + 1, s->end);
	}
	if (p >= s->end || *p != '"')
		return tn_codec_scan_fail(s, "expected a key in quotes", p);
	p = tn_codec_scan_string(s, p, str);
	if (p == NULL)
		return NULL;
	p = tn_codec_scan_blank(p, s->end);
	if (p >= s->end || *p != ':')
		return tn_codec_scan_fail(s, "expected a colon", p);
	return tn_codec_scan_blank(p + 1, s->end);
}

static int32_t
field_of(struct tn_codec_decoder *d, const struct tn_codec_str *str)
{
	struct tn_slice name = { str->p, str->n };

	if (str->escaped) {
		tn_buf_clear(&d->text);
		tn_codec_unescape(&d->text, str->p, str->n);
		if (d->text.failed)
			(void)tn_codec_no_memory(d, -1);
		if (d->text.failed || d->text.n == 0)
			return -1;
		name = (struct tn_slice){ d->text.p, d->text.n };
	}
	return tn_codec_field_get(d, name);
}

/* ---- the plan -------------------------------------------------------- */

/* Do the bytes at p continue as in this step? */
static inline bool
step_matches(const struct tn_codec_step *t, const uint8_t *p, size_t left)
{
	uint64_t w[2];

	memcpy(w, p, sizeof w);
	if (((w[0] ^ t->key[0]) & t->mask[0]) != 0 ||
	    ((w[1] ^ t->key[1]) & t->mask[1]) != 0 || t->bytes >= left)
		return false;
	return t->bytes <= 16 ||
	    memcmp(p + 16, t->rest, t->bytes - 16) == 0;
}

static void
add_step(struct tn_codec_decoder *d, const uint8_t *p, size_t n,
    int32_t field)
{
	struct tn_codec_step *t;
	uint8_t ones[16] = { 0 };
	size_t head = n < 16 ? n : 16;

	if (d->plan_count == d->plan_cap) {
		d->plan_cap = d->plan_cap == 0 ? 32 : d->plan_cap * 2;
		d->plan = tn_realloc(d->plan,
		    d->plan_cap * sizeof *d->plan);
	}
	t = &d->plan[d->plan_count++];
	memset(t, 0, sizeof *t);
	t->field = field;
	t->bytes = UNMATCHED;
	if (n > TN_CODEC_STEP_MAX)
		return;
	t->bytes = (uint32_t)n;
	memset(ones, 0xff, head);
	memcpy(t->mask, ones, sizeof ones);
	memcpy(t->key, p, head);
	memcpy(t->rest, p + head, n - head);
}

static void
forget_plan(struct tn_codec_decoder *d)
{
	for (uint32_t i = 0; i < d->plan_count; i++) {
		if (d->plan[i].field >= 0)
			d->fields[d->plan[i].field].place = -1;
	}
	d->plan_count = 0;
}

/* Make the plan from a row that is known to be good. A row that names a
 * field twice is not learnt. */
static void
learn(struct tn_codec_decoder *d, struct tn_slice row)
{
	struct tn_codec_scan s = { .begin = row.p, .end = row.p + row.n };
	const uint8_t *p = row.p, *from = p;
	struct tn_codec_str str;
	int32_t field;

	forget_plan(d);
	while (d->plan_count < PLAN_MAX) {
		p = next_key(&s, from, d->plan_count == 0, &str);
		tn_assert(p != NULL);
		if (str.p == NULL)
			return;
		field = field_of(d, &str);
		if (field >= 0 && d->fields[field].place >= 0) {
			forget_plan(d);
			return;
		}
		if (field >= 0)
			d->fields[field].place = (int32_t)d->plan_count;
		add_step(d, from, (size_t)(p - from), field);
		from = tn_codec_scan_value(&s, p, 1);
		tn_assert(from != NULL);
	}
}

/* A row left the plan: learn it, but not every one of a stream in which no
 * two rows are alike. */
static void
learn_maybe(struct tn_codec_decoder *d, struct tn_slice row)
{
	if (d->learn_skip > 0) {
		d->learn_skip--;
		return;
	}
	learn(d, row);
	d->learn_wait = d->learn_wait * 2 + 1;
	if (d->learn_wait > LEARN_WAIT_MAX)
		d->learn_wait = LEARN_WAIT_MAX;
	d->learn_skip = d->learn_wait;
}

/* ---- rows ------------------------------------------------------------ */

/* The step that fits at p, looking a little ahead; NULL for none. */
static inline const struct tn_codec_step *
find_step(const struct tn_codec_decoder *d, uint32_t *at, const uint8_t *p,
    size_t left)
{
	uint32_t stop = *at + AHEAD;

	if (stop > d->plan_count)
		stop = d->plan_count;
	for (uint32_t i = *at; i < stop; i++) {
		if (step_matches(&d->plan[i], p, left)) {
			*at = i + 1;
			return &d->plan[i];
		}
		if (*p == '}')
			return NULL;
	}
	return NULL;
}

/* All fields of the object; returns the byte after its brace. *strayed: some
 * key was not in the plan where it was expected. */
static const uint8_t *
put_fields(struct tn_codec_decoder *d, struct tn_codec_scan *s,
    bool *strayed)
{
	const struct tn_codec_step *step;
	const uint8_t *p = s->begin;
	struct tn_codec_str str;
	bool first = true;
	uint32_t at = 0;
	int32_t field, place;

	while (p != NULL) {
		step = find_step(d, &at, p, (size_t)(s->end - p));
		if (step != NULL) {
			p = put_field(d, s, p + step->bytes, step->field);
			first = false;
			continue;
		}
		p = next_key(s, p, first, &str);
		if (p == NULL || str.p == NULL)
			break;
		first = false;
		d->careful = true;
		field = field_of(d, &str);
		place = field < 0 ? -1 : d->fields[field].place;
		*strayed |= place < 0 || (uint32_t)place < at ||
		    d->plan[place].bytes != UNMATCHED;
		/* Step 0 has the opening brace: it fits only at the start. */
		if (place >= 0)
			at = (uint32_t)place + 1;
		else if (at == 0)
			at = 1;
		p = put_field(d, s, p, field);
	}
	return p;
}

static bool
syntax_error(struct tn_codec_decoder *d, const struct tn_codec_scan *s)
{
	size_t at = (size_t)(s->where - s->begin);
	struct tn_slice rest = { s->where, (size_t)(s->end - s->where) };

	d->why = NULL;
	if (rest.n == 0)
		return tn_codec_fail(d, s->code, -1, "%s at byte %zu, at the "
		    "end of the row", s->what, at + 1);
	return tn_codec_fail(d, s->code, -1, "%s at byte %zu: %s", s->what,
	    at + 1, tn_codec_quote(d, rest));
}

/* Of a bad row: is it bad JSON in the first place? */
static bool
recheck(struct tn_codec_decoder *d, struct tn_slice row)
{
	struct tn_codec_scan s = { .begin = row.p, .end = row.p + row.n };

	if (!tn_codec_scan_whole(&s))
		return syntax_error(d, &s);
	return tn_codec_fail(d, "not_an_object", -1,
	    "expected an object, found %s", tn_codec_quote(d, row));
}

bool
tn_codec_json_row(struct tn_codec_decoder *d, struct tn_slice row)
{
	struct tn_codec_scan s = { .begin = row.p, .end = row.p + row.n };
	const uint8_t *p = tn_codec_scan_blank(row.p, s.end);
	bool strayed = false;

	if (p == s.end || *p != '{')
		return recheck(d, row);
	d->careful = false;
	d->repeated = false;
	p = put_fields(d, &s, &strayed);
	if (p != NULL && p < s.end) {
		p = tn_codec_scan_blank(p, s.end);
		if (p < s.end)
			p = tn_codec_scan_fail(&s, "text after the object", p);
	}
	if (p == NULL)
		return recheck(d, row);
	if (strayed && !d->repeated)
		learn_maybe(d, row);
	else if (!d->careful)
		d->learn_wait = d->learn_skip = 0;
	return true;
}
