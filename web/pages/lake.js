/* The lake: what each tier holds and costs, a table's partitions and files,
 * snapshots to look back to, and how other tools read it. Where it lies on the
 * server's disk is told by the Iceberg catalog's warehouse "disk". */
import { html, useState } from '../lib/html.js';
import { api, post } from '../lib/api.js';
import { status } from '../lib/live.js';
import { bytes, number, parseTime, time } from '../lib/format.js';
import { zoneName } from '../lib/prefs.js';
import { duckQuery, keptFor, lakeFolder, madeBy, pastQuery, runOf, unmerged } from '../lib/lake.js';
import { PageHead, ProblemBox, Segments, Skeleton, announce } from '../ui/parts.js';
import { Code, Grid, useLoad } from '../ui/more.js';
import { Ask, call, quote } from '../ui/act.js';
import { Chosen, Timeline } from '../ui/timeline.js';
import { Icon } from '../ui/icons.js';
import { sheet } from '../ui/sheet.js';

await sheet;

const tiers = [['bronze', 'Bronze', 'raw, as it came'], ['silver', 'Silver', 'typed, clean, by day'],
	['gold', 'Gold', 'results of views']];

/** A table that other tools can read, and where its lake lies. @param {any[]} tables */
async function whereIs(tables) {
	const t = tables.find((x) => x.tier === 'silver' && x.name) || tables.find((x) => ['bronze', 'gold'].includes(x.tier) && x.name);
	if (!t)
		return { folder: '', table: '' };
	const d = await api(`/iceberg/v1/disk/namespaces/${t.tier}/tables/${encodeURIComponent(t.name)}`).catch(() => null);
	return { folder: lakeFolder(d?.metadata?.location || ''), table: `${t.tier}/${t.name}` };
}

/** Columns that a table shows to other tools; none where it is not written as Iceberg. @param {string} tier @param {string} name */
async function fieldsOf(tier, name) {
	const d = await api(`/iceberg/v1/disk/namespaces/${tier}/tables/${encodeURIComponent(name)}`).catch(() => null);
	const m = d?.metadata;
	return (m?.schemas?.find((/** @type {any} */ s) => s['schema-id'] === m['current-schema-id'])?.fields || []).map((/** @type {any} */ f) => f.name);
}

/** @param {{d: any}} p */
function Tiers({ d }) {
	const tz = zoneName();
	return html`<div class="cards thirds">${tiers.map(([id, name, what]) => {
		const list = d.tables.filter((/** @type {any} */ t) => t.tier === id);
		const sum = (/** @type {string} */ k) => list.reduce((/** @type {number} */ n, /** @type {any} */ t) => n + t[k], 0);
		const edge = (/** @type {string} */ k, /** @type {number} */ by) => list.map((/** @type {any} */ t) => t[k]).filter(Boolean).sort().at(by);
		const day = (/** @type {string|undefined} */ t) => t ? time(parseTime(t), tz, 'ymd') : '–';
		return html`<section class="card" key=${id}><header><h2>${name}</h2><span class="muted small">${what}</span></header>
			<div class="body"><dl class="facts"><div><dt>Size</dt><dd>${bytes(sum('bytes'))}</dd></div>
			<div><dt>Rows</dt><dd>${number(sum('rows'))}</dd></div>
			<div><dt>Files</dt><dd>${number(sum('files'))} <span class="small muted">${unmerged(list) > 0 ? `${unmerged(list)} %` : 'none'} to merge</span></dd></div>
			<div><dt>${id === 'bronze' ? 'Received' : 'From'}</dt><dd class="small">${day(edge('from', 0))} – ${day(edge('to', -1))}</dd></div></dl></div></section>`;
	})}</div>`;
}

