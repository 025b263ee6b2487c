/** A broker's message is kept with its client and topic before it.
 * @param {any} row @returns {{client: string, topic: string, raw: string}} */
export function unpack(row) {
	const [client, topic, ...rest] = row.source === 'mqtt' ? row.raw.split('\0') : [];
	return rest.length > 0 ? { client, topic, raw: rest.join('\0') } : { client: '', topic: '', raw: row.raw };
}
