/* approx_count_distinct: HyperLogLog with 2^12 registers, about 1.6 %
 * standard error. The estimate is Ertl's ("New cardinality estimation
 * algorithms for HyperLogLog sketches", 2017), which needs no tables of
 * corrections and no switch for small counts.
 *
 * Up to SPARSE_MAX registers that are not 0 lie as a sorted list of u32
 * (register << 8 | rank), then all of them as bytes; which form holds depends
 * only on how many there are, so equal sets of values have equal states,
 * whatever the order. Merging takes the larger rank of each register.
 *
 * Saved: 0, or 1 with count and list (u16 register, u8 rank), or 2 with the
 * 4096 bytes. */
#include "exec/fold_int.h"

#include <math.h>

#define BITS 12
#define REGISTERS (1u << BITS)
#define RANK_MAX (64 - BITS + 1)
#define SPARSE_MAX 256u

struct hll {
	void *p;                 /* uint32_t list, or REGISTERS bytes. */
	uint32_t count;          /* Of the list. */
	uint32_t cap;            /* Of the list; REGISTERS: bytes. */
};

static bool
dense(const struct hll *h)
{
	return h->cap == REGISTERS;
}

static size_t
hll_bytes(const struct hll *h)
{
	return dense(h) ? REGISTERS : h->cap * 4ul;
}

static void
make_dense(struct tn_exec_fold *f, struct hll *h)
{
	uint8_t *bytes = tn_zalloc(REGISTERS);
	const uint32_t *list = h->p;

	for (uint32_t i = 0; i < h->count; i++)
		bytes[list[i] >> 8] = (uint8_t)list[i];
	f->aside += REGISTERS - hll_bytes(h);
	tn_free(h->p);
	*h = (struct hll){ .p = bytes, .cap = REGISTERS };
}

static void
list_insert(struct tn_exec_fold *f, struct hll *h, uint32_t at,
    uint32_t entry)
{
	uint32_t *list;

	if (h->count == h->cap) {
		uint32_t cap = h->cap < 4 ? 4 : h->cap * 2;

		f->aside += (cap - h->cap) * 4ul;
		h->p = tn_realloc(h->p, cap * 4ul);
		h->cap = cap;
	}
	list = h->p;
	memmove(list + at + 1, list + at, (h->count - at) * 4ul);
	list[at] = entry;
	h->count++;
}

static void
hll_set(struct tn_exec_fold *f, struct hll *h, uint32_t reg, uint8_t rank)
{
	uint32_t *list = h->p;
	uint8_t *bytes = h->p;
	uint32_t low = 0;
	uint32_t high = h->count;

	if (dense(h)) {
		if (bytes[reg] < rank)
			bytes[reg] = rank;
		return;
	}
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (list[mid] >> 8 < reg)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < h->count && list[low] >> 8 == reg) {
		if ((uint8_t)list[low] < rank)
			list[low] = reg << 8 | rank;
		return;
	}
	if (h->count == SPARSE_MAX) {
		make_dense(f, h);
		((uint8_t *)h->p)[reg] = rank;
		return;
	}
	list_insert(f, h, low, reg << 8 | rank);
}

static void
hll_apply(const struct tn_agg_run *r)
{
	const struct tn_agg *a = r->agg;
	enum tn_form form = a->form[0];
	struct tn_value v = { .w = { 0 } };

	for (uint32_t i = 0; i < r->rows; i++) {
		uint64_t hash;
		uint64_t rest;

		if (r->keep != NULL && !r->keep[i])
			continue;
		tn_exec_value_canon(r->args[0], i, &v);
		hash = form == TN_FORM_TEXT ?
		    tn_hash64(v.text.p, v.text.n, 3) :
		    tn_hash64(v.w, tn_form_words(form) * 8ul, 3);
		rest = hash << BITS;
		hll_set(r->fold, (void *)(r->states +
		    r->groups[i] * r->width), (uint32_t)(hash >> (64 - BITS)),
		    rest == 0 ? RANK_MAX :
		    (uint8_t)(__builtin_clzll(rest) + 1));
	}
}

