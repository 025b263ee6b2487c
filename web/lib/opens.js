/* Rows of a table that open something. */

/** Attributes of a table's row that opens: by click or Enter; the arrows walk
 * the rows, so that a table is one stop of Tab.
 * @param {number} i @param {() => void} open */
export const opens = (i, open) => ({ class: 'opens', tabindex: i === 0 ? 0 : -1, title: 'Why this number? (Enter)',
	onClick: (/** @type {any} */ e) => {
		if (!e.target.closest('a,button') && String(getSelection()) === '')
			open();
	},
	onKeyDown: (/** @type {any} */ e) => {
		const row = e.currentTarget;
		if (e.target !== row)
			return;
		const to = /** @type {Record<string, any>} */ ({ ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling })[e.key];
		if (e.key !== 'Enter' && !e.key.startsWith('Arrow'))
			return;
		if (e.key === 'Enter' || e.key === 'ArrowDown' || e.key === 'ArrowUp')
			e.preventDefault();
		if (e.key === 'Enter')
			open();
		to?.focus();
	} });
