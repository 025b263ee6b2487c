/* Snapshots over time: how many rows there were, what made each, and one that
 * is chosen. A slider for the keyboard; the table below is the same. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { bytes, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { madeBy, nearest, timeline } from '../lib/lake.js';

const HEIGHT = 132, LEFT = 8, RIGHT = 14, TOP = 12, BOTTOM = 42;
const signs = /** @type {Record<string, [string, string]>} */ ({ rows: ['var(--cat-1)', 'new rows'],
	files: ['var(--off)', 'the same rows in other files'], anew: ['var(--cat-2)', 'numbers or rows of before changed'] });

/** Shapes tell as much as colours do. @param {{kind: string, x: number, y: number}} p */
function Sign({ kind, x, y }) {
	const style = { fill: signs[kind][0] };
	return kind === 'rows' ? html`<circle cx=${x} cy=${y} r="3.5" style=${style} />` : kind === 'files' ? html`<rect x=${x - 3} y=${y - 3} width="6" height="6" style=${style} />` :
		html`<path d=${`M${x} ${y - 5}l5 5-5 5-5-5z`} style=${style} />`;
}

/** One in words. @param {any} s @param {string} tz */
export const said = (s, tz) => `Snapshot ${s.sequence}, ${time(parseTime(s.published_at), tz, 'stamp')}, position ${s.lsn}, ${madeBy(s).words}, ${number(s.rows)} rows`;

/** @param {{list: any[], chosen: any, choose: (s: any) => void}} p   newest first */
export function Timeline({ list, chosen, choose }) {
	const ref = useRef(/** @type {any} */ (null));
	const [width, setWidth] = useState(0);
	const tz = zoneName();
	useEffect(() => {
		setWidth(ref.current.clientWidth);
		const seen = new ResizeObserver(() => setWidth(ref.current?.clientWidth || 0));
		seen.observe(ref.current);
		return () => seen.disconnect();
	}, []);
	const t = useMemo(() => timeline(list, { left: LEFT + 6, right: width - RIGHT, top: TOP, bottom: HEIGHT - BOTTOM }), [list, width]);
	const at = list.indexOf(chosen);
	/* To the right is newer, and newer stands before. */
	const key = (/** @type {KeyboardEvent} */ e) => {
		const step = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: list.length, End: -list.length }[e.key];
		if (step === undefined)
			return;
		e.preventDefault();
		choose(list[Math.max(0, Math.min(list.length - 1, at + step))]);
	};
	const days = new Set(t.ticks.map((x) => time(x.t, tz, 'ymd'))).size > 1;
	const drawn = useMemo(() => html`<path class="rows" d=${t.line} /><line class="grid" x1=${LEFT} x2=${width - RIGHT + 8} y1=${HEIGHT - BOTTOM + 14} y2=${HEIGHT - BOTTOM + 14} />
		${t.ticks.map((x) => html`<text key=${x.t} x=${x.x} y=${HEIGHT - 6} text-anchor=${x.anchor}>${time(x.t, tz, days ? 'daytime' : 'clock')}</text>`)}
		${t.cells.map((c) => html`<${Sign} key=${`${c.x}`} kind=${c.kind} x=${c.x} y=${HEIGHT - BOTTOM + 14} />`)}`, [t, tz]);
	const here = chosen && t.points.get(chosen.sequence);
	return html`<div class="timeline" ref=${ref} role="slider" tabindex="0" aria-label="Snapshot" aria-valuemin="1" aria-valuemax=${list.length}
			aria-valuenow=${list.length - at} aria-valuetext=${chosen ? said(chosen, tz) : 'none'} style=${{ height: `${HEIGHT}px` }} onKeyDown=${key}
			onClick=${(/** @type {any} */ e) => choose(nearest(list, t, e.clientX - ref.current.getBoundingClientRect().left))}>
		${width > 0 && html`<svg class="gantt" aria-hidden="true" width=${width} height=${HEIGHT}>${drawn}
			${here && html`<line class="chosen" x1=${here.x} x2=${here.x} y1="2" y2=${HEIGHT - BOTTOM + 20} /><circle class="chosen" cx=${here.x} cy=${here.y} r="4" />`}
			<text x=${LEFT} y="10">${number(t.most)} rows</text></svg>`}</div>
		<ul class="legend small secondary">${Object.entries(signs).filter(([k]) => t.kinds.has(k)).map(([k, [, text]]) => html`<li key=${k}><svg width="14" height="12" aria-hidden="true"><${Sign} kind=${k} x=${6} y=${6} /></svg> ${text}</li>`)}</ul>`;
}

/** What is known of the one chosen. @param {{s: any, before: any}} p   before: the one before it */
export function Chosen({ s, before }) {
	const tz = zoneName();
	const more = before ? s.rows - before.rows : null;
	return html`<dl class="facts"><div><dt>Snapshot</dt><dd>${s.sequence}</dd></div>
		<div><dt>Published</dt><dd class="small">${time(parseTime(s.published_at), tz, 'stamp')}</dd></div>
		<div><dt>Position (LSN)</dt><dd>${s.lsn}</dd></div>
		<div><dt>Made by</dt><dd class="small">${madeBy(s).words}${s.run ? html` <span class="muted">run ${s.run}</span>` : ''}</dd></div>
		<div><dt>Rows of streams</dt><dd>${number(s.rows)}${more !== null && more !== 0 ? html` <span class="small muted">${more > 0 ? '+' : '−'}${number(Math.abs(more))}</span>` : ''}</dd></div>
		<div><dt>Files</dt><dd>${number(s.files)} <span class="small muted">+${number(s.files_added)} −${number(s.files_dropped)}, ${bytes(s.bytes)}</span></dd></div></dl>`;
}
