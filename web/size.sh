#!/bin/sh
# What the first route weighs, packed and gzipped as it is served, against
# the budget: index.html, what it links to, and everything that main.js and
# the worker import statically.
#
#   sh web/size.sh        prints; exits 1 beyond the budget
set -eu
here=$(cd "$(dirname "$0")" && pwd)
budget=65536
all_budget=409600
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$here/../packaging/assets.sh" "$here" "$out"
cd "$out"/root/assets/*/

# Static imports only: import('...') is fetched later.
imports() {
	sed -n "s/^.*from *['\"]\(\.[^'\"]*\)['\"].*$/\1/p
s/^import *['\"]\(\.[^'\"]*\)['\"].*$/\1/p" "$1" | sort -u
	case $1 in vendor/*) grep -o 'from"\./[^"]*"' "$1" | \
	    sed 's/from"\(.*\)"/\1/' || true ;; esac
}
weigh() {
	gzip -9nc "$1" | wc -c
}
seen=""
todo="main.js lib/worker.js"
while [ -n "$todo" ]; do
	set -- $todo
	file=$1
	shift
	todo="$*"
	case " $seen " in *" $file "*) continue ;; esac
	seen="$seen $file"
	for i in $(imports "$file"); do
		path=$(dirname "$file")/$i
		# a/b/../c -> a/c
		path=$(echo "$path" | sed 's|/\./|/|g; s|^\./||
:a
s|[^/]*/\.\./||
ta')
		todo="$todo $path"
	done
done
linked=$(sed -n 's|.*href="/assets/[^/]*/\([^"]*\.css\)".*|\1|p; s|.*script src="/assets/[^/]*/\([^"]*\)".*|\1|p' ../../index.html)
total=0
for f in ../../index.html $linked $seen; do
	n=$(weigh "$f")
	printf '%7d  %s\n' "$n" "${f##*../}"
	total=$((total + n))
done
all=$(weigh ../../index.html)
for f in $(find . -type f); do
	all=$((all + $(weigh "$f")))
done
echo "first route: $total of $budget bytes; everything: $all of $all_budget"
[ "$total" -le "$budget" ] && [ "$all" -le "$all_budget" ]
