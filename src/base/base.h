/* base: the vocabulary that every room speaks. Status codes, assertions,
 * small allocations, arenas, byte buffers, hashing, compression, counters
 * and log lines. Nothing here knows what a stream or a file is.
 *
 * As the vocabulary room, base names its functions by noun (tn_arena_,
 * tn_buf_, tn_hash_, ...) and not tn_base_; tests/check/symbols.sh knows the
 * list. Include order: this header needs nothing of Tarn. */
#ifndef TN_BASE_BASE_H
#define TN_BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TN_MUST_USE __attribute__((warn_unused_result))
#define TN_PRINTF(fmt_at, args_at) \
	__attribute__((format(printf, fmt_at, args_at)))
#define TN_NORETURN __attribute__((noreturn))
#define TN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TN_VERSION "0.1.0"

/* ---- status ---------------------------------------------------------- */

/* The only result type of functions that can fail as expected. */
enum tn_status {
	TN_OK = 0,
	TN_END,        /* No more items; not an error. */
	TN_EINVAL,     /* A user's mistake; a tn_diag says where and what. */
	TN_ENOTFOUND,  /* The named thing does not exist. */
	TN_EEXIST,     /* The named thing exists already. */
	TN_ECONFLICT,  /* Same key, other content; or a job already runs. */
	TN_EDENIED,    /* No permission. */
	TN_EFULL,      /* A bounded queue or budget is full; try again. */
	TN_ELIMIT,     /* Larger than a written limit allows. */
	TN_ECORRUPT,   /* Stored bytes fail their check. */
	TN_EUNSUPPORTED, /* Valid, but Tarn does not do it. */
	TN_ENOSPC,     /* The disk is full. */
	TN_EIO,        /* A read, write or sync failed. */
	TN_ENOMEM,     /* An allocation of outside size failed. */
	TN_ECLOSED,    /* Shutting down, or the log refuses writes. */
	TN_EUNREACHABLE, /* The peer does not answer. */
};

/* A short English name, "no space", for messages. Never NULL. Any thread. */
const char *tn_status_text(enum tn_status st);

/* What a user did wrong, where, and what to do. Plain data, no ownership:
 * texts are cut to fit. line and column count from 1; 0 means unknown. */
struct tn_diag {
	char file[256];
	uint32_t line;
	uint32_t column;
	char code[40];      /* Stable machine word: "unknown_column". */
	char message[400];
	char hint[400];
};

/* Fill ${d} (may be NULL) with a code and a message; place and hint are left
 * as they are. Returns ${st}, so that "return tn_diag_set(...)" reads well. */
enum tn_status tn_diag_set(struct tn_diag *d, enum tn_status st,
    const char *code, const char *fmt, ...) TN_PRINTF(4, 5);
/* Add a hint: what the reader should do now. */
void tn_diag_hint(struct tn_diag *d, const char *fmt, ...) TN_PRINTF(2, 3);

/* ---- assertions ------------------------------------------------------ */

