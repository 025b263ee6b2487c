-- Home Assistant's MQTT discovery with its prefix homeassistant, and states on
-- topics .../state beneath it: of devices that put them beside their config,
-- and of Home Assistant itself by mqtt_statestream: base_topic: homeassistant.
--
-- A device whose state topics lie elsewhere (config says state_topic) needs a
-- table of its own with that topic; ha_entities lists them.

-- The newest config of an entity wins. An empty one, by which an entity goes, is
-- no event to Tarn: the entity stays listed. Keys may be abbreviated: stat_t, unit_of_meas, dev_cla, dev; ~ stands for the
-- base topic.
CREATE TABLE ha_entities (
  object_id    text PRIMARY KEY,
  component    text NOT NULL,
  node_id      text,
  config       jsonb,
  name         text GENERATED ALWAYS AS (config ->> 'name') STORED,
  unique_id    text GENERATED ALWAYS AS (coalesce(config ->> 'unique_id', config ->> 'uniq_id')) STORED,
  state_topic  text GENERATED ALWAYS AS (replace(coalesce(config ->> 'state_topic', config ->> 'stat_t'), '~', coalesce(config ->> '~', '~'))) STORED,
  unit         text GENERATED ALWAYS AS (coalesce(config ->> 'unit_of_measurement', config ->> 'unit_of_meas')) STORED,
  device_class text GENERATED ALWAYS AS (coalesce(config ->> 'device_class', config ->> 'dev_cla')) STORED,
  device       text GENERATED ALWAYS AS (coalesce(config -> 'device' ->> 'name', config -> 'dev' ->> 'name')) STORED
) WITH (kind = 'reference', mqtt = 'homeassistant/{component}/{object_id}/config -> config,
  homeassistant/{component}/{node_id}/{object_id}/config -> config');
COMMENT ON TABLE ha_entities IS 'Entities by MQTT discovery.';

CREATE TABLE ha_states (
  component text NOT NULL,
  node_id   text,
  object_id text NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  state     text,
  value     double precision GENERATED ALWAYS AS (CASE WHEN state ~ '^-?[0-9]+([.][0-9]+)?$' THEN state::double precision END) STORED,
  is_on     bool GENERATED ALWAYS AS (CASE lower(state) WHEN 'on' THEN true WHEN 'off' THEN false END) STORED,
  attributes jsonb GENERATED ALWAYS AS (CASE WHEN state ~ '^[{].*[}]$' THEN state::jsonb END) STORED
) WITH (event_time = 'at', mqtt = 'homeassistant/{component}/{object_id}/state -> state,
  homeassistant/{component}/{node_id}/{object_id}/state -> state');
COMMENT ON TABLE ha_states IS 'States as they were published: a number, on or off, text, a JSON object.';

CREATE MATERIALIZED VIEW ha_hourly
WITH (overview = 'line', title = 'Home Assistant: numbers', x = 'hour', y = 'average', series = 'object_id') AS
SELECT s.object_id, e.unit, date_trunc('hour', s.at) AS hour, avg(s.value) AS average, min(s.value) AS lowest, max(s.value) AS highest
FROM ha_states s LEFT JOIN ha_entities e ON e.object_id = s.object_id
WHERE s.value IS NOT NULL GROUP BY s.object_id, e.unit, hour;

CREATE MATERIALIZED VIEW ha_last AS
SELECT s.component, s.object_id, last(e.name, s.at) AS name, last(e.device, s.at) AS device, last(e.unit, s.at) AS unit,
       last(s.state, s.at) AS state, max(s.at) AS since
FROM ha_states s LEFT JOIN ha_entities e ON e.object_id = s.object_id
GROUP BY s.component, s.object_id;

CREATE MATERIALIZED VIEW ha_switched_daily AS
SELECT component, object_id, date_trunc('day', at) AS day, count(*) FILTER (WHERE is_on) AS on_times, count(*) FILTER (WHERE NOT is_on) AS off_times
FROM ha_states WHERE is_on IS NOT NULL GROUP BY component, object_id, day;
