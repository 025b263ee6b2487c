#!/bin/sh
# bundle.sh CONFIG_DIR OUT_DIR: the pipelines and sample data of config/ as an
# assembly file with a table (struct tn_app_file in src/app/app.h), sorted by
# path. Markdown stays out.
set -eu
dir=$1 out=$2
mkdir -p "$out"
here=$(cd "$dir" && pwd)
files=$(cd "$dir" && find . -type f ! -name '*.md' | sed 's|^\./||' | LC_ALL=C sort)
{
	echo '	.section .rodata'
	n=0
	for f in $files; do
		printf 'path_%d:\n\t.asciz "%s"\nbytes_%d:\n\t.incbin "%s/%s"\nend_%d:\n' \
		    $n "$f" $n "$here" "$f" $n
		n=$((n + 1))
	done
	printf '\t.section .data.rel.ro,"aw"\n\t.balign 8\n\t.globl tn_app_bundle_files\ntn_app_bundle_files:\n'
	i=0
	while [ $i -lt $n ]; do
		printf '\t.quad path_%d, bytes_%d, end_%d - bytes_%d\n' $i $i $i $i
		i=$((i + 1))
	done
	printf '\t.globl tn_app_bundle_count\n\t.balign 8\ntn_app_bundle_count:\n\t.quad %d\n' $n
	printf '\t.section .note.GNU-stack,"",%%progbits\n'
} > "$out/bundle.S"
