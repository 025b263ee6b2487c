/* spec: load options, from single name=value pairs of a door, and as one
 * canonical text that is stored with every block.
 *
 * The text form is a list of name=value joined by &, in a fixed order and
 * only for what differs from the default; the first is always format=. In a
 * value every byte but letters, digits and _ . / : + - is written %XX, so
 * that commas part names and nothing else:
 *     format=csv&delimiter=%3B&found=ts,room%201&rename=room:office
 * columns= are names the user gave, found= those of the header line. Messages
 * of a broker are format=message&topic=..., which no user can ask for. */
#include "codec/codec_int.h"

#include <stdio.h>
#include <string.h>

static const char *const format_names[] = { "json", "ndjson", "csv",
    "message" };

void
tn_codec_spec_init(struct tn_codec_spec *s, enum tn_codec_format f)
{
	memset(s, 0, sizeof *s);
	s->format = f;
	s->delimiter = ',';
}

static void
drop_columns(struct tn_codec_spec *s)
{
	for (uint32_t i = 0; i < s->column_count; i++)
		tn_free(s->columns[i]);
	tn_free(s->columns);
	s->columns = NULL;
	s->column_count = 0;
}

void
tn_codec_spec_fini(struct tn_codec_spec *s)
{
	drop_columns(s);
	for (uint32_t i = 0; i < s->rename_count; i++) {
		tn_free(s->renames[i].from);
		tn_free(s->renames[i].to);
	}
	for (uint32_t i = 0; i < s->constant_count; i++) {
		tn_free(s->constants[i].name);
		tn_free(s->constants[i].text);
	}
	tn_free(s->null_text);
	tn_free(s->time_format);
	tn_free(s->time_zone);
	if (s->topic != NULL)
		tn_codec_topic_fini(s->topic);
	tn_free(s->topic);
	tn_free(s->pattern);
	tn_codec_spec_init(s, TN_CODEC_JSON);
}

enum tn_status
tn_codec_spec_message(struct tn_codec_spec *s, struct tn_slice pattern,
    struct tn_diag *d)
{
	struct tn_codec_topic *t = tn_zalloc(sizeof *t);
	enum tn_status st = tn_codec_topic_parse(t, pattern, d);

	tn_codec_spec_fini(s);
	s->format = TN_CODEC_MESSAGE;
	if (st != TN_OK) {
		tn_free(t);
		return st;
	}
	s->topic = t;
	s->pattern = tn_strndup((const char *)pattern.p, pattern.n);
	return TN_OK;
}

/* ---- one option ------------------------------------------------------ */

typedef enum tn_status set_option(struct tn_codec_spec *s,
    struct tn_slice v, struct tn_diag *d);

static char *
copy_text(struct tn_slice v)
{
	return tn_strndup((const char *)v.p, v.n);
}

static enum tn_status
bad_option(struct tn_diag *d, const char *name, struct tn_slice v,
    const char *hint)
{
	(void)tn_diag_set(d, TN_EINVAL, "bad_load_option",
	    "%s cannot be \"%.*s\"", name,
	    (int)(v.n < 60 ? v.n : 60), (const char *)v.p);
	tn_diag_hint(d, "%s", hint);
	return TN_EINVAL;
}

static enum tn_status
set_format(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	for (uint32_t i = 0; i <= TN_CODEC_CSV; i++) {
		if (tn_slice_is(v, format_names[i])) {
			s->format = (enum tn_codec_format)i;
			return TN_OK;
		}
	}
	return bad_option(d, "format", v, "use json, ndjson or csv");
}

static enum tn_status
set_delimiter(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	if (tn_slice_is(v, "\\t") || tn_slice_is(v, "tab"))
		v = tn_slice_of("\t");
	if (v.n != 1 || *v.p == '"' || (*v.p < ' ' && *v.p != '\t') ||
	    *v.p > '~')
		return bad_option(d, "delimiter", v,
		    "use one ASCII character that is no quote, or \"tab\"");
	s->delimiter = (char)*v.p;
	return TN_OK;
}

static enum tn_status
set_header(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	if (!tn_slice_is(v, "true") && !tn_slice_is(v, "false"))
		return bad_option(d, "header", v, "use true or false");
	s->no_header = tn_slice_is(v, "false");
	return TN_OK;
}

