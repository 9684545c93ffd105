#!/usr/bin/env python3
"""Foreign client against a running hub or test endpoint: framing only, with stock python3-zmq.

usage: smoke_protocol.py ADDRESS        exit 0 if every answer has the form of docs/protocol.md section 2
"""
import json
import sys

import zmq

FIELD = {
    "bad tag": ([b"HD2", b"hello", b"1", b"{}"], "tag"),
    "no json": ([b"HD1", b"hello", b"1"], "frames"),
    "array": ([b"HD1", b"hello", b"1", b"[]"], "json"),
    "repeated key": ([b"HD1", b"hello", b"1", b'{"a":1,"a":2}'], "a"),
    "upper case verb": ([b"HD1", b"Hello", b"1", b"{}"], "verb"),
}


def main():
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.rcvtimeo = 10000
    socket.connect(sys.argv[1])

    socket.send_multipart([b"HD1", b"hello", b"id-7", b"{}"])
    tag, correlation, status, body = socket.recv_multipart()[:4]
    assert (tag, correlation, status) == (b"HD1", b"id-7", b"ok"), (tag, correlation, status)
    assert isinstance(json.loads(body), dict)

    for name, (frames, field) in FIELD.items():
        socket.send_multipart(frames)
        tag, _, status, body = socket.recv_multipart()
        error = json.loads(body)["error"]
        assert (tag, status) == (b"HD1", b"invalid"), name
        assert error["code"] == "invalid" and error["field"] == field and error["rule"], (name, error)

    # Too many frames: silence, and the next question is answered.
    socket.send_multipart([b"HD1", b"hello", b"x", b"{}"] + [b"y"] * 46)
    socket.send_multipart([b"HD1", b"hello", b"after", b"{}"])
    assert socket.recv_multipart()[1] == b"after"

    request = context.socket(zmq.REQ)
    request.linger = 0
    request.rcvtimeo = 10000
    request.connect(sys.argv[1])
    request.send_multipart([b"HD1", b"hello", b"req", b"{}"])
    assert request.recv_multipart()[1] == b"req"
    print("framing ok")


if __name__ == "__main__":
    main()
