/* Key files: the sorted 128-bit hashes of the primary keys of one cut, with
 * a blocked Bloom filter in front (Putze, Sanders, Singler 2007: one 64-byte
 * block a key), so that a lookup that misses touches one cache line.
 *
 *   0   8  magic "TNKEYS01"
 *   8   8  count, little-endian
 *   16  8  blocks of the filter (a power of two)
 *   24  36 zero
 *   60  4  CRC-32C of all other bytes
 *   64     filter: blocks x 64 bytes
 *   ...    keys: count x (lo, hi), ascending by hi, then lo; little-endian
 *
 * The machine is little-endian (asserted), so arrays are written and the map
 * is used as they are. What can go wrong: a write or sync, then no file stays;
 * damage, then the file is refused when opened. */
#include "lake/lake_int.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define HEAD_BYTES 64
#define BLOCK_BYTES 64
#define CRC_AT 60
#define BITS_OF_KEY 6

struct tn_lake_keys {
	const uint8_t *map;
	size_t bytes;
	const uint8_t *filter;
	uint64_t blocks;
	const struct tn_hash128 *keys;
	uint64_t count;
	uint32_t refs;           /* Atomic. */
};

static int
compare_keys(const void *a, const void *b)
{
	const struct tn_hash128 *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* The block is told by hi's low bits, six bits in it by nine bits of lo each. */
static uint32_t
filter_bit(uint64_t lo, int i)
{
	return (uint32_t)(lo >> (9 * i)) & 511;
}

static void
filter_add(uint8_t *filter, uint64_t blocks, struct tn_hash128 k)
{
	uint8_t *block = filter + (k.hi & (blocks - 1)) * BLOCK_BYTES;

	for (int i = 0; i < BITS_OF_KEY; i++) {
		uint32_t bit = filter_bit(k.lo, i);
		block[bit >> 3] |= (uint8_t)(1u << (bit & 7));
	}
}

static bool
filter_has(const uint8_t *filter, uint64_t blocks, struct tn_hash128 k)
{
	const uint8_t *block = filter + (k.hi & (blocks - 1)) * BLOCK_BYTES;

	for (int i = 0; i < BITS_OF_KEY; i++) {
		uint32_t bit = filter_bit(k.lo, i);
		if ((block[bit >> 3] >> (bit & 7) & 1) == 0)
			return false;
	}
	return true;
}

static uint64_t
blocks_for(uint64_t count)
{
	uint64_t want = count * 10 / 512 + 1, blocks = 1;

	while (blocks < want)
		blocks *= 2;
	return blocks;
}

static void
make_head(uint8_t head[HEAD_BYTES], uint64_t count, uint64_t blocks)
{
	memset(head, 0, HEAD_BYTES);
	memcpy(head, "TNKEYS01", 8);
	memcpy(head + 8, &count, 8);
	memcpy(head + 16, &blocks, 8);
}

static enum tn_status
write_all(struct tn_os_file *file, const struct tn_slice *parts, int n)
{
	enum tn_status st = TN_OK;

	for (int i = 0; st == TN_OK && i < n; i++)
		if (parts[i].n > 0)
			st = tn_os_write(file, parts[i].p, parts[i].n);
	return st == TN_OK ? tn_os_sync(file) : st;
}

static enum tn_status
write_keys(const char *full, const struct tn_hash128 *keys, uint64_t count,
    struct tn_lake_file *f)
{
	struct tn_os_file *file = NULL;
	uint8_t head[HEAD_BYTES];
	uint64_t blocks = blocks_for(count);
	uint8_t *filter = tn_try_alloc(blocks * BLOCK_BYTES);
	struct tn_slice parts[] = { { head, HEAD_BYTES },
	    { filter, blocks * BLOCK_BYTES },
	    { (const uint8_t *)keys, count * sizeof *keys } };
	uint32_t crc;
	enum tn_status st;

	if (filter == NULL)
		return TN_ENOMEM;
	memset(filter, 0, blocks * BLOCK_BYTES);
	for (uint64_t i = 0; i < count; i++)
		filter_add(filter, blocks, keys[i]);
	make_head(head, count, blocks);
	crc = tn_crc32c(0, head, CRC_AT);
	for (int i = 1; i < 3; i++)
		crc = tn_crc32c(crc, parts[i].p, parts[i].n);
	memcpy(head + CRC_AT, &crc, 4);
	f->rows = count;
	for (int i = 0; i < 3; i++) {
		f->bytes += parts[i].n;
		f->crc = tn_crc32c(f->crc, parts[i].p, parts[i].n);
	}
	st = tn_os_open(&file, full, TN_OS_CREATE);
	if (st != TN_OK)
		goto out;        /* What is there is not ours to remove. */
	st = write_all(file, parts, 3);
	tn_os_crash_point("lake_keys_synced");
	tn_os_close(file);
	/* The catalog never names it; the sweep would find it too. */
	if (st != TN_OK && tn_os_unlink(full) != TN_OK)
		tn_say(TN_WARN, "lake", "%s could not be removed; the next "
		    "start does it", full);
out:
	tn_free(filter);
	return st;
}

/* ---- sorting --------------------------------------------------------- */

#define BUCKET_KEYS 8            /* On average. */
#define BUCKET_BITS_MAX 20
#define INSERTION_MAX 32

static void
sort_few(struct tn_hash128 *keys, uint64_t n)
{
	for (uint64_t i = 1; i < n; i++) {
		struct tn_hash128 k = keys[i];
		uint64_t at = i;

		for (; at > 0 && compare_keys(&keys[at - 1], &k) > 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = k;
	}
}

/* One bucket. Hashes fill buckets evenly; should someone make them fall into
 * one, it is an ordinary sort. */
static void
sort_bucket(struct tn_hash128 *keys, uint64_t n)
{
	if (n <= INSERTION_MAX)
		sort_few(keys, n);
	else
		qsort(keys, n, sizeof *keys, compare_keys);
}

/* By the first bits of hi into ${to}, each bucket for itself; ${ends} has room
 * for 2^bits numbers. */
static void
spread_keys(const struct tn_hash128 *keys, uint64_t n, unsigned bits,
    uint64_t *ends, struct tn_hash128 *to)
{
	uint64_t buckets = UINT64_C(1) << bits, at = 0;

	memset(ends, 0, buckets * sizeof *ends);
	for (uint64_t i = 0; i < n; i++)
		ends[keys[i].hi >> (64 - bits)]++;
	for (uint64_t b = 0; b < buckets; b++) {
		uint64_t count = ends[b];
		ends[b] = at;
		at += count;
	}
	/* From its begin each moves to its end. */
	for (uint64_t i = 0; i < n; i++)
		to[ends[keys[i].hi >> (64 - bits)]++] = keys[i];
	tn_assert(at == n && ends[buckets - 1] == n);
}

/* A copy, and a number for each bucket of more than BUCKET_KEYS / 2 keys. */
size_t
tn_lake_keys_sort_bytes(uint64_t count)
{
	return (size_t)count * (sizeof(struct tn_hash128) +
	    2 * sizeof(uint64_t) / BUCKET_KEYS) + 2 * sizeof(uint64_t);
}

/* Hashes are even, so that a bucket sort in one step does nearly all; the sort
 * of the C library, some ten times slower, is for when there is no memory. */
static void
sort_keys(struct tn_hash128 *keys, uint64_t n)
{
	unsigned bits = 1;
	uint64_t *ends, from = 0;
	struct tn_hash128 *to;

	if (n <= INSERTION_MAX) {
		sort_few(keys, n);
		return;
	}
	while (bits < BUCKET_BITS_MAX && n >> bits > BUCKET_KEYS)
		bits++;
	ends = tn_try_alloc(sizeof *ends << bits);
	to = tn_try_alloc(n * sizeof *to);
	if (ends == NULL || to == NULL) {
		qsort(keys, n, sizeof *keys, compare_keys);
		goto out;
	}
	spread_keys(keys, n, bits, ends, to);
	for (uint64_t b = 0; b < UINT64_C(1) << bits; b++) {
		sort_bucket(to + from, ends[b] - from);
		from = ends[b];
	}
	memcpy(keys, to, n * sizeof *to);
out:
	tn_free(ends);
	tn_free(to);
}

enum tn_status
tn_lake_keys_put(struct tn_lake *lake, const char *table, const char *label,
    struct tn_hash128 *keys, uint64_t count, struct tn_lake_file *out)
{
	const uint16_t one = 1;
	char full[TN_LAKE_PATH_MAX];
	uint64_t distinct = 0;
	enum tn_status st;

	tn_assert(*(const uint8_t *)&one == 1);
	sort_keys(keys, count);
	for (uint64_t i = 0; i < count; i++)
		if (i == 0 || compare_keys(&keys[i], &keys[i - 1]) != 0)
			keys[distinct++] = keys[i];
	st = tn_lake_new_path(lake, &(struct tn_lake_place){ "keys", table,
	    "", label, ".keys", false }, out, full);
	return st == TN_OK ? write_keys(full, keys, distinct, out) : st;
}

static bool
head_fits(const uint8_t *p, size_t n, uint64_t *count, uint64_t *blocks)
{
	uint8_t head[HEAD_BYTES];

	if (n < HEAD_BYTES)
		return false;
	memcpy(count, p + 8, 8);
	memcpy(blocks, p + 16, 8);
	make_head(head, *count, *blocks);
	if (memcmp(p, head, CRC_AT) != 0)
		return false;
	if (*blocks == 0 || (*blocks & (*blocks - 1)) != 0 ||
	    *blocks > n / BLOCK_BYTES || *count > n / 16)
		return false;
	return n == HEAD_BYTES + *blocks * BLOCK_BYTES + *count * 16;
}

static bool
file_fits(struct tn_lake_keys *k)
{
	uint32_t crc, now;

	if (!head_fits(k->map, k->bytes, &k->count, &k->blocks))
		return false;
	memcpy(&crc, k->map + CRC_AT, 4);
	now = tn_crc32c(0, k->map, CRC_AT);
	return tn_crc32c(now, k->map + HEAD_BYTES, k->bytes - HEAD_BYTES) ==
	    crc;
}

enum tn_status
tn_lake_keys_open(struct tn_lake *lake, const char *path,
    struct tn_lake_keys **keys, struct tn_diag *d)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_lake_keys *k = tn_zalloc(sizeof *k);
	enum tn_status st = tn_lake_absolute(lake, path, full);

	*keys = NULL;
	k->refs = 1;
	if (st == TN_OK)
		st = tn_os_map(full, &k->map, &k->bytes);
	if (st != TN_OK) {
		tn_free(k);
		return tn_diag_set(d, st, "key_file", "cannot read %s: %s",
		    path, tn_status_text(st));
	}
	if (!file_fits(k)) {
		tn_lake_keys_close(k);
		return tn_diag_set(d, TN_ECORRUPT, "key_file",
		    "%s is damaged: its checksum does not fit", path);
	}
	k->filter = k->map + HEAD_BYTES;
	k->keys = (const void *)(k->filter + k->blocks * BLOCK_BYTES);
	*keys = k;
	return TN_OK;
}

struct tn_lake_keys *
tn_lake_keys_again(struct tn_lake_keys *k)
{
	__atomic_add_fetch(&k->refs, 1, __ATOMIC_RELAXED);
	return k;
}

void
tn_lake_keys_fetch(const struct tn_lake_keys *k, struct tn_hash128 key)
{
	__builtin_prefetch(k->filter + (key.hi & (k->blocks - 1)) *
	    BLOCK_BYTES);
}

bool
tn_lake_keys_has(const struct tn_lake_keys *k, struct tn_hash128 key)
{
	uint64_t lo = 0, hi = k->count;

	if (!filter_has(k->filter, k->blocks, key))
		return false;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int c = compare_keys(&k->keys[mid], &key);
		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

size_t
tn_lake_keys_filter_bytes(const struct tn_lake_keys *k)
{
	return (size_t)k->blocks * BLOCK_BYTES;
}

uint64_t
tn_lake_keys_count(const struct tn_lake_keys *k)
{
	return k->count;
}

struct tn_hash128
tn_lake_keys_at(const struct tn_lake_keys *k, uint64_t i)
{
	tn_assert(i < k->count);
	return k->keys[i];
}

void
tn_lake_keys_close(struct tn_lake_keys *k)
{
	if (k == NULL || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tn_os_unmap(k->map, k->bytes);
	tn_free(k);
}
