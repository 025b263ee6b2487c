/* What the batch layer does and did: what is under way, a Gantt of the last 48
 * hours, computing a view anew, and the table. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { api, post } from '../lib/api.js';
import { status } from '../lib/live.js';
import { cell as shown, number, parseTime, seconds, time } from '../lib/format.js';
import { load } from '../lib/corrections.js';
import { zoneName } from '../lib/prefs.js';
import { PageHead, ProblemBox, Segments, Skeleton, announce } from '../ui/parts.js';
import { Grid, Mark, useLoad } from '../ui/more.js';
import { Icon } from '../ui/icons.js';
import { Gantt } from '../ui/gantt.js';
import { Schedules } from '../ui/schedule.js';
import { SPAN, collect, partsOf } from '../lib/gantt.js';
import { sheet } from '../ui/sheet.js';

await sheet;

const marks = /** @type {Record<string, [string, string]>} */ ({ done: ['ok', 'done'],
	running: ['late', 'running'], failed: ['failing', 'failed'] });

/** What a run made of each view. @param {{run: any}} p */
function Made({ run }) {
	const parts = partsOf(run);
	return parts.length > 0 && html`<${Grid} label=${`What run ${run.id} made`} rows=${parts} id=${(/** @type {any} */ x) => x.view} columns=${[
		{ name: 'View', value: (/** @type {any} */ x) => x.view },
		{ name: 'Rows folded', value: (/** @type {any} */ x) => x.rows, num: true, cell: (/** @type {any} */ x) => number(x.rows) },
		{ name: 'Folding', value: (/** @type {any} */ x) => x.fold, num: true, cell: (/** @type {any} */ x) => seconds(x.fold) },
		{ name: 'Groups written', value: (/** @type {any} */ x) => x.groups, num: true, cell: (/** @type {any} */ x) => number(x.groups) },
		{ name: 'Files', value: (/** @type {any} */ x) => x.files, num: true, cell: (/** @type {any} */ x) => number(x.files) },
		{ name: 'Writing', value: (/** @type {any} */ x) => x.seconds, num: true, cell: (/** @type {any} */ x) => seconds(x.seconds) },
		{ name: 'Rows changed', value: (/** @type {any} */ x) => x.changed, num: true, cell: (/** @type {any} */ x) => number(x.changed) }]} />`;
}

/** What a run made and changed, of every view: the catalog keeps some of the numbers.
 * @param {{run: any, close: () => void}} p */
function Changes({ run, close }) {
	const tz = zoneName();
	const { data, error, again } = useLoad(async () => {
		const { views } = run.changed > 0 ? await api('/api/v1/views') : { views: [] };
		const of = run.object ? views.filter((/** @type {any} */ v) => v.name === run.object) : views;
		const lists = await Promise.all(of.map((/** @type {any} */ v) => load(v.name).then((l) => l.filter((c) => c.run === run.id)
			.map((c) => ({ ...c, view: v.name, info: v })))));
		return lists.flat();
	}, [run.id]);
	const type = (/** @type {any} */ c, /** @type {string} */ n) => c.info.columns.find((/** @type {any} */ x) => x.name === n)?.type || '';
	const words = (/** @type {any} */ c) => Object.entries(c.key).map(([n, v]) => `${n} ${shown(v, type(c, n), tz)}`).join(', ') || 'the one row';
	const val = (/** @type {any} */ c, /** @type {any} */ v) => v === null ? html`<span class="muted">null</span>` : shown(v, type(c, c.column), tz);
	const box = useRef(/** @type {any} */ (null));
	useEffect(() => box.current.focus(), []);
	return html`<section class="stack" aria-label=${`Run ${run.id}`}><div class="rowline"><h2 ref=${box} tabindex="-1">What run ${run.id} made${run.changed > 0 && ' and changed'}</h2>
			<button class="btn tiny" onClick=${close}>Close</button></div>
		<${Made} run=${run} />
		${!(run.changed > 0) ? '' : error ? html`<${ProblemBox} error=${error} retry=${again} />` : data === null ? html`<${Skeleton} height=${120} />` :
		data.length === 0 ? html`<p class="secondary">The numbers are kept no longer (corrections_max, corrections_keep); ${number(run.changed)} rows were changed.</p>` :
		html`<p class="secondary small">${number(run.changed)} rows that had been published; ${data.length === 1 ? 'this number is' : `these ${number(data.length)} numbers are`} kept.</p>
			<${Grid} label=${`Numbers that run ${run.id} changed`} rows=${data} id=${(/** @type {any} */ c) => `${c.view}${c.column}${JSON.stringify(c.key)}`} columns=${[
			{ name: 'View', value: (/** @type {any} */ c) => c.view },
			{ name: 'Row', value: words },
			{ name: 'Number', value: (/** @type {any} */ c) => c.column },
			{ name: 'Was', value: (/** @type {any} */ c) => c.old, num: true, cell: (/** @type {any} */ c) => val(c, c.old) },
			{ name: 'Is', value: (/** @type {any} */ c) => c.new, num: true, cell: (/** @type {any} */ c) => val(c, c.new) }]} />`}</section>`;
}

