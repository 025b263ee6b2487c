/* What the palette finds for what is typed. Pure.
 *
 * @typedef {{text: string, kind: string, also?: string, run: () => void}} Item
 *   also: another name of it */
const SHOWN = 12;

/** How well a text fits what was typed; 0: not at all. Letters must come in
 * order; a word's beginning counts more. @param {string} text
 * @param {string} typed */
export function fit(text, typed) {
	const t = text.toLowerCase(), q = typed.toLowerCase().trim();
	if (q === '')
		return 1;
	const at = t.indexOf(q);
	if (at === 0)
		return 100;
	if (at > 0)
		return /[^a-z0-9]/.test(t[at - 1]) ? 80 : 60;
	let i = -1;
	for (const c of q.replace(/\s+/g, '')) {
		i = t.indexOf(c, i + 1);
		if (i < 0)
			return 0;
	}
	return 20;
}

/** @param {Item[]} items @param {string} typed */
export function find(items, typed) {
	return items.map((item) => ({ item, v: Math.max(fit(item.text, typed), fit(item.also || item.text, typed) - 5) }))
		.filter((x) => x.v > 0).sort((a, b) => b.v - a.v).slice(0, SHOWN).map((x) => x.item);
}
