/* The Gantt of the last 48 hours: a lane for each view with what batch made of
 * it, and one for each kind of run; the same as a table. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { now } from '../lib/live.js';
import { number, parseTime, seconds, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { LANES, barMarks, byView, lanes, sumOf } from '../lib/gantt.js';
import { Grid } from './more.js';
import { Segments } from './parts.js';

const fills = /** @type {Record<string, string>} */ ({ done: 'var(--cat-1)', anew: 'var(--cat-2)',
	running: 'var(--late)', failed: 'var(--failing)' });
const words = /** @type {Record<string, string>} */ ({ done: 'done', anew: 'a view computed anew', running: 'under way', failed: 'failed' });
const spans = /** @type {[string, string][]} */ ([['48', '48 hours'], ['6', '6 hours'], ['1', 'hour']]);
const plural = (/** @type {number} */ n, /** @type {string} */ word) => `${number(n)} ${word}${n === 1 ? '' : 's'}`;

/** What is under the pointer. @param {{mark: any, tz: string}} p */
function Said({ mark, tz }) {
	const s = sumOf(mark.bars);
	const [one] = mark.bars;
	const times = mark.bars.map((/** @type {any} */ b) => b.begin);
	const first = Math.min(...times), last = Math.max(...times);
	const kinds = [...new Set(mark.bars.map((/** @type {any} */ b) => b.run.kind))].join(', ');
	return html`<div class="head"><span>${time(first, tz, 'stamp')}${last > first && ` – ${time(last, tz, 'clock')}`}</span><span>${words[mark.tone]}</span></div>
		<div>${s.runs > 1 ? `${number(s.runs)} × ${kinds}` : `${kinds}${one.part ? '' : one.run.object ? ` ${one.run.object}` : ''}, run ${one.run.id}`}: ${
			s.rows === 0 && s.files > 0 ? plural(s.files, 'file') : plural(s.rows, 'row')} in ${seconds(s.seconds)}${s.changed > 0 ? `, ${number(s.changed)} changed` : ''}</div>
		${s.runs === 1 && one.part && html`<div class="secondary small">${one.part.fold === null ? '' : `folded in ${seconds(one.part.fold)}, `}${
			plural(one.part.files, 'file')} written in ${seconds(one.part.seconds)}</div>`}
		${s.runs === 1 && (one.run.state === 'failed' || ['backup', 'expire'].includes(one.run.kind)) && html`<div class="small">${one.run.detail}</div>`}`;
}

/** @param {{runs: any[], from: number}} p */
function Views({ runs, from }) {
	const tz = zoneName();
	const [open, setOpen] = useState(false);
	const list = useMemo(() => byView(runs, from), [runs, from]);
	return list.length > 0 && html`<details onToggle=${(/** @type {any} */ e) => setOpen(e.target.open)}><summary>What batch did for each view, as a table</summary>
		${open && html`<${Grid} label="Batch by view" rows=${list} id=${(/** @type {any} */ s) => s.view} columns=${[
			{ name: 'View', value: (/** @type {any} */ s) => s.view },
			{ name: 'Batches', value: (/** @type {any} */ s) => s.runs, num: true, cell: (/** @type {any} */ s) => number(s.runs) },
			{ name: 'Rows folded', value: (/** @type {any} */ s) => s.rows, num: true, cell: (/** @type {any} */ s) => number(s.rows) },
			{ name: 'Folding', value: (/** @type {any} */ s) => s.fold, num: true, cell: (/** @type {any} */ s) => seconds(s.fold) },
			{ name: 'Groups written', value: (/** @type {any} */ s) => s.groups, num: true, cell: (/** @type {any} */ s) => number(s.groups) },
			{ name: 'Files', value: (/** @type {any} */ s) => s.files, num: true, cell: (/** @type {any} */ s) => number(s.files) },
			{ name: 'Writing', value: (/** @type {any} */ s) => s.write, num: true, cell: (/** @type {any} */ s) => seconds(s.write) },
			{ name: 'Rows changed', value: (/** @type {any} */ s) => s.changed, num: true, cell: (/** @type {any} */ s) => number(s.changed) },
			{ name: 'Last', value: (/** @type {any} */ s) => s.last, cell: (/** @type {any} */ s) => time(s.last, tz, 'stamp'), class: 'secondary' }]} />`}</details>`;
}

