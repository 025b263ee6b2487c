/* write_int: what write and gather share. */
#ifndef TN_PARQUET_WRITE_INT_H
#define TN_PARQUET_WRITE_INT_H

#include "parquet/parquet_int.h"

/* Append rows [from, from + n) of ${src}. TN_EINVAL: a null where there must
 * be none, or a numeric with too many digits. */
TN_MUST_USE enum tn_status tn_parquet_gather(struct pq_column *c,
    const struct tn_column *src, uint32_t from, uint32_t n);
/* A text of a batch, also through its dictionary. */
struct tn_slice tn_parquet_source_text(const struct tn_column *src,
    uint32_t row);
/* Bytes of values of those rows. */
size_t tn_parquet_source_bytes(const struct tn_column *src, uint32_t from,
    uint32_t n);
/* The last ${rows} rows' bytes as a zstd frame. */
TN_MUST_USE enum tn_status tn_parquet_gather_frame(struct pq_column *c,
    uint32_t rows, struct tn_slice frame);
/* Forget the rows, keep the arrays. */
void tn_parquet_gather_reset(struct pq_column *c);
void tn_parquet_gather_fini(struct pq_column *c);

#endif