/** @param {{runs: any[], show: (r: any) => void}} p */
function Table({ runs, show }) {
	const tz = zoneName();
	const columns = /** @type {import('../ui/more.js').Column[]} */ ([
		{ name: 'Run', value: (r) => r.id, num: true, class: 'mono muted' },
		{ name: 'State', value: (r) => r.state, cell: (r) => {
			const m = marks[r.state] || ['off', r.state];
			return html`<${Mark} kind=${m[0]}>${m[1]}</${Mark}>`;
		} },
		{ name: 'Kind', value: (r) => r.object ? `${r.kind} ${r.object}` : r.kind,
			cell: (r) => html`${r.kind}${r.object ? html` <span class="muted">${r.object}</span>` : ''}` },
		{ name: 'Reason', value: (r) => r.reason || '', class: 'secondary' },
		{ name: 'Started', value: (r) => r.started_at, class: 'secondary',
			cell: (r) => time(parseTime(r.started_at), tz, 'stamp') },
		{ name: 'Took', value: (r) => r.seconds, num: true, cell: (r) => seconds(r.seconds) },
		{ name: 'Rows', value: (r) => r.rows, num: true, cell: (r) => number(r.rows) },
		{ name: 'Changed', value: (r) => r.changed, num: true, cell: (r) => r.changed > 0 ?
			html`<button class="btn tiny" aria-label=${`▲ ${number(r.changed)}: what run ${r.id} changed`} onClick=${() => show(r)}><span><span class="mark">▲</span> ${number(r.changed)}</span></button>` : number(r.changed) },
		{ name: 'Views', value: (r) => r.views?.length || 0, num: true, cell: (r) => r.views?.length > 0 ?
			html`<button class="btn tiny" aria-label=${`${r.views.length}: what run ${r.id} made of views`} onClick=${() => show(r)}>${r.views.length}</button>` : '–' },
		{ name: 'Files', value: (r) => r.files, num: true, cell: (r) => number(r.files) },
		{ name: 'Positions', value: (r) => (r.lsn_from ?? null) === null ? '' : `${r.lsn_from}–${r.lsn_to}`, class: 'mono muted small' },
		{ name: 'Detail', value: (r) => r.detail || '', class: 'wrap' }]);
	return html`<${Grid} label="Runs" rows=${runs} id=${(/** @type {any} */ r) => r.id} columns=${columns.filter((c) =>
		c.name !== 'Changed' || runs.some((r) => Number.isFinite(r.changed)))} />`;
}

/** A word to a run that is under way. @param {string} what @param {number} run */
const word = (what, run) => post('/api/v1/sql', { sql: `CALL ${what}(${run})` });

