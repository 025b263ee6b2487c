// The templates of config/mqtt: tarn check takes each, and what the systems
// publish (tests/data/mqtt, in the form of their documentation) becomes the
// rows and view results that are written out here, with nothing in quarantine.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Tarn, command, root, tempDir, until } from './lib.mjs';
import { pubOk } from './mqtt_lib.mjs';

const folder = join(root, 'config/mqtt');

/** Every message of a file, in order, each acknowledged. */
async function replay(t, name) {
  const { default: mqtt } = await import('mqtt');
  const c = mqtt.connect(`mqtt://127.0.0.1:${t.mqttPort}`, { protocolVersion: 5 });
  const lines = readFileSync(join(root, 'tests/data/mqtt', `${name}.ndjson`), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
  for (const m of lines) await c.publishAsync(m.topic, m.text ?? JSON.stringify(m.json), { qos: 1, retain: m.retain ?? false });
  await c.endAsync();
}

/** Tarn with one template after its messages; run again if the hour changed on the way, as views cut by the hour of arrival. */
async function loaded(name, tables) {
  for (;;) {
    const hour = new Date().toISOString().slice(0, 13);
    const config = join(tempDir('template'), 'pipeline');
    await import('node:fs/promises').then((f) => f.mkdir(config));
    copyFileSync(join(folder, `${name}.sql`), join(config, `${name}.sql`));
    const checked = await command(['check', config]);
    assert.equal(checked.code, 0, checked.err + checked.out);
    const t = await new Tarn({ config, mqtt: true }).start();
    await replay(t, name);
    await t.settled();
    if (new Date().toISOString().slice(0, 13) !== hour) { await t.stop(); continue; }
    for (const s of tables) assert.deepEqual((await t.ok('GET', `/api/v1/quarantine/${s}`)).rows, [], `quarantine of ${s}`);
    return t;
  }
}

/** Chosen columns of all rows, as arrays, in a fixed order. */
const cells = (rows, names) => rows.map((r) => names.split(' ').map((n) => r[n])).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
const table = async (t, name, names) => cells(await t.sql(`SELECT * FROM ${name}`), names);
const view = async (t, name, names) => cells(await t.view(name), names);

/** The batch layer agrees with the speed layer: after a cut the answer is the same. */
async function sameAfterCut(t, views) {
  const before = await Promise.all(views.map((v) => t.view(v)));
  await t.cut();
  const after = await Promise.all(views.map((v) => t.view(v)));
  const sorted = (l) => l.map((rows) => rows.map((r) => JSON.stringify(r)).sort());
  assert.deepEqual(sorted(after), sorted(before));
  assert.equal((await t.verify()).different ?? 0, 0);
}

test('every template is good alone, and all of them together', async () => {
  const names = readdirSync(folder).filter((f) => f.endsWith('.sql'));
  assert.deepEqual(names.sort(), ['chirpstack.sql', 'homeassistant.sql', 'shelly.sql', 'tasmota.sql', 'zigbee2mqtt.sql']);
  const all = await command(['check', folder]);
  assert.equal(all.code, 0, all.err + all.out);
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  for (const f of names) assert.ok(readme.includes(f), f);
});

test('zigbee2mqtt', async () => {
  const t = await loaded('zigbee2mqtt', ['zigbee_reports', 'zigbee_availability', 'zigbee_devices']);
  assert.deepEqual(await table(t, 'zigbee_reports', 'device temperature humidity power_w energy_kwh battery state action contact'), [
    ['desk_lamps', null, null, null, null, null, 'ON', null, null],
    ['hall_door', null, null, null, null, 100, null, null, 'false'],
    ['kettle plug', null, null, 0, 12.5, null, 'OFF', null, null],
    ['kettle plug', null, null, 1886, 12.25, null, 'ON', null, null],
    ['meeting_room', 20.5, 41.5, null, null, 91, null, null, null],
    ['meeting_room', 21.5, 43.5, null, null, 91, null, null, null],
    ['remote', null, null, null, null, 47, null, '', null],
    ['remote', null, null, null, null, 47, null, 'brightness_up_click', null]]);
  assert.deepEqual(await table(t, 'zigbee_availability', 'device online'), [['bridge', true], ['kettle plug', true], ['meeting_room', false], ['meeting_room', true]]);
  assert.deepEqual(await table(t, 'zigbee_devices', 'friendly_name type vendor model'), [
    ['Coordinator', 'Coordinator', null, null], ['kettle plug', 'Router', 'Tuya', 'TS011F_plug_1'],
    ['meeting_room', 'EndDevice', 'Aqara', 'WSDCGQ11LM'], ['remote', 'EndDevice', 'IKEA', 'E1524/E1810']]);
  assert.deepEqual(await view(t, 'zigbee_hourly', 'device temperature humidity power_w energy_kwh reports'), [
    ['desk_lamps', null, null, null, null, 1], ['hall_door', null, null, null, null, 1],
    ['kettle plug', null, null, 943, 0.25, 2], ['meeting_room', 21, 42.5, null, null, 2], ['remote', null, null, null, null, 2]]);
  assert.deepEqual((await view(t, 'zigbee_last', 'device vendor temperature state battery linkquality')).filter((r) => /kettle|meeting/.test(r[0])), [
    ['kettle plug', 'Tuya', null, 'OFF', null, 171], ['meeting_room', 'Aqara', 21.5, null, 91, 104]]);
  assert.deepEqual(await view(t, 'zigbee_online', 'device online'), [['bridge', true], ['kettle plug', true], ['meeting_room', false]]);
  await sameAfterCut(t, ['zigbee_hourly', 'zigbee_last', 'zigbee_online']);
  await t.stop();
});

test('tasmota', async () => {
  const t = await loaded('tasmota', ['tasmota_sensors', 'tasmota_states', 'tasmota_relays', 'tasmota_presence', 'tasmota_devices']);
  assert.deepEqual(await table(t, 'tasmota_sensors', 'device device_time temperature humidity power_w voltage total_kwh'), [
    ['cellar', '2026-03-02T08:10:04', 12.5, 71, null, null, null], ['cellar', '2026-03-02T08:15:04', 13.5, 69, null, null, null],
    ['cellar', '2026-03-02T08:20:04', null, null, null, null, null], ['coffee', '2026-03-02T08:05:00', null, null, 1200, 229, 41.25],
    ['coffee', '2026-03-02T08:10:00', null, null, 800, 230, 41.5], ['gate', '2026-03-02T08:10:06', null, null, null, null, null],
    ['pumps', '2026-03-02T08:10:02', null, null, 450, 231, 30.75], ['tank', '2026-03-02T08:10:05', 55, null, null, null, null]]);
  assert.deepEqual(await table(t, 'tasmota_states', 'device uptime_s rssi signal ssid'), [['coffee', 184507, 74, -63, 'plant']]);
  assert.deepEqual(await table(t, 'tasmota_relays', 'device relay state is_on'), [
    ['coffee', '', 'OFF', false], ['pumps', '1', 'ON', true], ['pumps', '2', 'OFF', false], ['pumps', '2', 'ON', true]]);
  assert.deepEqual(await table(t, 'tasmota_devices', 't dn md sw ip mac'), [['coffee', 'Coffee machine', 'Nous A1T', '14.6.0', '192.168.7.31', '5CCF7F0A1B2C']]);
  assert.deepEqual(await view(t, 'tasmota_energy_hourly', 'device power_w power_max_w kwh total_kwh'), [['coffee', 1000, 1200, 0.25, 41.5], ['pumps', 450, 450, 0, 30.75]]);
  assert.deepEqual(await view(t, 'tasmota_climate_hourly', 'device temperature humidity'), [['cellar', 13, 70], ['tank', 55, null]]);
  assert.deepEqual(await view(t, 'tasmota_relay_last', 'device relay name state switched'), [
    ['coffee', '', 'Coffee machine', 'OFF', 1], ['pumps', '1', null, 'ON', 1], ['pumps', '2', null, 'OFF', 2]]);
  assert.deepEqual(await view(t, 'tasmota_online', 'device online'), [['coffee', false]]);
  await sameAfterCut(t, ['tasmota_energy_hourly', 'tasmota_climate_hourly', 'tasmota_relay_last', 'tasmota_online']);
  await t.stop();
});

test('shelly, both generations', async () => {
  const t = await loaded('shelly', ['shelly1_values', 'shelly1_devices', 'shelly_status', 'shelly_notices', 'shelly_presence']);
  const plug = 'shellyplug-s-C1F2A3', em = 'shellyem-B9D8E7', ht = 'shellyht-6A7B8C';
  assert.deepEqual((await table(t, 'shelly1_values', 'device part item metric reported value')).filter((r) => r[1] !== 'announce'), [
    [em, 'emeter', '0', 'power', '-310.25', -310.25], [em, 'emeter', '0', 'total', '5000.0', 5000], [em, 'emeter', '0', 'total', '5500.0', 5500],
    [em, 'emeter', '0', 'voltage', '229.81', 229.81],
    [ht, 'sensor', 'act_reasons', null, '["sensor"]', null], [ht, 'sensor', 'battery', null, '88', 88], [ht, 'sensor', 'humidity', null, '48.5', 48.5],
    [ht, 'sensor', 'temperature', null, '22.25', 22.25], [ht, 'sensor', 'temperature', null, '22.75', 22.75],
    [plug, 'online', null, null, 'true', null], [plug, 'overtemperature', null, null, '0', 0],
    [plug, 'relay', '0', 'command', 'off', null], [plug, 'relay', '0', 'energy', '120000', 120000], [plug, 'relay', '0', 'energy', '150000', 150000],
    [plug, 'relay', '0', 'power', '42.50', 42.5], [plug, 'relay', '0', 'power', '57.50', 57.5],
    [plug, 'relay', '0', null, 'off', null], [plug, 'relay', '0', null, 'on', null], [plug, 'temperature', null, null, '31.20', 31.2]]);
  assert.deepEqual(await table(t, 'shelly1_devices', 'id model ip new_fw'), [[plug, 'SHPLG-S', '192.168.7.40', false]]);
  assert.deepEqual(await view(t, 'shelly1_energy_hourly', 'device part channel power_w kwh'), [[em, 'emeter', '0', -310.25, 0.5], [plug, 'relay', '0', 50, 0.5]]);
  assert.deepEqual(await view(t, 'shelly1_climate_hourly', 'device metric average lowest highest'), [
    [ht, 'battery', 88, 88, 88], [ht, 'humidity', 48.5, 48.5, 48.5], [ht, 'temperature', 22.5, 22.25, 22.75]]);
  assert.deepEqual((await view(t, 'shelly1_last', 'device part item model state')).filter((r) => r[0] === plug), [
    [plug, 'online', '', 'SHPLG-S', 'true'], [plug, 'overtemperature', '', 'SHPLG-S', '0'], [plug, 'relay', '0', 'SHPLG-S', 'off'], [plug, 'temperature', '', 'SHPLG-S', '31.20']]);
  const pm = 'shellyplus1pm-a8032abe54dc', i4 = 'shellyplusi4-b0b21c112233', th = 'shellyplusht-c049ef8a9b0c', e3 = 'shellypro3em-34987a4b5c6d';
  assert.deepEqual(await table(t, 'shelly_status', 'device kind channel output power_w energy_wh temperature humidity battery'), [
    [pm, 'cloud', '', null, null, null, null, null, null], [pm, 'input', '0', null, null, null, null, null, null],
    [pm, 'switch', '0', false, 0, 2750, null, null, null], [pm, 'switch', '0', true, 100, 2500, null, null, null], [pm, 'wifi', '', null, null, null, null, null, null],
    [th, 'devicepower', '0', null, null, null, null, null, 74], [th, 'humidity', '0', null, null, null, null, 52.5, null],
    [th, 'temperature', '0', null, null, null, 19.5, null, null],
    [e3, 'em', '0', null, 400, null, null, null, null], [e3, 'emdata', '0', null, null, 16000, null, null, null], [e3, 'emdata', '0', null, null, 16500, null, null, null]]);
  assert.deepEqual(await table(t, 'shelly_notices', 'device method device_time event component output temperature humidity battery'), [
    [pm, 'NotifyStatus', '2026-03-02T07:46:00.25Z', null, null, false, null, null, null],
    [th, 'NotifyFullStatus', '2026-03-02T07:46:20.75Z', null, null, null, 19.5, 52.5, 74],
    [i4, 'NotifyEvent', '2026-03-02T07:46:10.5Z', 'single_push', 'input:2', null, null, null, null],
    [i4, 'NotifyEvent', '2026-03-02T07:46:11.5Z', 'single_push', 'input:2', null, null, null, null]]);
  assert.deepEqual(await view(t, 'shelly_energy_hourly', 'device component power_w kwh'), [[pm, 'switch:0', 50, 0.25], [e3, 'em:0', 400, null], [e3, 'emdata:0', null, 0.5]]);
  assert.deepEqual(await view(t, 'shelly_buttons', 'device component event times'), [[i4, 'input:2', 'single_push', 2]]);
  assert.deepEqual((await view(t, 'shelly_last', 'device component output power_w temperature')).filter((r) => r[1] === 'switch:0'), [[pm, 'switch:0', false, 0, null]]);
  assert.deepEqual(await view(t, 'shelly_online', 'device online'), [[pm, false]]);
  await sameAfterCut(t, ['shelly1_energy_hourly', 'shelly1_climate_hourly', 'shelly1_last', 'shelly_energy_hourly', 'shelly_last', 'shelly_buttons', 'shelly_online']);
  await t.stop();
});

test('chirpstack', async () => {
  const t = await loaded('chirpstack', ['lora_uplinks', 'lora_status', 'lora_joins', 'lora_log']);
  assert.deepEqual(await table(t, 'lora_uplinks', 'time device fCnt gateways rssi snr spreading_factor temperature humidity battery'), [
    ['2026-03-02T08:00:00.123457Z', 'hall-3-north', 10, 2, -48, 9.5, 7, 18.5, 55, 3.05], ['2026-03-02T08:20:00.5Z', 'hall-3-north', 11, 1, -60, 8, 7, 19.5, 53, 3.05],
    ['2026-03-02T09:00:00Z', 'hall-3-north', 14, 1, -117, -12.5, 12, 20, 52, 3.04], ['2026-03-02T09:05:00Z', 'valve-1', 3, 1, -90, 5, null, null, null, null]]);
  assert.equal((await table(t, 'lora_joins', 'dev_eui devAddr')).length, 1);
  assert.deepEqual(await table(t, 'lora_log', 'dev_eui level code'), [['a84041b2c1850001', 'WARNING', 'UPLINK_F_CNT_RETRANSMISSION']]);
  assert.deepEqual((await view(t, 'lora_hourly', 'hour device uplinks temperature humidity snr_lowest')), [
    ['2026-03-02T08:00:00Z', 'hall-3-north', 2, 19, 54, 8], ['2026-03-02T09:00:00Z', 'hall-3-north', 1, 20, 52, -12.5], ['2026-03-02T09:00:00Z', 'valve-1', 1, null, null, 5]]);
  assert.deepEqual(await view(t, 'lora_loss_daily', 'dev_eui received missed spreading_factor'), [['70b3d57ed0050002', 1, 0, null], ['a84041b2c1850001', 3, 2, 12]]);
  assert.deepEqual(await view(t, 'lora_battery', 'dev_eui device battery margin'), [['a84041b2c1850001', 'hall-3-north', 74.8, 5]]);
  await sameAfterCut(t, ['lora_hourly', 'lora_loss_daily', 'lora_battery']);
  await t.stop();
});

test('homeassistant', async () => {
  const t = await loaded('homeassistant', ['ha_entities', 'ha_states']);
  assert.deepEqual(await table(t, 'ha_entities', 'object_id component node_id name unit device_class device state_topic'), [
    ['hall_gate', 'binary_sensor', null, 'Gate', null, 'door', null, 'homeassistant/binary_sensor/hall_gate/state'],
    ['old_fan', 'switch', null, 'Old fan', null, null, null, 'fan'],
    ['press7_load', 'sensor', 'press7', 'Load', '%', null, 'Press 7', 'homeassistant/sensor/press7/press7_load/state'],
    ['press7_temperature', 'sensor', null, 'Oil temperature', '°C', 'temperature', 'Press 7', 'homeassistant/sensor/press7_temperature/state']]);
  assert.deepEqual(await table(t, 'ha_states', 'object_id state value is_on'), [
    ['hall_gate', 'off', null, false], ['hall_gate', 'on', null, true], ['hall_gate', 'on', null, true], ['outdoor', '-3.25', -3.25, null],
    ['press7_load', '{"load":81,"mode":"auto"}', null, null], ['press7_temperature', '61.5', 61.5, null], ['press7_temperature', '62.5', 62.5, null],
    ['press7_temperature', 'unavailable', null, null]]);
  assert.deepEqual(await t.sql("SELECT attributes ->> 'load' AS load FROM ha_states WHERE attributes IS NOT NULL"), [{ load: '81' }]);
  assert.deepEqual(await view(t, 'ha_hourly', 'object_id unit average lowest highest'), [['outdoor', null, -3.25, -3.25, -3.25], ['press7_temperature', '°C', 62, 61.5, 62.5]]);
  assert.deepEqual(await view(t, 'ha_last', 'component object_id name device unit state'), [
    ['binary_sensor', 'hall_gate', 'Gate', null, null, 'on'], ['sensor', 'outdoor', null, null, null, '-3.25'],
    ['sensor', 'press7_load', 'Load', 'Press 7', '%', '{"load":81,"mode":"auto"}'], ['sensor', 'press7_temperature', 'Oil temperature', 'Press 7', '°C', 'unavailable']]);
  assert.deepEqual(await view(t, 'ha_switched_daily', 'object_id on_times off_times'), [['hall_gate', 2, 1]]);
  await sameAfterCut(t, ['ha_hourly', 'ha_last', 'ha_switched_daily']);
  await t.stop();
});

test('all templates in one pipeline: each message goes to its own system only; a broken payload goes to quarantine with its topic', async () => {
  const t = await new Tarn({ config: folder, mqtt: true }).start();
  for (const name of ['zigbee2mqtt', 'tasmota', 'shelly', 'chirpstack', 'homeassistant']) await replay(t, name);
  const n = {};
  for (const s of (await t.ok('GET', '/api/v1/streams')).streams ?? await t.ok('GET', '/api/v1/streams')) if (s.name !== 'objects') n[s.name] = Number((await t.sql(`SELECT count(*) AS n FROM ${s.name}`))[0].n);
  assert.deepEqual(n, { zigbee_reports: 8, zigbee_availability: 4, zigbee_devices: 4, tasmota_sensors: 8, tasmota_states: 1, tasmota_relays: 4, tasmota_presence: 2, tasmota_devices: 1,
    shelly1_values: 20, shelly1_devices: 1, shelly_status: 11, shelly_notices: 4, shelly_presence: 2, lora_uplinks: 4, lora_status: 2, lora_joins: 1, lora_log: 1, ha_entities: 4, ha_states: 8 });
  pubOk(t, 'zigbee2mqtt/meeting_room', '{"temperature":"warm"}');
  pubOk(t, 'tele/coffee/SENSOR', '{"Time":');
  const q = await until(async () => (await t.ok('GET', '/api/v1/quarantine/zigbee_reports')).rows[0]);
  assert.match(JSON.stringify(q), /zigbee2mqtt\/meeting_room/);
  assert.equal((await t.ok('GET', '/api/v1/quarantine/tasmota_sensors')).rows.length, 1);
  await t.stop();
});
