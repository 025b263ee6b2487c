-- ChirpStack v4, its MQTT integration with json = true. In chirpstack.toml:
--   [integration.mqtt]
--   server = "tcp://<address of Tarn>:1883/"
--   json = true
-- The fields of object are those of your codec: add columns for yours.

CREATE TABLE lora_uplinks (
  "deduplicationId" text PRIMARY KEY,          -- an uplink sent again is one row
  time              timestamptz NOT NULL,
  application_id    text NOT NULL,
  dev_eui           text NOT NULL,
  "deviceInfo"      jsonb,
  "devAddr"         text,
  dr                integer,
  "fCnt"            bigint,
  "fPort"           integer,
  confirmed         bool,
  data              text,                      -- base64
  object            jsonb,
  "rxInfo"          jsonb,
  "txInfo"          jsonb,
  device            text GENERATED ALWAYS AS ("deviceInfo" ->> 'deviceName') STORED,
  profile           text GENERATED ALWAYS AS ("deviceInfo" ->> 'deviceProfileName') STORED,
  gateways          integer GENERATED ALWAYS AS (CASE WHEN jsonb_typeof("rxInfo") = 'array' THEN jsonb_array_length("rxInfo") END) STORED,
  gateway_id        text GENERATED ALWAYS AS ("rxInfo" -> 0 ->> 'gatewayId') STORED,
  rssi              integer GENERATED ALWAYS AS (("rxInfo" -> 0 ->> 'rssi')::integer) STORED,
  snr               double precision GENERATED ALWAYS AS (("rxInfo" -> 0 ->> 'snr')::double precision) STORED,
  spreading_factor  integer GENERATED ALWAYS AS (("txInfo" -> 'modulation' -> 'lora' ->> 'spreadingFactor')::integer) STORED,
  temperature       double precision GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(object -> 'temperature') = 'number'
                      THEN (object ->> 'temperature')::double precision END) STORED,
  humidity          double precision GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(object -> 'humidity') = 'number'
                      THEN (object ->> 'humidity')::double precision END) STORED,
  battery           double precision GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(object -> 'battery') = 'number'
                      THEN (object ->> 'battery')::double precision END) STORED
) WITH (event_time = 'time', dedupe_window = '7 days', mqtt = 'application/{application_id}/device/{dev_eui}/event/up');
COMMENT ON TABLE lora_uplinks IS 'Uplinks of LoRaWAN devices, with what the codec made of them.';

CREATE TABLE lora_status (
  "deduplicationId"     text PRIMARY KEY,
  time                  timestamptz NOT NULL,
  application_id        text NOT NULL,
  dev_eui               text NOT NULL,
  "deviceInfo"          jsonb,
  margin                integer,
  "externalPowerSource" bool,
  "batteryLevelUnavailable" bool,
  "batteryLevel"        double precision,
  device                text GENERATED ALWAYS AS ("deviceInfo" ->> 'deviceName') STORED
) WITH (event_time = 'time', dedupe_window = '7 days', mqtt = 'application/{application_id}/device/{dev_eui}/event/status');
COMMENT ON TABLE lora_status IS 'Battery and link margin, as devices answer DevStatusReq.';

CREATE TABLE lora_joins (
  "deduplicationId" text PRIMARY KEY,
  time              timestamptz NOT NULL,
  application_id    text NOT NULL,
  dev_eui           text NOT NULL,
  "devAddr"         text
) WITH (event_time = 'time', dedupe_window = '7 days', mqtt = 'application/{application_id}/device/{dev_eui}/event/join');
COMMENT ON TABLE lora_joins IS 'When devices joined.';

CREATE TABLE lora_log (
  time           timestamptz NOT NULL,
  application_id text NOT NULL,
  dev_eui        text NOT NULL,
  level          text,
  code           text,
  description    text,
  context        jsonb
) WITH (event_time = 'time', mqtt = 'application/{application_id}/device/{dev_eui}/event/log');
COMMENT ON TABLE lora_log IS 'Warnings and errors of ChirpStack about a device.';

CREATE MATERIALIZED VIEW lora_hourly
WITH (overview = 'line', title = 'LoRaWAN: temperature', x = 'hour', y = 'temperature', series = 'device', unit = '°C') AS
SELECT dev_eui, device, date_trunc('hour', time) AS hour, count(*) AS uplinks, avg(temperature) AS temperature,
       avg(humidity) AS humidity, avg(rssi) AS rssi, min(snr) AS snr_lowest
FROM lora_uplinks GROUP BY dev_eui, device, hour;

-- Frames that no gateway heard: what the counter says less what arrived.
CREATE MATERIALIZED VIEW lora_loss_daily AS
SELECT dev_eui, date_trunc('day', time) AS day, count(*) AS received, max("fCnt") - min("fCnt") + 1 - count(*) AS missed,
       last(spreading_factor, time) AS spreading_factor
FROM lora_uplinks WHERE "fCnt" IS NOT NULL GROUP BY dev_eui, day;

CREATE MATERIALIZED VIEW lora_battery AS
SELECT dev_eui, last(device, time) AS device, last("batteryLevel", time) AS battery, last(margin, time) AS margin, max(time) AS asked
FROM lora_status WHERE coalesce("batteryLevelUnavailable", false) = false GROUP BY dev_eui;