/* A broken fact is a bug: print it and abort. Active in release builds. */
#define tn_assert(fact) \
	((fact) ? (void)0 : tn_assert_fail(#fact, __FILE__, __LINE__, __func__))
TN_NORETURN void tn_assert_fail(const char *fact, const char *file, int line,
    const char *func);

/* ---- memory ---------------------------------------------------------- */

/* Small allocations: abort when memory is out. Free with tn_free. */
void *tn_alloc(size_t n);
void *tn_zalloc(size_t n);
void *tn_realloc(void *p, size_t n);
char *tn_strdup(const char *s);
char *tn_strndup(const char *s, size_t n);
void tn_free(void *p);
/* Allocations whose size comes from outside: NULL when memory is out. */
TN_MUST_USE void *tn_try_alloc(size_t n);
TN_MUST_USE void *tn_try_realloc(void *p, size_t n);
/* What small allocations do: say so and end the process. */
TN_NORETURN void tn_alloc_fail(size_t n);

/* ---- slices ---------------------------------------------------------- */

/* Borrowed bytes; the owner is named where the slice is handed out. */
struct tn_slice {
	const uint8_t *p;
	size_t n;
};
struct tn_slice tn_slice_of(const char *cstring);
bool tn_slice_eq(struct tn_slice a, struct tn_slice b);
bool tn_slice_is(struct tn_slice a, const char *cstring);

/* ---- arenas ---------------------------------------------------------- */

/* Allocations that are dropped together. One thread at a time. Grows by
 * blocks; all but tn_arena_try_alloc abort when memory is out (callers bound
 * their input first). */
struct tn_arena;
struct tn_arena *tn_arena_new(size_t block_bytes);
/* 16-byte aligned, not cleared. Valid until reset or free. */
void *tn_arena_alloc(struct tn_arena *a, size_t n);
/* The same for a size that comes from outside: NULL when memory is out. */
TN_MUST_USE void *tn_arena_try_alloc(struct tn_arena *a, size_t n);
void *tn_arena_zalloc(struct tn_arena *a, size_t n);
char *tn_arena_strdup(struct tn_arena *a, const char *s);
char *tn_arena_strndup(struct tn_arena *a, const char *s, size_t n);
char *tn_arena_printf(struct tn_arena *a, const char *fmt, ...)
    TN_PRINTF(2, 3);
/* Drop everything, keep the first block for the next use. */
void tn_arena_reset(struct tn_arena *a);
size_t tn_arena_bytes(const struct tn_arena *a);
void tn_arena_free(struct tn_arena *a);

/* ---- byte buffers ---------------------------------------------------- */

/* A growing byte string. Zero-initialise, end with tn_buf_fini. Growth
 * beyond max (0: 1 GiB) or out of memory sets failed and drops the bytes,
 * so that a writer may check once at the end. One of at most 4 KiB fails only
 * by its max: that little memory is a small allocation. One thread at a
 * time. */
struct tn_buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	size_t max;
	bool failed;
	bool no_memory;         /* Why it failed; else it passed max. */
};
/* TN_OK, TN_ELIMIT (passed max) or TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_buf_status(const struct tn_buf *b);
void tn_buf_add(struct tn_buf *b, const void *p, size_t n);
void tn_buf_str(struct tn_buf *b, const char *s);
void tn_buf_char(struct tn_buf *b, char c);
void tn_buf_printf(struct tn_buf *b, const char *fmt, ...) TN_PRINTF(2, 3);
/* Room for ${n} more bytes; NULL and failed when that is too much. The
 * caller then writes at the result and adds to b->n itself. */
uint8_t *tn_buf_reserve(struct tn_buf *b, size_t n);
/* Make it a C string (a NUL that is not counted). "" when failed. */
const char *tn_buf_cstr(struct tn_buf *b);
void tn_buf_clear(struct tn_buf *b);
void tn_buf_fini(struct tn_buf *b);
/* Little-endian fixed and variable-length integers (LEB128). */
void tn_buf_u32(struct tn_buf *b, uint32_t v);
void tn_buf_u64(struct tn_buf *b, uint64_t v);
void tn_buf_varint(struct tn_buf *b, uint64_t v);
/* Append as the inside of a JSON string, escaped; no quotes added. Bytes
 * that are not UTF-8 become U+FFFD. */
void tn_buf_json(struct tn_buf *b, const void *p, size_t n);
/* Append bytes that may be any (a file's name) as UTF-8: bad ones as \xff, a
 * backslash as two, so that no two of them are shown alike. */
void tn_buf_shown(struct tn_buf *b, const void *p, size_t n);

/* A bounds-checked reader over borrowed bytes; after a short read failed is
 * set and every further read gives 0 or an empty slice. */
struct tn_cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};
uint8_t tn_cursor_u8(struct tn_cursor *c);
uint32_t tn_cursor_u32(struct tn_cursor *c);
uint64_t tn_cursor_u64(struct tn_cursor *c);
uint64_t tn_cursor_varint(struct tn_cursor *c);
struct tn_slice tn_cursor_bytes(struct tn_cursor *c, size_t n);

/* ---- hashing --------------------------------------------------------- */

struct tn_hash128 {
	uint64_t lo;
	uint64_t hi;
};
/* Fast hash for tables and row keys; the same on every machine and release,
 * because key files hold it. Not for secrets. Any thread. */
uint64_t tn_hash64(const void *p, size_t n, uint64_t seed);
struct tn_hash128 tn_hash128(const void *p, size_t n, uint64_t seed);
/* CRC-32C (Castagnoli, as in iSCSI RFC 3720); crc of nothing is 0. */
uint32_t tn_crc32c(uint32_t crc, const void *p, size_t n);

