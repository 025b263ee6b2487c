#!/bin/sh
# The dashboard's files as one assembler file with a table of them, so that
# building Tarn needs no node:
#
#   packaging/assets.sh WEB_DIR OUT_DIR     writes OUT_DIR/assets.S
#
# index.html keeps its name; all others go under /assets/<hash>/, where hash
# is over all names and contents: they may be cached for ever, and relative
# imports work. Our own .js and .css lose comments (WEB_DIR/strip.awk); the
# style sheets that index.html links to become one, style.css, in their order;
# so do the scripts that main.js imports (WEB_DIR/join.awk).
# Each file is there plain and gzipped. OUT_DIR/root is the same tree as files.
#
# The table's layout is in src/http/assets.c; entries are sorted by the bytes
# of their paths. The hash is no secret: it names the contents.
set -eu
LC_ALL=C
export LC_ALL
[ $# -eq 2 ] || { echo "usage: $0 WEB_DIR OUT_DIR" >&2; exit 2; }
web=$(cd "$1" && pwd)
out=$2
rm -rf "$out/root" "$out/stage"
mkdir -p "$out/root" "$out/stage"

type_of() {
	case $1 in
	*.html) echo 'text/html; charset=utf-8' ;;
	*.js) echo 'text/javascript; charset=utf-8' ;;
	*.css) echo 'text/css; charset=utf-8' ;;
	*.svg) echo 'image/svg+xml' ;;
	*.json) echo 'application/json' ;;
	*.txt) echo 'text/plain; charset=utf-8' ;;
	esac
}

# What is needed when it runs: no notes, scripts or tools.
list=$(cd "$web" && find . -type f \( -name '*.html' -o -name '*.js' -o \
    -name '*.css' -o -name '*.svg' -o -name '*.json' -o -name '*.txt' \) \
    ! -path './node_modules/*' ! -name package.json ! -path '*/.*' | sed 's|^\./||' | sort)
if [ -n "$(printf %s "$list" | tr -d 'A-Za-z0-9._/\n-')" ]; then
	echo "$0: a file name has a character that is not allowed" >&2
	exit 1
fi
for f in $list; do
	mkdir -p "$out/stage/$(dirname "$f")"
	case $f in
	vendor/*) cp "$web/$f" "$out/stage/$f" ;;
	*.js|*.css) awk -f "$web/strip.awk" "$web/$f" > "$out/stage/$f" ;;
	*) cp "$web/$f" "$out/stage/$f" ;;
	esac
done
# Few requests for the first view, and smaller together than apart.
styles=$(sed -n 's|.*<link rel="stylesheet" href="/assets/__ASSETS__/\([^"]*\)".*|\1|p' \
    "$web/index.html")
(cd "$out/stage" && cat $styles > style.css && rm $styles)
joined=$(cd "$out/stage" && awk -f "$web/join.awk" \
    $(find main.js lib ui pages -name '*.js') | tr '\n' ' ')
awk -v joined="$joined" 'BEGIN {
	n = split(joined, f, " ")
	for (i = 1; i <= n; i++)
		gone[f[i]] = 1
}
/<link rel="modulepreload"/ {
	path = $0
	gsub(/.*__ASSETS__\/|".*/, "", path)
	if (path in gone)
		next
}
/<link rel="stylesheet"/ {
	if (!done)
		print "<link rel=\"stylesheet\" href=\"/assets/__ASSETS__/style.css\">"
	done = 1
	next
}
{ print }' "$web/index.html" > "$out/stage/index.html"
(cd "$out/stage" && rm $joined)
list=$(cd "$out/stage" && find . -type f | sed 's|^\./||' | sort)
hash=$(cd "$out/stage" && sha256sum $list | sha256sum | cut -c1-12)
for f in $list; do
	if [ "$f" = index.html ]; then
		to=index.html
		sed "s|__ASSETS__|$hash|g" "$out/stage/$f" > "$out/root/$to"
	else
		to=assets/$hash/$f
		mkdir -p "$out/root/$(dirname "$to")"
		cp "$out/stage/$f" "$out/root/$to"
	fi
	gzip -9nc "$out/root/$to" > "$out/stage/$f.gz"
done

n=0
table=$out/stage/table
strings=$out/stage/strings
{
	echo '/* Written by packaging/assets.sh. */'
	echo '	.section .rodata, "a"'
} > "$out/assets.S.new"
: > "$table"
: > "$strings"
for path in $(cd "$out/root" && find . -type f | sed 's|^\.||' | sort); do
	case $path in
	/assets/*) f=${path#/assets/"$hash"/}; immutable=1 ;;
	*) f=${path#/}; immutable=0 ;;
	esac
	etag=$(sha256sum "$out/root$path" | cut -c1-16)
	{
		echo "	.balign 16"
		echo "plain$n:	.incbin \"$out/root$path\""
		echo "plain${n}_end:"
		echo "gz$n:	.incbin \"$out/stage/$f.gz\""
		echo "gz${n}_end:"
	} >> "$out/assets.S.new"
	{
		echo "path$n:	.asciz \"$path\""
		echo "type$n:	.asciz \"$(type_of "$path")\""
		echo "etag$n:	.asciz \"\\\"$etag\\\"\""
	} >> "$strings"
	{
		echo "	.quad path$n, type$n, etag$n"
		echo "	.quad gz$n, gz${n}_end - gz$n"
		echo "	.quad plain$n, plain${n}_end - plain$n, $immutable"
	} >> "$table"
	n=$((n + 1))
done
{
	cat "$strings"
	echo '	.balign 8'
	echo '	.globl tn_http_asset_count'
	echo '	.type tn_http_asset_count, %object'
	echo '	.size tn_http_asset_count, 8'
	echo 'tn_http_asset_count:'
	echo "	.quad $n"
	# Pointers are relocated in a position-independent program, then
	# read-only.
	echo '	.section .data.rel.ro, "aw"'
	echo '	.balign 8'
	echo '	.globl tn_http_assets'
	echo '	.type tn_http_assets, %object'
	echo "	.size tn_http_assets, $((n * 64))"
	echo 'tn_http_assets:'
	cat "$table"
	echo '	.section .note.GNU-stack, "", %progbits'
} >> "$out/assets.S.new"
mv "$out/assets.S.new" "$out/assets.S"
