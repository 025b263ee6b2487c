/* Fuzzes the JSON tree and the jsonb printer. What must hold: what the tree
 * takes, jsonb takes too, but for \u0000 and huge exponents; canonical text
 * is JSON and stays as it is. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_slice text = { data, size };
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_buf one = { 0 }, two = { 0 };
	struct tn_json *root;
	struct tn_diag d = { 0 };
	enum tn_status tree, jsonb;

	tree = tn_codec_json_parse(arena, text, &root, &d);
	tn_assert(tree == TN_OK || (d.column >= 1 && d.column <= size + 1));
	jsonb = tn_codec_jsonb(&one, text);
	tn_assert(tree == TN_OK || jsonb == TN_EINVAL);
	if (jsonb == TN_OK) {
		tn_assert(tn_codec_jsonb(&two, (struct tn_slice){ one.p,
		    one.n }) == TN_OK);
		tn_assert(tn_slice_eq((struct tn_slice){ one.p, one.n },
		    (struct tn_slice){ two.p, two.n }));
	}
	tn_buf_fini(&one);
	tn_buf_fini(&two);
	tn_arena_free(arena);
	return 0;
}
