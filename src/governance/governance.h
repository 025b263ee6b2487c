/* governance: which rows are good, and who may do what.
 *
 * gate   raw rows of a stream -> typed batch with a mark a row. Decoding,
 *        defaults, generated columns, NOT NULL, CHECK, event time; the same
 *        code at intake, at replay and when bronze is read again, so that all
 *        agree. Deterministic in (definition, spec, raw bytes, received time,
 *        stored marks).
 * access passwords, tokens, sessions: the one room that includes libsodium;
 *        hence digests of contents are here, too. */
#ifndef TN_GOVERNANCE_GOVERNANCE_H
#define TN_GOVERNANCE_GOVERNANCE_H

#include "base/base.h"
#include "catalog/catalog.h"
#include "codec/codec.h"
#include "exec/exec.h"
#include "log/log.h"
#include "record/record.h"
#include "sql/sql.h"

/* ---- digests --------------------------------------------------------- */

/* SHA-256 of bytes that come in pieces. One thread. */
struct tn_governance_digest;
struct tn_governance_digest *tn_governance_digest_new(void);
void tn_governance_digest_add(struct tn_governance_digest *d, const void *p,
    size_t n);
/* 64 hex digits and a NUL; frees ${d}. */
void tn_governance_digest_end(struct tn_governance_digest *d,
    char hex[static 65]);
/* Give up; NULL is fine. */
void tn_governance_digest_free(struct tn_governance_digest *d);

/* ---- the gate -------------------------------------------------------- */

/* A stream or reference table as the running program knows it. */
struct tn_governance_stream {
	const struct tn_sql_table *table;
	uint32_t id;             /* Catalog's. */
	uint32_t version;
	/* Declared columns, then the three hidden ones. */
	const struct tn_schema *silver;
};

/* Rows that went through the gate. Counted like a batch. */
struct tn_governance_rows {
	uint32_t refs;           /* Atomic. */
	const struct tn_governance_stream *stream;
	struct tn_batch *batch;  /* table->schema; look at marks first: a row
	                            that is not accepted may be null. */
	uint8_t *marks;          /* enum tn_log_mark; duplicates set later. */
	const uint8_t *said;     /* As stored with the block; NULL at intake. */
	struct tn_log_reason *reasons;   /* Of rows that this pass found bad. */
	uint32_t reason_count;
	uint32_t bad;
	struct tn_hash128 *keys; /* Of the primary key, or NULL without one. */
	uint64_t lsn;            /* Set at commit or replay. */
	uint64_t offset;
	int64_t received_us;
	struct tn_arena *arena;  /* Owns the arrays and texts. */
};
void tn_governance_rows_unref(struct tn_governance_rows *r);
struct tn_governance_rows *tn_governance_rows_ref(
    struct tn_governance_rows *r);
/* Whether a row's key is taken: it is accepted, or was at intake and only
 * does not fit today's definition. The stream has a primary key. */
bool tn_governance_holds_key(const struct tn_governance_rows *r, uint32_t i);

/* One gate a stream, spec and thread: it keeps the decoder's memory of the
 * row before. Borrows both. */
struct tn_governance_gate;
struct tn_governance_gate *tn_governance_gate_new(
    const struct tn_governance_stream *s, const struct tn_codec_spec *spec);
void tn_governance_gate_free(struct tn_governance_gate *g);
/* ${marks} are those stored with the block (NULL at intake): rows marked bad
 * are not decoded again, CHECKs and the future limit are not run again; marks
 * are copied to the result. An accepted row that does not fit its table any
 * more becomes quarantined (definition_changed): an accepted row never has a
 * null where its schema says NOT NULL. Message texts: at most 400 bytes. NULL:
 * memory is out; the gate is good for the next pass. */
struct tn_governance_rows *tn_governance_gate_pass(
    struct tn_governance_gate *g, const struct tn_codec_rows *raw,
    int64_t received_us, const uint8_t *marks);
