-- Shelly of the first generation (topics shellies/...) and of the second and
-- later ones (Plus, Pro, Gen3, Gen4: topics shelly<model>-<id>/...). On the
-- device: MQTT on, server <address of Tarn>:1883; later ones: also "Generic
-- status update over MQTT", which is off by default.

-- ---- first generation ---------------------------------------------------
-- shellies/D/relay/0          part relay, item 0             on, off, overpower
-- shellies/D/relay/0/power    part relay, item 0, metric     21.5
-- shellies/D/sensor/humidity  part sensor, item humidity     48
-- shellies/D/online           part online                    true, false
-- Commands to devices pass by as well: metric command.
CREATE TABLE shelly1_values (
  device   text NOT NULL,
  part     text NOT NULL,
  item     text,
  metric   text,
  at       timestamptz NOT NULL DEFAULT now(),
  reported text,
  value    double precision GENERATED ALWAYS AS (CASE WHEN reported ~ '^-?[0-9]+([.][0-9]+)?$'
             THEN reported::double precision END) STORED
) WITH (event_time = 'at', mqtt = 'shellies/{device}/{part} -> reported, shellies/{device}/{part}/{item} -> reported,
  shellies/{device}/{part}/{item}/{metric} -> reported');
COMMENT ON TABLE shelly1_values IS 'Values of Shelly Gen1, one a message.';

CREATE TABLE shelly1_devices (
  id     text PRIMARY KEY,
  model  text,
  mac    text,
  ip     text,
  new_fw bool,
  fw_ver text
) WITH (kind = 'reference', mqtt = 'shellies/announce');
COMMENT ON TABLE shelly1_devices IS 'Shelly Gen1 as they announce themselves.';

-- A relay counts watt-minutes, an energy meter (emeter) watt-hours.
CREATE MATERIALIZED VIEW shelly1_energy_hourly AS
SELECT device, part, item AS channel, date_trunc('hour', at) AS hour,
       avg(value) FILTER (WHERE metric = 'power') AS power_w,
       max(CASE part WHEN 'relay' THEN value / 60000 ELSE value / 1000 END) FILTER (WHERE metric IN ('energy', 'total'))
         - min(CASE part WHEN 'relay' THEN value / 60000 ELSE value / 1000 END) FILTER (WHERE metric IN ('energy', 'total')) AS kwh
FROM shelly1_values WHERE part IN ('relay', 'emeter') AND metric IN ('power', 'energy', 'total')
GROUP BY device, part, channel, hour;

CREATE MATERIALIZED VIEW shelly1_climate_hourly AS
SELECT device, item AS metric, date_trunc('hour', at) AS hour, avg(value) AS average, min(value) AS lowest, max(value) AS highest
FROM shelly1_values WHERE part = 'sensor' AND value IS NOT NULL GROUP BY device, item, hour;

CREATE MATERIALIZED VIEW shelly1_last AS
SELECT v.device, v.part, coalesce(v.item, '') AS item, last(d.model, v.at) AS model, last(v.reported, v.at) AS state, max(v.at) AS since
FROM shelly1_values v LEFT JOIN shelly1_devices d ON d.id = v.device
WHERE v.metric IS NULL AND v.part NOT IN ('announce', 'info', 'command')
GROUP BY v.device, v.part, coalesce(v.item, '');

-- ---- second generation and later ----------------------------------------
-- Component is e.g. switch:0, cover:0, temperature:100, em:0, devicepower:0.
CREATE TABLE shelly_status (
  unit        text NOT NULL,
  device      text GENERATED ALWAYS AS ('shelly' || unit) STORED,
  component   text NOT NULL,
  kind        text GENERATED ALWAYS AS (split_part(component, ':', 1)) STORED,
  channel     text GENERATED ALWAYS AS (split_part(component, ':', 2)) STORED,
  at          timestamptz NOT NULL DEFAULT now(),
  payload     jsonb,
  output      bool GENERATED ALWAYS AS ((payload ->> 'output')::bool) STORED,
  power_w     double precision GENERATED ALWAYS AS (coalesce(payload ->> 'apower', payload ->> 'act_power',
                payload ->> 'total_act_power')::double precision) STORED,
  energy_wh   double precision GENERATED ALWAYS AS (coalesce(payload -> 'aenergy' ->> 'total',
                payload ->> 'total_act_energy', payload ->> 'total_act')::double precision) STORED,
  voltage     double precision GENERATED ALWAYS AS ((payload ->> 'voltage')::double precision) STORED,
  temperature double precision GENERATED ALWAYS AS ((payload ->> 'tC')::double precision) STORED,
  humidity    double precision GENERATED ALWAYS AS ((payload ->> 'rh')::double precision) STORED,
  battery     double precision GENERATED ALWAYS AS ((payload -> 'battery' ->> 'percent')::double precision) STORED
) WITH (event_time = 'at', mqtt = 'shelly{unit}/status/{component} -> payload');
COMMENT ON TABLE shelly_status IS 'Status of each component of Shelly Gen2 and later.';

-- Also of devices with "Generic status update" off, and button presses. A
-- frame has what changed; the columns are those of the first channel.
CREATE TABLE shelly_notices (
  unit        text NOT NULL,
  device      text GENERATED ALWAYS AS ('shelly' || unit) STORED,
  at          timestamptz NOT NULL DEFAULT now(),
  frame       jsonb,
  method      text GENERATED ALWAYS AS (frame ->> 'method') STORED,
  device_time timestamptz GENERATED ALWAYS AS (to_timestamp((frame -> 'params' ->> 'ts')::double precision)) STORED,
  event       text GENERATED ALWAYS AS (frame -> 'params' -> 'events' -> 0 ->> 'event') STORED,
  component   text GENERATED ALWAYS AS (frame -> 'params' -> 'events' -> 0 ->> 'component') STORED,
  output      bool GENERATED ALWAYS AS ((frame -> 'params' -> 'switch:0' ->> 'output')::bool) STORED,
  power_w     double precision GENERATED ALWAYS AS ((frame -> 'params' -> 'switch:0' ->> 'apower')::double precision) STORED,
  temperature double precision GENERATED ALWAYS AS ((frame -> 'params' -> 'temperature:0' ->> 'tC')::double precision) STORED,
  humidity    double precision GENERATED ALWAYS AS ((frame -> 'params' -> 'humidity:0' ->> 'rh')::double precision) STORED,
  battery     double precision GENERATED ALWAYS AS ((frame -> 'params' -> 'devicepower:0' -> 'battery' ->> 'percent')::double precision) STORED
) WITH (event_time = 'at', mqtt = 'shelly{unit}/events/rpc -> frame');
COMMENT ON TABLE shelly_notices IS 'Notifications: NotifyStatus, NotifyFullStatus, NotifyEvent.';

CREATE TABLE shelly_presence (
  unit   text NOT NULL,
  device text GENERATED ALWAYS AS ('shelly' || unit) STORED,
  at     timestamptz NOT NULL DEFAULT now(),
  online bool NOT NULL
) WITH (event_time = 'at', mqtt = 'shelly{unit}/online -> online');
COMMENT ON TABLE shelly_presence IS 'true, and false by the last will.';

CREATE MATERIALIZED VIEW shelly_energy_hourly
WITH (overview = 'bar', title = 'Shelly: energy', x = 'hour', y = 'kwh', series = 'device', unit = 'kWh') AS
SELECT device, component, date_trunc('hour', at) AS hour, avg(power_w) AS power_w,
       (max(energy_wh) - min(energy_wh)) / 1000 AS kwh
FROM shelly_status WHERE energy_wh IS NOT NULL OR power_w IS NOT NULL GROUP BY device, component, hour;

CREATE MATERIALIZED VIEW shelly_last AS
SELECT device, component, max(at) AS seen, last(output, at) FILTER (WHERE output IS NOT NULL) AS output,
       last(power_w, at) FILTER (WHERE power_w IS NOT NULL) AS power_w,
       last(temperature, at) FILTER (WHERE temperature IS NOT NULL) AS temperature,
       last(humidity, at) FILTER (WHERE humidity IS NOT NULL) AS humidity,
       last(battery, at) FILTER (WHERE battery IS NOT NULL) AS battery
FROM shelly_status GROUP BY device, component;

CREATE MATERIALIZED VIEW shelly_buttons AS
SELECT device, component, event, date_trunc('hour', at) AS hour, count(*) AS times
FROM shelly_notices WHERE event IS NOT NULL GROUP BY device, component, event, hour;

CREATE MATERIALIZED VIEW shelly_online AS
SELECT device, last(online, at) AS online, max(at) AS since FROM shelly_presence GROUP BY device;
