#!/bin/sh
# Fetch the pinned npm packages again, check them, and write the minified ES
# modules of this folder. Only needed to change a version: what it writes is
# committed, and building Tarn needs neither npm nor node.
#
#   sh web/vendor/update.sh
#
# To move to a new version: change it below, run, copy the checksum that is
# printed as "got" into the table, run again, and look at the page.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package        version  sha256 of the registry's .tgz
table="
preact@11.2.0 3c4456766bd32b6b534d52bf4e9c2a29b33e7eedf6e96ed479300ba1a7888ebf
@preact/signals-core@1.14.5 94c421ac996214c94f532fb4c43d8ede048a16df0cd9538ffb965174dbe8daba
@preact/signals@2.11.4 66ea8221dd8aaa0da2365d49c3f116b071d56cfb63b2e16c072c6b4e08a928b7
htm@3.1.1 2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90
uplot@1.6.32 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
"
echo "$table" | while read -r name sum; do
	[ -n "$name" ] || continue
	file=$(cd "$work" && npm pack "$name" 2>/dev/null | tail -n 1)
	got=$(sha256sum "$work/$file" | cut -d' ' -f1)
	if [ "$got" != "$sum" ]; then
		echo "$name: got $got, wanted $sum" >&2
		exit 1
	fi
	short=$(echo "$name" | sed 's/^@preact\///; s/@[^@]*$//')
	mkdir -p "$work/$short"
	tar xzf "$work/$file" -C "$work/$short" --strip-components=1
done

# Bare import names become relative paths; source map lines go.
module() {
	sed -e 's|from"preact/hooks"|from"./hooks.js"|g' \
	    -e 's|from"preact"|from"./preact.js"|g' \
	    -e 's|from"@preact/signals-core"|from"./signals-core.js"|g' \
	    -e 's|//# sourceMappingURL=.*$||' "$1" > "$here/$2"
}
module "$work/preact/dist/preact.mjs" preact.js
module "$work/preact/hooks/dist/hooks.mjs" hooks.js
module "$work/signals-core/dist/signals-core.mjs" signals-core.js
module "$work/signals/dist/signals.mjs" signals.js
module "$work/htm/dist/htm.mjs" htm.js
# uPlot ships its minified form as a script only: export its one name.
{ cat "$work/uplot/dist/uPlot.iife.min.js"; echo 'export default uPlot;'; } \
	> "$here/uplot.js"
# Without the rules of what is not used: legend, title.
awk 'BEGIN { RS = "}" }
!/u-legend|u-inline|u-title|u-series|uplot \{font/ && NF {
	gsub(/\/\*[^*]*\*\//, ""); gsub(/\n/, ""); printf "%s}", $0
}
END { print "" }' "$work/uplot/dist/uPlot.min.css" > "$here/uplot.css"

{
	echo '# Code of others in this folder'
	echo
	echo 'Written by update.sh, which holds the versions and checksums.'
	for p in preact signals-core signals htm uplot; do
		v=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' \
		    "$work/$p/package.json" | head -n 1)
		echo
		echo "## $p $v"
		echo
		echo '```'
		cat "$work/$p/LICENSE" 2>/dev/null || cat "$work/$p/LICENSE.txt"
		echo '```'
	done
} > "$here/LICENSES.md"
echo "vendor files written:"
cd "$here" && wc -c ./*.js ./*.css
