-- Tasmota with its standard FullTopic %prefix%/%topic%/. On the device:
-- Backlog MqttHost <address of Tarn>; MqttPort 1883; Topic <name>
--
-- Time in Tasmota's payloads is local time without a zone: rows carry the
-- time of arrival, and the device's own as device_time.

CREATE TABLE tasmota_sensors (
  device      text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  payload     jsonb,
  device_time timestamp GENERATED ALWAYS AS ((payload ->> 'Time')::timestamp) STORED,
  temperature double precision GENERATED ALWAYS AS (coalesce(
                payload -> 'AM2301' ->> 'Temperature', payload -> 'DHT11' ->> 'Temperature',
                payload -> 'DS18B20' ->> 'Temperature', payload -> 'SI7021' ->> 'Temperature',
                payload -> 'SHT3X' ->> 'Temperature', payload -> 'BME280' ->> 'Temperature',
                payload -> 'BMP280' ->> 'Temperature')::double precision) STORED,
  humidity    double precision GENERATED ALWAYS AS (coalesce(
                payload -> 'AM2301' ->> 'Humidity', payload -> 'DHT11' ->> 'Humidity',
                payload -> 'SI7021' ->> 'Humidity', payload -> 'SHT3X' ->> 'Humidity',
                payload -> 'BME280' ->> 'Humidity')::double precision) STORED,
  -- Several channels report an array: the first three are added.
  power_w     double precision GENERATED ALWAYS AS (CASE jsonb_typeof(payload -> 'ENERGY' -> 'Power')
                WHEN 'array' THEN coalesce((payload -> 'ENERGY' -> 'Power' ->> 0)::double precision, 0)
                  + coalesce((payload -> 'ENERGY' -> 'Power' ->> 1)::double precision, 0)
                  + coalesce((payload -> 'ENERGY' -> 'Power' ->> 2)::double precision, 0)
                ELSE (payload -> 'ENERGY' ->> 'Power')::double precision END) STORED,
  voltage     double precision GENERATED ALWAYS AS (CASE jsonb_typeof(payload -> 'ENERGY' -> 'Voltage')
                WHEN 'array' THEN (payload -> 'ENERGY' -> 'Voltage' ->> 0)::double precision
                ELSE (payload -> 'ENERGY' ->> 'Voltage')::double precision END) STORED,
  total_kwh   double precision GENERATED ALWAYS AS (CASE jsonb_typeof(payload -> 'ENERGY' -> 'Total')
                WHEN 'array' THEN coalesce((payload -> 'ENERGY' -> 'Total' ->> 0)::double precision, 0)
                  + coalesce((payload -> 'ENERGY' -> 'Total' ->> 1)::double precision, 0)
                  + coalesce((payload -> 'ENERGY' -> 'Total' ->> 2)::double precision, 0)
                ELSE (payload -> 'ENERGY' ->> 'Total')::double precision END) STORED
) WITH (event_time = 'at', mqtt = 'tele/{device}/SENSOR -> payload');
COMMENT ON TABLE tasmota_sensors IS 'Measurements of Tasmota devices, every TelePeriod.';

CREATE TABLE tasmota_states (
  device   text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  payload  jsonb,
  uptime_s bigint GENERATED ALWAYS AS ((payload ->> 'UptimeSec')::bigint) STORED,
  rssi     integer GENERATED ALWAYS AS ((payload -> 'Wifi' ->> 'RSSI')::integer) STORED,
  signal   integer GENERATED ALWAYS AS ((payload -> 'Wifi' ->> 'Signal')::integer) STORED,
  ssid     text GENERATED ALWAYS AS (payload -> 'Wifi' ->> 'SSId') STORED
) WITH (event_time = 'at', mqtt = 'tele/{device}/STATE -> payload');
COMMENT ON TABLE tasmota_states IS 'How Tasmota devices are: uptime, Wi-Fi.';

-- POWER of a device with one relay, POWER1, POWER2 ... of one with several.
CREATE TABLE tasmota_relays (
  device text NOT NULL,
  relay  text NOT NULL,
  at     timestamptz NOT NULL DEFAULT now(),
  state  text NOT NULL,
  is_on  bool GENERATED ALWAYS AS (state = 'ON') STORED
) WITH (event_time = 'at', mqtt = 'stat/{device}/POWER{relay} -> state');
COMMENT ON TABLE tasmota_relays IS 'Each switching of a relay: ON or OFF.';

CREATE TABLE tasmota_presence (
  device   text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  reported text NOT NULL,
  online   bool GENERATED ALWAYS AS (reported = 'Online') STORED
) WITH (event_time = 'at', mqtt = 'tele/{device}/LWT -> reported');
COMMENT ON TABLE tasmota_presence IS 'Online, and Offline by the last will.';

-- What a device says of itself (SetOption19 0). Its keys: t topic, dn device
-- name, md module, sw version, ip, mac.
CREATE TABLE tasmota_devices (
  t   text PRIMARY KEY,
  dn  text,
  md  text,
  sw  text,
  ip  text,
  mac text
) WITH (kind = 'reference', mqtt = 'tasmota/discovery/+/config');
COMMENT ON TABLE tasmota_devices IS 'Devices by topic, from Tasmota''s discovery.';

CREATE MATERIALIZED VIEW tasmota_energy_hourly
WITH (overview = 'bar', title = 'Tasmota: energy', x = 'hour', y = 'kwh', series = 'device', unit = 'kWh') AS
SELECT device, date_trunc('hour', at) AS hour, avg(power_w) AS power_w, max(power_w) AS power_max_w,
       max(total_kwh) - min(total_kwh) AS kwh, last(total_kwh, at) AS total_kwh
FROM tasmota_sensors WHERE total_kwh IS NOT NULL GROUP BY device, hour;

CREATE MATERIALIZED VIEW tasmota_climate_hourly AS
SELECT device, date_trunc('hour', at) AS hour, avg(temperature) AS temperature, avg(humidity) AS humidity
FROM tasmota_sensors WHERE temperature IS NOT NULL GROUP BY device, hour;

CREATE MATERIALIZED VIEW tasmota_relay_last AS
SELECT r.device, r.relay, last(d.dn, r.at) AS name, last(r.state, r.at) AS state, max(r.at) AS since,
       count(*) AS switched
FROM tasmota_relays r LEFT JOIN tasmota_devices d ON d.t = r.device GROUP BY r.device, r.relay;

CREATE MATERIALIZED VIEW tasmota_online AS
SELECT device, last(online, at) AS online, max(at) AS since FROM tasmota_presence GROUP BY device;
