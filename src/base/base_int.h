/* base_int: what the files of base share and no other room sees. */
#ifndef TN_BASE_BASE_INT_H
#define TN_BASE_BASE_INT_H

#include "base/base.h"

/* Length (1..4) of the valid UTF-8 sequence at ${p}, of which ${n} > 0 bytes
 * are there; 0 when it is not one. */
size_t tn_utf8_length(const uint8_t *p, size_t n);
/* ${n} or a little less, so that no sequence is cut in two at the end. */
size_t tn_utf8_cut(const char *p, size_t n);
/* Bytes that may still be added before b->max is reached. */
size_t tn_buf_room(const struct tn_buf *b);
/* Bytes of a strand; the tables of crc.c, and one step over a strand. */
#define TN_CRC32C_STRAND 1024
void tn_crc32c_tables(void);
uint32_t tn_crc32c_shift(uint32_t state);
/* The two engines behind tn_crc32c, for tests. The second one may be called
 * only where tn_crc32c_has_hard() is true. */
uint32_t tn_crc32c_soft(uint32_t crc, const void *p, size_t n);
uint32_t tn_crc32c_hard(uint32_t crc, const void *p, size_t n);
bool tn_crc32c_has_hard(void);

#endif
