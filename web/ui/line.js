/* Series over time with uPlot. The only file that knows uPlot. Each series is
 * drawn twice: final values solid, provisional ones dashed; a thin rule says
 * up to where everything is final. Behind them stands the band of what is
 * usual; a small triangle stands where a batch run changed a number. What the
 * cursor shows is in tip.js. */
import { html, later, useEffect, useRef, useState } from '../lib/html.js';
import plain from '../vendor/uplot.js';
import { color, palette } from '../lib/prefs.js';
import { number, short, time } from '../lib/format.js';

/* Vendored without its types. */
const uPlot = /** @type {any} */ (plain);

/** @typedef {NonNullable<ReturnType<typeof import('../lib/derive.js').lines>>} Data */
/** @typedef {{lo: (number|null)[], hi: (number|null)[]}|null} Band */
/** @typedef {ReturnType<typeof import('../lib/corrections.js').marks>} Marks */

/* Dashes mean provisional; only the two series that are hardest to tell
 * apart get a second sign, long strokes with short gaps. */
const dashes = [[], [], [], [], [18, 3], [18, 3]];

/** @param {string} tz */
function timeAxis(tz) {
	return (/** @type {any} */ u, /** @type {number[]} */ splits,
		/** @type {any} */ axis, /** @type {any} */ space, /** @type {number} */ incr) => {
		let day = '';
		return splits.map((s) => {
			const d = time(s * 1000, tz, 'day');
			if (incr >= 86400)
				return d;
			const fresh = d !== day;
			day = d;
			return time(s * 1000, tz, 'time') + (fresh ? `\n${d}` : '');
		});
	};
}

/* Ticks on whole hours and days of the zone shown. */
/** @param {string} tz */
const zoned = (tz) => (/** @type {number} */ ts) =>
	uPlot.tzDate(new Date(ts * 1000), tz);

/** @param {Data} d @param {boolean} asBars @param {string} tz
 * @param {any} hooks */
