/* crc: processors whose instruction we do not use (see crc.c). */
#include "base/base_int.h"

uint32_t
tn_crc32c_hard(uint32_t crc, const void *bytes, size_t n)
{
	return tn_crc32c_soft(crc, bytes, n);
}

bool
tn_crc32c_has_hard(void)
{
	return false;
}