/* Fields met that no column takes (see tn_codec_decoder_unknown). */
const char *const *tn_governance_gate_unknown(
    const struct tn_governance_gate *g);

/* Gates by spec text, for readers of blocks: makes and keeps at most 64 a
 * stream. One thread. */
struct tn_governance_reader;
struct tn_governance_reader *tn_governance_reader_new(
    const struct tn_governance_stream *streams, uint32_t count);
void tn_governance_reader_free(struct tn_governance_reader *r);
/* A log block to rows. TN_ENOTFOUND: unknown stream. TN_ENOMEM. TN_ECORRUPT: a
 * bad spec, or lengths that are not those of the raw bytes. */
TN_MUST_USE enum tn_status tn_governance_reader_block(
    struct tn_governance_reader *r, const struct tn_log_block *b,
    struct tn_governance_rows **out);

/* Committed rows as intake decoded them, kept for the next cut, so that it need
 * not decode them again. They come in order of LSN and go in it; when
 * ${bytes_max} are held, or the memory budget is pressed, what comes is not kept.
 * Nothing depends on it. Any thread. */
struct tn_governance_recent;
struct tn_governance_recent *tn_governance_recent_new(size_t bytes_max);
void tn_governance_recent_free(struct tn_governance_recent *r);
/* Takes a reference, or does not. */
void tn_governance_recent_put(struct tn_governance_recent *r,
    struct tn_governance_rows *rows);
/* The rows of a block, with a reference for the caller, or NULL. Rows of it and
 * of blocks before it are kept no longer. NULL in ${r}: NULL. */
struct tn_governance_rows *tn_governance_recent_take(
    struct tn_governance_recent *r, uint64_t lsn);
/* All of them go: memory is short. */
void tn_governance_recent_drop(struct tn_governance_recent *r);

/* The accepted rows with the hidden columns, in silver's shape. lsn, offset
 * and duplicates must be set. NULL in *out when none is accepted. TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_governance_silver_of(
    const struct tn_governance_rows *r, struct tn_batch **out);

/* ---- bronze's shape -------------------------------------------------- */

/* Columns: _lsn, _offset, received_at, source, spec, line, status, code,
 * column, reason, raw. */
extern const struct tn_schema tn_governance_bronze;
enum tn_governance_bronze_column {
	TN_BRONZE_LSN, TN_BRONZE_OFFSET, TN_BRONZE_RECEIVED, TN_BRONZE_SOURCE,
	TN_BRONZE_SPEC, TN_BRONZE_LINE, TN_BRONZE_STATUS, TN_BRONZE_CODE,
	TN_BRONZE_COLUMN, TN_BRONZE_REASON, TN_BRONZE_RAW
};
/* A log block as bronze rows; source and spec, the same in all of them, are
 * dictionary columns. Of a block without its raw rows (tn_log_read_packed) the
 * column raw has offsets, but no bytes. NULL: memory is out. */
struct tn_batch *tn_governance_bronze_of(const struct tn_log_block *b);
/* A text of such rows, or of rows read from a file; empty for null. */
struct tn_slice tn_governance_bronze_text(const struct tn_column *c,
    uint32_t row);
/* Is this row, by its source ("quarantine N", as ingest/again.c writes it) and
 * line, one that had been quarantined and was tried again? Then *offset is
 * that of the row of then. */
#define TN_GOVERNANCE_AGAIN "quarantine "
bool tn_governance_again_of(struct tn_slice source, int64_t line,
    uint64_t *offset);
/* Bronze rows [first, ...) of one LSN run back to a block (texts borrow the
 * batch and arena); columns may be dictionaries. *next is the row after it.
 * Without reasons: they stay in the batch. A block cut by a row group comes in
 * two. TN_END: no more rows. TN_ECORRUPT: an unknown status, or more raw bytes
 * than a block has. TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_governance_block_of(const struct tn_batch *b,
    uint32_t first, uint32_t stream, struct tn_arena *a,
    struct tn_log_block *out, uint32_t *next);

/* ---- access ---------------------------------------------------------- */

