# The modules that main.js imports statically as one file, so that the first
# view is a few requests and compresses better. Run in a folder of stripped
# files:
#
#   awk -f join.awk *.js */*.js     rewrites main.js and what imports from it,
#                                   prints the names of what went in
#
# A module becomes a function that is called once and returns its exports:
#
#   const m3 = (() => { const { html } = m1; ... return { Icon, Logo }; })();
#
# Modules that are fetched later take what they import from main.js. Code of
# others (vendor) and what the worker needs stay files.
# Understood: imports and exports as this folder writes them, one a line, no
# "export default", no changing exports, no cycles.
function folder(f) {
	sub(/[^\/]*$/, "", f)
	return f
}
function address(from, to,    p) {
	p = "./" folder(from) to
	while (sub(/\/\.\//, "/", p))
		;
	while (sub(/[^\/.]+\/\.\.\//, "", p))
		;
	sub(/^\.\//, "", p)
	return p
}
function quoted(line) {
	match(line, /'\.[^']*'/)
	return substr(line, RSTART + 1, RLENGTH - 2)
}
function imports(line) {
	return line ~ /^(import|export) .*from '\.[^']*';$/
}
function read(f,    line) {
	lines[f] = 0
	while ((getline line < f) > 0)
		text[f, ++lines[f]] = line
	close(f)
	if (lines[f] == 0)
		fail(f " is not there or empty")
}
function fail(why) {
	print "join.awk: " why > "/dev/stderr"
	failed = 1
	exit 1
}
# What the worker reaches stays apart.
function apart(f,    i) {
	if (f in alone)
		return
	alone[f] = 1
	read(f)
	for (i = 1; i <= lines[f]; i++)
		if (imports(text[f, i]))
			apart(address(f, quoted(text[f, i])))
}
function visit(f,    i, to) {
	if (state[f] == 2)
		return
	if (state[f] == 1)
		fail("a cycle through " f)
	state[f] = 1
	read(f)
	for (i = 1; i <= lines[f]; i++)
		if (imports(text[f, i])) {
			to = address(f, quoted(text[f, i]))
			if (to ~ /^vendor\// || to in alone)
				outside(to)
			else
				visit(to)
		}
	state[f] = 2
	order[++count] = f
	name[f] = "m" count
}
function outside(f) {
	if (f in name)
		return
	name[f] = "v" ++others
	head = head "import * as " name[f] " from './" f "';\n"
}
# Addresses of what is fetched later are counted from main.js.
function moved(f, line,    out, from, end) {
	while (match(line, /(import\(|new URL\()'\.[^']*'/)) {
		from = substr(line, RSTART, RLENGTH)
		end = RSTART + RLENGTH
		out = out substr(line, 1, RSTART - 1) substr(from, 1, index(from, "'")) \
		    "./" address(f, quoted(from)) "'"
		line = substr(line, end)
	}
	return out line
}
function names(line) {
	match(line, /\{[^}]*\}/)
	return substr(line, RSTART + 1, RLENGTH - 2)
}
function import_line(f, line,    ref) {
	ref = name[address(f, quoted(line))]
	if (line ~ /^import \{/) {
		line = names(line)
		gsub(/ as /, ": ", line)
		return "const {" line "} = " ref ";"
	}
	sub(/^import /, "", line)
	sub(/ from .*/, "", line)
	return "const { default: " line " } = " ref ";"
}
function again(f, line,    ref, i, n, part) {
	ref = name[address(f, quoted(line))]
	n = split(names(line), part, ",")
	for (i = 1; i <= n; i++) {
		gsub(/ /, "", part[i])
		returns[f] = returns[f] ", " part[i] ": " ref "." part[i]
	}
}
function body_line(f, line,    what) {
	if (imports(line) && line ~ /^import/)
		return import_line(f, line) "\n"
	if (imports(line)) {
		again(f, line)
		return ""
	}
	if (line ~ /^export /) {
		sub(/^export /, "", line)
		what = line
		sub(/^(async )?(function|const|class) /, "", what)
		sub(/[^A-Za-z0-9_$].*/, "", what)
		returns[f] = returns[f] ", " what
	}
	return moved(f, line) "\n"
}
function write_out(    k, f, i, all, body) {
	for (k = 1; k <= count; k++) {
		f = order[k]
		body = ""
		for (i = 1; i <= lines[f]; i++)
			body = body body_line(f, text[f, i])
		out = out "const " name[f] " = (() => {\n" body \
		    "return { " substr(returns[f], 3) " };\n})();\n"
		if (f != "main.js") {
			all = all ", " name[f]
			print f
		}
	}
	printf "%s%sexport { %s };\n", head, out, substr(all, 3) > "main.js"
}
# A module that is fetched later.
function redirect(f,    i, line, to, up, out) {
	up = folder(f)
	gsub(/[^\/]+\//, "../", up)
	up = up == "" ? "./" : up
	for (i = 1; i <= lines[f]; i++) {
		line = text[f, i]
		to = imports(line) ? address(f, quoted(line)) : ""
		out = out (state[to] != 2 ? line : "import { " name[to] " } from '" up \
		    "main.js';\n" import_line(f, line)) "\n"
	}
	printf "%s", out > f
	close(f)
}
BEGIN {
	apart("lib/worker.js")
	visit("main.js")
	write_out()
	for (k = 1; k < ARGC; k++)
		if (state[ARGV[k]] != 2 && !(ARGV[k] in alone)) {
			read(ARGV[k])
			redirect(ARGV[k])
		}
	exit failed
}
