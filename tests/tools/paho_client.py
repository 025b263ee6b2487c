"""A publisher and a subscriber of Debian's python3-paho-mqtt, both with a
session that is kept: paho_client.py PORT VERSION QOS COUNT.

Publishes {"n": 0..COUNT-1} to keyed/paho-VERSION-QOS, at most 20 under way, and
goes on by itself when the connection breaks. Ends when all are acknowledged
and all have come back; prints one line of JSON.
"""
import json
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, qos, count = (int(a) for a in sys.argv[1:5])
topic = f"keyed/paho-{version}-{qos}"
got = []
connects = {"pub": 0, "sub": 0}
subscribed = threading.Event()
window = threading.Semaphore(20)


def client(name):
    protocol = mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311
    kept = {} if version == 5 else {"clean_session": False}
    c = mqtt.Client(f"paho-{name}-{version}-{qos}", protocol=protocol, **kept)
    c.reconnect_delay_set(0.05, 0.2)
    c.max_inflight_messages_set(20)
    c.on_connect = lambda *a: connects.update({name: connects[name] + 1})
    return c


def connect(c):
    if version == 5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        c.connect("127.0.0.1", port, 30, clean_start=False, properties=properties)
    else:
        c.connect("127.0.0.1", port, 30)
    c.loop_start()


sub, pub = client("sub"), client("pub")
sub.on_subscribe = lambda *a: subscribed.set()
sub.on_message = lambda c, u, m: got.append(json.loads(m.payload)["n"])
pub.on_publish = lambda *a: window.release()
connect(sub)
while not sub.is_connected():
    time.sleep(0.005)
sub.subscribe(topic, qos)
assert subscribed.wait(10)
connect(pub)
end = time.monotonic() + 30
for n in range(count):
    assert window.acquire(timeout=300)
    pub.publish(topic, json.dumps({"n": n}), qos)
while len(set(got)) < count and time.monotonic() < end:
    time.sleep(0.005)
for _ in range(20):
    assert window.acquire(timeout=300)
for c in (pub, sub):
    c.disconnect()
    c.loop_stop()
print(json.dumps({"got": len(got), "different": len(set(got)), "connects": connects}))
