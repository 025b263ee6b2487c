-- Zigbee2MQTT with its base topic zigbee2mqtt and its JSON output (its defaults).
-- In configuration.yaml: mqtt: server: mqtt://<address of Tarn>:1883
--
-- A device with a / in its friendly name has one level more: give its pattern
-- to the option mqtt, e.g. 'zigbee2mqtt/{device} -> payload,
-- zigbee2mqtt/garden/{device} -> payload'. A list of 150 devices or more can
-- be over 1 MiB: then also ALTER SYSTEM SET mqtt_packet_bytes = '8 MiB'.

CREATE TABLE zigbee_reports (
  device      text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  payload     jsonb,
  temperature double precision GENERATED ALWAYS AS ((payload ->> 'temperature')::double precision) STORED,
  humidity    double precision GENERATED ALWAYS AS ((payload ->> 'humidity')::double precision) STORED,
  pressure    double precision GENERATED ALWAYS AS ((payload ->> 'pressure')::double precision) STORED,
  illuminance double precision GENERATED ALWAYS AS ((payload ->> 'illuminance')::double precision) STORED,
  co2         double precision GENERATED ALWAYS AS ((payload ->> 'co2')::double precision) STORED,
  power_w     double precision GENERATED ALWAYS AS ((payload ->> 'power')::double precision) STORED,
  energy_kwh  double precision GENERATED ALWAYS AS ((payload ->> 'energy')::double precision) STORED,
  battery     double precision GENERATED ALWAYS AS ((payload ->> 'battery')::double precision) STORED,
  linkquality double precision GENERATED ALWAYS AS ((payload ->> 'linkquality')::double precision) STORED,
  state       text GENERATED ALWAYS AS (payload ->> 'state') STORED,
  action      text GENERATED ALWAYS AS (payload ->> 'action') STORED,
  contact     text GENERATED ALWAYS AS (payload ->> 'contact') STORED,
  occupancy   text GENERATED ALWAYS AS (payload ->> 'occupancy') STORED
) WITH (event_time = 'at', mqtt = 'zigbee2mqtt/{device} -> payload');
COMMENT ON TABLE zigbee_reports IS 'What Zigbee devices report, whole and by column.';

-- Both forms: online and {"state":"online"}. The bridge itself has no level for
-- a device and is called bridge.
CREATE TABLE zigbee_availability (
  device   text NOT NULL DEFAULT 'bridge',
  at       timestamptz NOT NULL DEFAULT now(),
  reported text,
  online   bool GENERATED ALWAYS AS (reported ~ '(^|")online("|$)') STORED
) WITH (event_time = 'at', mqtt = 'zigbee2mqtt/{device}/availability -> reported, zigbee2mqtt/bridge/state -> reported');
COMMENT ON TABLE zigbee_availability IS 'When devices and the bridge came and went.';

-- The bridge publishes all its devices as one JSON array: a row each.
CREATE TABLE zigbee_devices (
  friendly_name text PRIMARY KEY,
  ieee_address  text,
  type          text,
  power_source  text,
  disabled      bool,
  supported     bool,
  definition    jsonb,
  vendor        text GENERATED ALWAYS AS (definition ->> 'vendor') STORED,
  model         text GENERATED ALWAYS AS (definition ->> 'model') STORED,
  description   text GENERATED ALWAYS AS (definition ->> 'description') STORED
) WITH (kind = 'reference', mqtt = 'zigbee2mqtt/bridge/devices');
COMMENT ON TABLE zigbee_devices IS 'Devices as the bridge knows them.';

CREATE MATERIALIZED VIEW zigbee_hourly
WITH (overview = 'line', title = 'Zigbee: temperature', x = 'hour', y = 'temperature', series = 'device', unit = '°C') AS
SELECT device, date_trunc('hour', at) AS hour, avg(temperature) AS temperature, avg(humidity) AS humidity,
       avg(power_w) AS power_w, max(energy_kwh) - min(energy_kwh) AS energy_kwh, count(*) AS reports
FROM zigbee_reports WHERE payload IS NOT NULL GROUP BY device, hour;

CREATE MATERIALIZED VIEW zigbee_last AS
SELECT r.device, last(d.vendor, r.at) AS vendor, last(d.model, r.at) AS model, max(r.at) AS seen,
       last(r.temperature, r.at) FILTER (WHERE r.temperature IS NOT NULL) AS temperature,
       last(r.humidity, r.at) FILTER (WHERE r.humidity IS NOT NULL) AS humidity,
       last(r.state, r.at) FILTER (WHERE r.state IS NOT NULL) AS state,
       last(r.contact, r.at) FILTER (WHERE r.contact IS NOT NULL) AS contact,
       last(r.battery, r.at) FILTER (WHERE r.battery IS NOT NULL) AS battery,
       last(r.linkquality, r.at) FILTER (WHERE r.linkquality IS NOT NULL) AS linkquality
FROM zigbee_reports r LEFT JOIN zigbee_devices d ON d.friendly_name = r.device
GROUP BY r.device;

CREATE MATERIALIZED VIEW zigbee_online AS
SELECT device, last(online, at) AS online, max(at) AS since FROM zigbee_availability GROUP BY device;
