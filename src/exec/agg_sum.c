/* sum and avg of integers and numerics: the exact sum in 192 bits (two's
 * complement, lowest word first) and the count. No number of rows that fits
 * 64 bits overflows it, so a sum that leaves its type for a while comes back
 * exact; only a result outside of its type is a row error.
 *
 * Saved: count; if it is not 0, the length and bytes of the sum without
 * repeated sign bytes. */
#include "exec/fold_int.h"

struct sum {
	uint64_t w[3];
	uint64_t n;
};

static inline void
add_wide(struct sum *s, __int128 v)
{
	unsigned __int128 low = (unsigned __int128)s->w[1] << 64 | s->w[0];
	unsigned __int128 sum = low + (unsigned __int128)v;

	s->w[0] = (uint64_t)sum;
	s->w[1] = (uint64_t)(sum >> 64);
	s->w[2] += (sum < low) + (uint64_t)(v < 0 ? -1 : 0);
}

static void
apply_int(const struct tn_agg_run *r)
{
	const int64_t *v = tn_exec_widen_int(r->arena, r->args[0]);

	if (r->keep == NULL) {
		for (uint32_t i = 0; i < r->rows; i++) {
			struct sum *s = (void *)(r->states +
			    r->groups[i] * r->width);

			add_wide(s, v[i]);
			s->n++;
		}
		return;
	}
	for (uint32_t i = 0; i < r->rows; i++) {
		struct sum *s = (void *)(r->states + r->groups[i] * r->width);

		add_wide(s, v[i] & -(int64_t)r->keep[i]);
		s->n += r->keep[i];
	}
}

static void
sum_apply(const struct tn_agg_run *r)
{
	const uint8_t *values = r->args[0]->values;
	__int128 v;

	if (r->agg->form[0] == TN_FORM_INT) {
		apply_int(r);
		return;
	}
	for (uint32_t i = 0; i < r->rows; i++) {
		struct sum *s = (void *)(r->states + r->groups[i] * r->width);

		if (r->keep != NULL && !r->keep[i])
			continue;
		memcpy(&v, values + i * 16ul, 16);
		add_wide(s, v);
		s->n++;
	}
}

static void
sum_merge(struct tn_exec_fold *f, const struct tn_agg *a, void *to,
    const void *from)
{
	const struct sum *b = from;
	struct sum *s = to;

	(void)f;
	(void)a;
	add_wide(s, (__int128)((unsigned __int128)b->w[1] << 64 | b->w[0]));
	/* The low words were taken as signed. */
	s->w[2] += b->w[2] + (b->w[1] >> 63);
	s->n += b->n;
}

/* ---- results --------------------------------------------------------- */

static unsigned __int128
pow10_of(uint32_t k)
{
	unsigned __int128 p = 1;

	tn_assert(k <= TN_NUMERIC_DIGITS_MAX);
	for (; k > 0; k--)
		p *= 10;
	return p;
}

/* |sum|; *minus tells its sign. */
static void
magnitude(const struct sum *s, uint64_t w[static 3], bool *minus)
{
	uint64_t carry = 1;

	*minus = s->w[2] >> 63;
	for (int i = 0; i < 3; i++) {
		w[i] = s->w[i];
		if (!*minus)
			continue;
		w[i] = ~w[i] + carry;
		carry = carry && w[i] == 0;
	}
}

/* w becomes w / d; the remainder. */
static uint64_t
divide(uint64_t w[static 3], uint64_t d)
{
	unsigned __int128 rest = 0;

	for (int i = 2; i >= 0; i--) {
		rest = rest << 64 | w[i];
		w[i] = (uint64_t)(rest / d);
		rest %= d;
	}
	return (uint64_t)rest;
}

/* |sum| / n with ${to} digits after the point, half away from zero; false
 * when it has more than 38 digits. */
static bool
mean(uint64_t w[static 3], uint64_t n, uint32_t from, uint32_t to,
    unsigned __int128 *out)
{
	const unsigned __int128 limit = pow10_of(TN_NUMERIC_DIGITS_MAX);
	uint64_t rest = divide(w, n);
	unsigned __int128 q = (unsigned __int128)w[1] << 64 | w[0];
	unsigned __int128 part;
	unsigned __int128 scale;

	if (w[2] != 0 || q >= limit)
		return false;
	if (from > to) {
		/* n * scale divides; the remainder of n cannot turn the
		 * rounding, because scale is even. */
		scale = pow10_of(from - to);
		*out = q / scale + (q % scale >= scale / 2);
		return true;
	}
	/* Digit by digit, since rest * 10^16 may need more than 128 bits. */
	part = rest;
	for (uint32_t k = from; k < to; k++) {
		if (q >= limit / 10)
			return false;
		part *= 10;
		q = q * 10 + part / n;
		part %= n;
	}
	*out = q + (part >= n - part);
	return *out < limit;
}