/** What is under way, with a bar and buttons. @param {{runs: any[], again: () => void, fail: (e: any) => void}} p */
function UnderWay({ runs, again, fail }) {
	const tell = (/** @type {string} */ what, /** @type {number} */ run) => word(what, run).then(again, fail);
	return html`${runs.filter((r) => r.rows_total !== undefined).map((r) => html`<section class="card" key=${r.id}>
		<header><h2>${r.kind} ${r.object}</h2><span class="muted small">${r.paused ? 'paused' : 'under way'}</span></header>
		<div class="body stack"><progress aria-label=${`Rows read by run ${r.id}`} max=${r.rows_total || 1} value=${r.rows_read}></progress>
			<div class="rowline"><span class="secondary small">${number(r.rows_read)} of about ${number(r.rows_total)} rows</span>
			<button class="btn" onClick=${() => tell(r.paused ? 'resume' : 'pause', r.id)}>${r.paused ? 'Resume' : 'Pause'}</button>
			<button class="btn" onClick=${() => tell('cancel', r.id)}>Cancel</button></div></div></section>`)}`;
}

/** Compute a view anew, or a range of it: cost first. @param {{again: () => void}} p */
function Backfill({ again }) {
	const { data } = useLoad(() => api('/api/v1/views'), []);
	const [form, setForm] = useState({ view: '', from: '', to: '' });
	const [busy, setBusy] = useState('');
	const [answer, setAnswer] = useState(/** @type {any} */ (null));
	/* The answer comes when the run has ended; the list tells how far it is. */
	useEffect(() => {
		if (busy !== 'run')
			return undefined;
		const timer = setInterval(again, 1000);
		return () => clearInterval(timer);
	}, [busy]);
	const views = data?.views || [];
	const view = form.view || views[0]?.name || '';
	const set = (/** @type {string} */ name) => (/** @type {any} */ e) => {
		setForm({ ...form, [name]: e.target.value });
		setAnswer(null);
	};
	const ask = async (/** @type {boolean} */ dry) => {
		const q = new URLSearchParams({ view });
		for (const k of ['from', 'to'])
			if (form[/** @type {'from'|'to'} */ (k)] !== '')
				q.set(k, form[/** @type {'from'|'to'} */ (k)]);
		if (dry)
			q.set('dry_run', 'true');
		setBusy(dry ? 'cost' : 'run');
		setAnswer(null);
		try {
			setAnswer({ dry, text: (await post(`/api/v1/recompute?${q}`, undefined)).text });
		} catch (e) {
			setAnswer({ error: e });
		}
		setBusy('');
		if (!dry)
			again();
	};
	return html`<details class="card"><summary class="pad"><strong>Backfill</strong> <span class="secondary">compute a view anew from silver, beside the old numbers</span></summary>
		<div class="body stack"><div class="formline">
			<div class="field"><label for="bf-view">View</label><select id="bf-view" class="input" value=${view} onChange=${set('view')}>${
				views.map((/** @type {any} */ v) => html`<option key=${v.name} value=${v.name}>${v.name}</option>`)}</select></div>
			<div class="field"><label for="bf-from">From</label><input id="bf-from" class="input" placeholder="the beginning" value=${form.from} onInput=${set('from')} /></div>
			<div class="field"><label for="bf-to">Up to</label><input id="bf-to" class="input" placeholder="now" value=${form.to} onInput=${set('to')} /></div></div>
			<p class="small secondary">Times are like 2026-03-01, 2026-03-01T08:00:00Z or now-7d. Leave them out for all of it.</p>
			<div class="rowline"><button class="btn" disabled=${busy !== '' || !view} onClick=${() => ask(true)}>${busy === 'cost' ? 'Counting…' : 'What would it cost?'}</button>
			<button class="btn primary" disabled=${busy !== '' || !view} onClick=${() => ask(false)}>${busy === 'run' ? 'Computing…' : answer?.error ? 'Try again' : 'Compute'}</button></div>
			${answer && (answer.error ? html`<${ProblemBox} error=${answer.error} />` : html`<p class="good" role="status">${answer.text}</p>`)}</div></details>`;
}

const page = (/** @type {number|null} */ before, /** @type {number} */ limit) =>
	api(`/api/v1/runs?views=true&limit=${limit}${before === null ? '' : `&before=${before}`}`);

