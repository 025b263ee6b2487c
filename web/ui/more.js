/* Parts that the overview does without: code to copy, tabs, states of things,
 * data loaded once, tables that sort. */
import { html, useState, useEffect } from '../lib/html.js';

/** Copy a text, also on plain HTTP where there is no clipboard API.
 * @param {string} text @returns {Promise<boolean>} */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch { /* Not a secure context. */ }
	const area = document.createElement('textarea');
	area.value = text;
	area.className = 'vh';
	document.body.append(area);
	area.select();
	const done = document.execCommand('copy');
	area.remove();
	return done;
}

/** @param {{text: string, label?: string}} p */
export function Code({ text, label }) {
	const [done, setDone] = useState(false);
	return html`<div class="codebox"><pre class="code" tabindex="0" role="group"
			aria-label=${label || 'Command'}>${text}</pre>
		<button class="btn tiny" onClick=${async () => {
			setDone(await copy(text));
			setTimeout(() => setDone(false), 2000);
		}}>${done ? 'Copied' : 'Copy'}</button></div>`;
}

/** @param {{tabs: [string, string][], value: string, label: string,
 *    onChange: (v: string) => void, children: any}} p */
export function Tabs({ tabs, value, label, onChange, children }) {
	/** @param {KeyboardEvent} e */
	const key = (e) => {
		const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
		if (step === 0)
			return;
		const i = tabs.findIndex((t) => t[0] === value);
		const next = tabs[(i + step + tabs.length) % tabs.length][0];
		onChange(next);
		document.getElementById(`tab-${next}`)?.focus();
	};
	return html`<div class="stack">
		<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${key}>
			${tabs.map(([v, text]) => html`<button key=${v} role="tab" id=${`tab-${v}`}
				aria-selected=${String(v === value)} aria-controls="tabpanel"
				tabindex=${v === value ? 0 : -1}
				onClick=${() => onChange(v)}>${text}</button>`)}</div>
		<div role="tabpanel" id="tabpanel" class="stack"
			aria-labelledby=${`tab-${value}`}>${children}</div></div>`;
}

const words = /** @type {Record<string, [string, string]>} */ ({
	ok: ['●', 'ok'], late: ['◐', 'late'], failing: ['▲', 'failing'],
	off: ['○', 'off'],
});
/** Status: sign, word and colour. @param {{kind: string, children: any}} p */
export function Mark({ kind, children }) {
	return html`<span class=${`chip ${kind}`}><span aria-hidden="true">${
		(words[kind] || words.off)[0]}</span>${children}</span>`;
}

/** Data loaded once per key, with retry. @template T
 * @param {() => Promise<T>} load @param {any[]} deps
 * @returns {{data: T|null, error: any, again: () => void}} */
export function useLoad(load, deps) {
	const [state, set] = useState(/** @type {any} */ ({ data: null, error: null }));
	const [count, setCount] = useState(0);
	useEffect(() => {
		let live = true;
		load().then((data) => live && set({ data, error: null }),
			(error) => live && set((/** @type {any} */ s) => ({ data: s.data, error })));
		return () => { live = false; };
	}, [...deps, count]);
	return { ...state, again: () => setCount((/** @type {number} */ n) => n + 1) };
}

/** Sorted by a column's values; empty ones come last. @template R
 * @param {R[]} rows @param {(r: R) => any} value @param {number} by 1 or -1
 * @returns {R[]} */
export function sorted(rows, value, by) {
	return rows.map((r) => ({ r, v: value(r) ?? null })).sort((p, q) => {
		if (p.v === null || q.v === null)
			return Number(p.v === null) - Number(q.v === null);
		return by * (typeof p.v === 'number' && typeof q.v === 'number' ? p.v - q.v :
			String(p.v).localeCompare(String(q.v), undefined, { numeric: true }));
	}).map((x) => x.r);
}

/** @param {any[][]} rows with the heads first */
export const csvOf = (rows) => rows.map((r) => r.map((v) => {
	const s = v === null || v === undefined ? '' : String(v);
	return /[",\n]/.test(s) ? `"${s.replace(/"/g, '""')}"` : s;
}).join(',')).join('\n');
/** @param {any[][]} rows with the heads first */
export const markdownOf = (rows) => rows.map((r, i) => `| ${r.map((v) => String(v ?? '')
	.replace(/\|/g, '\\|').replace(/\n/g, ' ')).join(' | ')} |${i === 0 ? `\n|${' --- |'.repeat(r.length)}` : ''}`).join('\n');

/** A table that sorts by its heads and can be copied.
 * @typedef {{name: string, value: (r: any) => any, cell?: (r: any) => any,
 *    num?: boolean, class?: string}} Column
 * @param {{label: string, columns: Column[], rows: any[], id: (r: any) => any}} p */
export function Grid({ label, columns, rows, id }) {
	const [by, setBy] = useState({ name: '', dir: 1 });
	const [done, setDone] = useState('');
	const column = columns.find((c) => c.name === by.name);
	const list = column ? sorted(rows, column.value, by.dir) : rows;
	const next = (/** @type {Column} */ c) => {
		const first = c.num ? -1 : 1;
		setBy(by.name !== c.name ? { name: c.name, dir: first } :
			by.dir === first ? { name: c.name, dir: -first } : { name: '', dir: 1 });
	};
	const put = async (/** @type {string} */ name, /** @type {(rows: any[][]) => string} */ as) => {
		const text = as([columns.map((c) => c.name), ...list.map((r) => columns.map((c) => c.value(r)))]);
		setDone(await copy(text) ? name : '');
		setTimeout(() => setDone(''), 2000);
	};
	return html`<section class="card flush"><div class="scroll" tabindex="0" role="group" aria-label=${`${label}, table`}>
		<table class="grid"><thead><tr>${columns.map((c) => html`<th scope="col" key=${c.name} class=${c.num ? 'num' : ''}
			aria-sort=${column === c ? by.dir > 0 ? 'ascending' : 'descending' : undefined}><button onClick=${() => next(c)}>${c.name}${
			column === c && html`<span aria-hidden="true">${by.dir > 0 ? '↑' : '↓'}</span>`}</button></th>`)}</tr></thead>
		<tbody>${list.map((r) => html`<tr key=${id(r)}>${columns.map((c) => html`<td key=${c.name}
			class=${`${c.num ? 'num' : ''} ${c.class || ''}`}>${c.cell ? c.cell(r) : c.value(r)}</td>`)}</tr>`)}</tbody></table></div>
		<div class="rowline copy">${[['CSV', csvOf], ['Markdown', markdownOf]].map(([name, as]) => html`<button key=${name}
			class="btn quiet tiny" onClick=${() => put(/** @type {string} */ (name), /** @type {any} */ (as))}>${
			done === name ? 'Copied' : `Copy as ${name}`}</button>`)}</div></section>`;
}
