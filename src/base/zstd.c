/* zstd: whole zstd frames in memory. Making a context costs more than small
 * frames do, so each thread keeps one of each kind until it ends; one that
 * grew beyond KEPT_BYTES (high levels) is freed at once.
 *
 * Decompression refuses what is not exactly one frame (or, decompress_all,
 * frames and nothing else), and never writes more
 * than the caller's limit, whatever the frame claims. Frames that do not tell
 * their size are decompressed piece by piece. A failed call leaves ${out} as
 * it was, except that running out of memory drops it (tn_buf). */
#include "base/base_int.h"

#include <pthread.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY         /* ZSTD_c_literalCompressionMode. */
#include <zstd.h>
#include <zstd_errors.h>

enum {
	KEPT_BYTES = 16 << 20,
	PIECE_BYTES = 128 << 10,
	ROWS_HASH_LOG = 12,
	QUICK_HASH_LOG = 10,
	QUICK_STEP = 3,
	QUICK_FRAMES = 63,       /* Between two trials. */
	QUICK_PARTS = 32,        /* One of so many may be lost. */
};
#define FRAME_MAGIC UINT32_C(0xfd2fb528)

struct contexts {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
contexts_free(void *arg)
{
	struct contexts *c = arg;

	(void)ZSTD_freeCCtx(c->pack);
	(void)ZSTD_freeDCtx(c->unpack);
	tn_free(c);
}

static void
make_key(void)
{
	int rc = pthread_key_create(&at_thread_end, contexts_free);

	tn_assert(rc == 0);
}

static struct contexts *
contexts(void)
{
	static _Thread_local struct contexts *mine;
	int rc;

	if (mine != NULL)
		return mine;
	(void)pthread_once(&once, make_key);
	mine = tn_zalloc(sizeof *mine);
	rc = pthread_setspecific(at_thread_end, mine);
	tn_assert(rc == 0);
	return mine;
}

static enum tn_status
status_of(size_t result)
{
	switch (ZSTD_getErrorCode(result)) {
	case ZSTD_error_memory_allocation:
		return TN_ENOMEM;
	case ZSTD_error_dstSize_tooSmall:
	case ZSTD_error_frameParameter_windowTooLarge:
		return TN_ELIMIT;
	default:
		return TN_ECORRUPT;
	}
}

/* Level 1 finds what is repeated by a table of 2^14 entries, larger than the
 * nearest cache; in rows that are alike fewer will do, and what a small table
 * still knows is near. The quick search looks at every fourth place only where
 * it finds nothing (identifiers); what is left is coded as ever. */
static size_t
compress_rows(ZSTD_CCtx *c, uint8_t *to, size_t room, struct tn_slice in,
    bool quick)
{
	const int set[][2] = {
		{ ZSTD_c_compressionLevel, 1 },
		{ ZSTD_c_hashLog, quick ? QUICK_HASH_LOG : ROWS_HASH_LOG },
		{ ZSTD_c_targetLength, quick ? QUICK_STEP : 0 },
		{ ZSTD_c_literalCompressionMode, quick ? ZSTD_ps_enable :
		    ZSTD_ps_auto },
	};
	/* After a frame that found no room nothing could be set. */
	size_t rc = ZSTD_CCtx_reset(c, ZSTD_reset_session_only);

	for (size_t i = 0; !ZSTD_isError(rc) && i < TN_COUNT(set); i++)
		rc = ZSTD_CCtx_setParameter(c, (ZSTD_cParameter)set[i][0],
		    set[i][1]);
	return ZSTD_isError(rc) ? rc : ZSTD_compress2(c, to, room, in.p,
	    in.n);
}

/* Packed carefully; is the quick way nearly as good? Memory for the trial may
 * be missing: then it is not. */
static size_t
try_quick(ZSTD_CCtx *c, uint8_t *to, size_t room, struct tn_slice in,
    struct tn_zstd_rows *known)
{
	size_t n = compress_rows(c, to, room, in, false), most, rc;
	uint8_t *trial;

	if (ZSTD_isError(n))
		return n;
	most = n + n / QUICK_PARTS;
	trial = tn_try_alloc(most);
	rc = trial == NULL ? most + 1 : compress_rows(c, trial, most, in,
	    true);
	known->quick = !ZSTD_isError(rc) && rc <= most;
	known->left = QUICK_FRAMES;
	tn_free(trial);
	return n;
}

static size_t
compress_known(ZSTD_CCtx *c, uint8_t *to, size_t room, struct tn_slice in,
    struct tn_zstd_rows *known)
{
	if (known == NULL)
		return compress_rows(c, to, room, in, false);
	if (known->left == 0)
		return try_quick(c, to, room, in, known);
	known->left--;
	return compress_rows(c, to, room, in, known->quick);
}

/* ${rows}: of level 1, by compress_known. */
static enum tn_status
compress(struct tn_buf *out, struct tn_slice in, int level, bool rows,
    struct tn_zstd_rows *known)
{
	struct contexts *c = contexts();
	size_t bound = ZSTD_compressBound(in.n);
	size_t room = tn_buf_room(out);
	uint8_t *at;
	size_t n;

