/* What the expression files of exec share: a value in the course of an
 * evaluation, a call of a kernel over such values, and the kernels by file.
 *
 * Evaluation is by columns. A tn_vec is a column of ev->rows rows, or one
 * row that stands for all of them (constant); constants are spread only in
 * the result of tn_exec_eval. A kernel computes all rows; which of them may
 * raise a row error is said by the active mask (CASE, COALESCE, AND, OR take
 * rows away from it) and by the validity of the arguments. Values of rows
 * that are null or not active are defined memory without meaning.
 *
 * Bitmaps made here are whole 64-bit words, little endian as Arrow's; those
 * of a batch may end with the last byte (tn_exec_word reads both). */
#ifndef TN_EXEC_EXPR_INT_H
#define TN_EXEC_EXPR_INT_H

#include "exec/exec.h"

#define TN_EXEC_DEPTH_MAX 1000           /* Nesting of an expression. */
#define TN_EXEC_TEXT_MAX (256u << 20)    /* Bytes of one text column. */
#define TN_EXEC_REPEAT_MAX (1u << 20)    /* Bytes of repeat, lpad, rpad. */
#define TN_US_SECOND INT64_C(1000000)
#define TN_US_MINUTE (60 * TN_US_SECOND)
#define TN_US_HOUR (3600 * TN_US_SECOND)
#define TN_US_DAY (86400 * TN_US_SECOND)
/* As PostgreSQL from 4714-11-24 BC (astronomical -4713); dates to the year
 * 5874897, timestamps to 294247-01-10, which is 30 years less because ours
 * count from 1970. */
#define TN_TS_MIN INT64_C(-210866803200000000)
#define TN_TS_END INT64_MAX
#define TN_DATE_MIN (-2440588)
#define TN_DATE_END 2145042906

struct tn_vec {
	struct tn_column c;      /* 1 row when constant, else ev->rows */
	bool constant;
};

struct tn_eval {
	struct tn_exec_env *env;
	struct tn_arena *a;
	uint32_t rows;           /* At least 1. */
	const uint64_t *active;  /* NULL: all rows; else at least one bit. */
	uint32_t depth;
	bool dicts;              /* The batch has dictionary columns. */
};

/* One call of a kernel. */
struct tn_call {
	struct tn_eval *ev;
	enum tn_sql_fn fn;
	struct tn_type type;         /* Of the result. */
	const struct tn_vec *args;
	uint32_t count;
	uint32_t n;                  /* Rows to make: 1 when constant. */
	bool constant;
	uint64_t *valid;             /* Of the result; NULL: no nulls. */
	void *values;                /* tn_exec_each: fixed width result. */
	uint32_t *offsets;           /* tn_exec_each: text result, ... */
	uint8_t *bytes;
	size_t bytes_n;
	size_t bytes_cap;
	bool text_full;              /* TN_EXEC_TEXT_MAX was reached. */
	void *scratch;               /* What a kernel prepared for its rows. */
};
typedef void (*tn_kernel)(struct tn_call *c, struct tn_vec *out);
typedef void (*tn_row_fn)(struct tn_call *c, uint32_t row);

/* ---- bitmaps --------------------------------------------------------- */

static inline size_t
tn_bits_words(uint32_t rows)
{
	return ((size_t)rows + 63) / 64;
}

static inline bool
tn_bits_get(const uint64_t *bits, uint32_t row)
{
	return bits == NULL || (bits[row >> 6] >> (row & 63) & 1);
}

static inline void
tn_bits_clear(uint64_t *bits, uint32_t row)
{
	bits[row >> 6] &= ~(UINT64_C(1) << (row & 63));
}

static inline void
tn_bits_set(uint64_t *bits, uint32_t row)
{
	bits[row >> 6] |= UINT64_C(1) << (row & 63);
}

/* Word ${w} of a bitmap of ${rows} bits that may end with its last byte. */
uint64_t tn_exec_word(const uint8_t *bits, uint32_t rows, size_t w);
/* All ones for ${rows} rows; bits past the end are zero. */
uint64_t *tn_exec_ones(struct tn_arena *a, uint32_t rows);