/* ---- compression ----------------------------------------------------- */

/* One frame of zstd. Appends to ${out}. Any thread; contexts are kept a
 * thread. TN_ELIMIT when out would grow past its max. */
TN_MUST_USE enum tn_status tn_zstd_compress(struct tn_buf *out,
    struct tn_slice in, int level);
/* What is known of the rows of one sender; zeros at first. One thread at a
 * time. */
struct tn_zstd_rows {
	uint32_t left;               /* Frames until it is tried again. */
	bool quick;                  /* A shorter search finds as much. */
};
/* The same of rows that are much alike. At level 1 it is some 15 % faster then,
 * and no larger; other bytes come to up to 8 % more. With ${known}, one frame of
 * 64 is packed by a shorter search as well, which does for the next ones where
 * it came to at most a 32nd more: a fifth less time. */
TN_MUST_USE enum tn_status tn_zstd_compress_rows(struct tn_buf *out,
    struct tn_slice in, int level, struct tn_zstd_rows *known);
/* TN_ECORRUPT: not a zstd frame. TN_ELIMIT: more than ${bytes_max}. */
TN_MUST_USE enum tn_status tn_zstd_decompress(struct tn_buf *out,
    struct tn_slice in, size_t bytes_max);
/* The same of one or more frames, back to back. */
TN_MUST_USE enum tn_status tn_zstd_decompress_all(struct tn_buf *out,
    struct tn_slice in, size_t bytes_max);
/* Appends one gzip member (level 1..9). */
TN_MUST_USE enum tn_status tn_gzip_compress(struct tn_buf *out,
    struct tn_slice in, int level);

/* Streaming decompression of HTTP bodies and files. */
enum tn_coding { TN_CODING_IDENTITY, TN_CODING_GZIP, TN_CODING_ZSTD };
struct tn_inflate;
struct tn_inflate *tn_inflate_new(enum tn_coding coding);
/* Take ${in} from the front (moves it on), append at most ${out_max} bytes to
 * ${out}. TN_OK: call again with the rest or with more; also with nothing,
 * as long as ${out_max} bytes were appended. TN_END: the end of the (last)
 * frame was reached and ${in} is empty; more frames may follow. TN_ECORRUPT.
 * TN_ENOMEM. TN_ELIMIT: out's max, or a zstd window above 8 MiB. Failures are final. */
TN_MUST_USE enum tn_status tn_inflate_step(struct tn_inflate *z,
    struct tn_slice *in, struct tn_buf *out, size_t out_max);
/* True when the input may stop here (frame boundary). */
bool tn_inflate_done(const struct tn_inflate *z);
void tn_inflate_free(struct tn_inflate *z);
/* Memory of its decoder, window included. */
size_t tn_inflate_bytes(const struct tn_inflate *z);

/* ---- counters (OpenMetrics) ------------------------------------------ */

/* A process-wide registry. Counters live until exit; registering the same
 * name and labels again returns the same one. Any thread; adding costs one
 * relaxed atomic. labels: "stream=\"badge\",protocol=\"http\"" or NULL. */
struct tn_counter;
enum tn_counter_kind { TN_COUNTER, TN_GAUGE };
struct tn_counter *tn_counter_get(enum tn_counter_kind kind,
    const char *name, const char *labels, const char *help);
void tn_counter_add(struct tn_counter *c, int64_t v);
void tn_counter_set(struct tn_counter *c, int64_t v);
int64_t tn_counter_read(const struct tn_counter *c);
/* Seconds in buckets from 50 us to 30 s. */
struct tn_histogram;
struct tn_histogram *tn_histogram_get(const char *name, const char *labels,
    const char *help);
void tn_histogram_add_us(struct tn_histogram *h, uint64_t us);
/* Append ,name="value" (no comma when first) with ${value} escaped: how labels
 * are made of texts that come from outside. */
void tn_counter_label(struct tn_buf *out, const char *name,
    const char *value);
/* All of them as OpenMetrics text, ending in "# EOF\n". */
void tn_counter_render(struct tn_buf *out);

/* ---- the memory budget ----------------------------------------------- */

