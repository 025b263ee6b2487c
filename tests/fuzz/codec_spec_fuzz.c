/* Fuzzes load options. The input is a stored text form. What must hold: what
 * parses prints, and the print parses to the same print. */
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tn_codec_spec a, b;
	struct tn_buf one = { 0 }, two = { 0 };

	if (tn_codec_spec_parse(&a, (struct tn_slice){ data, size }) !=
	    TN_OK)
		return 0;
	tn_codec_spec_text(&a, &one);
	tn_assert(tn_codec_spec_parse(&b, (struct tn_slice){ one.p,
	    one.n }) == TN_OK);
	tn_codec_spec_text(&b, &two);
	tn_assert(tn_slice_eq((struct tn_slice){ one.p, one.n },
	    (struct tn_slice){ two.p, two.n }));
	tn_codec_spec_fini(&a);
	tn_codec_spec_fini(&b);
	tn_buf_fini(&one);
	tn_buf_fini(&two);
	return 0;
}
