-- A first cut of the office pipeline: badge readers, doors, room sensors.
-- Post an event:
--   curl localhost:8420/api/v1/streams/badge_events -d '{"event_id":"1",
--     "ts":"2026-03-01T08:00:00Z","site":"berlin","door":"D1",
--     "person_id":"p1","direction":"in","result":"granted"}'

CREATE TABLE badge_events (
  event_id      text PRIMARY KEY,
  ts            timestamptz NOT NULL,
  site          text NOT NULL,
  door          text NOT NULL,
  reader        text,
  person_id     text,
  credential_id text,
  direction     text CHECK (direction IN ('in', 'out')),
  result        text NOT NULL DEFAULT 'granted'
                CHECK (result IN ('granted', 'denied')),
  reason        text,
  source        text
) WITH (event_time = 'ts', dedupe_window = '7 days');
COMMENT ON TABLE badge_events IS 'Door readers, all sites.';

CREATE TABLE sensor_readings (
  ts     timestamptz NOT NULL,
  device text NOT NULL,
  metric text NOT NULL,
  value  double precision NOT NULL,
  unit   text,
  PRIMARY KEY (device, metric, ts)
) WITH (event_time = 'ts');
COMMENT ON TABLE sensor_readings IS 'Room sensors: one value of one metric.';

CREATE TABLE sites (
  site     text PRIMARY KEY,
  name     text,
  tz       text,
  capacity integer
) WITH (kind = 'reference');
COMMENT ON TABLE sites IS 'Where the doors are.';

CREATE MATERIALIZED VIEW visits_hourly
WITH (overview = 'line', title = 'Entries by hour', x = 'hour', y = 'entries', series = 'site', unit = 'entries', position = 20) AS
SELECT site, date_trunc('hour', ts) AS hour,
       count(*) AS events,
       count(*) FILTER (WHERE direction = 'in' AND result = 'granted') AS entries,
       count(*) FILTER (WHERE direction = 'out' AND result = 'granted') AS exits,
       count(DISTINCT person_id) AS people
FROM badge_events GROUP BY site, hour;

CREATE MATERIALIZED VIEW people_today
WITH (overview = 'tile', title = 'People seen today', x = 'day', y = 'people', unit = 'people', position = 10) AS
SELECT date_trunc('day', ts) AS day, count(DISTINCT person_id) AS people
FROM badge_events WHERE result = 'granted' GROUP BY day;

CREATE MATERIALIZED VIEW first_last AS
SELECT date_trunc('day', ts) AS day, person_id,
       min(ts) FILTER (WHERE direction = 'in') AS first_in,
       max(ts) FILTER (WHERE direction = 'out') AS last_out,
       last(site, ts) AS last_site
FROM badge_events WHERE result = 'granted' AND person_id IS NOT NULL
GROUP BY day, person_id;

CREATE MATERIALIZED VIEW denied_by_door
WITH (overview = 'table', title = 'Denied at doors', x = 'day', y = 'denied', series = 'door', position = 40) AS
SELECT date_trunc('day', ts) AS day, site, door, count(*) AS denied,
       count(DISTINCT credential_id) AS credentials
FROM badge_events WHERE result = 'denied' GROUP BY day, site, door;

CREATE MATERIALIZED VIEW room_climate
WITH (overview = 'line', title = 'Sensors', x = 'slot', y = 'average', series = 'device', position = 30) AS
SELECT date_bin('5 minutes', ts, 'epoch') AS slot, device, metric,
       avg(value) AS average, min(value) AS lowest, max(value) AS highest,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS median
FROM sensor_readings GROUP BY slot, device, metric;

CREATE MATERIALIZED VIEW site_days AS
SELECT date_trunc('day', b.ts) AS day, s.name AS site_name,
       count(DISTINCT b.person_id) AS people, max(s.capacity) AS capacity
FROM badge_events b LEFT JOIN sites s ON s.site = b.site
WHERE b.result = 'granted' GROUP BY day, s.name;
