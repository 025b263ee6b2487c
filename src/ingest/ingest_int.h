/* Shared inside ingest. Who owns what:
 *
 *   body       loop: inbox and flags; decoder (while busy): work, split;
 *              its packer: known; writer: tally, from the first chunk on; loop
 *              again at the end
 *   chunk      decoder, its packer if the body is large, then writer, then loop
 *
 * The writer is the decoder of what is small.
 *
 * A body has at most one decoder job and CHUNKS_MAX chunks under way. */
#ifndef TN_INGEST_INT_H
#define TN_INGEST_INT_H

#include "ingest/ingest.h"

#define TN_INGEST_DECODERS_MAX 8
#define TN_INGEST_CHUNKS_MAX 8       /* Of one body, between two threads. */
#define TN_INGEST_INBOX 65536        /* Bytes worth a decoder job. */
#define TN_INGEST_INBOX_MAX 262144   /* Then feed says TN_EFULL. */
#define TN_INGEST_SMALL 65536        /* Bodies that travel together. */
#define TN_INGEST_DIRECT 16384       /* Less is decoded by the writer; twice
                                      * as much of what waited. */
#define TN_INGEST_ROWS_MAX 65536     /* Then a chunk is full, too. */
#define TN_INGEST_SAME_BYTES (128u << 20)    /* And when each of its rows had
                                      * spec and source, as in bronze. */
#define TN_INGEST_PLAIN 131072       /* Inflated at once. */
#define TN_INGEST_KEY_MAX 255
#define TN_INGEST_GROUP_BYTES (24u << 20)    /* Packed, of one commit. */
#define TN_INGEST_GROUP_CHUNKS 4096          /* The same. */
#define TN_INGEST_WORKSPACE (16u << 10)      /* Enough for most commits. */

struct decoder;

/* What a body came to, so far. Written by the writer only. */
struct tally {
	uint64_t accepted, quarantined, duplicates;
	bool has_offset;
	uint64_t first_offset, last_offset;
	uint64_t lsn;
	uint64_t rows;               /* Seen, for the note. */
	struct tn_hash128 chain;     /* Of their raw bytes. */
	struct tn_ingest_error *errors;
	uint32_t error_count;
	struct tn_arena *texts;      /* Of the errors; NULL until needed. */
};

struct tn_ingest_body {
	struct tn_net_job job;       /* To the decoder and back. */
	struct tn_ingest *g;
	uint32_t stream;             /* Index in the model. */
	struct tn_codec_spec *spec;
	enum tn_coding coding;
	char *source;
	char key[TN_INGEST_KEY_MAX + 1];
	size_t key_bytes;
	int64_t keep_us;
	void (*done)(void *arg, const struct tn_ingest_result *r);
	void (*resume)(void *arg);
	void *arg;
	uint32_t decoder;

	/* Loop. */
	struct tn_buf inbox;
	bool ended, aborted, busy, waiting, dispatched, final_seen;
	bool closed;                 /* The decoder wants no more bytes. */
	bool hurry;                  /* Overloaded: hand over what is there. */
	bool starved;                /* No memory for an inbox. */
	bool fed;                    /* It has taken bytes. */
	int64_t moved_us;            /* When it last took some. */
	int32_t chunks_out;          /* Below 0: back before its decoder. */
	struct tn_ingest_body *prev, *next;       /* All bodies. */
	struct tn_ingest_body *next_small;

	/* Decoder. */
	struct tn_buf work;          /* Bytes not yet split, from work_at. */
	size_t work_at;
	bool last;                   /* No more bytes after work. */
	bool cut_short;              /* Bytes after work were lost. */
	struct tn_inflate *inflate;
	struct tn_codec_splitter *splitter;
	struct tn_codec_rows rows;
	size_t held;                 /* Rows, the unfinished one and the
	                                inflater, as counted in pending. */
	uint32_t rows_max;           /* Of a chunk; 0: not known yet. */
	bool split_done;
	bool large;                  /* Its chunks go by way of the packer. */
	int32_t sent;                /* Out: chunks sent by this job. */
	enum tn_status broken;       /* Why decoding stopped early. */
	struct tn_diag diag;
	bool note_read;
	bool header_tried;           /* See header.c. */
	bool replay;                 /* A finished note: only compare. */
	bool mismatch;               /* The key belongs to another body. */
	uint64_t skip;               /* Rows already committed. */
	struct tn_hash128 skip_chain;
	uint64_t rows_seen;
	struct tn_hash128 chain;
	struct tally *before;        /* From the note, handed to the writer. */

	/* Packer. */
	struct tn_zstd_rows known;

	/* Writer, then loop. */
	struct tally tally;
	enum tn_status status;
	struct tn_diag why;
	bool replayed;
};