function options(d, asBars, tz, hooks) {
	const paths = asBars ? uPlot.paths.bars({ size: [.7, 40], gap: 1, align: 1 }) : undefined;
	const edge = { width: 0, points: { show: false } };
	const series = [{}, { ...edge }, { ...edge }];
	d.names.forEach((name, i) => {
		const stroke = color(`--cat-${i + 1}`);
		const common = { stroke, width: asBars ? 1 : 1.75, points: { show: false },
			spanGaps: false, paths };
		series.push({ ...common, label: name, dash: dashes[i], width: asBars ? 0 : 1.75,
			fill: asBars ? stroke : undefined });
		series.push({ ...common, label: `${name} provisional`, dash: [4, 4],
			fill: asBars ? color('--hatch') : undefined });
	});
	const axis = { stroke: color('--muted'), font: '11px system-ui, sans-serif',
		grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
	return {
		width: 400, height: 260, series, tzDate: zoned(tz),
		padding: [10, 18, 0, 0],
		legend: { show: false },
		bands: [{ series: [1, 2], fill: color('--band') }],
		cursor: { y: false, points: { size: (/** @type {any} */ u, /** @type {number} */ i) => i < 3 ? 0 : 7 }, drag: { x: true, y: false } },
		/* A bar stands right of its time: room for the last one. */
		scales: { x: asBars ? { range: (/** @type {any} */ u, /** @type {number} */ lo,
			/** @type {number} */ hi) => [lo, hi + step(d.x)] } : {}, y: { range: (/** @type {any} */ u, /** @type {number} */ lo,
			/** @type {number} */ hi) => asBars ? [Math.min(0, lo), Math.max(1e-9, hi) * 1.08] : range(lo, hi) } },
		axes: [{ ...axis, grid: { show: false }, values: timeAxis(tz), size: 40, space: 62 },
			{ ...axis, size: 48, gap: 6, values: (/** @type {any} */ u, /** @type {number[]} */ v) =>
				v.map((n) => short(n)) }],
		hooks,
	};
}

/** Least distance of two times. @param {number[]} x */
function step(x) {
	let least = Infinity;
	for (let i = 1; i < x.length; i++)
		least = Math.min(least, x[i] - x[i - 1]);
	return least === Infinity ? 1 : least;
}

/** Zero is on the axis unless everything is far from it.
 * @param {number} lo @param {number} hi @returns {[number, number]} */
function range(lo, hi) {
	if (lo === null || hi === null)
		return [0, 1];
	if (lo > 0 && lo > hi * .6) {
		const pad = (hi - lo || hi * .1) * .2;
		return [lo - pad, hi + pad];
	}
	if (lo >= 0)
		return [0, hi === 0 ? 1 : hi * 1.08];
	const pad = (hi - lo) * .08;
	return [lo - pad, hi + pad];
}

/** @param {any} u @param {number|null} frontier */
function drawFrontier(u, frontier) {
	if (frontier === null || frontier < u.scales.x.min || frontier > u.scales.x.max)
		return;
	const c = u.ctx, b = u.bbox;
	const x = Math.round(u.valToPos(frontier, 'x', true));
	c.save();
	c.fillStyle = color('--hatch');
	c.fillRect(x, b.top, b.left + b.width - x, b.height);
	c.strokeStyle = color('--line-strong');
	c.lineWidth = devicePixelRatio;
	c.beginPath();
	c.moveTo(x, b.top);
	c.lineTo(x, b.top + b.height);
	c.stroke();
	c.restore();
}

/** A triangle above each corrected point. @param {any} u @param {Data} d
 * @param {Marks} marks */
function drawMarks(u, d, marks) {
	const c = u.ctx, r = devicePixelRatio * 5;
	c.save();
	c.fillStyle = color('--late');
	c.strokeStyle = color('--surface');
	c.lineWidth = devicePixelRatio * 1.5;
	for (const m of marks) {
		const v = valueAt(d, m.s, m.i).v;
		const t = d.x[m.i];
		if (v === null || t < u.scales.x.min || t > u.scales.x.max)
			continue;
		const x = u.valToPos(t, 'x', true), y = Math.max(u.valToPos(v, 'y', true) - r * .8, u.bbox.top + r);
		c.beginPath();
		c.moveTo(x, y - r);
		c.lineTo(x + r, y + r * .7);
		c.lineTo(x - r, y + r * .7);
		c.closePath();
		c.stroke();
		c.fill();
	}
	c.restore();
}

/** The value of a series at a point, and whether it is final.
 * @param {Data} d @param {number} s @param {number} i */
export function valueAt(d, s, i) {
	const f = d.final[s][i], l = d.live[s][i];
	return f !== null && f !== undefined ? { v: f, final: true } :
		{ v: l ?? null, final: false };
}

/** Said by screen readers instead of the picture. @param {Data} d
 * @param {string} title @param {string} unit @param {string} tz
 * @param {boolean} days */
export function sentence(d, title, unit, tz, days) {
	const last = d.x.length - 1;
	const parts = d.names.map((name, s) => {
		let peak = -1;
		for (let i = 0; i <= last; i++)
			if (peak < 0 || (valueAt(d, s, i).v ?? -Infinity) >
			    (valueAt(d, s, peak).v ?? -Infinity))
				peak = i;
		let end = last;
		while (end > 0 && valueAt(d, s, end).v === null)
			end--;
		return `${name ? name + ': ' : ''}${number(valueAt(d, s, end).v)}${unit ? ' ' + unit : ''} at ${
			time(d.x[end] * 1000, tz, days ? 'weekday' : 'time')}, peak ${number(valueAt(d, s, peak).v)} at ${
			time(d.x[peak] * 1000, tz, days ? 'weekday' : 'full')}`;
	});
	return `${title}. ${parts.join('; ')}.`;
}

/** The corrections in words. @param {Data} d @param {Marks} marks
 * @param {string} tz @param {(t: number) => string} when */
function changes(d, marks, tz, when) {
	if (marks.length === 0)
		return '';
	return ` ${marks.length} corrected: ${marks.slice(-5).map((m) => `${m.name ? m.name + ' ' : ''}${when(d.x[m.i])} ${
		number(m.old)} → ${number(m.new)} by run ${m.run} at ${time(m.at, tz, 'full')}`).join('; ')}.`;
}

/** @param {{d: Data, info: any, state: any, sum: boolean, band: Band, marks: Marks,
 *    title: string, unit: string, tz: string, days: boolean, asBars?: boolean}} p */
export function LineChart({ d, info, state, sum, band, marks, title, unit, tz, days, asBars }) {
	const box = useRef(/** @type {HTMLElement|null} */ (null));
	const plot = useRef(/** @type {any} */ (null));
	const data = useRef({ d, marks });
	const [at, setAt] = useState(/** @type {any} */ (null));
	const [told, setTold] = useState('');
	const shape = [d.names.join('\n'), palette.value, tz, asBars].join('|');

	data.current = { d, marks };
	useEffect(() => {
		const el = /** @type {HTMLElement} */ (box.current);
		const u = new uPlot(options(d, asBars === true, tz, {
			drawAxes: [(/** @type {any} */ p) => drawFrontier(p, data.current.d.frontier)],
			draw: [(/** @type {any} */ p) => drawMarks(p, data.current.d, data.current.marks)],
			setCursor: [(/** @type {any} */ p) => setAt(p.cursor.idx === null ||
				p.cursor.idx === undefined || p.cursor.left < 0 ? null :
				{ i: p.cursor.idx, left: p.cursor.left, width: p.over.clientWidth })],
		}), flat(d, band, asBars), el);
		plot.current = u;
		const seen = new ResizeObserver(() => u.setSize({
			width: Math.max(120, el.clientWidth), height: el.clientHeight }));
		seen.observe(el);
		return () => {
			seen.disconnect();
			u.destroy();
			plot.current = null;
		};
	}, [shape]);
	useEffect(() => {
		/* A zoomed chart keeps its range. */
		const u = plot.current;
		const whole = !u || u.data[0].length === 0 ||
			(u.scales.x.min <= u.data[0][0] && u.scales.x.max >= u.data[0].at(-1));
		u?.setData(flat(d, band, asBars), whole);
	}, [d, band]);
	useEffect(() => plot.current?.redraw(false), [marks]);

	/** @param {KeyboardEvent} e */
	const key = (e) => {
		const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
		const u = plot.current;
		if (e.key === 'Enter')
			why(false);
		if (step === 0 || !u)
			return;
		e.preventDefault();
		const i = Math.min(d.x.length - 1, Math.max(0,
			(at ? at.i : d.x.length - (step > 0 ? 1 : 0)) + step));
		u.setCursor({ left: u.valToPos(d.x[i], 'x'), top: 10 });
		setAt({ i, left: u.valToPos(d.x[i], 'x'), width: u.over.clientWidth });
	};
	const shown = at && at.i < d.x.length ? at : null;
	const why = (/** @type {boolean} */ mouse) => shown && plot.current &&
		import('./why.js').then((m) => m.openPoint({ u: plot.current, d, i: shown.i, info, state, sum, mouse }), () => {});
	/* A drag is a zoom and no question; nor is the double click that ends one. */
	const click = useRef({ x: 0, timer: 0 });
	const ask = (/** @type {MouseEvent} */ e) => {
		const x = plot.current?.scales.x;
		clearTimeout(click.current.timer);
		if (x && e.detail < 2 && Math.abs(e.clientX - click.current.x) < 4)
			click.current.timer = window.setTimeout(why, x.min > d.x[0] || x.max < d.x[d.x.length - 1] ? 400 : 0, true);
	};
	const tip = shown && later('tip', () => import('./tip.js'));
	const when = (/** @type {number} */ t) => time(t * 1000, tz, days ? 'weekday' : 'full');
	const end = band && band.lo.findLastIndex((v) => v !== null);
	return html`<div class="legend" aria-hidden="true">${d.names.map((n, i) => html`
			<span class="key" key=${n}><span class="swatch"
				style=${{ background: `var(--cat-${i + 1})` }}></span>${n || d.y}</span>`)}
			${band && html`<span class="key"><span class="swatch band"></span>Usual on this weekday, P10–P90</span>`}
			${marks.length > 0 && html`<span class="key"><span class="mark">▲</span>Corrected</span>`}
			${d.hidden > 0 && html`<span>+ ${d.hidden} more in the table</span>`}</div>
		<div class="chart" role="img" tabindex="0" aria-label=${sentence(d, title, unit, tz, days) +
			(band && end ? ` Usual on this weekday at ${when(d.x[end])}: ${number(band.lo[end])} to ${number(band.hi[end])}.` : '') +
			changes(d, marks, tz, when) + (shown ? ` At ${when(d.x[shown.i])}: ${told ||
				d.names.map((n, s) => `${n} ${number(valueAt(d, s, shown.i).v)}`).join(', ')}.` : '')}
			onKeyDown=${key} onBlur=${() => setAt(null)} ref=${box}
			onPointerDown=${(/** @type {PointerEvent} */ e) => { click.current.x = e.clientX; }} onClick=${ask}>
			${tip && html`<${tip.Tip} d=${d} info=${info} state=${state} sum=${sum} band=${band} marks=${marks}
				at=${shown} unit=${unit} tz=${tz} days=${days} tell=${setTold} />`}</div>
		<div class="under">${d.frontier !== null ? html`<span aria-hidden="true">│</span> Final up to ${
			when(d.frontier)}; dashed is live and may still change` :
			d.live.every((s) => s.every((v) => v === null)) ? 'All final' : 'All live, no batch run yet'}</div>`;
}

/** uPlot's own shape: x, the band, then final and live of each series. Bars do
 * not join, so the shared point is left out. @param {Data} d @param {Band} band
 * @param {boolean} [asBars] */
function flat(d, band, asBars) {
	const none = d.x.map(() => null);
	const same = band && band.lo.length === d.x.length;
	return [d.x, same ? band.hi : none, same ? band.lo : none,
		...d.names.flatMap((_, i) => [d.final[i], asBars ?
			d.live[i].map((v, k) => d.final[i][k] === null ? v : null) : d.live[i]])];
}
