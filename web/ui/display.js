/* The panel of the display button: theme, time zone, log out. */
import { html, useEffect } from '../lib/html.js';
import { Icon } from './icons.js';
import { Segments } from './parts.js';
import { status } from '../lib/live.js';
import { theme, zone, zoneAsked, siteZone } from '../lib/prefs.js';
import { setQuery } from '../lib/router.js';
import { post } from '../lib/api.js';

/** @param {{box: {current: HTMLElement|null}, close: () => void}} p */
export function Display({ box, close }) {
	useEffect(() => {
		const away = (/** @type {Event} */ e) => {
			if (e instanceof KeyboardEvent ? e.key === 'Escape' :
			    !box.current?.contains(/** @type {Node} */ (e.target)))
				close();
		};
		addEventListener('pointerdown', away);
		addEventListener('keydown', away);
		return () => {
			removeEventListener('pointerdown', away);
			removeEventListener('keydown', away);
		};
	}, []);
	const zones = /** @type {[string, string][]} */ ([['my', 'Mine'], ['utc', 'UTC']]);
	if (siteZone.value !== null)
		zones.splice(0, 0, ['site', 'Site']);
	return html`<div class="panel">
		<div class="row"><span>Theme</span><${Segments} label="Theme"
			value=${theme.value} options=${[['auto', 'Auto'], ['light', 'Light'], ['dark', 'Dark']]}
			onChange=${(/** @type {string} */ v) => { theme.value = v; }} /></div>
		<div class="row"><span>Times in</span><${Segments} label="Time zone"
			value=${zoneAsked()} options=${zones} onChange=${setZone} /></div>
		${status.value?.auth === 'session' && html`<button class="btn"
			onClick=${logout}><${Icon} name="out" />Log out</button>`}</div>`;
}

/** Kept in this browser, and in the address for those it is sent to.
 * @param {string} z */
export function setZone(z) {
	zone.value = z;
	setQuery('tz', z === 'my' ? null : z);
}

export async function logout() {
	await post('/api/v1/logout', undefined).catch(() => {});
	location.assign('/login');
}
