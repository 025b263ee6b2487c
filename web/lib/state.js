/** One view as the page holds it: rows by group key, each marked final or
 * provisional. Used in the worker (to serve tabs that open later) and in each
 * tab. A row that changed at position n stays provisional until a cut at or
 * after n.
 *
 * @typedef {{row: any[], prov: number, t?: number}} Entry
 *   prov: position of the last change that no batch covers yet; 0: final.
 *   t: cached time of the row, see derive.js
 * @typedef {{type: string, view: string, columns: string[], types: string[],
 *   rows: any[][], provisional?: number[], lsn: number, batch_lsn: number,
 *   truncated?: boolean}} ViewMessage */

export class ViewState {
	/** @param {string} name @param {string[]} keys names of group columns */
	constructor(name, keys) {
		this.name = name;
		this.keys = keys;
		/** @type {string[]} */ this.columns = [];
		/** @type {string[]} */ this.types = [];
		/** @type {Map<string, Entry>} */ this.rows = new Map();
		this.lsn = 0;
		this.batchLsn = 0;
		this.truncated = false;
		this.loaded = false;
		/** @type {number[]} */ this.keyAt = [];
	}

	/** @param {any[]} row */
	key(row) {
		return JSON.stringify(this.keyAt.map((i) => row[i]));
	}

	/** @param {ViewMessage} m */
	snapshot(m) {
		this.columns = m.columns;
		this.types = m.types;
		this.keyAt = this.keys.map((k) => m.columns.indexOf(k))
			.filter((i) => i >= 0);
		this.rows = new Map();
		const prov = new Set(m.provisional || []);
		m.rows.forEach((row, i) => this.rows.set(this.key(row),
			{ row, prov: prov.has(i) ? Math.max(m.lsn, 1) : 0 }));
		this.lsn = m.lsn;
		this.batchLsn = m.batch_lsn;
		this.truncated = m.truncated === true;
		this.loaded = true;
	}

	/** Whole new values of some rows. @param {ViewMessage} m
	 * @returns {boolean} whether anything changed */
	patch(m) {
		/* Older than what we have: the snapshot already holds it. */
		if (!this.loaded || m.lsn < this.lsn)
			return false;
		for (const row of m.rows)
			this.rows.set(this.key(row), { row,
				prov: m.lsn > m.batch_lsn ? m.lsn : 0 });
		this.lsn = m.lsn;
		if (m.batch_lsn > this.batchLsn)
			this.cut(m.batch_lsn);
		return m.rows.length > 0;
	}

	/** A batch run covers everything up to here. @param {number} lsn */
	cut(lsn) {
		this.batchLsn = Math.max(this.batchLsn, lsn);
		for (const e of this.rows.values())
			if (e.prov !== 0 && e.prov <= lsn)
				e.prov = 0;
		return true;
	}

	/** For a tab that joins. @returns {ViewMessage} */
	message() {
		const rows = [], provisional = [];
		for (const e of this.rows.values()) {
			if (e.prov !== 0)
				provisional.push(rows.length);
			rows.push(e.row);
		}
		return { type: 'snapshot', view: this.name, columns: this.columns,
			types: this.types, rows, provisional, lsn: this.lsn,
			batch_lsn: this.batchLsn, truncated: this.truncated };
	}

	/** Any server message. @param {any} m @returns {boolean} changed */
	apply(m) {
		switch (m.type) {
		case 'snapshot':
			this.snapshot(m);
			return true;
		case 'rows':
			return this.patch(m);
		case 'cut':
			return this.cut(m.batch_lsn);
		default:
			return false;
		}
	}
}