static bool
avg_value(const struct tn_agg *a, const struct sum *s, struct tn_value *v,
    struct tn_exec_env *env)
{
	uint32_t from = a->form[0] == TN_FORM_NUMERIC ? a->type[0].scale : 0;
	unsigned __int128 u;
	uint64_t w[3];
	bool minus;
	__int128 signed_v;

	tn_assert(a->sql->type.id == TN_T_NUMERIC);
	magnitude(s, w, &minus);
	if (!mean(w, s->n, from, a->sql->type.scale, &u)) {
		tn_exec_agg_fail(env, "numeric field overflow");
		return false;
	}
	signed_v = minus ? -(__int128)u : (__int128)u;
	memcpy(v->w, &signed_v, 16);
	return true;
}

static bool
sum_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct sum *s = state;
	__int128 total;
	uint64_t w[3];
	bool minus;

	if (s->n == 0)
		return false;
	if (a->sql->kind == TN_AGG_AVG)
		return avg_value(a, s, v, env);
	if (a->sql->type.id == TN_T_INT8) {
		uint64_t sign = (uint64_t)((int64_t)s->w[0] >> 63);

		v->w[0] = s->w[0];
		if (s->w[1] == sign && s->w[2] == sign)
			return true;
		tn_exec_agg_fail(env, "bigint out of range");
		return false;
	}
	magnitude(s, w, &minus);
	if (w[2] != 0 || ((unsigned __int128)w[1] << 64 | w[0]) >=
	    pow10_of(TN_NUMERIC_DIGITS_MAX)) {
		tn_exec_agg_fail(env, "numeric field overflow");
		return false;
	}
	total = (__int128)((unsigned __int128)s->w[1] << 64 | s->w[0]);
	memcpy(v->w, &total, 16);
	return true;
}

/* ---- saved ----------------------------------------------------------- */

static void
sum_save(const struct tn_agg *a, const void *state, struct tn_buf *out)
{
	const struct sum *s = state;
	uint8_t bytes[24];
	uint8_t sign = s->w[2] >> 63 ? 0xff : 0;
	uint32_t n = 24;

	(void)a;
	tn_buf_varint(out, s->n);
	if (s->n == 0)
		return;
	for (uint32_t i = 0; i < 24; i++)
		bytes[i] = (uint8_t)(s->w[i / 8] >> (i % 8 * 8));
	while (n > 1 && bytes[n - 1] == sign &&
	    (bytes[n - 2] ^ sign) < 0x80)
		n--;
	tn_buf_char(out, (char)n);
	tn_buf_add(out, bytes, n);
}

static bool
sum_load(struct tn_exec_fold *f, const struct tn_agg *a, void *state,
    struct tn_cursor *in)
{
	struct sum *s = state;
	struct tn_slice bytes;
	uint8_t n;

	(void)f;
	(void)a;
	s->n = tn_cursor_varint(in);
	if (in->failed || s->n > TN_STATE_COUNT_MAX)
		return false;
	if (s->n == 0)
		return true;
	n = tn_cursor_u8(in);
	if (n == 0 || n > 24)
		return false;
	bytes = tn_cursor_bytes(in, n);
	if (in->failed)
		return false;
	if (bytes.p[n - 1] & 0x80)
		memset(s->w, 0xff, sizeof s->w);
	for (uint32_t i = 0; i < n; i++) {
		s->w[i / 8] &= ~(UINT64_C(0xff) << (i % 8 * 8));
		s->w[i / 8] |= (uint64_t)bytes.p[i] << (i % 8 * 8);
	}
	return true;
}

const struct tn_agg_class tn_exec_agg_sum = {
	.name = "sum", .size = sizeof(struct sum), .flat = true,
	.apply = sum_apply, .merge = sum_merge, .value = sum_value,
	.save = sum_save, .load = sum_load,
};