/** @param {{d: any}} p */
function Cost({ d }) {
	const room = Math.max(0, d.disk.free - d.disk.reserve);
	const cold = d.tables.reduce((/** @type {number} */ n, /** @type {any} */ t) => n + (t.cold_bytes || 0), 0);
	return html`<section class="card"><header><h2>Disk</h2></header><div class="body"><dl class="facts">
		<div><dt>Free for events</dt><dd>${bytes(room)}</dd></div>
		<div><dt>Kept in reserve</dt><dd>${bytes(d.disk.reserve)}</dd></div>
		<div><dt>Grows by</dt><dd class=${d.bytes_per_day === null ? 'small muted' : ''}>${d.bytes_per_day === null ? 'not known yet' : `${bytes(d.bytes_per_day)} a day`}</dd></div>
		<div><dt>Lasts</dt><dd>${d.days_left === null ? '–' : `${number(d.days_left)} days`}</dd></div>
		${d.cold && html`<div><dt>In the cold folder</dt><dd>${bytes(cold)} <span class="small muted">${
			d.cold.ready ? `${bytes(d.cold.free)} free in ${d.cold.folder}` : `${d.cold.folder} is not there`}</span></dd></div>`}</dl></div></section>`;
}

/** Days (or months) by size, a cell each; a click shows the files of one alone.
 * @param {{list: any[], only: string|null, choose: (partition: string|null) => void}} p */
function Strip({ list, only, choose }) {
	const most = Math.max(1, ...list.map((x) => x.bytes));
	const shown = list.slice(-120), cell = 14;
	const ends = [shown[0], shown.at(-1)].map((x) => x?.partition || 'whole');
	return html`<div class="scroll" tabindex="0" role="group" aria-label="Partitions by size"><svg class="heat" role="img"
		width=${shown.length * cell} height="34" style=${{ width: `${shown.length * cell}px`, cursor: 'pointer' }}
		aria-label=${`${list.length} partitions, the largest ${bytes(most)}. The files are listed below.`}>
		${shown.map((x, i) => html`<rect key=${x.partition} x=${i * cell} y="2" width=${cell - 2} height="28" fill="var(--accent)" class=${only === x.partition ? 'picked' : ''}
			fill-opacity=${0.15 + 0.85 * Math.sqrt(x.bytes / most)} onClick=${() => choose(only === x.partition ? null : x.partition)}><title>${x.partition || 'whole'}: ${bytes(x.bytes)}, ${number(x.rows)} rows, ${
			number(x.files)} file${x.files === 1 ? '' : 's'}</title></rect>`)}</svg></div>
		<p class="small muted">${ends[0]}${ends[1] !== ends[0] ? ` – ${ends[1]}` : ''}; the darkest ${bytes(most)}</p>
		${list.length > shown.length && html`<p class="muted small">the newest ${shown.length} of ${list.length} partitions</p>`}`;
}

