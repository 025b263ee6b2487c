/* The one place that binds htm to preact, so that pages import one module. */
import { h, render } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export { h, render, Fragment } from '../vendor/preact.js';
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback } from '../vendor/hooks.js';
export { signal, computed, batch, effect, useSignal } from '../vendor/signals.js';

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
