/* What comes when: cuts, looks at the drop folder, snapshots and rows that go,
 * each with its setting, its next five times in the zone shown, and a form
 * that changes it (ALTER SYSTEM). The server says when, also while one types. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { api, post } from '../lib/api.js';
import { interval, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { ProblemBox, Skeleton, announce } from './parts.js';
import { useLoad } from './more.js';
import { quote } from './act.js';

/** Titles and what happens then. @type {Record<string, [string, string, string]>} */
const words = {
	cut_interval: ['Cuts', 'From the log to the lake, and views become final; none when nothing is new.', 'Every'],
	cut_rows: ['Early cuts', 'At once when so many rows wait for the next one.', 'Rows'],
	inbox_scan_interval: ['Looks at the drop folder', 'Beside those that the system’s own notice of a new file brings.', 'Every'],
	snapshot_keep: ['Snapshots expire', 'Each so long after the next one came. Its files go with the first cut then.', 'Kept for'],
	cold_after: ['Moves to the cold folder', 'Of a partition whose newest row is so old; tables may have their own.', 'After'],
};

/** Times, with the day where it is another one. @param {{list: string[], none: string}} p */
function Next({ list, none }) {
	const tz = zoneName();
	if (list.length === 0)
		return html`<span class="muted">${none}</span>`;
	const at = list.map(parseTime);
	const day = (/** @type {number} */ t) => time(t, tz, 'ymd');
	let last = day(Date.now());
	return html`<ol class="next">${at.map((t) => {
		const other = day(t) !== last;
		last = day(t);
		return html`<li key=${t}><time datetime=${new Date(t).toISOString()}>${other ? `${time(t, tz, 'weekday')} ` : ''}${time(t, tz, 'clock')}</time></li>`;
	})}</ol>`;
}

const noneOf = (/** @type {any} */ s) => s.name === 'cut_rows' ? 'not by the clock' : s.name === 'snapshot_keep' ? 'none: there is one snapshot' : s.next ? 'none' : '';

/** @param {{s: any, done: () => void, close: () => void}} p */
function Form({ s, done, close }) {
	const box = useRef(/** @type {any} */ (null));
	const [value, setValue] = useState(s.value);
	const [seen, setSeen] = useState(/** @type {any} */ (null));
	const [busy, setBusy] = useState(false);
	const [error, setError] = useState(/** @type {any} */ (null));
	useEffect(() => { box.current.querySelector('input').focus(); }, []);
	/* As if it were so; a hint, so it waits for a pause in typing. */
	useEffect(() => {
		let live = true;
		const timer = setTimeout(() => api(`/api/v1/schedule?${new URLSearchParams({ name: s.name, value })}`)
			.then((d) => live && setSeen({ next: d.schedules[0].next }), (e) => live && setSeen({ error: e })), 250);
		return () => {
			live = false;
			clearTimeout(timer);
		};
	}, [value]);
	const send = async (/** @type {string} */ sql) => {
		setBusy(true);
		setError(null);
		try {
			const r = await post('/api/v1/sql', { sql });
			announce(String(r.rows[0][r.columns.indexOf('detail')]));
			done();
		} catch (e) {
			setError(e);
			setBusy(false);
		}
	};
	const id = `set-${s.name}`;
	return html`<form ref=${box} class="stack" aria-label=${`Change ${s.name}`} onSubmit=${(/** @type {Event} */ e) => {
			e.preventDefault();
			send(`ALTER SYSTEM SET ${s.name} = ${quote(value.trim())}`);
		}} onKeyDown=${(/** @type {KeyboardEvent} */ e) => e.key === 'Escape' && close()}>
		<div class="field narrow"><label for=${id}>${words[s.name]?.[2] || s.name}</label>
			<input id=${id} class="input" autocomplete="off" spellcheck=${false} value=${value} aria-describedby=${`${id}-then`} onInput=${(/** @type {any} */ e) => setValue(e.target.value)} /></div>
		<div id=${`${id}-then`} class="small">${seen === null ? html`<span class="muted">…</span>` : seen.error ? html`<span class="bad">${seen.error.detail || seen.error.title}${seen.error.hint ? `; ${seen.error.hint}` : ''}</span>` :
			s.name === 'cut_rows' ? '' : html`<span class="secondary">Then next: </span><${Next} list=${seen.next} none=${noneOf(s)} />`}</div>
		<p class="small secondary">Takes effect at once and stays after a restart (ALTER SYSTEM): it goes before the configuration’s “${s.configured}” until you go back to that.</p>
		${error && html`<${ProblemBox} error=${error} />`}
		<div class="rowline"><button class="btn primary" disabled=${busy || seen?.error || value.trim() === s.value}>Save</button>
			${s.source === 'alter system' && html`<button class="btn" type="button" disabled=${busy} onClick=${() => send(`ALTER SYSTEM RESET ${s.name}`)}>Back to ${s.configured}</button>`}
			<button class="btn" type="button" onClick=${close}>Leave it as it is</button></div></form>`;
}

/** Where a value comes from. @param {{s: any}} p */
function Source({ s }) {
	const tz = zoneName();
	return html`<span class="muted small">${s.source === 'alter system' ? `set here${s.set_at ? ` ${time(parseTime(s.set_at), tz, 'stamp')}` : ''}; the configuration says ${s.configured}` :
		s.source === 'configuration' ? `by the configuration; otherwise ${s.default}` : 'as it comes'} <span class="mono">${s.name}</span></span>`;
}

/** @param {{version: any}} p   changes when times do */
export function Schedules({ version }) {
	const [open, setOpen] = useState('');
	const { data, error, again } = useLoad(() => api('/api/v1/schedule'), [version]);
	const may = useLoad(() => api('/api/v1/session').then((s) => s.scope === 'admin'), []).data;
	const back = useRef('');
	/* Where the form was the focus goes back to. */
	useEffect(() => {
		if (open === '' && back.current !== '')
			document.getElementById(`change-${back.current}`)?.focus();
		back.current = open;
	}, [open, data]);
	if (error && data === null)
		return html`<${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${Skeleton} height=${220} />`;
	return html`<section class="card"><header><h2>Schedule</h2><span class="muted small">times in ${zoneName()}</span></header>
		<ul class="schedule">${data.schedules.map((/** @type {any} */ s) => {
			const [title, what] = words[s.name] || [s.table ? `Rows of ${s.table} leave` : s.name, s.table ? 'Whole days, by event time, with the first cut then. The option retention of the table: changed in its definition, and by a restart.' : s.about];
			return html`<li key=${s.name + (s.table || '')} data-schedule=${s.name}><div class="what"><strong>${title}</strong><span class="small secondary">${what}</span></div>
				${open === s.name && s.editable ? html`<div class="wide"><${Form} key=${s.name} s=${s} close=${() => setOpen('')} done=${() => { setOpen(''); again(); }} /></div>` : html`
				<div class="value"><span>${s.value === undefined ? `after ${interval(s.us)}` : s.name === 'cut_rows' ? number(Number(s.value)) : s.value}</span>${s.editable && html`<${Source} s=${s} />`}</div>
				<div class="when small"><${Next} list=${s.next} none=${noneOf(s)} /></div>
				<div class="change">${s.editable && may && html`<button class="btn tiny" id=${`change-${s.name}`} aria-label=${`Change ${title}`} onClick=${() => setOpen(s.name)}>Change…</button>`}</div>`}</li>`;
		})}</ul>${may === false && html`<p class="pad small secondary">Only an admin can change these.</p>`}</section>`;
}