/** @param {{name: string, tier: string, version: any, folder: string}} p */
function Table({ name, tier, version, folder }) {
	const tz = zoneName();
	const [only, setOnly] = useState(/** @type {string|null} */ (null));
	const { data, error, again } = useLoad(async () => ({
		lake: await api(`/api/v1/lake?table=${encodeURIComponent(name)}`),
		files: (await api(`/api/v1/files?table=${encodeURIComponent(name)}&tier=${tier}`)).files,
		fields: await fieldsOf(tier, name),
	}), [name, tier, version]);
	if (error && data === null)
		return html`<${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${Skeleton} height=${160} />`;
	const stamp = (/** @type {any} */ t) => t ? time(parseTime(t), tz, 'stamp') : '–';
	const partitions = data.lake.partitions.filter((/** @type {any} */ x) => x.tier === tier);
	const files = only === null ? data.files : data.files.filter((/** @type {any} */ f) => f.partition === only);
	return html`<section class="card"><header><h2>${name}, ${tier}</h2></header><div class="body stack">
			<${Strip} list=${partitions} only=${only} choose=${setOnly} />
			${partitions.length > 1 && html`<div class="field narrow"><label for="only-partition">Files of</label><select id="only-partition" class="input" value=${only ?? '*'}
				onChange=${(/** @type {any} */ e) => setOnly(e.target.value === '*' ? null : e.target.value)}><option value="*">all partitions</option>${
				partitions.map((/** @type {any} */ x) => html`<option key=${x.partition} value=${x.partition}>${x.partition || 'whole'}</option>`)}</select></div>`}
			<p class="small secondary">In DuckDB, on the server's machine. Not by a pattern like **/*.parquet: that also counts files which compaction has replaced and older snapshots still need.</p>
			<${Code} label="DuckDB query" text=${duckQuery({ folder, tier, name, fields: data.fields, paths: data.files.map((/** @type {any} */ f) => f.path) })} /></div></section>
		<${Grid} label=${`Files of ${name}`} rows=${files.slice(0, 500)} id=${(/** @type {any} */ f) => f.id} columns=${[
			{ name: 'Partition', value: (/** @type {any} */ f) => f.partition || 'whole' },
			{ name: 'Rows', value: (/** @type {any} */ f) => f.rows, num: true, cell: (/** @type {any} */ f) => number(f.rows) },
			{ name: 'Size', value: (/** @type {any} */ f) => f.bytes, num: true, cell: (/** @type {any} */ f) => bytes(f.bytes) },
			{ name: 'From', value: (/** @type {any} */ f) => f.time_min, cell: (/** @type {any} */ f) => stamp(f.time_min), class: 'secondary' },
			{ name: 'To', value: (/** @type {any} */ f) => f.time_max, cell: (/** @type {any} */ f) => stamp(f.time_max), class: 'secondary' },
			{ name: 'Positions', value: (/** @type {any} */ f) => f.lsn_min, cell: (/** @type {any} */ f) => `${f.lsn_min}–${f.lsn_max}`, class: 'mono muted small' },
			{ name: 'Sorted by', value: (/** @type {any} */ f) => (f.sort_by || []).join(', ') || '–', class: 'mono small' },
			{ name: 'Snapshot', value: (/** @type {any} */ f) => f.snapshot, num: true, class: 'mono small' },
			{ name: 'Run', value: (/** @type {any} */ f) => runOf(f.path), num: true, class: 'mono muted small' },
			{ name: 'File', value: (/** @type {any} */ f) => f.path, cell: (/** @type {any} */ f) => html`<a href=${`/lake/${f.path}`} download=${f.path.split('/').at(-1)}>${f.path.split('/').at(-1)}</a>`, class: 'mono small' }]} />
		${files.length > 500 && html`<p class="small secondary">The first 500 of ${number(files.length)} files; choose a partition to see others.</p>`}`;
}

/** @param {{d: any, chosen: string, choose: (key: string) => void}} p */
function Tables({ d, chosen, choose }) {
	const key = (/** @type {any} */ t) => `${t.tier}/${t.name}`;
	const grows = (/** @type {any} */ t) => t.bytes_per_day ?? null;
	const signed = (/** @type {number|null} */ n) => n === null ? '–' : n < 0 ? `−${bytes(-n)}` : bytes(n);
	return html`<${Grid} label="Tables" rows=${d.tables.filter((/** @type {any} */ t) => t.tier !== 'keys' && t.name)} id=${key} columns=${[
		{ name: 'Table', value: (/** @type {any} */ t) => t.name, cell: (/** @type {any} */ t) => t.tier === 'objects' ? t.name : html`<button class="btn tiny" aria-pressed=${String(chosen === key(t))}
			onClick=${() => choose(key(t))}>${t.name}</button>` },
		{ name: 'Tier', value: (/** @type {any} */ t) => t.tier },
		{ name: 'Files', value: (/** @type {any} */ t) => t.files, num: true, cell: (/** @type {any} */ t) => number(t.files) },
		{ name: 'Under 4 MiB', value: (/** @type {any} */ t) => t.small_files, num: true, cell: (/** @type {any} */ t) => number(t.small_files) },
		{ name: 'Rows', value: (/** @type {any} */ t) => t.rows, num: true, cell: (/** @type {any} */ t) => number(t.rows) },
		{ name: 'Size', value: (/** @type {any} */ t) => t.bytes, num: true, cell: (/** @type {any} */ t) => bytes(t.bytes) },
		...(d.cold ? [{ name: 'Cold', value: (/** @type {any} */ t) => t.cold_bytes, num: true, cell: (/** @type {any} */ t) => t.cold_bytes > 0 ? bytes(t.cold_bytes) : '–' }] : []),
		{ name: 'A day', value: grows, num: true, cell: (/** @type {any} */ t) => signed(grows(t)), class: 'secondary' }]} />`;
}