/* ---- calls ----------------------------------------------------------- */

static inline uint32_t
tn_vec_at(const struct tn_vec *v, uint32_t row)
{
	return v->constant ? 0 : row;
}

static inline bool
tn_vec_valid(const struct tn_vec *v, uint32_t row)
{
	return tn_column_valid(&v->c, tn_vec_at(v, row));
}

static inline struct tn_slice
tn_vec_text(const struct tn_vec *v, uint32_t row)
{
	return tn_column_text(&v->c, tn_vec_at(v, row));
}

/* The k-th argument of a row; the type is the caller's to know. */
static inline struct tn_slice
tn_arg_text(const struct tn_call *c, uint32_t k, uint32_t row)
{
	return tn_vec_text(&c->args[k], row);
}

static inline int32_t
tn_arg_i32(const struct tn_call *c, uint32_t k, uint32_t row)
{
	return ((const int32_t *)c->args[k].c.values)
	    [tn_vec_at(&c->args[k], row)];
}

static inline int64_t
tn_arg_i64(const struct tn_call *c, uint32_t k, uint32_t row)
{
	return ((const int64_t *)c->args[k].c.values)
	    [tn_vec_at(&c->args[k], row)];
}

static inline double
tn_arg_f64(const struct tn_call *c, uint32_t k, uint32_t row)
{
	return ((const double *)c->args[k].c.values)
	    [tn_vec_at(&c->args[k], row)];
}

static inline struct tn_interval
tn_arg_interval(const struct tn_call *c, uint32_t k, uint32_t row)
{
	return ((const struct tn_interval *)c->args[k].c.values)
	    [tn_vec_at(&c->args[k], row)];
}

/* May this row raise an error: active and (so far) not null. */
static inline bool
tn_exec_live(const struct tn_call *c, uint32_t row)
{
	return tn_bits_get(c->valid, row) &&
	    (c->constant || tn_bits_get(c->ev->active, row));
}

/* The row becomes null. */
void tn_exec_drop(struct tn_call *c, uint32_t row);
/* A row error: the row becomes null, is counted and marked. For a constant
 * call every active row is. Only for live rows. */
void tn_exec_fail(struct tn_call *c, uint32_t row, const char *fmt, ...)
    TN_PRINTF(3, 4);
/* No memory for ${n} bytes of text: the whole evaluation is worth nothing. */
void tn_exec_no_memory(const struct tn_eval *ev, size_t n);
/* Bytes of texts in ev->a. NULL only where the caller of eval hears of it
 * (env->no_memory). */
void *tn_exec_text_alloc(const struct tn_eval *ev, size_t n);
/* Room for n values of the result type. */
void *tn_exec_values(struct tn_call *c);
/* Set ${out} from type, n, constant, valid and ${values}. */
void tn_exec_done(struct tn_call *c, struct tn_vec *out, const void *values);
/* Run ${fn} for every live row; it writes c->values[row] or appends text
 * with tn_exec_put, or fails or nulls the row. Other rows become zero or
 * empty. */
void tn_exec_each(struct tn_call *c, struct tn_vec *out, tn_row_fn fn);
void tn_exec_put(struct tn_call *c, const void *p, size_t n);
/* Room to write at for at most ${n} bytes; the caller adds to bytes_n. NULL
 * when the column is full (the row then fails by itself). */
uint8_t *tn_exec_room(struct tn_call *c, size_t n);

/* ---- evaluation ------------------------------------------------------ */

void tn_exec_node(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out);
/* Is a call of ${fn} null when an argument is? */
bool tn_exec_strict(enum tn_sql_fn fn);
/* Evaluate over the entries of a dictionary, if that is right and pays. */
bool tn_exec_over_dict(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out);
/* A constant of one null. */
void tn_exec_null(struct tn_eval *ev, struct tn_type t, struct tn_vec *out);
/* Rows from[i] of ${count} vectors into one column of n rows; from may be
 * UINT16_MAX for null. All vectors are of one type. */