static enum tn_status
set_null(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	if (v.n > 255 || memchr(v.p, 0, v.n) != NULL)
		return bad_option(d, "null", v, "use at most 255 bytes");
	tn_free(s->null_text);
	s->null_text = v.n == 0 ? NULL : copy_text(v);
	return TN_OK;
}

static enum tn_status
set_columns(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	if (v.n == 0 || v.n > 65536 || !tn_utf8_valid(v.p, v.n) ||
	    memchr(v.p, 0, v.n) != NULL ||
	    !tn_codec_csv_names(s, v, ','))
		return bad_option(d, "columns", v,
		    "name the fields in order, parted by commas");
	s->columns_given = true;
	return TN_OK;
}

/* Letters after % that tn_record_parse_timestamp_format knows. */
static enum tn_status
set_time_format(struct tn_codec_spec *s, struct tn_slice v,
    struct tn_diag *d)
{
	const char *letters = "YymdHMSfzbjpIse%";
	bool good = v.n > 0 && v.n <= 255 && memchr(v.p, 0, v.n) == NULL;

	for (size_t i = 0; good && i < v.n; i++) {
		if (v.p[i] != '%')
			continue;
		i++;
		good = i < v.n && strchr(letters, v.p[i]) != NULL;
	}
	if (!good)
		return bad_option(d, "time_format", v, "use "
		    "%Y %y %m %d %H %M %S %f %z %b %j %p %I %s %e %% "
		    "and plain text, e.g. %d.%m.%Y %H:%M");
	tn_free(s->time_format);
	s->time_format = copy_text(v);
	return TN_OK;
}

/* hh, hhmm or hh:mm as hhmm, or -1. */
static int
zone_digits(struct tn_slice v)
{
	int digits = 0, got = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == ':' && i == 2 && v.n == 5)
			continue;
		if (v.p[i] < '0' || v.p[i] > '9' || got == 4)
			return -1;
		digits = digits * 10 + (v.p[i] - '0');
		got++;
	}
	if (got == 2)
		digits *= 100;
	return got == 2 || got == 4 ? digits : -1;
}

/* Seconds east of UTC from Z, UTC, +01, +0100, +01:00; false otherwise. */
static bool
parse_zone(struct tn_slice v, int *seconds)
{
	int digits;

	*seconds = 0;
	if (tn_slice_is(v, "Z") || tn_slice_is(v, "UTC"))
		return true;
	if (v.n < 3 || (*v.p != '+' && *v.p != '-'))
		return false;
	digits = zone_digits((struct tn_slice){ v.p + 1, v.n - 1 });
	if (digits < 0 || digits / 100 > 15 || digits % 100 > 59)
		return false;
	*seconds = digits / 100 * 3600 + digits % 100 * 60;
	if (*v.p == '-')
		*seconds = -*seconds;
	return true;
}

static enum tn_status
set_time_zone(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	char text[16];
	int seconds, minutes;

	if (!parse_zone(v, &seconds))
		return bad_option(d, "time_zone", v,
		    "use a fixed offset such as +01:00, or UTC");
	tn_free(s->time_zone);
	s->time_zone = NULL;
	if (seconds == 0)
		return TN_OK;
	minutes = (seconds < 0 ? -seconds : seconds) / 60;
	(void)snprintf(text, sizeof text, "%c%02d:%02d",
	    seconds < 0 ? '-' : '+', minutes / 60, minutes % 60);
	s->time_zone = tn_strdup(text);
	return TN_OK;
}

/* "left:right" at the first colon. */
static bool
split_pair(struct tn_slice v, char **left, char **right)
{
	const uint8_t *colon = memchr(v.p, ':', v.n);

	if (colon == NULL || colon == v.p || v.n > 4096 ||
	    memchr(v.p, 0, v.n) != NULL || !tn_utf8_valid(v.p, v.n))
		return false;
	*left = tn_strndup((const char *)v.p, (size_t)(colon - v.p));
	*right = tn_strndup((const char *)colon + 1,
	    v.n - (size_t)(colon + 1 - v.p));
	return true;
}