/** A view or stream as it was at a position or time, in SQL.
 * @param {{names: string[], at: string, set: (name: string) => void, when: string, setWhen: (when: string) => void}} p */
function LookBack({ names, at, set, when, setWhen }) {
	const q = pastQuery(at, when);
	return html`<div class="formline">
		<div class="field"><label for="past">Look back at</label><select id="past" class="input" value=${at}
			onChange=${(/** @type {any} */ e) => set(e.target.value)}>${names.map((n) => html`<option key=${n} value=${n}>${n}</option>`)}</select></div>
		<div class="field"><label for="past-when">As of position or time</label><input id="past-when" class="input" autocomplete="off" spellcheck=${false}
			placeholder="1234 or 2026-03-01 08:00" value=${when} onInput=${(/** @type {any} */ e) => setWhen(e.target.value)} /></div>
		<div class="field"><span class="small muted">${q === null && when.trim() !== '' ? 'a number, or a time in UTC like 2026-03-01 08:00' : 'exact, also between snapshots; UTC'}</span>
			${q === null ? html`<button class="btn" disabled>Show in SQL</button>` : html`<a class="btn" href=${`/sql?q=${encodeURIComponent(q)}`}>Show in SQL</a>`}</div></div>
		${q !== null && html`<${Code} label="Query of the past" text=${q} />`}`;
}

const ages = [['1 hour', 'an hour'], ['1 day', 'a day'], ['7 days', 'a week'], ['0 s', 'now: all but the newest']];