/* Rows on the way to one log block. parts: which bodies they belong to. */
struct part {
	struct tn_ingest_body *body;
	uint32_t first;
	uint32_t count;
	bool final;
	uint64_t rows_seen;          /* Of the body, after this part. */
	struct tn_hash128 chain;
};
struct chunk {
	struct tn_net_job job;       /* To the writer, then to the loop. */
	struct tn_ingest *g;
	uint32_t stream;
	struct tn_governance_rows *rows;   /* NULL: only ends its bodies. */
	struct tn_buf raw;           /* Rows that the packer has yet to pack. */
	uint32_t *lengths;           /* In rows->arena. */
	uint32_t *lines;
	size_t raw_bytes;
	size_t decoded_bytes;        /* Of rows and packed; in the budget. */
	struct tn_buf packed;
	struct tn_buf spec;
	char *source;
	struct part *parts;
	uint32_t part_count;
	struct message_batch *messages;    /* Instead of parts, or NULL. */
	bool failed;                 /* Writer: nothing of it was taken. */
};

/* ---- message.c: messages of a broker --------------------------------- */

struct tn_ingest_route {
	struct tn_ingest_route *next;
	struct tn_ingest *g;
	uint32_t refs;               /* Loop: the owner and batches. */
	uint32_t stream;
	uint32_t decoder;
	struct tn_codec_spec spec;   /* Immutable. */
	struct message_batch *open;  /* Gathers; NULL: nothing. */
	uint32_t on_way;             /* Batches that were sent. */
	uint32_t alone;              /* Their messages that are alone. */
	uint32_t told;               /* Of these, answered in this turn. */
	uint32_t sent;               /* Batches straight to the writer, ever. */
	uint32_t begun;              /* (atomic) How many it has begun with. */
	uint32_t decoding;           /* Of these, by way of the decoder. */
	struct message_batch *waits; /* Writer: others may still join it. */
	bool dead;                   /* Its owner has gone. */
	uint32_t epoch;              /* One more after each failure. Loop. */
	bool broken;                 /* One of this epoch failed, others are
	                              * on their way. Loop. */
	uint32_t failed;             /* The last epoch that failed, how and
	                              * why; writer. */
	enum tn_status failed_status;
	const char *failed_why;
};
struct given {
	uint32_t client_n, topic_n, payload_n;
	uint32_t first, count;       /* Its rows; set by the decoder. */
	void (*done)(void *arg, const struct tn_ingest_outcome *o);
	void *arg;
};
/* Loop, then decoder, writer and loop again. */
struct message_batch {
	struct tn_net_job job;       /* First. */
	struct tn_ingest_route *route;
	struct message_batch *joined;      /* Writer: of the same block. */
	bool direct;                 /* Straight to the writer. */
	struct tn_buf bytes;         /* Client, topic, payload of each. */
	uint32_t alone;              /* Messages whose clients wait. */
	bool waits;                  /* Over a turn, for others. */
	struct given *messages;
	uint32_t count, cap;
	struct tn_ingest_memo **memos;
	uint32_t memo_count, memo_cap;
	struct tn_buf note_bytes;    /* Keys and values of the memos. */
	size_t *note_at;             /* Begin of each, and the end. */
	enum tn_status status;
	const char *why;             /* Static text. */
	uint32_t epoch;              /* Of the route, when it was sent. */
};
/* On the writer: did one of the route fail before it, and was this one sent
 * before that was known? Then it fails, too: its memos speak of both. */
bool tn_ingest_messages_late(struct chunk *c);
/* The end of a turn: what was gathered goes, but for routes that wait for what
 * failed, and few bytes behind others that are with the decoder. */
void tn_ingest_messages_turn(struct tn_ingest *g);
/* Into the block of a batch of its route that still waits for the commit, if
 * there is one. Writer. */
bool tn_ingest_messages_join(struct message_batch *b);
/* Calls every done() of the chunk's messages; frees them. Loop. */
void tn_ingest_messages_done(struct chunk *c);

/* ---- keys.c: the dedupe window, on the writer ------------------------ */

/* Key files that the last publication named. */
struct key_files {
	uint64_t *ids;               /* The catalog's. */
	struct tn_lake_keys **files;
	uint32_t count;
};
void tn_ingest_key_files_fini(struct key_files *o);
struct keyset;
struct keyset *tn_ingest_keyset_new(void);
void tn_ingest_keyset_free(struct keyset *k);
/* Bring what add will look at for this key into the caches. */
void tn_ingest_keyset_fetch(const struct keyset *k, struct tn_hash128 key);
/* *fresh: the key is new; it is remembered with ${lsn}. TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_ingest_keyset_add(struct keyset *k,
    struct tn_hash128 key, uint64_t lsn, bool *fresh);
/* Take back the newest ${count} additions (the commit failed). */
void tn_ingest_keyset_undo(struct keyset *k, const struct tn_hash128 *keys,
    uint64_t count);
/* Files replace everything remembered at or below ${lsn}. Takes them. */
void tn_ingest_keyset_files(struct keyset *k, struct tn_lake_keys **files,
    uint32_t count, uint64_t lsn);
