/* Fuzzes the reader of image heads. What must hold: it ends and stays inside
 * the bytes (the sanitizers look); the type is that of the whole for every
 * prefix that has the magic; sizes come in pairs; an offset is "" or +00:00
 * and stands only beside a time. */
#include "codec/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_codec_image whole, part;
	/* Exactly as long as it says, so that a byte too far is seen. */
	uint8_t *copy = tn_alloc(size + 1);
	uint8_t *half = tn_alloc(size / 2 + 1);

	memcpy(copy, data, size);
	memcpy(half, data, size / 2);
	copy = tn_realloc(copy, size == 0 ? 1 : size);
	half = tn_realloc(half, size / 2 == 0 ? 1 : size / 2);
	tn_codec_image_read((struct tn_slice){ copy, size }, &whole);
	tn_codec_image_read((struct tn_slice){ half, size / 2 }, &part);
	tn_assert((whole.width == 0) == (whole.height == 0));
	tn_assert(whole.type != NULL || whole.width == 0);
	tn_assert(whole.taken_offset[0] == '\0' || (whole.has_taken &&
	    strlen(whole.taken_offset) == 6));
	tn_assert(size / 2 < 12 || part.type == whole.type);
	tn_free(copy);
	tn_free(half);
	return 0;
}