void tn_exec_choose(struct tn_eval *ev, struct tn_type t,
    const struct tn_vec *vecs, const uint16_t *from, struct tn_vec *out);
void tn_exec_cast(struct tn_eval *ev, const struct tn_vec *in,
    struct tn_type to, struct tn_vec *out);
/* Strict AND of the arguments' validity; NULL when there are no nulls. */
uint64_t *tn_exec_valid(struct tn_eval *ev, const struct tn_vec *args,
    uint32_t count, uint32_t n);

/* ---- numbers (kernels_num.c, fn_math.c) ------------------------------ */

/* 10^k, k <= 38. */
__int128 tn_exec_pow10(uint32_t k);
/* v to another scale, rounded half away from zero; false on more than 38
 * digits. */
bool tn_exec_rescale(__int128 v, uint32_t from, uint32_t to, __int128 *out);
/* a * b / d rounded half away from zero, exact in 256 bits; false when d is
 * 0 or the result has more than 38 digits. */
bool tn_exec_muldiv(__int128 a, __int128 b, __int128 d, __int128 *out);
/* |v| < 10^38. */
bool tn_exec_numeric_fits(__int128 v, uint32_t precision);
/* Nearest double; from a double through so many significant digits, rounded
 * half away, false on NaN, infinity and overflow. */
double tn_exec_numeric_f64(__int128 v, uint32_t scale);
bool tn_exec_f64_numeric(double d, uint32_t scale, int digits,
    __int128 *out);

