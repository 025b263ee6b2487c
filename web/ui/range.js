/* The range of time: presets, the same length before and after, any two
 * times. It stands in the address. */
import { html, later, useState } from '../lib/html.js';
import { shift, split } from '../lib/range.js';
import { setQuery } from '../lib/router.js';
import { zoneName } from '../lib/prefs.js';
import { parseTime, time } from '../lib/format.js';
import { Segments } from './parts.js';
import { Icon } from './icons.js';

/** @param {string} range */
export function setRange(range) {
	const [from, to] = split(range);
	setQuery({ from, to });
}

export const presets = /** @type {[string, string][]} */ ([['', 'Auto'], ['now-24h..now', '24 h'],
	['now-7d..now', '7 d'], ['now-30d..now', '30 d'], ['all', 'All']]);

/** A range that is no preset, in words. @param {string} range */
function words(range) {
	return split(range).map((t) => t === null ? 'now' : t.startsWith('now') ?
		t.replace('now-', '−') : time(parseTime(t), zoneName(), 'daytime')).join(' to ');
}

/** @param {{range: string}} p */
export function Range({ range }) {
	const [open, setOpen] = useState(false);
	const panel = open && later('when', () => import('./when.js'));
	const step = (/** @type {number} */ by, /** @type {string} */ label) => html`<button class="btn quiet"
		aria-label=${label} title=${label} disabled=${shift(range, by) === null}
		onClick=${() => setRange(shift(range, by) ?? range)}><${Icon} name=${by < 0 ? 'left' : 'right'} /></button>`;
	const own = !presets.some((p) => p[0] === range);
	return html`<div class="range menu">${step(-1, 'Earlier')}
		<${Segments} label="Time range" value=${range} options=${presets} onChange=${setRange} />
		<button class="btn quiet" aria-expanded=${String(open)} aria-label=${own ? `Range: ${words(range)}` : 'Any range'}
			title="Any range" onClick=${() => setOpen(!open)}><${Icon} name="clock" />${own && words(range)}</button>
		${step(1, 'Later')}
		${panel && html`<${panel.When} range=${range} set=${setRange} close=${() => setOpen(false)} />`}</div>`;
}