/** @param {{version: any, views: string[], streams: string[], keep: string, ask: (q: import('../ui/act.js').Question) => void}} p */
function Snapshots({ version, views, streams, keep, ask }) {
	const tz = zoneName();
	const [name, setName] = useState('');
	const [when, setWhen] = useState('');
	const [picked, setPicked] = useState(/** @type {any} */ (null));
	const [age, setAge] = useState(ages[0][0]);
	const [older, setOlder] = useState(/** @type {any} */ ({ list: [], end: false }));
	const { data, error, again } = useLoad(() => api('/api/v1/snapshots?limit=50'), [version]);
	if (error && data === null)
		return html`<${ProblemBox} error=${error} retry=${again} />`;
	if (data === null)
		return html`<${Skeleton} height=${160} />`;
	const at = name || views[0] || streams[0] || '';
	const isView = views.includes(at);
	/* A newer first page may reach into what was read before. */
	const last = data.snapshots.at(-1)?.sequence ?? 0;
	const list = [...data.snapshots, ...older.list.filter((/** @type {any} */ s) => s.sequence < last)];
	const more = async () => {
		const d = await api(`/api/v1/snapshots?limit=200&before=${list.at(-1).sequence}`).catch(() => null);
		if (d)
			setOlder({ list: [...older.list, ...d.snapshots], end: d.snapshots.length < 200 });
	};
	/* The one that is chosen goes with the others, when it expires. */
	const chosen = list.find((/** @type {any} */ s) => s.sequence === picked) || null;
	const choose = (/** @type {any} */ s) => {
		setPicked(s.sequence);
		setWhen(String(s.lsn));
	};
	const past = (/** @type {any} */ s) => `/sql?q=${encodeURIComponent(`SELECT * FROM as_of(${quote(at)}, ${s.lsn}) LIMIT 100`)}`;
	const back = (/** @type {any} */ s) => ask({ title: `Roll ${at} back to snapshot ${s.sequence}`, yes: 'Roll back',
		text: `What ${at} said at ${time(parseTime(s.published_at), tz, 'stamp')} (position ${s.lsn}) is published again, with all events since folded in. No event is lost; “Backfill” on the page Runs makes it anew from silver.`,
		run: () => call(`CALL rollback(${quote(at)}, snapshot => ${s.sequence})`) });
	const expire = () => ask({ title: 'Expire snapshots', yes: 'Expire', word: 'expire',
		text: `Snapshots older than ${age === '0 s' ? 'the newest' : age} go, with the files that only they name. Looking back stays exact for every position; going back to them, and other tools that read them, ends.`,
		run: () => call(`CALL expire_snapshots(${quote(age)})`) });
	return html`<p class="secondary">Every batch run is a snapshot of all tables${keep && `, kept for ${keep} after the next one (snapshot_keep)`}. Views and streams can be asked as of any position or time, also between them: <code>?as_of=</code> on a view, <code>as_of('view', time)</code> in SQL.</p>
		${list.length > 0 && html`<section class="card"><header><h2>Snapshots over time</h2><span class="muted small hide-s">choose one: click, or arrow keys</span></header><div class="body stack">
			<${Timeline} list=${list} chosen=${chosen || list[0]} choose=${choose} />
			<${Chosen} s=${chosen || list[0]} before=${list[list.indexOf(chosen || list[0]) + 1]} />
			${at && html`<${LookBack} names=${[...views, ...streams]} at=${at} set=${setName} when=${when} setWhen=${setWhen} />`}
			${isView && chosen && chosen !== list[0] && html`<div><button class="btn" onClick=${() => back(chosen)}>Roll ${at} back to this…</button></div>`}</div></section>`}
		<${Grid} label="Snapshots" rows=${list} id=${(/** @type {any} */ s) => s.sequence} columns=${[
			{ name: 'Snapshot', value: (/** @type {any} */ s) => s.sequence, num: true, class: 'mono', cell: (/** @type {any} */ s) => html`<button class="btn tiny" aria-pressed=${String(s === chosen)}
				aria-label=${`Choose snapshot ${s.sequence}`} onClick=${() => choose(s)}>${s.sequence}</button>` },
			{ name: 'Made by', value: (/** @type {any} */ s) => madeBy(s).words, class: 'secondary small' },
			{ name: 'Published', value: (/** @type {any} */ s) => s.published_at, cell: (/** @type {any} */ s) => time(parseTime(s.published_at), tz, 'stamp') },
			{ name: 'Position', value: (/** @type {any} */ s) => s.lsn, num: true, class: 'mono', cell: (/** @type {any} */ s) => at ? html`<a href=${past(s)} title=${`${at} as of this position, in SQL`}>${s.lsn}</a>` : s.lsn },
			{ name: 'Run', value: (/** @type {any} */ s) => s.run, num: true, class: 'mono muted' },
			{ name: 'Files', value: (/** @type {any} */ s) => s.files, num: true, cell: (/** @type {any} */ s) => number(s.files) },
			{ name: 'Added', value: (/** @type {any} */ s) => s.files_added, num: true, cell: (/** @type {any} */ s) => number(s.files_added) },
			{ name: 'Dropped', value: (/** @type {any} */ s) => s.files_dropped, num: true, cell: (/** @type {any} */ s) => number(s.files_dropped) },
			{ name: 'Rows', value: (/** @type {any} */ s) => s.rows, num: true, cell: (/** @type {any} */ s) => number(s.rows) },
			{ name: 'Size', value: (/** @type {any} */ s) => s.bytes, num: true, cell: (/** @type {any} */ s) => bytes(s.bytes) },
			...(isView ? [{ name: 'Back', value: () => '', cell: (/** @type {any} */ s) => s === list[0] ? html`<span class="muted small">in force</span>` :
				html`<button class="btn tiny" aria-label=${`Roll back… ${at} to snapshot ${s.sequence}`} onClick=${() => back(s)}>Roll back…</button>` }] : [])]} />
		<div class="rowline">${data.snapshots.length === 50 && !older.end && html`<button class="btn" onClick=${more}>Older snapshots</button>`}
			<div class="field narrow"><label for="expire-age">Expire snapshots older than</label><select id="expire-age" class="input" value=${age}
				onChange=${(/** @type {any} */ e) => setAge(e.target.value)}>${ages.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></div>
			<button class="btn" onClick=${expire}>Expire…</button></div>`;
}