/* Scopes: admin may do all; ingest only POST to streams; read only GET and
 * SQL. */
enum tn_governance_scope {
	TN_SCOPE_NONE = 0, TN_SCOPE_INGEST, TN_SCOPE_READ, TN_SCOPE_ADMIN
};
struct tn_governance_access;
/* Loads tokens and the admin password. Any thread below; it locks. */
TN_MUST_USE enum tn_status tn_governance_access_new(
    struct tn_governance_access **out, struct tn_catalog *cat);
void tn_governance_access_free(struct tn_governance_access *a);
bool tn_governance_has_password(struct tn_governance_access *a);
/* argon2id, interactive limits (64 MiB, 0.1 s): worker threads only. At least
 * 8 characters, else TN_EINVAL. */
TN_MUST_USE enum tn_status tn_governance_set_password(
    struct tn_governance_access *a, struct tn_slice password,
    struct tn_diag *d);
/* A one-time code of the first start, good for 30 minutes: "VJ6K-93QD-..."
 * (at least 80 bits). A new one replaces the old. */
void tn_governance_setup_code(struct tn_governance_access *a,
    char out[static 40]);
/* Use it up and set the password. TN_EDENIED; TN_EINVAL: too weak a password,
 * the code stays good. Worker thread. */
TN_MUST_USE enum tn_status tn_governance_setup(
    struct tn_governance_access *a, struct tn_slice code,
    struct tn_slice password, struct tn_diag *d);
/* Log in: TN_OK and a session id (hex, in ${session}); TN_EDENIED; TN_EFULL
 * with *wait_s while backing off (per address and in all). Worker thread. */
TN_MUST_USE enum tn_status tn_governance_login(
    struct tn_governance_access *a, struct tn_slice password,
    const char *address, char session[static 65], uint32_t *wait_s);
/* Scope of a session cookie or bearer token. A session ends after 12 hours
 * without use, after 7 days, with a new password, and when 1024 newer ones were
 * used. Any thread, the loop too. */
enum tn_governance_scope tn_governance_session(
    struct tn_governance_access *a, struct tn_slice session);
void tn_governance_logout(struct tn_governance_access *a,
    struct tn_slice session);
enum tn_governance_scope tn_governance_bearer(
    struct tn_governance_access *a, struct tn_slice token);
/* What let a connection in, to be asked again as long as it lasts: a token, or
 * the password of then. All zero: neither of them, which always holds. */
struct tn_governance_pass {
	uint64_t token;
	uint64_t password;           /* Its number. */
};
/* The same with a pass. */
enum tn_governance_scope tn_governance_bearer_pass(
    struct tn_governance_access *a, struct tn_slice token,
    struct tn_governance_pass *pass);
/* To be taken before the password is checked. */
struct tn_governance_pass tn_governance_password_pass(
    struct tn_governance_access *a);
/* False: the token was revoked or has expired, or there is a new password. Any
 * thread; as tn_governance_changes, which counts what can end passes, but for
 * time. */
bool tn_governance_pass_holds(struct tn_governance_access *a,
    const struct tn_governance_pass *pass);
uint64_t tn_governance_changes(struct tn_governance_access *a);
/* Tell the catalog which tokens were used, each at most once an hour and a few
 * a call: to be called now and then, not on the loop. */
void tn_governance_tokens_note(struct tn_governance_access *a);
/* Make a token "trn_..."; shown once, kept hashed. expires_us: wall clock, 0
 * never. TN_EINVAL: the name does not have 1 to 100 bytes of UTF-8. TN_ELIMIT.
 * These two write the catalog: not on the loop. */
TN_MUST_USE enum tn_status tn_governance_token_create(
    struct tn_governance_access *a, const char *name,
    enum tn_governance_scope scope, int64_t expires_us,
    char token[static 64], uint64_t *id);
/* At once. TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_governance_token_revoke(
    struct tn_governance_access *a, uint64_t id);

#endif
