/* inflate: streaming decompression of HTTP bodies and files, in steps whose
 * output the caller bounds, so that a small input that grows a thousandfold
 * is stopped where the caller's limit is and not when it is all in memory.
 *
 *   start --input--> inside --end of frame--> boundary --input--> inside ...
 *
 * Frames (gzip members, zstd frames) may follow one another; the input may
 * stop only at a boundary. Zstd windows are limited to 8 MiB as RFC 8878
 * advises; a frame that wants more is TN_ELIMIT. After a failure every
 * further step fails the same way; when there was no memory for a decoder, the
 * first step does. */
#include "base/base_int.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	GZIP_WRAPPER = 16,
	WINDOW_LOG_MAX = 23,
	STEP_BYTES = 64 << 10,
};

struct tn_inflate {
	enum tn_coding coding;
	z_stream z;
	ZSTD_DCtx *d;
	bool boundary;          /* The input may end here. */
	bool held;              /* The decoder may hold output back. */
	enum tn_status failure;
};

/* zlib asks for its 40 KiB here, so that a test can refuse them. */
static void *
take_memory(void *arg, uInt count, uInt bytes)
{
	(void)arg;
	return tn_try_alloc((size_t)count * bytes);
}

static void
give_memory(void *arg, void *p)
{
	(void)arg;
	tn_free(p);
}

struct tn_inflate *
tn_inflate_new(enum tn_coding coding)
{
	struct tn_inflate *f = tn_zalloc(sizeof *f);
	size_t result;

	f->coding = coding;
	f->boundary = coding == TN_CODING_IDENTITY;
	if (coding == TN_CODING_GZIP) {
		f->z.zalloc = take_memory;
		f->z.zfree = give_memory;
		if (inflateInit2(&f->z, MAX_WBITS + GZIP_WRAPPER) != Z_OK)
			f->failure = TN_ENOMEM;
	} else if (coding == TN_CODING_ZSTD) {
		f->d = ZSTD_createDCtx();
		if (f->d == NULL) {
			f->failure = TN_ENOMEM;
			return f;
		}
		result = ZSTD_DCtx_setParameter(f->d, ZSTD_d_windowLogMax,
		    WINDOW_LOG_MAX);
		tn_assert(!ZSTD_isError(result));
	}
	return f;
}

static enum tn_status
pass_on(struct tn_slice *in, uint8_t *at, size_t room, size_t *n)
{
	*n = in->n < room ? in->n : room;
	if (*n > 0)
		memcpy(at, in->p, *n);
	in->p += *n;
	in->n -= *n;
	return TN_OK;
}

static enum tn_status
gunzip(struct tn_inflate *f, struct tn_slice *in, uint8_t *at, size_t room,
    size_t *n)
{
	size_t piece = in->n < STEP_BYTES ? in->n : STEP_BYTES;
	int rc;

	/* A new member begins. */
	if (f->boundary && inflateReset(&f->z) != Z_OK)
		return TN_ECORRUPT;
	f->z.next_in = (Bytef *)(uintptr_t)in->p;
	f->z.avail_in = (uInt)piece;
	f->z.next_out = at;
	f->z.avail_out = (uInt)room;
	rc = inflate(&f->z, Z_NO_FLUSH);
	in->p += piece - f->z.avail_in;
	in->n -= piece - f->z.avail_in;
	*n = room - f->z.avail_out;
	f->boundary = rc == Z_STREAM_END;
	f->held = !f->boundary && *n == room;
	if (rc == Z_MEM_ERROR)
		return TN_ENOMEM;
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return TN_ECORRUPT;
	return TN_OK;
}

static enum tn_status
unzstd(struct tn_inflate *f, struct tn_slice *in, uint8_t *at, size_t room,
    size_t *n)
{
	ZSTD_inBuffer src = { in->p, in->n, 0 };
	ZSTD_outBuffer dst = { at, room, 0 };
	size_t result = ZSTD_decompressStream(f->d, &dst, &src);

	in->p += src.pos;
	in->n -= src.pos;
	*n = dst.pos;
	if (ZSTD_isError(result)) {
		switch (ZSTD_getErrorCode(result)) {
		case ZSTD_error_memory_allocation:
			return TN_ENOMEM;
		case ZSTD_error_frameParameter_windowTooLarge:
			return TN_ELIMIT;
		default:
			return TN_ECORRUPT;
		}
	}
	f->boundary = result == 0;
	f->held = !f->boundary && dst.pos == room;
	return TN_OK;
}

/* One call of the decoder; *${n} bytes were written at ${at}. */
static enum tn_status
decode(struct tn_inflate *f, struct tn_slice *in, uint8_t *at, size_t room,
    size_t *n)
{
	switch (f->coding) {
	case TN_CODING_GZIP:
		return gunzip(f, in, at, room, n);
	case TN_CODING_ZSTD:
		return unzstd(f, in, at, room, n);
	default:
		return pass_on(in, at, room, n);
	}
}

enum tn_status
tn_inflate_step(struct tn_inflate *f, struct tn_slice *in, struct tn_buf *out,
    size_t out_max)
{
	size_t left = out_max;
	uint8_t probe;          /* A byte in here is one too many. */

	tn_assert(out_max > 0);
	/* Without input and output held back, a decoder only reports that it
	 * makes no progress. */
	while (f->failure == TN_OK && left > 0 && (in->n > 0 || f->held)) {
		size_t room = left < STEP_BYTES ? left : STEP_BYTES;
		size_t n = 0;
		uint8_t *at;

		if (room > tn_buf_room(out))
			room = tn_buf_room(out);
		if (out->failed)
			return TN_ENOMEM;
		/* A full buffer is fine if only a trailer is left. */
		at = room > 0 ? tn_buf_reserve(out, room) : &probe;
		if (at == NULL)
			return TN_ENOMEM;
		f->failure = decode(f, in, at, room > 0 ? room : 1, &n);
		if (f->failure == TN_OK && n > room)
			f->failure = TN_ELIMIT;
		out->n += n <= room ? n : room;
		left -= n;
	}
	if (f->failure != TN_OK)
		return f->failure;
	return f->boundary && in->n == 0 ? TN_END : TN_OK;
}

bool
tn_inflate_done(const struct tn_inflate *f)
{
	return f->failure == TN_OK && f->boundary;
}

void
tn_inflate_free(struct tn_inflate *f)
{
	if (f == NULL)
		return;
	if (f->coding == TN_CODING_GZIP)
		(void)inflateEnd(&f->z);
	(void)ZSTD_freeDCtx(f->d);
	tn_free(f);
}

/* zlib: a window of 32 KiB and its state. */
size_t
tn_inflate_bytes(const struct tn_inflate *f)
{
	if (f->d != NULL)
		return sizeof *f + ZSTD_sizeof_DCtx(f->d);
	return sizeof *f + (f->coding == TN_CODING_GZIP ? 44u << 10 : 0);
}
