/* image: what the first bytes of a file say about it: JPEG, PNG, GIF, WebP
 * (width, height, when the photo was taken) and PDF. Pixels are never looked
 * at. Pure; every length in the file is checked against what is there.
 *
 *   JPEG   FFD8, then segments FFxx length(2, BE): APP1 "Exif\0\0" holds a
 *          TIFF, SOFn holds height and width
 *   PNG    signature, then chunks length(4, BE) type data crc: IHDR, eXIf
 *   GIF    "GIF87a" or "GIF89a", width and height (2, LE)
 *   WebP   "RIFF" size "WEBP", then chunks type size(4, LE) data, padded to
 *          even: VP8X, VP8L or "VP8 ", and EXIF
 *   TIFF   "II*\0" or "MM\0*", offset of a directory: entries of 12 bytes tag,
 *          kind, count, value or offset; tag 0x8769 leads to Exif's own one
 *
 * What can go wrong: the bytes are cut or lie. Then what could not be read is
 * left out; what the magic says stands. Each loop moves on or ends, and no
 * offset is followed more than twice, so hostile files cost no more than their
 * length. */
#include "codec/codec.h"

#include <string.h>

#define EXIF_IFD 0x8769
#define EXIF_TAKEN 0x9003        /* DateTimeOriginal */
#define EXIF_OFFSET 0x9011       /* OffsetTimeOriginal */
#define EXIF_SUBSEC 0x9291       /* SubSecTimeOriginal */
#define TIFF_ASCII 2
#define TIFF_LONG 4
#define ENTRY_BYTES 12

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t
be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static uint32_t
le16(const uint8_t *p)
{
	return (uint32_t)p[1] << 8 | p[0];
}

static uint32_t
le24(const uint8_t *p)
{
	return (uint32_t)p[2] << 16 | le16(p);
}

static uint32_t
le32(const uint8_t *p)
{
	return le16(p + 2) << 16 | le16(p);
}

static bool
starts(struct tn_slice s, const char *with, size_t n)
{
	return s.n >= n && memcmp(s.p, with, n) == 0;
}

static void
set_size(struct tn_codec_image *out, uint32_t width, uint32_t height)
{
	/* 0 stands for "later in the file" (JPEG's DNL) or is a lie. */
	if (width == 0 || height == 0 || out->width != 0)
		return;
	out->width = width;
	out->height = height;
}

/* ---- Exif ------------------------------------------------------------ */

struct tiff {
	struct tn_slice s;
	bool big;
	struct tn_slice taken, offset, subsec;
};

static uint32_t
tiff16(const struct tiff *t, size_t at)
{
	return t->big ? be16(t->s.p + at) : le16(t->s.p + at);
}

static uint32_t
tiff32(const struct tiff *t, size_t at)
{
	return t->big ? be32(t->s.p + at) : le32(t->s.p + at);
}

/* The text of an ASCII entry without its NUL and blanks at the end; empty
 * when it lies outside. */
static struct tn_slice
entry_text(const struct tiff *t, size_t at)
{
	uint32_t n = tiff32(t, at + 4);
	size_t from = n <= 4 ? at + 8 : tiff32(t, at + 8);
	struct tn_slice s = { NULL, 0 };

	if (tiff16(t, at + 2) != TIFF_ASCII || n > 64 || from > t->s.n ||
	    n > t->s.n - from)
		return s;
	s = (struct tn_slice){ t->s.p + from, n };
	while (s.n > 0 && (s.p[s.n - 1] == '\0' || s.p[s.n - 1] == ' '))
		s.n--;
	return s;
}

/* Reads one directory; gives where Exif's own one lies, or 0. */
static size_t
read_directory(struct tiff *t, size_t at)
{
	size_t exif = 0;
	uint32_t count;

	if (t->s.n < 2 || at > t->s.n - 2)
		return 0;
	count = tiff16(t, at);
	at += 2;
	for (; count > 0 && t->s.n - at >= ENTRY_BYTES; count--) {
		switch (tiff16(t, at)) {
		case EXIF_IFD:
			if (tiff16(t, at + 2) == TIFF_LONG)
				exif = tiff32(t, at + 8);
			break;
		case EXIF_TAKEN:
			t->taken = entry_text(t, at);
			break;
		case EXIF_OFFSET:
			t->offset = entry_text(t, at);
			break;
		case EXIF_SUBSEC:
			t->subsec = entry_text(t, at);
			break;
		}
		at += ENTRY_BYTES;
	}
	return exif;
}

/* Is ${s} like the pattern, in which 0 is any digit and + a sign? */
static bool
is_like(struct tn_slice s, const char *pattern)
{
	size_t n = strlen(pattern);

	if (s.n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool good = pattern[i] == '0' ? s.p[i] >= '0' &&
		    s.p[i] <= '9' : pattern[i] == '+' ? s.p[i] == '+' ||
		    s.p[i] == '-' : s.p[i] == (uint8_t)pattern[i];
		if (!good)
			return false;
	}
	return true;
}

/* "2024:05:06 07:08:09" to the form that timestamps are written in. */
static void
set_taken(const struct tiff *t, struct tn_codec_image *out)
{
	char text[64];
	size_t n = t->taken.n, sub = 0;
	struct tn_slice whole = { (const uint8_t *)text, 0 };
	bool has_zone;

	if (!is_like(t->taken, "0000:00:00 00:00:00"))
		return;
	memcpy(text, t->taken.p, n);
	text[4] = text[7] = '-';
	text[10] = 'T';
	while (sub < t->subsec.n && sub < 6 && t->subsec.p[sub] >= '0' &&
	    t->subsec.p[sub] <= '9')
		sub++;
	if (sub > 0) {
		text[n++] = '.';
		memcpy(text + n, t->subsec.p, sub);
		n += sub;
	}
	if (is_like(t->offset, "+00:00")) {
		memcpy(text + n, t->offset.p, t->offset.n);
		memcpy(out->taken_offset, t->offset.p, t->offset.n);
		out->taken_offset[t->offset.n] = '\0';
		n += t->offset.n;
	} else {
		text[n++] = 'Z';
	}
	whole.n = n;
	out->has_taken = tn_record_parse_timestamp(whole, &out->taken_us,
	    &has_zone);
	if (!out->has_taken)
		out->taken_offset[0] = '\0';
}

