/* Choices of this browser: theme and time zone. Kept in localStorage when it
 * may be used, else for this page only. A zone in the address goes before the
 * choice, so that a shared link shows the same. */
import { signal, effect } from '../vendor/signals.js';
import { query } from './router.js';

/** @param {string} key @param {string} standard @param {string[]} allowed */
function stored(key, standard, allowed) {
	let value = standard;
	try {
		const got = localStorage.getItem(key);
		if (got !== null && allowed.includes(got))
			value = got;
	} catch { /* Storage is refused. */ }
	const s = signal(value);
	effect(() => {
		try {
			localStorage.setItem(key, s.value);
		} catch { /* As above. */ }
	});
	return s;
}

/** 'auto' | 'light' | 'dark' */
export const theme = stored('tarn.theme', 'auto', ['auto', 'light', 'dark']);
/** 'my' | 'site' | 'utc' */
export const zone = stored('tarn.tz', 'my', ['my', 'site', 'utc']);
/** The site's zone, when the server names one; else null. */
export const siteZone = signal(/** @type {string|null} */ (null));

/** Counts up whenever colours change, so that canvases are drawn again. */
export const palette = signal(0);

/** The zone of the address, else the choice. */
export function zoneAsked() {
	const tz = query.value.get('tz') || '';
	return ['my', 'site', 'utc'].includes(tz) ? tz : zone.value;
}

/** IANA name to show times in. */
export function zoneName() {
	const asked = zoneAsked();
	if (asked === 'utc')
		return 'UTC';
	if (asked === 'site' && siteZone.value !== null)
		return siteZone.value;
	return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

export function startTheme() {
	effect(() => {
		const root = document.documentElement;
		if (theme.value === 'auto')
			delete root.dataset.theme;
		else
			root.dataset.theme = theme.value;
		palette.value = palette.peek() + 1;
	});
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change',
		() => { palette.value = palette.peek() + 1; });
}

/** @type {HTMLElement|null} */
let probe = null;
/** A token's colour as the browser resolves it now (canvas needs it).
 * @param {string} token e.g. '--cat-1' */
export function color(token) {
	if (probe === null) {
		probe = document.createElement('span');
		probe.hidden = true;
		document.body.append(probe);
	}
	probe.style.color = `var(${token})`;
	return getComputedStyle(probe).color;
}
