# Our own .js and .css as they are embedded: without comments, type notes and
# indentation, .css also without spaces beside signs. Not a minifier: it knows
# only the forms this folder uses, a comment that begins a line, and
# /** @type ... */ or /** @param ... */ within one. Template literals that span
# lines are markup, where indentation does not count.
# tests/web/assets.test.mjs checks that every result still parses.
function tight(s) {
	gsub(/ *{ */, "{", s)
	gsub(/ *} */, "}", s)
	gsub(/; +/, ";", s)
	gsub(/: +/, ":", s)
	gsub(/, +/, ",", s)
	gsub(/;}/, "}", s)
	return s
}
comment {
	at = index($0, "*/")
	if (at == 0)
		next
	comment = 0
	$0 = substr($0, at + 2)
	if ($0 ~ /^[ \t]*$/)
		next
}
{
	gsub(/\/\*\* @(type|param) [^*]*\*\/ ?/, "")
	if ($0 ~ /^[ \t]*\/\*/) {
		at = index($0, "*/")
		if (at == 0) {
			comment = 1
			next
		}
		$0 = substr($0, at + 2)
	}
	sub(/^[ \t]+/, "")
	if ($0 == "")
		next
	if (FILENAME !~ /\.css$/) {
		print
		next
	}
	# "a :hover" and "1px + 2px" need their spaces; after these none does.
	printf "%s", tight($0)
}
