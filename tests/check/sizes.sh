#!/bin/sh
# Function 70 lines, file 800, nesting 3 (blocks inside a function's own),
# complexity 15 (decisions plus one), lines of 100 columns; no exemptions.
set -u
cd "$(dirname "$0")/../.."
awk '
function width(s,  i, n) { n = 0; for (i = 1; i <= length(s); i++) n += substr(s, i, 1) == "\t" ? 8 - n % 8 : 1; return n }
FNR == 1 { if (file != "") close_file(); file = FILENAME; infun = 0; files++ }
{ lines[file] = FNR
  if (width($0) > 100) complain(FNR, "line of " width($0) " columns")
  if ($0 ~ /[ \t]$/) complain(FNR, "blank at the end of the line")
  if ($0 ~ /^    +[^ *]/ && $0 !~ /^ \*/ && FILENAME ~ /\.c$/ && incomment == 0 && infun && $0 ~ /^        /) complain(FNR, "indented with blanks") }
/^[a-zA-Z_].*\(/ || /^[a-z_]+\(/ { head = FNR; name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
/^{/ { infun = 1; start = FNR; deep = 0; cc = 1 }
infun {
  t = $0; gsub(/"([^"\\]|\\.)*"/, "\"\"", t); gsub(/\x27([^\x27\\]|\\.)*\x27/, "0", t); sub(/\/\*.*\*\//, "", t); sub(/\/\*.*/, "", t)
  if (t ~ /^[ \t]*\*/) t = ""
  n = gsub(/\<(if|for|while|case)\>/, "&", t) + gsub(/&&|\|\|/, "&", t) + gsub(/ \? /, "&", t); cc += n
  match($0, /^\t*/); if (RLENGTH - 1 > deep && t ~ /(\{|;)[ \t]*$/ && t !~ /^\t+(case|default|\.)/) deep = RLENGTH - 1
}
/^}/ && infun { infun = 0; funs++
  if (FNR - start + 1 > 72) complain(start, name " has " FNR - start - 1 " lines")
  if (cc > 15) complain(start, name " has complexity " cc)
  if (deep > 4) complain(start, name " is nested " deep - 1 " deep") }
function complain(l, what) { print FILENAME ":" l ": " what; bad++ }
function close_file() { if (lines[file] > 800) { print file ": " lines[file] " lines"; bad++ } }
END { close_file(); print "sizes: " files " files, " funs " functions looked at, " bad + 0 " bad"; exit bad > 0 || funs == 0 }
' src/*/*.c src/*/*.h