/** @param {{place: {folder: string, table: string}}} p */
function Connect({ place }) {
	const here = location.origin;
	const [tier, name] = (place.table || 'silver/TABLE').split('/');
	const on = `${place.folder || 'LAKE'}/${tier}/${name}`;
	const [tool, setTool] = useState('duckdb');
	const needs = status.value?.auth === 'session';
	const [made, setMade] = useState('');
	const [problem, setProblem] = useState(/** @type {any} */ (null));
	const token = made || '$TARN_TOKEN';
	const make = () => post('/api/v1/tokens', { name: 'tools', scope: 'read' }).then((d) => { setMade(d.token); setProblem(null); }, setProblem);
	const texts = /** @type {Record<string, string>} */ ({
		duckdb: `INSTALL iceberg; LOAD iceberg;\n${needs ? `CREATE SECRET tarn (TYPE http, BEARER_TOKEN '${token}', SCOPE '${here}');\n` : ''}ATTACH '' AS tarn (TYPE iceberg, ENDPOINT '${here}/iceberg', AUTHORIZATION_TYPE 'none');\nSELECT * FROM tarn.${tier}.${name};\n-- or on this machine, also with Tarn stopped\nSELECT * FROM iceberg_scan('${on}');`,
		pyiceberg: `from pyiceberg.catalog import load_catalog\ncatalog = load_catalog('tarn', uri='${here}/iceberg', warehouse='disk'${needs ? `, token='${token}'` : ''})  # on the server's machine\ncatalog.load_table('${tier}.${name}').scan().to_arrow()`,
		spark: `spark.sql.catalog.tarn=org.apache.iceberg.spark.SparkCatalog\nspark.sql.catalog.tarn.type=rest\nspark.sql.catalog.tarn.uri=${here}/iceberg\nspark.sql.catalog.tarn.warehouse=disk\nspark.sql.catalog.tarn.io-impl=org.apache.iceberg.hadoop.HadoopFileIO${needs ? `\nspark.sql.catalog.tarn.token=${token}\nspark.sql.catalog.tarn.token-refresh-enabled=false` : ''}\n\n-- on the server's machine\nSELECT * FROM tarn.${tier}.${name}`,
		trino: `# etc/catalog/tarn.properties, Trino 471 or later\nconnector.name=iceberg\niceberg.catalog.type=rest\niceberg.rest-catalog.uri=${here}/iceberg\niceberg.rest-catalog.warehouse=disk${needs ? `\niceberg.rest-catalog.security=OAUTH2\niceberg.rest-catalog.oauth2.token=${token}` : ''}\niceberg.security=read_only\nfs.native-local.enabled=true\nlocal.location=/\n# Trino reads no files over http: its coordinator and every worker run on the server's machine,\n# or have ${place.folder || 'LAKE'} mounted at the same path.\n\nSELECT * FROM tarn.${tier}.${name}`,
		delta: `from deltalake import DeltaTable\nDeltaTable('${on}').to_pyarrow_table()`,
	});
	return html`<section class="card"><header><h2>Read it with other tools</h2></header><div class="body stack">
		<${Segments} label="Tool" value=${tool} onChange=${setTool} options=${[['duckdb', 'DuckDB'], ['pyiceberg', 'PyIceberg'], ['spark', 'Spark'], ['trino', 'Trino'], ['delta', 'Delta Lake']]} />
		${needs && tool !== 'delta' && html`<p class="muted small" role="status">${made ? 'The token in these lines may read and is shown only now; tarn token list and revoke show and end it.' :
			html`$TARN_TOKEN stands for a token that may read: <button class="btn tiny" onClick=${make}>Make one</button> or, with an admin's, <code>tarn token create tools read</code>.`}</p>`}
		${problem && html`<${ProblemBox} error=${problem} />`}
		<${Code} label=${`${tool} snippet`} text=${texts[tool]} /></div></section>`;
}

const setting = (/** @type {string} */ name) => api('/api/v1/settings').then((d) => d.settings.find((/** @type {any} */ x) => x.name === name)?.value || '');

/** What is not kept for ever. */
async function retention() {
	const [{ streams }, { views }, objects] = await Promise.all([api('/api/v1/streams'), api('/api/v1/views'), setting('object_retention').catch(() => '')]);
	return keptFor(streams, views, objects);
}