	if (bound == 0 || ZSTD_isError(bound))
		return TN_ELIMIT;
	if (bound > room)
		bound = room;
	if (c->pack == NULL)
		c->pack = ZSTD_createCCtx();
	if (c->pack == NULL)
		return TN_ENOMEM;
	at = tn_buf_reserve(out, bound);
	if (at == NULL)
		return TN_ENOMEM;
	n = rows ? compress_known(c->pack, at, bound, in, known) :
	    ZSTD_compressCCtx(c->pack, at, bound, in.p, in.n, level);
	if (ZSTD_sizeof_CCtx(c->pack) > KEPT_BYTES) {
		(void)ZSTD_freeCCtx(c->pack);
		c->pack = NULL;
	}
	if (ZSTD_isError(n))
		return status_of(n);
	tn_assert(n <= bound);
	out->n += n;
	return TN_OK;
}

enum tn_status
tn_zstd_compress(struct tn_buf *out, struct tn_slice in, int level)
{
	return compress(out, in, level, false, NULL);
}

enum tn_status
tn_zstd_compress_rows(struct tn_buf *out, struct tn_slice in, int level,
    struct tn_zstd_rows *known)
{
	return compress(out, in, level, level == 1, known);
}

/* Decompress a frame that tells its size: one call, no copy. */
static enum tn_status
unpack_known(struct tn_buf *out, struct tn_slice in, size_t bytes)
{
	uint8_t *at;
	size_t n;

	if (bytes > tn_buf_room(out))
		return TN_ELIMIT;
	at = tn_buf_reserve(out, bytes);
	if (at == NULL)
		return TN_ENOMEM;
	n = ZSTD_decompressDCtx(contexts()->unpack, at, bytes, in.p, in.n);
	/* The frame lied about its size when the room was too small. */
	if (ZSTD_isError(n))
		return status_of(n) == TN_ENOMEM ? TN_ENOMEM : TN_ECORRUPT;
	if (n != bytes)
		return TN_ECORRUPT;
	out->n += n;
	return TN_OK;
}

/* Decompress a frame of unknown size, at most ${bytes_max} bytes. */
static enum tn_status
unpack_unknown(struct tn_buf *out, struct tn_slice in, size_t bytes_max)
{
	ZSTD_DCtx *d = contexts()->unpack;
	ZSTD_inBuffer src = { in.p, in.n, 0 };
	size_t room = tn_buf_room(out);
	size_t left = 1;
	uint8_t probe;          /* A byte in here is one too many. */

	if (bytes_max > room)
		bytes_max = room;
	(void)ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
	while (left != 0) {
		size_t piece = bytes_max < PIECE_BYTES
		    ? bytes_max : PIECE_BYTES;
		ZSTD_outBuffer dst = { &probe, 1, 0 };

		if (piece > 0) {
			dst.dst = tn_buf_reserve(out, piece);
			dst.size = piece;
		}
		if (dst.dst == NULL)
			return TN_ENOMEM;
		left = ZSTD_decompressStream(d, &dst, &src);
		if (ZSTD_isError(left))
			return status_of(left);
		if (dst.pos > piece)
			return TN_ELIMIT;
		out->n += dst.pos;
		bytes_max -= dst.pos;
		if (left != 0 && dst.pos == 0 && src.pos == src.size)
			return TN_ECORRUPT;
	}
	return src.pos == src.size ? TN_OK : TN_ECORRUPT;
}

enum tn_status
tn_zstd_decompress(struct tn_buf *out, struct tn_slice in, size_t bytes_max)
{
	struct contexts *c = contexts();
	struct tn_cursor head = { in.p, in.p + in.n, false };
	unsigned long long bytes;
	size_t before = out->n;
	enum tn_status st;

	if (tn_cursor_u32(&head) != FRAME_MAGIC)
		return TN_ECORRUPT;
	if (ZSTD_findFrameCompressedSize(in.p, in.n) != in.n)
		return TN_ECORRUPT;
	bytes = ZSTD_getFrameContentSize(in.p, in.n);
	if (bytes == ZSTD_CONTENTSIZE_ERROR)
		return TN_ECORRUPT;
	if (c->unpack == NULL)
		c->unpack = ZSTD_createDCtx();
	if (c->unpack == NULL)
		return TN_ENOMEM;
	if (bytes == ZSTD_CONTENTSIZE_UNKNOWN) {
		st = unpack_unknown(out, in, bytes_max);
		if (st != TN_OK && !out->failed)
			out->n = before;
		if (ZSTD_sizeof_DCtx(c->unpack) > KEPT_BYTES) {
			(void)ZSTD_freeDCtx(c->unpack);
			c->unpack = NULL;
		}
		return st;
	}
	if (bytes > bytes_max)
		return TN_ELIMIT;
	/* A block of at least 4 bytes makes at most 128 KiB: do not reserve
	 * what a few bytes merely claim. */
	if (bytes / ZSTD_BLOCKSIZE_MAX > in.n / 4)
		return TN_ECORRUPT;
	return unpack_known(out, in, (size_t)bytes);
}

enum tn_status
tn_zstd_decompress_all(struct tn_buf *out, struct tn_slice in,
    size_t bytes_max)
{
	size_t before = out->n, n;
	enum tn_status st;

	do {
		n = ZSTD_findFrameCompressedSize(in.p, in.n);
		if (ZSTD_isError(n) || n == 0)
			st = TN_ECORRUPT;
		else
			st = tn_zstd_decompress(out, (struct tn_slice){ in.p,
			    n }, bytes_max - (out->n - before));
		if (st == TN_OK) {
			in.p += n;
			in.n -= n;
		}
	} while (st == TN_OK && in.n > 0);
	if (st != TN_OK && !out->failed)
		out->n = before;
	return st;
}
