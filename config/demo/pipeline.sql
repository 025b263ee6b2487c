-- The demo pipeline: people, CO2 and damper of four rooms, a value a minute.
-- Event time is put together from the date of the data's first day, a day
-- number and a time of day, as the data has them.

CREATE TABLE people_count (
  base        date    NOT NULL DEFAULT '2017-03-22',
  day_id      integer NOT NULL,
  time_of_day time    NOT NULL,
  room        integer NOT NULL CHECK (room BETWEEN 1 AND 4),
  people      integer NOT NULL CHECK (people BETWEEN 0 AND 500),
  ts          timestamptz GENERATED ALWAYS AS
              ((base + day_id + time_of_day) AT TIME ZONE 'UTC') STORED,
  PRIMARY KEY (room, ts)
) WITH (event_time = 'ts', dedupe_window = '30 days');
COMMENT ON TABLE people_count IS 'People in the room, counted by a stereo camera.';

CREATE TABLE co2 (
  base        date    NOT NULL DEFAULT '2017-03-22',
  day_id      integer NOT NULL,
  time_of_day time    NOT NULL,
  room        integer NOT NULL CHECK (room BETWEEN 1 AND 4),
  ppm         double precision NOT NULL CHECK (ppm BETWEEN 200 AND 10000),
  ts          timestamptz GENERATED ALWAYS AS
              ((base + day_id + time_of_day) AT TIME ZONE 'UTC') STORED,
  PRIMARY KEY (room, ts)
) WITH (event_time = 'ts', dedupe_window = '30 days');
COMMENT ON TABLE co2 IS 'CO2 in the room air, in parts per million.';

CREATE TABLE damper (
  base         date    NOT NULL DEFAULT '2017-03-22',
  day_id       integer NOT NULL,
  time_of_day  time    NOT NULL,
  room         integer NOT NULL CHECK (room BETWEEN 1 AND 4),
  open_percent double precision NOT NULL CHECK (open_percent BETWEEN 0 AND 100),
  ts           timestamptz GENERATED ALWAYS AS
               ((base + day_id + time_of_day) AT TIME ZONE 'UTC') STORED,
  PRIMARY KEY (room, ts)
) WITH (event_time = 'ts', dedupe_window = '30 days');
COMMENT ON TABLE damper IS 'Opening of the fresh-air damper of the room.';

CREATE MATERIALIZED VIEW people_now
WITH (overview = 'tile', title = 'People inside', x = 'minute', y = 'people', unit = 'people', position = 10) AS
SELECT date_bin('15 minutes', ts, 'epoch') AS minute, room,
       last(people, ts) AS people
FROM people_count GROUP BY minute, room;

CREATE MATERIALIZED VIEW co2_now
WITH (overview = 'tile', title = 'Highest CO2', x = 'minute', y = 'ppm', unit = 'ppm', position = 20) AS
SELECT date_bin('15 minutes', ts, 'epoch') AS minute, max(ppm) AS ppm
FROM co2 GROUP BY minute;

CREATE MATERIALIZED VIEW events_today
WITH (overview = 'tile', title = 'Counts of the day', x = 'day', y = 'readings', unit = 'readings', position = 30) AS
SELECT date_trunc('day', ts) AS day, count(*) AS readings
FROM people_count GROUP BY day;

CREATE MATERIALIZED VIEW people_by_room
WITH (overview = 'line', title = 'People in the rooms', x = 'slot', y = 'people', series = 'room', unit = 'people', position = 40) AS
SELECT date_bin('10 minutes', ts, 'epoch') AS slot, room,
       max(people) AS people, avg(people) AS average
FROM people_count GROUP BY slot, room;

CREATE MATERIALIZED VIEW co2_by_room
WITH (overview = 'line', title = 'CO2 in the rooms', x = 'slot', y = 'ppm', series = 'room', unit = 'ppm', position = 50) AS
SELECT date_bin('10 minutes', ts, 'epoch') AS slot, room,
       avg(ppm) AS ppm, max(ppm) AS highest,
       count(*) FILTER (WHERE ppm > 1000) AS minutes_above_1000
FROM co2 GROUP BY slot, room;

CREATE MATERIALIZED VIEW people_hourly
WITH (overview = 'heatmap', title = 'Person-minutes by hour', x = 'hour', y = 'person_minutes', unit = 'person-minutes', position = 60) AS
SELECT date_trunc('hour', ts) AS hour, sum(people) AS person_minutes,
       max(people) AS peak
FROM people_count GROUP BY hour;

CREATE MATERIALIZED VIEW room_days
WITH (overview = 'table', title = 'Busiest moment of each day', x = 'day', y = 'peak', series = 'room', unit = 'people', position = 70) AS
SELECT date_trunc('day', ts) AS day, room, max(people) AS peak,
       arg_max(ts, people) AS peak_at,
       count(*) FILTER (WHERE people > 0) AS minutes_used
FROM people_count GROUP BY day, room;

CREATE MATERIALIZED VIEW air_hourly AS
SELECT date_trunc('hour', ts) AS hour, room, avg(open_percent) AS open_percent,
       count(*) FILTER (WHERE open_percent = 0) AS minutes_closed
FROM damper GROUP BY hour, room;