static enum tn_status
set_rename(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	uint32_t n = s->rename_count;

	if (n == TN_CODEC_RENAMES_MAX)
		return bad_option(d, "rename", v, "at most 64 renames");
	if (v.n > 0 && v.p[v.n - 1] == ':')
		return bad_option(d, "rename", v, "use column:field");
	if (!split_pair(v, &s->renames[n].to, &s->renames[n].from))
		return bad_option(d, "rename", v, "use column:field");
	s->rename_count++;
	return TN_OK;
}

static enum tn_status
set_constant(struct tn_codec_spec *s, struct tn_slice v, struct tn_diag *d)
{
	uint32_t n = s->constant_count;

	if (n == TN_CODEC_RENAMES_MAX)
		return bad_option(d, "constant", v, "at most 64 constants");
	if (!split_pair(v, &s->constants[n].name, &s->constants[n].text))
		return bad_option(d, "constant", v, "use column:text");
	s->constant_count++;
	return TN_OK;
}

enum tn_status
tn_codec_spec_fits(const struct tn_codec_spec *s,
    const struct tn_schema *schema, struct tn_diag *d)
{
	for (uint32_t i = 0; i < s->rename_count + s->constant_count; i++) {
		bool rename = i < s->rename_count;
		const char *name = rename ? s->renames[i].to :
		    s->constants[i - s->rename_count].name;
		if (tn_record_schema_find(schema, tn_slice_of(name)) >= 0)
			continue;
		tn_diag_hint(d, "use %s; GET /api/v1/streams lists the "
		    "columns of each stream", rename ? "rename=column:field" :
		    "constant=column:text");
		return tn_diag_set(d, TN_EINVAL, "unknown_column",
		    "%s: there is no column \"%.63s\"", rename ? "rename" :
		    "constant", name);
	}
	return TN_OK;
}

static const struct option {
	const char *name;
	set_option *set;
} options[] = {
	{ "format", set_format },
	{ "delimiter", set_delimiter },
	{ "header", set_header },
	{ "null", set_null },
	{ "columns", set_columns },
	{ "time_format", set_time_format },
	{ "time_zone", set_time_zone },
	{ "rename", set_rename },
	{ "constant", set_constant },
};

enum tn_status
tn_codec_spec_set(struct tn_codec_spec *s, struct tn_slice name,
    struct tn_slice value, struct tn_diag *d)
{
	for (size_t i = 0; i < TN_COUNT(options); i++) {
		if (tn_slice_is(name, options[i].name))
			return options[i].set(s, value, d);
	}
	return TN_ENOTFOUND;
}

/* ---- the text form --------------------------------------------------- */