/** @param {{runs: any[], cut: boolean, views: Set<string>}} p   cut: there were more */
export function Gantt({ runs, cut, views }) {
	const ref = useRef(/** @type {any} */ (null));
	const [width, setWidth] = useState(0);
	const [tip, setTip] = useState(/** @type {any} */ (null));
	const [all, setAll] = useState(false);
	const [span, setSpan] = useState('48');
	const tz = zoneName();
	useEffect(() => {
		setWidth(ref.current.clientWidth);
		const seen = new ResizeObserver(() => setWidth(ref.current?.clientWidth || 0));
		seen.observe(ref.current);
		return () => seen.disconnect();
	}, []);
	const minute = Math.floor(now.value / 60000);
	const g = useMemo(() => lanes(runs, (minute + 1) * 60000, { views, most: all ? Infinity : LANES, span: Number(span) * 3600e3 }), [runs, minute, views, all, span]);
	/* Lanes, each group under its name. */
	const rows = g.lanes.flatMap((l, i) => i === 0 || g.lanes[i - 1].view !== l.view ? [{ head: l.view ? 'Views' : 'Runs by kind' }, l] : [l]);
	const left = width < 500 ? 98 : 176, most = width < 500 ? 13 : 27, lane = 22;
	const height = Math.max(1, rows.length) * lane + 26;
	const x = (/** @type {number} */ t) => left + (t - g.from) / (g.to - g.from) * (width - left - 6);
	const step = Number(span) / 48 * (width < 500 ? 16 : width < 900 ? 8 : 4) * 3600e3;
	const ticks = [];
	for (let t = Math.ceil(g.from / step) * step; t < g.to; t += step)
		ticks.push(t);
	/* Drawn only when they change. */
	const drawn = useMemo(() => html`${ticks.map((t) => html`<g key=${t}><line class="grid" x1=${x(t)} x2=${x(t)} y1="0" y2=${height - 20} />
			<text x=${x(t)} y=${height - 5} text-anchor="middle">${time(t, tz, 'hour') === '00' ?
				time(t, tz, 'day') : time(t, tz, 'time')}</text></g>`)}
		${rows.map((/** @type {any} */ l, i) => l.head ? html`<text key=${l.head} class="head" x="0" y=${i * lane + 16}>${l.head}</text>` :
			html`<g key=${`${l.view} ${l.name}`} data-lane=${l.name}><text x=${left - 10} y=${i * lane + 15} text-anchor="end">${
				l.name.length > most ? html`<title>${l.name}</title>${l.name.slice(0, most - 1)}…` : l.name}</text>
			${barMarks(l.bars, x).map((m) => html`<rect key=${`${m.x} ${m.tone}`} x=${m.x} y=${i * lane + 4} height="14" rx="1.5" width=${m.width} style=${{ fill: fills[m.tone] || fills.done }}
				onPointerEnter=${() => setTip({ m, x: m.x, y: i * lane + 22 })} />${sumOf(m.bars).changed > 0 && html`<text key=${`c${m.x}`} class="corrected" x=${m.x + 1} y=${i * lane + 5}
				text-anchor="middle">▲</text>`}${m.tone === 'failed' && html`<text key=${`f${m.x}`} class="failedmark" x=${m.x + 1} y=${i * lane + 22} text-anchor="middle">✕</text>`}`)}</g>`)}`, [g, width, tz]);
	const failed = new Set(g.lanes.flatMap((l) => l.bars).filter((b) => b.state === 'failed').map((b) => b.run.id)).size;
	const tones = [...new Set(g.lanes.flatMap((l) => barMarks(l.bars, x).map((m) => m.tone)))];
	return html`<section class="card"><header><h2>Last ${spans.find((s) => s[0] === span)?.[1]}</h2>
		<${Segments} label="Time shown" value=${span} onChange=${(/** @type {string} */ s) => { setTip(null); setSpan(s); }} options=${spans} /></header><div class="body stack">
		<div class="chart" ref=${ref} style=${{ height: `${height}px` }} role="img"
			aria-label=${`${g.count} runs in the last ${spans.find((s) => s[0] === span)?.[1]}, ${failed} failed, of ${g.lanes.filter((l) => l.view).length} views. The tables below tell them.`}>
		${width > 0 && html`<svg class="gantt" width=${width} height=${height}
				onPointerLeave=${() => setTip(null)}>${drawn}</svg>`}
		${tip && html`<div class="tip" style=${{ top: `${tip.y}px`, left: `${Math.max(0, Math.min(tip.x, width - 270))}px` }}><${Said} mark=${tip.m} tz=${tz} /></div>`}</div>
		${tones.length > 1 && html`<ul class="legend small secondary">${tones.map((t) => html`<li key=${t}><i class="swatch" style=${{ background: fills[t] || fills.done }}></i>${words[t] || t}</li>`)}</ul>`}
		${g.lanes.some((l) => l.bars.some((b) => (b.part || b.run).changed > 0)) && html`<p class="small secondary"><span class="mark" aria-hidden="true">▲</span> changed numbers that had been published; the table says which.</p>`}
		${cut && html`<p class="small secondary">The newest ${number(runs.length)} runs, since ${time(parseTime(runs[runs.length - 1].started_at), tz, 'stamp')}; “Older runs” below the table leads to those before.</p>`}
		${(g.hidden > 0 || all) && html`<div><button class="btn tiny" onClick=${() => setAll(!all)}>${all ? 'Fewer lanes' : `${plural(g.hidden, 'more lane')}`}</button></div>`}
		<${Views} runs=${runs} from=${g.from} /></div></section>`;
}