void tn_exec_k_arith(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_math(struct tn_call *c, struct tn_vec *out);

/* ---- comparison (kernels_cmp.c) -------------------------------------- */

void tn_exec_k_compare(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_null_tests(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_extreme(struct tn_call *c, struct tn_vec *out);
void tn_exec_in(struct tn_eval *ev, const struct tn_sql_expr *e,
    struct tn_vec *out);
/* <0, 0, >0; both rows valid and of one type. */
int tn_exec_order(const struct tn_column *a, uint32_t row_a,
    const struct tn_column *b, uint32_t row_b);

/* ---- casts (cast.c, cast_text.c) ------------------------------------- */

void tn_exec_cast_to_text(struct tn_call *c, struct tn_vec *out);
void tn_exec_cast_from_text(struct tn_call *c, struct tn_vec *out);
void tn_exec_cast_time(struct tn_call *c, struct tn_vec *out);
void tn_exec_cast_jsonb(struct tn_call *c, struct tn_vec *out);
/* One text to the value's bytes at ${v} (16 are enough) by PostgreSQL's
 * input rules for the fixed width types. */
enum tn_exec_read { TN_READ_OK, TN_READ_SYNTAX, TN_READ_RANGE };
enum tn_exec_read tn_exec_read_value(struct tn_slice s, struct tn_type t,
    void *v);

/* ---- text (fn_text.c, fn_case.c, pattern*.c, fn_md5.c) ---------------- */

void tn_exec_k_text(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_concat(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_like(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_regex(struct tn_call *c, struct tn_vec *out);
/* The character at ${p}, which is before ${end}; *n its bytes. A byte that
 * begins no valid character is one of its own. */
uint32_t tn_exec_utf8(const uint8_t *p, const uint8_t *end, size_t *n);
/* Writes at most 4 bytes, returns how many. */
size_t tn_exec_utf8_put(uint8_t *p, uint32_t cp);
uint32_t tn_exec_lower(uint32_t cp);
uint32_t tn_exec_upper(uint32_t cp);
bool tn_exec_alnum(uint32_t cp);
/* ${out} has room for 2 * s.n + 4 bytes; returns the length. */
size_t tn_exec_lower_text(struct tn_slice s, uint8_t *out);
void tn_exec_md5(const void *p, size_t n, uint8_t out[static 16]);

/* ---- dates and times (fn_time.c, fn_extract.c, fn_tochar.c, tz.c) ----- */

void tn_exec_k_time(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_trunc(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_extract(struct tn_call *c, struct tn_vec *out);
void tn_exec_k_to_char(struct tn_call *c, struct tn_vec *out);

static inline int64_t
tn_floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;

	return q - (a % b != 0 && (a % b < 0) != (b < 0));
}

/* Microseconds since midnight. */
static inline int64_t
tn_us_of_day(int64_t us)
{
	int64_t rest = us % TN_US_DAY;

	return rest < 0 ? rest + TN_US_DAY : rest;
}

/* Broken down time; year as civil (1 BC is 0). */
struct tn_time_parts {
	int32_t year;
	uint32_t month, day;         /* from 1 */
	int64_t days;                /* since 1970 */
	int64_t us;                  /* since midnight */
};
void tn_exec_parts(int64_t us, struct tn_time_parts *p);
/* ISO week of a day, and the year it belongs to. */
uint32_t tn_exec_iso_week(int64_t days, int32_t *year);
/* Monday is 1. */
static inline uint32_t
tn_exec_isodow(int64_t days)
{
	int64_t d = (days + 3) % 7;

	return (uint32_t)(d < 0 ? d + 7 : d) + 1;
}
/* ts + interval in calendar order: months, days, time. False: out of range. */
bool tn_exec_ts_add(int64_t ts, struct tn_interval v, int64_t *out);
/* Total order of intervals: a month is 30 days, a day 24 hours. */
__int128 tn_exec_interval_span(struct tn_interval v);

/* A unit's name as extract and date_trunc take it ("hours", "dow"). */
enum tn_unit {
	TN_U_NONE, TN_U_MICROSECOND, TN_U_MILLISECOND, TN_U_SECOND,
	TN_U_MINUTE, TN_U_HOUR, TN_U_DAY, TN_U_WEEK, TN_U_MONTH,
	TN_U_QUARTER, TN_U_YEAR, TN_U_DECADE, TN_U_CENTURY,
	TN_U_MILLENNIUM, TN_U_DOW, TN_U_ISODOW, TN_U_DOY, TN_U_ISOYEAR,
	TN_U_EPOCH, TN_U_JULIAN, TN_U_TZ, TN_U_TZ_HOUR, TN_U_TZ_MINUTE,
};
enum tn_unit tn_exec_unit(struct tn_slice name);

/* A time zone: "UTC", "Europe/Berlin", "+02", "-03:30". Files are read once
 * from TN_TZ_DIR and kept until exit; at most TN_TZ_MAX of them, more than there
 * are. False: no such zone. Any thread. */
#define TN_TZ_DIR "/usr/share/zoneinfo"
#define TN_TZ_MAX 1000
struct tn_tz;
struct tn_zone {
	const struct tn_tz *file;    /* Lives until exit. NULL: none, but */
	int32_t fixed;               /* always so many seconds east. */
};
TN_MUST_USE bool tn_exec_tz(struct tn_slice name, struct tn_zone *z);
/* Seconds east of UTC at a moment. */
int32_t tn_exec_tz_offset(struct tn_zone z, int64_t utc_us);
/* UTC of a wall clock time: in a gap as if the clock had not changed yet, in
 * an overlap the later moment (standard time), as PostgreSQL. */
int64_t tn_exec_tz_to_utc(struct tn_zone z, int64_t local_us);

/* ---- jsonb (fn_json.c) ----------------------------------------------- */

void tn_exec_k_json(struct tn_call *c, struct tn_vec *out);
/* One JSON text as text: a string without quotes and escapes, anything else
 * as it stands. ${a} may be used for the result. */
struct tn_slice tn_exec_json_text(struct tn_arena *a, struct tn_slice v);

/* ---- reference tables (ref.c) ---------------------------------------- */

/* The version at or before ${lsn} of the row whose primary key is row ${row}
 * of the columns ${key} (types of the key columns, in their order). A null
 * matches nothing. The batch lives as long as ${r}. */
bool tn_exec_ref_find(const struct tn_exec_ref *r,
    const struct tn_column *const *key, uint32_t row, uint64_t lsn,
    const struct tn_batch **b, uint32_t *at);

#endif