static void
read_exif(struct tn_slice s, struct tn_codec_image *out)
{
	struct tiff t = { .s = s };
	size_t exif;

	if (out->has_taken || s.n < 8)
		return;
	if (!starts(s, "II*\0", 4) && !starts(s, "MM\0*", 4))
		return;
	t.big = s.p[0] == 'M';
	exif = read_directory(&t, tiff32(&t, 4));
	if (exif != 0)
		(void)read_directory(&t, exif);
	set_taken(&t, out);
}

/* ---- the formats ----------------------------------------------------- */

static bool
is_frame(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
	    marker != 0xc8 && marker != 0xcc;
}

static void
read_segment(uint8_t marker, struct tn_slice s, struct tn_codec_image *out)
{
	if (is_frame(marker) && s.n >= 5)
		set_size(out, be16(s.p + 3), be16(s.p + 1));
	else if (marker == 0xe1 && starts(s, "Exif\0\0", 6))
		read_exif((struct tn_slice){ s.p + 6, s.n - 6 }, out);
}

static void
read_jpeg(struct tn_slice s, struct tn_codec_image *out)
{
	size_t at = 2;

	while (s.n - at >= 4) {
		uint8_t marker = s.p[at + 1];
		size_t n;
		if (s.p[at] != 0xff)
			return;
		if (marker == 0xff) {           /* Fill. */
			at++;
			continue;
		}
		if (marker == 0xda || marker == 0xd9)
			return;                 /* Pixels, or the end. */
		if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
			at += 2;                /* No length. */
			continue;
		}
		n = be16(s.p + at + 2);
		if (n < 2 || n > s.n - at - 2)
			return;
		read_segment(marker, (struct tn_slice){ s.p + at + 4, n - 2 },
		    out);
		at += 2 + n;
	}
}

static void
read_png(struct tn_slice s, struct tn_codec_image *out)
{
	size_t at = 8;

	while (s.n - at >= 12) {
		const uint8_t *p = s.p + at;
		size_t n = be32(p);
		if (n > s.n - at - 12)
			return;
		if (memcmp(p + 4, "IHDR", 4) == 0 && n >= 8 && at == 8)
			set_size(out, be32(p + 8), be32(p + 12));
		else if (memcmp(p + 4, "eXIf", 4) == 0)
			read_exif((struct tn_slice){ p + 8, n }, out);
		at += 12 + n;
	}
}

static void
read_vp8(const uint8_t *p, size_t n, struct tn_codec_image *out)
{
	if (n >= 10 && memcmp(p + 3, "\x9d\x01\x2a", 3) == 0)
		set_size(out, le16(p + 6) & 0x3fff, le16(p + 8) & 0x3fff);
}

static void
read_vp8l(const uint8_t *p, size_t n, struct tn_codec_image *out)
{
	uint32_t bits;

	if (n < 5 || p[0] != 0x2f)
		return;
	bits = le32(p + 1);
	set_size(out, (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
}

static void
read_webp(struct tn_slice s, struct tn_codec_image *out)
{
	size_t at = 12;

	while (s.n - at >= 8) {
		const uint8_t *p = s.p + at, *data = p + 8;
		size_t n = le32(p + 4), here = s.n - at - 8;
		/* The pixels may end beyond what is there. */
		size_t part = n < here ? n : here;
		if (memcmp(p, "VP8X", 4) == 0 && part >= 10)
			set_size(out, le24(data + 4) + 1, le24(data + 7) + 1);
		else if (memcmp(p, "VP8L", 4) == 0)
			read_vp8l(data, part, out);
		else if (memcmp(p, "VP8 ", 4) == 0)
			read_vp8(data, part, out);
		else if (memcmp(p, "EXIF", 4) == 0)
			read_exif(starts((struct tn_slice){ data, part },
			    "Exif\0\0", 6) ? (struct tn_slice){ data + 6,
			    part - 6 } : (struct tn_slice){ data, part },
			    out);
		if (n + (n & 1) >= here)
			return;
		at += 8 + n + (n & 1);
	}
}

static void
read_gif(struct tn_slice s, struct tn_codec_image *out)
{
	if (s.n >= 10)
		set_size(out, le16(s.p + 6), le16(s.p + 8));
}

void
tn_codec_image_read(struct tn_slice s, struct tn_codec_image *out)
{
	memset(out, 0, sizeof *out);
	if (starts(s, "\xff\xd8\xff", 3)) {
		out->type = "image/jpeg";
		read_jpeg(s, out);
	} else if (starts(s, "\x89PNG\r\n\x1a\n", 8)) {
		out->type = "image/png";
		read_png(s, out);
	} else if (starts(s, "GIF87a", 6) || starts(s, "GIF89a", 6)) {
		out->type = "image/gif";
		read_gif(s, out);
	} else if (starts(s, "RIFF", 4) && s.n >= 12 &&
	    memcmp(s.p + 8, "WEBP", 4) == 0) {
		out->type = "image/webp";
		read_webp(s, out);
	} else if (starts(s, "%PDF-", 5)) {
		out->type = "application/pdf";
	}
}