/* A process-wide ledger of memory whose size comes from outside, with a cap.
 * Rooms count what they hold; nothing is allocated here. Any thread; a call
 * costs two or three relaxed atomics. The order of pressure: budget.c. */
enum tn_budget_class {
	TN_BUDGET_FOLDS,         /* Tail states of the views. */
	TN_BUDGET_CUT_RESERVE,   /* What a cut will need, kept free. */
	TN_BUDGET_REFERENCES,    /* Reference tables, all versions. */
	TN_BUDGET_KEYS,          /* Keys of the dedupe window. */
	TN_BUDGET_INGEST,        /* Bodies on their way to the log. */
	TN_BUDGET_BACKLOG,       /* Committed rows not folded yet. */
	TN_BUDGET_RECENT,        /* Committed rows kept for the next cut. */
	TN_BUDGET_QUERIES,       /* Queries, verify, copies of states, answers. */
	TN_BUDGET_GOLD,          /* Cached states of gold files. */
	TN_BUDGET_RESULTS,       /* Cached answers. */
	TN_BUDGET_LIVE,          /* Unsent patches of live readers. */
	TN_BUDGET_CUT,           /* What it holds; out of the reserve. */
	TN_BUDGET_CUTS,          /* Compaction, recompute, corrections. */
	TN_BUDGET_DOORS,         /* Connections and requests. */
	TN_BUDGET_PROGRAM,       /* Not counted, but there: see tn_budget_seen. */
	TN_BUDGET_CLASSES
};
/* The cap; 0: none. Also begins the high-water mark anew. At start. */
void tn_budget_setup(uint64_t max);
/* The process has ${bytes} of memory of its own now: what of it nobody has
 * counted is counted as the program's. At start, then now and then. */
void tn_budget_seen(uint64_t bytes);
/* False: beyond the ceiling of the class; nothing was taken. Not for CUT and
 * CUT_RESERVE, which are only forced. */
TN_MUST_USE bool tn_budget_take(enum tn_budget_class c, size_t n);
/* What cannot be refused. */
void tn_budget_force(enum tn_budget_class c, size_t n);
void tn_budget_give(enum tn_budget_class c, size_t n);
/* What one holder has of a class, as counted. Set the class, else zero; one
 * thread at a time. */
struct tn_budget_share {
	enum tn_budget_class class;
	size_t bytes;
};
/* It now holds ${bytes} in all; 0 at the end. */
void tn_budget_set(struct tn_budget_share *s, size_t bytes);
/* The same, but growth may be refused: false, and nothing changed. */
TN_MUST_USE bool tn_budget_try(struct tn_budget_share *s, size_t bytes);

uint64_t tn_budget_max(void);
uint64_t tn_budget_total(void);
uint64_t tn_budget_peak(void);
uint64_t tn_budget_used(enum tn_budget_class c);
const char *tn_budget_name(enum tn_budget_class c);
enum tn_budget_level {
	TN_BUDGET_CALM, TN_BUDGET_PRESSED, TN_BUDGET_TIGHT, TN_BUDGET_FULL
};
enum tn_budget_level tn_budget_level(void);
/* Bytes until the doors close; SIZE_MAX without a cap. */
size_t tn_budget_room(void);
/* Fill ${d} (may be NULL): memory_full, what holds most and what to do.
 * Returns TN_EFULL. */
enum tn_status tn_budget_refuse(struct tn_diag *d);

/* ---- log lines ------------------------------------------------------- */

enum tn_level { TN_DEBUG, TN_INFO, TN_WARN, TN_ERROR };
/* Text on a terminal, one JSON object a line elsewhere, on standard error.
 * Never write secrets or payloads. Any thread. */
void tn_say(enum tn_level level, const char *component, const char *fmt, ...)
    TN_PRINTF(3, 4);
/* min level (default TN_INFO); json: 1, 0, or -1 to decide by isatty. */
void tn_say_setup(enum tn_level min, int json);

/* ---- small text helpers ---------------------------------------------- */

/* Decimal digits of a whole text; false when it is not exactly a number in
 * range. */
bool tn_parse_u64(struct tn_slice s, uint64_t *v);
bool tn_parse_i64(struct tn_slice s, int64_t *v);
/* True when all of it is valid UTF-8 (RFC 3629; no surrogates). */
bool tn_utf8_valid(const void *p, size_t n);

#endif
