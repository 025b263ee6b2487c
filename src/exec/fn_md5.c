/* The SQL function md5. */
#include "exec/expr_int.h"

#include "codec/codec.h"

void
tn_exec_md5(const void *bytes, size_t n, uint8_t out[static 16])
{
	struct tn_codec_md5 m;

	tn_codec_md5_init(&m);
	tn_codec_md5_add(&m, bytes, n);
	tn_codec_md5_end(&m, out);
}