function Lake() {
	const batch = status.value?.batch_lsn;
	const { data, error, again } = useLoad(() => api('/api/v1/lake'), [batch]);
	const place = useLoad(() => whereIs(data?.tables || []), [data === null || data.tables.length === 0]).data || { folder: '', table: '' };
	const [view, setView] = useState('tables');
	const [chosen, setChosen] = useState('');
	const [busy, setBusy] = useState(false);
	const [answer, setAnswer] = useState(/** @type {any} */ (null));
	const [question, setQuestion] = useState(/** @type {any} */ (null));
	const keep = useLoad(() => setting('snapshot_keep'), []).data || '';
	const named = (/** @type {string} */ tier) => data.tables.filter((/** @type {any} */ t) => t.tier === tier && t.name).map((/** @type {any} */ t) => t.name);
	const kept = useLoad(retention, []).data;
	const verify = async () => {
		setBusy(true);
		setAnswer(null);
		try {
			const r = await post('/api/v1/verify', undefined);
			setAnswer(r.equal ? { text: 'Every file, stream and view is what the raw bytes say.', more: r.text } :
				{ error: { title: `${number(r.differences)} differences`, detail: r.text } });
			announce('Verify is finished');
		} catch (e) {
			setAnswer({ error: e });
		}
		setBusy(false);
	};
	const compact = () => setQuestion({ title: 'Compact now', yes: 'Compact', run: () => call('CALL compact()'),
		text: 'All young files of each day become one, also those of days that still get rows. It goes on at low priority; the page Runs tells what came of it. Without this it happens by itself when there are too many, or when a day is quiet.' });
	return html`<${PageHead} title="Lake" sub=${data ? `final up to position ${data.lsn}` : ''}>
			<button class="btn" disabled=${!data?.tables.length} onClick=${compact}>Compact now</button>
			<button class="btn" disabled=${busy} onClick=${verify}><${Icon} name="check" />${busy ? 'Comparing…' : 'Verify'}</button></${PageHead}>
		${answer && (answer.error ? html`<${ProblemBox} error=${answer.error} />` : html`<div class="good" role="status">${answer.text}
			<details><summary>What was compared</summary><pre class="small">${answer.more}</pre></details></div>`)}
		${question && html`<${Ask} key=${question.title} q=${question} done=${again} close=${() => setQuestion(null)} />`}
		${error && data === null ? html`<${ProblemBox} error=${error} retry=${again} />` : data === null ? html`<${Skeleton} height=${320} />` : html`
			<${Tiers} d=${data} /><${Cost} d=${data} />
			${kept && html`<section class="card"><header><h2>Kept for</h2>${kept.length > 0 && html`<span class="muted small">everything else for ever</span>`}</header>
				<div class="body">${kept.length === 0 ? html`<p class="small secondary">Everything is kept for ever. <code>WITH (retention = '400 days')</code> of a table or a view, or the setting object_retention, says otherwise.</p>` :
					html`<dl class="facts">${kept.map((/** @type {string[]} */ [what, how]) => html`<div key=${what}><dt>${what}</dt><dd class="small">${how}</dd></div>`)}</dl>`}</div></section>`}
			<${Segments} label="Show" value=${view} onChange=${setView} options=${[['tables', 'Tables'], ['snapshots', 'Snapshots']]} />
			${view === 'snapshots' ? html`<${Snapshots} version=${data.sequence} keep=${keep} ask=${(/** @type {any} */ q) => { setQuestion(q); scrollTo(0, 0); }}
				views=${named('gold')} streams=${named('silver')} />` : data.tables.length === 0 ?
				html`<section class="card state"><h2>Nothing here yet</h2><p class="secondary">The first batch run writes the first files. “Cut now” on the page Runs starts one at once.</p></section>` :
				html`<${Tables} d=${data} chosen=${chosen} choose=${(/** @type {string} */ k) => setChosen(k === chosen ? '' : k)} />
				${chosen && html`<${Table} key=${chosen} tier=${chosen.split('/')[0]} name=${chosen.split('/')[1]} version=${data.sequence} folder=${place.folder} />`}`}
			<${Connect} place=${place} />`}`;
}

export const pages = { lake: Lake };
