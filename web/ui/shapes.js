/* A view as a table, a heatmap or a list of bars; fetched by the cards that
 * show one. A click or Enter on a row or a cell asks why it is that number. */
import { html, useState } from '../lib/html.js';
import { heat, bars, tableRows } from '../lib/shapes.js';
import { byRow } from '../lib/corrections.js';
import { opens } from '../lib/opens.js';
import { bucketZone, number, short, time, cell, isNumeric } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';

/** @param {any} info @param {any} state @param {any[][]} rows */
const why = (info, state, rows) => import('./why.js').then((m) => m.open(info, state.columns, rows), () => {});

/** @param {{info: any, state: any, version: number, corrections: any[], max?: number}} p */
export function ViewTable({ info, state, corrections, max }) {
	const tz = zoneName();
	const t = tableRows(info, state, max || 100);
	const changed = byRow(corrections, state);
	const days = bucketZone(info, tz) !== tz || (info.bucket_us || 0) >= 86400e6;
	return html`<div class="tablebox" tabindex="0" role="group"
			aria-label=${`${info.options.title || info.name}, table`}>
		<table class="grid"><thead><tr>${state.columns.map((/** @type {string} */ c,
			/** @type {number} */ i) => html`<th key=${c} scope="col"
			class=${isNumeric(state.types[i]) ? 'num' : ''}>${c.split('_').map((w, k) => k > 0 ? html`_<wbr/>${w}` : w)}</th>`)}
			<th scope="col">State</th></tr></thead>
		<tbody>${t.rows.map((r, n) => html`<tr key=${state.key(r.row)} ...${opens(n, () => why(info, state, [r.row]))}>${r.row.map((v, i) => html`<td
			class=${isNumeric(state.types[i]) ? 'num' : ''}>${cell(v, days && state.columns[i] === info.bucket ?
				'date' : state.types[i], tz)}</td>`)}
			<td class="muted">${r.prov ? '◌ provisional' : '● final'}${(changed.get(state.key(r.row)) || [])
				.map((c) => html`<span class="mark" key=${`${c.run} ${c.column}`}> ▲ ${c.column} ${
				cell(c.old, 'n', tz)} → ${cell(c.new, 'n', tz)}, run ${c.run}</span>`)}</td></tr>`)}</tbody></table>
		${t.more > 0 && html`<p class="muted small" style=${{ padding: '8px 16px' }}>
			${number(t.more)} older rows: <a href=${`/sql?q=${encodeURIComponent(
				`SELECT * FROM ${info.name}`)}`}>open in Explore</a></p>`}</div>`;
}

