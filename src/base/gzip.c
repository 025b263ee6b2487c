/* gzip: one gzip member (RFC 1952) from bytes in memory, for HTTP answers and
 * assets. zlib counts in 32 bits, so longer inputs go in by pieces. A failed
 * call leaves ${out} as it was, except that running out of memory drops it. */
#include "base/base_int.h"

#include <string.h>
#include <zlib.h>

enum {
	GZIP_WRAPPER = 16,
	PIECE_BYTES = 1 << 30,
};

/* Feed all of ${in}; ${room} bytes at ${at} are free. Sets *${n}. */
static enum tn_status
deflate_all(z_stream *z, struct tn_slice in, uint8_t *at, size_t room,
    size_t *n)
{
	size_t written = 0;
	int rc = Z_OK;

	while (rc != Z_STREAM_END) {
		size_t piece = in.n < PIECE_BYTES ? in.n : PIECE_BYTES;
		size_t free_now = room - written;

		if (free_now > PIECE_BYTES)
			free_now = PIECE_BYTES;
		z->next_in = (Bytef *)(uintptr_t)in.p;
		z->avail_in = (uInt)piece;
		z->next_out = at + written;
		z->avail_out = (uInt)free_now;
		rc = deflate(z, piece == in.n ? Z_FINISH : Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END)
			return TN_ELIMIT;
		written += free_now - z->avail_out;
		if (rc == Z_OK && written == room)
			return TN_ELIMIT;
		in.p += piece - z->avail_in;
		in.n -= piece - z->avail_in;
	}
	*n = written;
	return TN_OK;
}

enum tn_status
tn_gzip_compress(struct tn_buf *out, struct tn_slice in, int level)
{
	z_stream z;
	size_t room = tn_buf_room(out);
	enum tn_status st;
	size_t bound, n;
	uint8_t *at;
	int rc;

	tn_assert(level >= 1 && level <= 9);
	memset(&z, 0, sizeof z);
	rc = deflateInit2(&z, level, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, 8,
	    Z_DEFAULT_STRATEGY);
	if (rc != Z_OK)
		return TN_ENOMEM;
	bound = deflateBound(&z, in.n);
	if (bound > room)
		bound = room;
	st = TN_ENOMEM;
	at = tn_buf_reserve(out, bound);
	if (at == NULL)
		goto out;
	st = deflate_all(&z, in, at, bound, &n);
	if (st == TN_OK)
		out->n += n;
out:
	(void)deflateEnd(&z);
	return st;
}