function Runs() {
	const batch = status.value?.batch_lsn;
	const known = useRef(/** @type {any} */ ({ runs: [], next: null }));
	const { data, error, again } = useLoad(async () => {
		known.current = await collect(page, known.current, Date.now() - SPAN);
		return known.current;
	}, [batch]);
	const [busy, setBusy] = useState(false);
	const [answer, setAnswer] = useState(/** @type {any} */ (null));
	const [most, setMost] = useState(100);
	const [older, setOlder] = useState(/** @type {any} */ ({ runs: [], next: undefined }));
	const [only, setOnly] = useState('');
	const { data: named } = useLoad(() => api('/api/v1/views'), []);
	const views = useMemo(() => new Set((named?.views || []).map((/** @type {any} */ v) => v.name)), [named]);
	const [changes, setChanges] = useState(/** @type {any} */ (null));
	const cut = async () => {
		setBusy(true);
		setAnswer(null);
		try {
			const r = await post('/api/v1/batch/run', undefined);
			setAnswer({ text: r.run === null ? 'Nothing new to publish: everything is final.' :
				`Run ${r.run} published ${number(r.rows)} rows in ${number(r.files)} files.` });
			announce('The batch run is finished');
			again();
		} catch (e) {
			setAnswer({ error: e });
		}
		setBusy(false);
	};
	/* A newer first page may reach into what was read before. */
	const last = data?.runs.at(-1)?.id ?? 0;
	const runs = data ? [...data.runs, ...older.runs.filter((/** @type {any} */ r) => r.id < last)] : [];
	const failures = useMemo(() => runs.filter((/** @type {any} */ r) => r.state === 'failed'), [data, older]);
	const next = older.next === undefined ? data?.next : older.next;
	const more = async () => {
		setMost(most + 200);
		if ((only ? failures : runs).length > most || (next ?? null) === null)
			return;
		try {
			const d = await page(next, 200);
			setOlder({ runs: [...older.runs, ...d.runs], next: d.next ?? null });
		} catch (e) {
			setAnswer({ error: e });
		}
	};
	const s = status.value;
	const working = data?.runs.some((/** @type {any} */ r) => r.rows_total !== undefined && !r.paused);
	useEffect(() => {
		if (!working)
			return undefined;
		const timer = setInterval(again, 1000);
		return () => clearInterval(timer);
	}, [working]);
	return html`<${PageHead} title="Runs" sub=${s ? `${number(s.tail_rows)} rows wait for the next batch` : ''}>
			<button class="btn primary" disabled=${busy} onClick=${cut}><${Icon} name="cut" />${
				busy ? 'Publishing…' : 'Cut now'}</button></${PageHead}>
		${answer && (answer.error ? html`<${ProblemBox} error=${answer.error} />` :
			html`<p class="good" role="status">${answer.text}</p>`)}
		${error && data === null ? html`<${ProblemBox} error=${error} retry=${again} />` :
		data === null ? html`<${Skeleton} height=${320} />` :
		data.runs.length === 0 ? html`<section class="card state"><h2>No runs yet</h2>
			<p class="secondary">A batch run moves events from the log to the lake and makes the views final. It starts by itself; “Cut now” starts one at once.</p></section>` :
		html`<${UnderWay} runs=${data.runs} again=${again} fail=${(/** @type {any} */ e) => setAnswer({ error: e })} />
			<${Gantt} runs=${data.runs} cut=${data.cut} views=${views} /><${Schedules} version=${`${data.runs[0]?.id} ${s?.cut_at}`} /><${Backfill} again=${again} />
			${changes && html`<${Changes} key=${changes.id} run=${changes} close=${() => setChanges(null)} />`}
			${failures.length > 0 && html`<${Segments} label="Runs shown" value=${only} onChange=${setOnly} options=${[['', 'All runs'], ['failed', `Failed: ${number(failures.length)}`]]} />`}
			<${Table} runs=${(only ? failures : runs).slice(0, most)} show=${setChanges} />
			${((only ? failures : runs).length > most || (next ?? null) !== null) && html`<div><button class="btn"
				onClick=${more}>Older runs</button></div>`}`}`;
}

export const pages = { runs: Runs };
