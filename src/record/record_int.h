/* record: what its files share. Nothing here is for other rooms.
 *
 *   box      the public batch with the malloc'ed blocks that it adopted
 *   civil    microseconds and limits of the calendar
 *   scan     a position in a text that is being read
 *   decimal  digits of a float on their way in or out */
#ifndef TN_RECORD_INT_H
#define TN_RECORD_INT_H

#include "record/record.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Text kinds have offsets and bytes, all others fixed width values. */
static inline bool
type_is_text(uint8_t id)
{
	return id == TN_T_TEXT || id == TN_T_JSONB || id == TN_T_BYTES;
}

/* ---- batches --------------------------------------------------------- */

/* A new batch over columns whose arrays were malloc'ed: the batch frees
 * them. Copies the schema and the column structs, not the values. */
struct tn_batch *tn_record_batch_adopt(const struct tn_schema *schema,
    uint32_t rows, const struct tn_column *columns, size_t bytes);
/* Bytes that a deep copy of the schema takes, and the copy itself. */
size_t tn_record_schema_bytes(const struct tn_schema *s);
struct tn_schema *tn_record_schema_write(void *at, const struct tn_schema *s);
/* Zero the bits of a validity bitmap that lie behind the last row. */
void tn_record_valid_trim(uint8_t *valid, uint32_t rows);

/* The column that holds the values of a row, and the row in it: a dictionary
 * column leads to its dictionary. Not for null rows. */
static inline const struct tn_column *
column_at(const struct tn_column *c, uint32_t *row)
{
	if (c->dict == NULL)
		return c;
	*row = ((const uint32_t *)c->values)[*row];
	return c->dict;
}

static inline bool
column_null(const struct tn_column *c, uint32_t row)
{
	return c->type.id == TN_T_NONE || !tn_column_valid(c, row);
}

/* Booleans, integers, dates and times; not for null rows. */
static inline int64_t
integer_at(const struct tn_column *c, uint32_t row)
{
	switch (c->type.id) {
	case TN_T_BOOL:
		return ((const uint8_t *)c->values)[row] != 0;
	case TN_T_INT2:
		return ((const int16_t *)c->values)[row];
	case TN_T_INT4:
	case TN_T_DATE:
		return ((const int32_t *)c->values)[row];
	default:
		return ((const int64_t *)c->values)[row];
	}
}

/* ---- dates and times ------------------------------------------------- */

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)

/* PostgreSQL's limits for dates, 4714-11-24 BC to 5874897-12-31; timestamps
 * end with 294247-01-08, near the end of 64 bits of microseconds, so that no
 * offset and no second 60 overflows. */
#define DAYS_MIN (-2440588)
#define DAYS_MAX 2145042905
#define STAMP_DAYS_MAX 106751989
#define YEAR_MAX 5874897

struct scan {
	const uint8_t *p;
	const uint8_t *end;
};
static inline bool
scan_take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != (uint8_t)c)
		return false;
	s->p++;
	return true;
}
static inline bool
scan_digit(const struct scan *s)
{
	return s->p != s->end && (unsigned)(*s->p - '0') < 10;
}
static inline size_t
scan_left(const struct scan *s)
{
	return (size_t)(s->end - s->p);
}
/* Exactly ${n} digits (n <= 9), or false. */
bool tn_record_scan_digits(struct scan *s, int n, uint32_t *v);
/* Digits of a decimal fraction of ${unit_us}, rounded to microseconds, a half
 * to even (as PostgreSQL's rint). At least one digit; 15 count. */
bool tn_record_scan_fraction(struct scan *s, int64_t unit_us, int64_t *us);
/* Z, +HH, +HHMM, +HH:MM, +HH:MM:SS: seconds east of Greenwich. */
bool tn_record_scan_offset(struct scan *s, int32_t *seconds);
/* Length of the month, 28..31. month is 1..12. */
uint32_t tn_record_month_days(int64_t year, uint32_t month);
/* True for a real date; the day number goes to *days. */
bool tn_record_date_make(int64_t year, uint32_t month, uint32_t day,
    int64_t *days);
/* Case does not count; ${word} is lower case. */
bool tn_record_word_is(struct tn_slice s, const char *word);

/* ---- floats ---------------------------------------------------------- */

#define POW10_MIN (-348)
#define POW10_MAX 347
/* The 128 leading bits of 10^k, cut off, the highest bit set. Index
 * k - POW10_MIN. Exact for 0 <= k <= 55. */
extern const uint64_t tn_record_pow10[POW10_MAX - POW10_MIN + 1][2];

/* digits * 10^exponent */
struct decimal {
	uint64_t digits;
	int32_t exponent;
};
/* The shortest digits that read back as the same number. v is finite and
 * positive. */
struct decimal tn_record_shortest64(double v);
struct decimal tn_record_shortest32(float v);

/* What stands in the text of a number. */
struct number {
	bool minus;
	uint64_t digits;      /* The first 19 significant ones. */
	uint32_t count;       /* Significant digits, zeros at the end too. */
	int64_t exponent;     /* Of the last digit in digits. */
	const uint8_t *first; /* Significant digit; the point may follow. */
	const uint8_t *end;   /* Of the mantissa. */
	int64_t exponent_all; /* Of the last digit of the mantissa. */
};
/* digits[.digits][e[+-]digits], one digit at least; the whole rest. The sign
 * is the caller's. */
bool tn_record_scan_number(struct scan *s, struct number *n);

/* Decimal digits of v at out (up to 20), their count. */
size_t tn_record_digits_u64(char *out, uint64_t v);
/* Exactly two digits. */
void tn_record_digits_2(char *out, uint32_t v);

#endif
