/* inbox: files into streams. A drop folder for each stream, whose files are
 * loaded exactly once by their content; and the same way for COPY ... FROM.
 *
 *   inbox/{stream}/FILE            put here, best by rename from FILE.part
 *   inbox/{stream}/FILE.options.json, options.json     how to read it
 *   inbox/{stream}/done/           loaded; FILE.result.txt when there is
 *                                  something to say of it
 *   inbox/{stream}/rejected/       could not be read; FILE.error.txt says why
 *
 *   actor   look -> hash -> read pieces        -> record, move
 *   loop                       `-> ingest: feed -> done ^
 *
 * CSV, NDJSON, JSON and Parquet, each plain, .gz or .zst. */
#ifndef TN_INBOX_INBOX_H
#define TN_INBOX_INBOX_H

#include "base/base.h"
#include "codec/codec.h"
#include "ingest/ingest.h"
#include "net/net.h"
#include "os/os.h"
#include "serving/serving.h"

/* ---- a file as a stream of bytes -------------------------------------- */

enum tn_inbox_kind { TN_INBOX_JSON, TN_INBOX_NDJSON, TN_INBOX_CSV,
	TN_INBOX_PARQUET };
struct tn_inbox_format {
	enum tn_inbox_kind kind;
	enum tn_coding coding;
	bool tab;                /* .tsv */
};
/* Load options as pairs, as the query parameters of POST have them, from
 * {"delimiter":";","columns":["a","b"],"rename":{"to":"from"},...}. */
struct tn_inbox_option {
	const char *name;
	struct tn_slice value;
};
#define TN_INBOX_OPTIONS_MAX 160
struct tn_inbox_options {
	struct tn_inbox_option items[TN_INBOX_OPTIONS_MAX];
	uint32_t count;
};
/* Appends to ${out}; texts live in ${a}. TN_EINVAL with ${d}. */
TN_MUST_USE enum tn_status tn_inbox_options_parse(struct tn_inbox_options *out,
    struct tn_slice json, struct tn_arena *a, struct tn_diag *d);
/* What a file is: compression and Parquet by their magic, then the option
 * "format", then the ending of ${name}, then the first bytes. TN_EUNSUPPORTED
 * with ${d}. */
TN_MUST_USE enum tn_status tn_inbox_format_of(const char *name,
    struct tn_slice head, const struct tn_inbox_options *o,
    struct tn_inbox_format *out, struct tn_diag *d);
/* How ingest is to read what the source gives: allocated, to be handed to
 * tn_ingest_begin. TN_EINVAL: an option that the format does not have. */
TN_MUST_USE enum tn_status tn_inbox_spec(const struct tn_inbox_format *f,
    const struct tn_inbox_options *o, struct tn_codec_spec **out,
    struct tn_diag *d);

/* Gives a file's bytes piece by piece; of a Parquet file its rows as NDJSON,
 * one object a row with all columns in order, so that the raw bytes that a
 * stream keeps say what the file said. One thread at a time. */
struct tn_inbox_source;
/* Where the plain form of a compressed Parquet file goes, which must be
 * mapped. Some bytes become many: so much of the disk stays free. */
struct tn_inbox_work {
	const char *folder;
	uint64_t reserve_bytes;
	const uint32_t *stop;       /* Not 0: no more is unpacked; or NULL. */
};
/* ${work} NULL: such a file is refused. */
TN_MUST_USE enum tn_status tn_inbox_source_open(struct tn_inbox_source **out,
    const char *path, const char *name, const struct tn_inbox_options *o,
    const struct tn_inbox_work *work, struct tn_diag *d);
/* Before the first read: what the rows are for. Columns that a foreign Parquet
 * file calls JSON are given as that, not as strings, where they fill a jsonb.
 * TN_EINVAL (no_column): a Parquet file none of whose columns is one of
 * ${table}. ${schema} is not kept. */
TN_MUST_USE enum tn_status tn_inbox_source_for(struct tn_inbox_source *s,
    const struct tn_codec_spec *spec, const char *table,
    const struct tn_schema *schema, struct tn_diag *d);
/* Does that need to be known, for JSON? */
bool tn_inbox_source_has_json(const struct tn_inbox_source *s);
const struct tn_inbox_format *tn_inbox_source_format(
    const struct tn_inbox_source *s);
/* How the bytes that read gives are compressed. */
enum tn_coding tn_inbox_source_coding(const struct tn_inbox_source *s);
/* Appends the next bytes, some hundred KiB (Parquet: up to some MiB). TN_END:
 * there are no more. */
TN_MUST_USE enum tn_status tn_inbox_source_read(struct tn_inbox_source *s,
    struct tn_buf *out, struct tn_diag *d);
/* Part done, 0 to 1; and the file's size. */
double tn_inbox_source_part(const struct tn_inbox_source *s);
uint64_t tn_inbox_source_bytes(const struct tn_inbox_source *s);
void tn_inbox_source_close(struct tn_inbox_source *s);

/* ---- the drop folder -------------------------------------------------- */

struct tn_inbox;
struct tn_inbox_opts {
	struct tn_net_loop *loop;
	const struct tn_serving_model *model;
	struct tn_ingest *ingest;
	const char *folder;          /* DATA/inbox; made with one for each
	                              * stream. Copied. */
	const char *table;           /* DATA/inbox.mdb: contents loaded. */
	uint64_t table_bytes_max;    /* 0: 256 MiB */
	int64_t settle_us;           /* A file at rest so long is whole. */
	int64_t scan_us;             /* Look by ourselves; 0: a minute */
	uint32_t files_max;          /* Loaded at once; 0: 2 */
	uint64_t reserve_bytes;      /* Of the disk: not for the work folder. */
	/* Counts loads whose rows are on their way to ingest; atomic. May be
	 * NULL. */
	uint32_t *loads;
};
/* Loop thread; looks for the first time once the loop runs. */
TN_MUST_USE enum tn_status tn_inbox_new(struct tn_inbox **out,
    const struct tn_inbox_opts *o, struct tn_diag *d);
/* Begin nothing more and give up what is under way: the next start goes on
 * behind the last commit. Loop thread. */
void tn_inbox_drain(struct tn_inbox *in);
bool tn_inbox_idle(const struct tn_inbox *in);
/* Ends the thread, after the loop has stopped and before ingest's threads do;
 * what it posted is settled (tn_net_loop_settle) before free. */
void tn_inbox_stop(struct tn_inbox *in);
void tn_inbox_free(struct tn_inbox *in);
/* Look by itself each ${us} from now on; NULL is nothing. Loop thread. */
void tn_inbox_every(struct tn_inbox *in, int64_t us);
/* When it does so next (monotonic); 0: it does not. Any thread. */
int64_t tn_inbox_due(const struct tn_inbox *in);
/* {"folder":..,"files":[..],"recent":[..],..} for GET /api/v1/inbox. */
void tn_inbox_json(struct tn_inbox *in, struct tn_buf *out);

/* One file now, once for each call (COPY ... FROM). done() on the loop,
 * later, errors valid during the call. Texts are copied. TN_EFULL: too many
 * at once. Loop thread. */
struct tn_inbox_copy {
	uint32_t stream;             /* In the model. */
	const char *path;
	const struct tn_inbox_options *options;
	void (*done)(void *arg, const struct tn_ingest_result *r);
	void *arg;
};
TN_MUST_USE enum tn_status tn_inbox_copy(struct tn_inbox *in,
    const struct tn_inbox_copy *c);

#endif