uint64_t tn_ingest_keyset_count(const struct keyset *k);

/* ---- note.c: idempotency --------------------------------------------- */

void tn_ingest_note_key(const struct tn_ingest_body *b, struct tn_buf *out);
void tn_ingest_key_name(const struct tn_ingest *g, uint32_t stream,
    struct tn_slice key, struct tn_buf *out);
void tn_ingest_note_write(const struct tally *t, bool done,
    struct tn_buf *out);
/* Texts go to t->texts. TN_ECORRUPT. */
/* header.c: TN_EINVAL when not one field of a CSV body is a column. */
void tn_ingest_header_try(struct tn_ingest_body *b);
TN_MUST_USE enum tn_status tn_ingest_note_read(struct tn_slice value,
    struct tally *t, bool *done);
struct tn_hash128 tn_ingest_chain(struct tn_hash128 so_far,
    const void *p, size_t n);
void tn_ingest_tally_fini(struct tally *t);

/* ---- decode.c -------------------------------------------------------- */

/* Jobs on a decoder's thread; what they make goes to the writer. */
void tn_ingest_decode_body(struct tn_ingest_body *b);
void tn_ingest_run_small(struct tn_net_job *job);
void tn_ingest_run_messages(struct tn_net_job *job);
struct small_group {
	struct tn_net_job job;
	struct tn_ingest *g;
	struct tn_ingest_body *bodies;     /* By next_small, same stream. */
	struct tn_ingest_body **end;
	struct tn_ingest_body *lead;       /* Spec and source of all. */
	uint32_t count;
	size_t bytes;
};
/* Two that would have been one, had they come together? */
bool tn_ingest_small_same(const struct small_group *a,
    const struct small_group *b);
/* Any thread with a decoder of its own; s and batches that joined b are the
 * chunk's. */
struct chunk *tn_ingest_decode_small(struct decoder *d,
    struct small_group *s);
struct chunk *tn_ingest_decode_messages(struct decoder *d,
    struct message_batch *b);
/* Raw rows, their lengths and lines, as the log takes them. */
TN_MUST_USE enum tn_status tn_ingest_pack(struct chunk *c,
    const struct tn_codec_rows *rows);
void tn_ingest_decoder_free(struct decoder *d);
/* ${writes}: of the writer, not of a decoder's thread. */
struct decoder *tn_ingest_decoder_new(bool writes);

/* ---- write.c --------------------------------------------------------- */

/* Jobs of the writer: a chunk; a batch, a small group not yet decoded. */
void tn_ingest_write(struct tn_net_job *job);
void tn_ingest_write_messages(struct tn_net_job *job);
void tn_ingest_write_small(struct tn_net_job *job);
void tn_ingest_chunk_free(struct chunk *c);
/* One chunk of nobody's body, by itself; it stays the caller's. Writer. */
TN_MUST_USE enum tn_status tn_ingest_commit(struct tn_ingest *g,
    struct chunk *c);

/* ---- ingest.c -------------------------------------------------------- */

struct stream_stats {
	uint64_t accepted, quarantined, duplicates, bytes;
	int64_t last_us;
	uint64_t second[16];         /* Rows in second s at s % 16. */
	int64_t second_of[16];
};
struct tn_ingest {
	struct tn_ingest_opts o;
	struct tn_net_actor *writer;
	struct tn_net_actor *decoders[TN_INGEST_DECODERS_MAX];
	struct tn_net_actor *packers[TN_INGEST_DECODERS_MAX];
	struct decoder *decoder_state[TN_INGEST_DECODERS_MAX];
	struct decoder *writer_state;      /* For what the writer decodes. */
	struct tn_arena *workspace;        /* Of the writer: one group's. */
	struct tn_net_job **taken;         /* Its: jobs of one commit. */
	uint32_t decoder_count;
	uint32_t next_decoder;
	struct tn_ingest_body *bodies;
	struct tn_ingest_body *small;      /* Waiting for the turn's end. */
	struct tn_ingest_body **small_end;
	uint32_t small_count;
	struct tn_net_timer *retry;
	size_t pending;              /* Atomic: bytes in inboxes, unfinished
	                                rows and chunks. */
	size_t group_bytes;          /* Packed, of one commit. */
	bool no_space;               /* Atomic: of the last commit. */
	struct keyset **keys;        /* One a stream with a primary key. */
	struct key_files *key_files; /* One a stream; of who publishes. */
	struct stream_stats *stats;  /* One a stream; written by the writer. */
	struct tn_histogram *ack;
	struct tn_ingest_route *routes;
	bool stopping;
};
/* Bytes on their way, for the own bound and the budget. Any thread. */
void tn_ingest_more(struct tn_ingest *g, size_t n);
void tn_ingest_less(struct tn_ingest *g, size_t n);
/* Chunk's way back on the loop. */
void tn_ingest_chunk_done(struct tn_net_job *job);
void tn_ingest_body_back(struct tn_net_job *job);

#endif