static void
put_escaped(struct tn_buf *out, const char *text)
{
	for (; *text != 0; text++) {
		char c = *text;
		bool plain = (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("_./:+-", c) != NULL;
		if (plain)
			tn_buf_char(out, c);
		else
			tn_buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static void
put_option(struct tn_buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	tn_buf_printf(out, "&%s=", name);
	put_escaped(out, value);
}

void
tn_codec_spec_text(const struct tn_codec_spec *s, struct tn_buf *out)
{
	char delimiter[2] = { s->delimiter, 0 };

	tn_buf_printf(out, "format=%s", format_names[s->format]);
	if (s->delimiter != ',')
		put_option(out, "delimiter", delimiter);
	if (s->no_header)
		put_option(out, "header", "false");
	put_option(out, "null", s->null_text);
	for (uint32_t i = 0; i < s->column_count; i++) {
		if (i == 0)
			put_option(out, s->columns_given ? "columns" :
			    "found", "");
		else
			tn_buf_char(out, ',');
		put_escaped(out, s->columns[i]);
	}
	put_option(out, "topic", s->pattern);
	put_option(out, "time_format", s->time_format);
	put_option(out, "time_zone", s->time_zone);
	for (uint32_t i = 0; i < s->rename_count; i++) {
		put_option(out, "rename", s->renames[i].to);
		tn_buf_char(out, ':');
		put_escaped(out, s->renames[i].from);
	}
	for (uint32_t i = 0; i < s->constant_count; i++) {
		put_option(out, "constant", s->constants[i].name);
		tn_buf_char(out, ':');
		put_escaped(out, s->constants[i].text);
	}
}

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value with %XX resolved; false on a broken one or a NUL. */
static bool
resolve(struct tn_buf *out, struct tn_slice v)
{
	int high, low;

	tn_buf_clear(out);
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == 0)
			return false;
		if (v.p[i] != '%') {
			tn_buf_char(out, (char)v.p[i]);
			continue;
		}
		if (v.n - i < 3)
			return false;
		high = hex(v.p[i + 1]);
		low = hex(v.p[i + 2]);
		if (high < 0 || low < 0 || (high | low) == 0)
			return false;
		tn_buf_char(out, (char)(high << 4 | low));
		i += 2;
	}
	return !out->failed;
}

/* Names parted by bare commas, each escaped. */
static enum tn_status
parse_columns(struct tn_codec_spec *s, struct tn_slice v, bool given)
{
	/* Never longer than what is resolved: it does not grow. */
	struct tn_buf name = { .p = tn_alloc(v.n + 1), .cap = v.n + 1 };
	enum tn_status st = TN_EINVAL;
	const uint8_t *comma;
	struct tn_slice one;
	uint32_t count = 1;

	for (size_t i = 0; i < v.n; i++)
		count += v.p[i] == ',';
	if (count > TN_CODEC_FIELDS_MAX)
		goto out;
	drop_columns(s);
	s->columns = tn_zalloc(count * sizeof *s->columns);
	s->columns_given = given;
	while (s->column_count < count) {
		comma = v.n == 0 ? NULL : memchr(v.p, ',', v.n);
		one = (struct tn_slice){ v.p,
		    comma == NULL ? v.n : (size_t)(comma - v.p) };
		if (!resolve(&name, one))
			goto out;
		s->columns[s->column_count++] =
		    tn_strndup(tn_buf_cstr(&name), name.n);
		v.n -= comma == NULL ? v.n : one.n + 1;
		v.p += comma == NULL ? 0 : one.n + 1;
	}
	st = TN_OK;
out:
	tn_buf_fini(&name);
	return st;
}

/* What a message's text begins with; its topic is all that follows. */
static const char message[] = "format=message&topic=";

static enum tn_status
parse_option(struct tn_codec_spec *s, struct tn_slice name,
    struct tn_slice v)
{
	struct tn_buf value = { .p = NULL };
	struct tn_slice text;
	struct tn_diag d = { 0 };
	enum tn_status st = TN_EINVAL;

	if (tn_slice_is(name, "columns") || tn_slice_is(name, "found"))
		return parse_columns(s, v, tn_slice_is(name, "columns"));
	value.p = tn_alloc(v.n + 1);
	value.cap = v.n + 1;
	if (resolve(&value, v)) {
		text = (struct tn_slice){
		    (const uint8_t *)tn_buf_cstr(&value), value.n };
		st = tn_slice_is(name, message) ?
		    tn_codec_spec_message(s, text, &d) :
		    tn_codec_spec_set(s, name, text, &d);
	}
	tn_buf_fini(&value);
	return st == TN_OK ? TN_OK : TN_EINVAL;
}

enum tn_status
tn_codec_spec_parse(struct tn_codec_spec *s, struct tn_slice text)
{
	enum tn_status st = TN_EINVAL;
	const uint8_t *end = text.p + text.n, *stop, *equals;

	tn_codec_spec_init(s, TN_CODEC_JSON);
	if (text.n >= sizeof message - 1 &&
	    memcmp(text.p, message, sizeof message - 1) == 0) {
		text.p += sizeof message - 1;
		text.n -= sizeof message - 1;
		if (text.n > 0 && memchr(text.p, '&', text.n) != NULL)
			return TN_EINVAL;
		return parse_option(s, tn_slice_of(message), text);
	}
	if (text.n < 7 || memcmp(text.p, "format=", 7) != 0)
		return TN_EINVAL;
	for (const uint8_t *p = text.p; p <= end; p = stop + 1) {
		stop = p == end ? NULL : memchr(p, '&', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		equals = p == stop ? NULL :
		    memchr(p, '=', (size_t)(stop - p));
		st = TN_EINVAL;
		if (equals != NULL)
			st = parse_option(s, (struct tn_slice){ p,
			    (size_t)(equals - p) }, (struct tn_slice){
			    equals + 1, (size_t)(stop - equals - 1) });
		if (st != TN_OK)
			break;
	}
	if (st != TN_OK)
		tn_codec_spec_fini(s);
	return st;
}