static void
hll_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct hll *b = from;
	const uint32_t *list = b->p;
	const uint8_t *bytes = b->p;

	(void)a;
	for (uint32_t i = 0; i < b->count; i++)
		hll_set(f, to, list[i] >> 8, (uint8_t)list[i]);
	if (!dense(b))
		return;
	for (uint32_t i = 0; i < REGISTERS; i++)
		if (bytes[i] > 0)
			hll_set(f, to, i, bytes[i]);
}

/* ---- the estimate ---------------------------------------------------- */

static double
sigma(double x)
{
	double y = 1;
	double z = x;
	double before;

	if (x == 1)
		return (double)INFINITY;
	do {
		x *= x;
		before = z;
		z += x * y;
		y += y;
	} while (z != before);
	return z;
}

static double
tau(double x)
{
	double y = 1;
	double z = 1 - x;
	double before;

	if (x == 0 || x == 1)
		return 0;
	do {
		x = sqrt(x);
		before = z;
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z != before);
	return z / 3;
}

static bool
hll_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct hll *h = state;
	const uint32_t *list = h->p;
	const uint8_t *bytes = h->p;
	uint32_t ranks[RANK_MAX + 1] = { 0 };
	double m = REGISTERS;
	double z;

	(void)a;
	(void)env;
	if (dense(h)) {
		for (uint32_t i = 0; i < REGISTERS; i++)
			ranks[bytes[i]]++;
	} else {
		ranks[0] = REGISTERS - h->count;
		for (uint32_t i = 0; i < h->count; i++)
			ranks[list[i] & 0xff]++;
	}
	z = m * tau(1 - ranks[RANK_MAX] / m);
	for (int k = RANK_MAX - 1; k >= 1; k--)
		z = 0.5 * (z + ranks[k]);
	z += m * sigma(ranks[0] / m);
	v->w[0] = (uint64_t)(m * m / (2 * 0.69314718055994530942 * z) + 0.5);
	return true;
}

/* ---- saved ----------------------------------------------------------- */

static void
hll_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	const struct hll *h = state;
	const uint32_t *list = h->p;

	(void)a;
	if (dense(h)) {
		tn_buf_char(out, 2);
		tn_buf_add(out, h->p, REGISTERS);
		return;
	}
	tn_buf_char(out, h->count == 0 ? 0 : 1);
	if (h->count == 0)
		return;
	tn_buf_varint(out, h->count);
	for (uint32_t i = 0; i < h->count; i++) {
		tn_buf_char(out, (char)(list[i] >> 8));
		tn_buf_char(out, (char)(list[i] >> 16));
		tn_buf_char(out, (char)list[i]);
	}
}

static bool
load_dense(struct tn_exec_fold *f, struct hll *h, struct tn_cursor *in)
{
	struct tn_slice s = tn_cursor_bytes(in, REGISTERS);
	uint32_t set = 0;

	if (in->failed)
		return false;
	for (uint32_t i = 0; i < REGISTERS; i++) {
		if (s.p[i] > RANK_MAX)
			return false;
		set += s.p[i] > 0;
	}
	if (set <= SPARSE_MAX)
		return false;
	make_dense(f, h);
	memcpy(h->p, s.p, REGISTERS);
	return true;
}

static bool
hll_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	uint8_t form = tn_cursor_u8(in);
	uint32_t next = 0;
	uint64_t n;

	(void)a;
	if (form == 0)
		return !in->failed;
	if (form == 2)
		return load_dense(f, state, in);
	n = tn_cursor_varint(in);
	if (form != 1 || in->failed || n == 0 || n > SPARSE_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t reg = tn_cursor_u8(in);
		uint8_t rank;

		reg |= (uint32_t)tn_cursor_u8(in) << 8;
		rank = tn_cursor_u8(in);
		if (in->failed || reg >= REGISTERS || reg < next ||
		    rank == 0 || rank > RANK_MAX)
			return false;
		next = reg + 1;
		hll_set(f, state, reg, rank);
	}
	return true;
}

static void
hll_drop(struct tn_exec_fold *f, void *state)
{
	struct hll *h = state;

	f->aside -= hll_bytes(h);
	tn_free(h->p);
	memset(h, 0, sizeof *h);
}

const struct tn_agg_class tn_exec_agg_hll = {
	.name = "hll", .size = sizeof(struct hll), .apply = hll_apply,
	.merge = hll_merge, .value = hll_value, .save = hll_save,
	.load = hll_load, .drop = hll_drop,
};
