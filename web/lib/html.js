/* The one place that binds htm to preact, so that pages import one module. */
import { h, render } from '../vendor/preact.js';
import { signal } from '../vendor/signals.js';
import htm from '../vendor/htm.js';

export { h, render, Fragment } from '../vendor/preact.js';
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback } from '../vendor/hooks.js';
export { signal, computed, batch, effect, useSignal } from '../vendor/signals.js';

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);

/** @type {Map<string, any>} */
const parts = new Map();
/** A module that only some visits need: null until it has come, and the
 * component that asked is drawn again then. Asked for again after a failure.
 * @param {string} name @param {() => Promise<any>} load */
export function later(name, load) {
	let part = parts.get(name);
	if (part === undefined) {
		parts.set(name, part = signal(null));
		load().then((m) => { part.value = m; }, () => parts.delete(name));
	}
	return part.value;
}
