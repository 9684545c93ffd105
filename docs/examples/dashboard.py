#!/usr/bin/env python3
"""Lists the clips of the last hour, then follows live events (docs/protocol.md has every message).
usage: dashboard.py RUNTIME_FOLDER [NUMBER_OF_EVENTS]        needs python3-zmq"""
import datetime
import json
import sys
import zmq

runtime, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else -1
context = zmq.Context()
events = context.socket(zmq.SUB)  # subscribed before asking, so that nothing falls in between
events.connect(f"ipc://{runtime}/events.sock")
events.subscribe("")
hub = context.socket(zmq.DEALER)
hub.RCVTIMEO, hub.LINGER = 5000, 0
hub.connect(f"ipc://{runtime}/dashboard.sock")

def ask(verb, fields):
    hub.send_multipart([b"HD1", verb.encode(), b"1", json.dumps(fields).encode()])
    _, _, status, reply = hub.recv_multipart()[:4]
    return json.loads(reply) if status == b"ok" else sys.exit(f"{verb}: {reply.decode()}")

now = datetime.datetime.now(datetime.timezone.utc)
window = {k: (now - datetime.timedelta(hours=h)).isoformat()[:19] + "Z" for k, h in (("from", 1), ("to", 0))}
names = {c["camera"]: c["name"] for c in ask("cameras", {})["cameras"]}
for clip in ask("clips", window)["clips"]:
    print("clip", names.get(clip["camera"]), clip["begin"], clip["end"], clip["bytes"], flush=True)
while count:
    print("event", *(frame.decode() for frame in events.recv_multipart()), flush=True)
    count -= 1