/** @param {{info: any, state: any, version: number, width: number}} p */
export function Heat({ info, state, width }) {
	const [tip, setTip] = useState(/** @type {any} */ (null));
	const tz = bucketZone(info, zoneName());
	const left = width < 420 ? 70 : 100;
	const h = heat(info, state, Math.max(6, Math.floor((width - left) / 15)),
		(t, shape) => time(t, tz, shape));
	if (h === null || width === 0)
		return html`<div class="chart">${h === null && html`<p class="muted">No data.</p>`}</div>`;
	const cw = (width - left) / h.across.length;
	const ch = Math.max(14, Math.min(34, 254 / h.down.length));
	const height = ch * h.down.length + 22;
	const step = (/** @type {number} */ v) => h.high === h.low ? 3 :
		Math.min(6, Math.floor((v - h.low) / (h.high - h.low) * 7));
	const label = (/** @type {any} */ k) => h.xTime ? time(k, tz,
		(info.bucket_us || 0) >= 86400e6 ? 'day' : 'time') : String(k);
	const every = Math.ceil(44 / cw);
	const unit = info.options.unit ? ` ${info.options.unit}` : '';
	const nice = (/** @type {string} */ y) => h.byDay ?
		time(Date.parse(y + 'T12:00:00Z'), 'UTC', width < 420 ? 'day' : 'weekday') : y;
	const go = (/** @type {number} */ r, /** @type {number} */ i) => {
		const c = h.rows[r]?.[i];
		if (c)
			setTip({ c, r, i, x: left + i * cw, y: r * ch, text: `${nice(h.down[r])}, ${label(h.across[i])}` });
		return c;
	};
	/* The arrows go to the next cell that has a value in their direction. */
	const key = (/** @type {KeyboardEvent} */ e) => {
		const step = /** @type {Record<string, [number, number]>} */ ({ ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] })[e.key];
		if (e.key === 'Enter' && tip)
			why(info, state, tip.c.rows);
		if (!step)
			return;
		e.preventDefault();
		let [r, i] = tip ? [tip.r + step[0], tip.i + step[1]] : [h.down.length - 1, h.across.length - 1];
		const [dr, di] = tip ? step : [0, -1];
		while (r >= 0 && r < h.down.length && i >= 0 && i < h.across.length && !go(r, i))
			[r, i] = [r + dr, i + di];
	};
	return html`<div class="chart" style=${{ height: `${Math.max(308, height + 30)}px` }}
			role="img" tabindex="0" onKeyDown=${key} onBlur=${() => setTip(null)}
			aria-label=${`${info.options.title || info.name}: ${h.down.length} by ${
				h.across.length} cells from ${number(h.low)} to ${number(h.high)}${unit}.${
				tip ? ` At ${tip.text}: ${number(tip.c.v)}${unit}.` : ''}`}>
		<svg class="heat" width=${width} height=${height} onPointerLeave=${() => setTip(null)}>
			${h.down.map((y, r) => html`<text key=${y} x=${left - 8} y=${r * ch + ch / 2 + 4}
				text-anchor="end">${nice(y).slice(0, 16)}</text>`)}
			${h.rows.map((row, r) => row.map((c, i) => c && html`<rect key=${`${r}.${i}`}
				class=${c.prov ? 'prov' : ''} x=${left + i * cw + .75} y=${r * ch + .75}
				width=${Math.max(1, cw - 1.5)} height=${ch - 1.5}
				style=${{ fill: `var(--seq-${step(c.v) + 1})` }}
				onPointerEnter=${() => go(r, i)} onClick=${() => why(info, state, c.rows)} />`))}
			${cw >= 28 && h.rows.map((row, r) => row.map((c, i) => c && html`<text
				key=${`t${r}.${i}`} class="cell" x=${left + i * cw + cw / 2} y=${r * ch + ch / 2 + 4}
				style=${{ fill: `var(--seq-${step(c.v) > 3 ? 'high' : 'low'}-text)`, pointerEvents: 'none' }}
				>${short(c.v)}</text>`))}
			${h.across.map((k, i) => i % every === 0 && html`<text key=${`x${k}`}
				x=${left + i * cw + cw / 2} y=${height - 6} text-anchor="middle">${label(k)}</text>`)}
		</svg>
		<div class="heatscale" aria-hidden="true">${number(h.low)}
			${[1, 2, 3, 4, 5, 6, 7].map((n) => html`<i key=${n}
				style=${{ background: `var(--seq-${n})` }}></i>`)}${number(h.high)}${unit}</div>
		${tip && html`<div class="tip" style=${{ top: `${tip.y + ch + 6}px`,
			left: `${Math.min(tip.x, width - 180)}px` }}>
			<div class="head"><span>${tip.text}</span></div>
			<div class="row"><b>${number(tip.c.v)}${unit}</b></div>
			<div class=${tip.c.prov ? 'mark' : 'muted'}>${tip.c.prov ?
				'◌ provisional' : '● final'}</div></div>`}</div>`;
}

/** @param {{info: any, state: any, version: number}} p */
export function Bars({ info, state }) {
	const b = bars(info, state, 30);
	if (b === null)
		return html`<div class="chart"><p class="muted">No data.</p></div>`;
	const unit = info.options.unit ? ` ${info.options.unit}` : '';
	const top = b.list[0];
	return html`<ul class="bars" tabindex="0"
			aria-label=${`${info.options.title || info.name}${top ?
				`: highest ${top.name} with ${number(top.v)}${unit}` : ''}`}>
		${b.list.map((r) => html`<li key=${r.name}><span class="name" title=${r.name}>${r.name}</span>
			<span class="track" aria-hidden="true"><span class=${`fill ${r.prov ? 'prov' : ''}`}
				style=${{ width: `${b.high > 0 ? Math.max(0, r.v) / b.high * 100 : 0}%` }}></span></span>
			<span class="num" title=${r.prov ? 'provisional' : 'final'}>${number(r.v)}${unit}</span></li>`)}
		${b.hidden > 0 && html`<li class="muted">${b.hidden} more in the table</li>`}</ul>`;
}
