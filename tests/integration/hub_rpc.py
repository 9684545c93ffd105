"""Questions to a running hub and its events, without starting a program for each. Needs python3-zmq."""
import json
import os
import pathlib
import time


class Rpc:
    def __init__(self, runtime):
        import zmq
        self.zmq, self.context, self.runtime = zmq, zmq.Context.instance(), pathlib.Path(runtime)
        self.socket = self.events = None

    def connect(self):
        self.close()
        self.socket = self.context.socket(self.zmq.DEALER)
        self.socket.connect(f"ipc://{self.runtime}/owner.sock")
        self.events = self.context.socket(self.zmq.SUB)
        self.events.subscribe(b"")
        self.events.connect(f"ipc://{self.runtime}/events.sock")
        return self

    def close(self):
        for socket in (self.socket, self.events):
            if socket is not None:
                socket.close(0)
        self.socket = self.events = None

    def send(self, verb, frame=None, **question):
        """Asks and does not wait; gives what `answer` wants."""
        tag = os.urandom(4).hex().encode()
        message = [b"HD1", verb.encode(), tag, json.dumps(question).encode()]
        self.socket.send_multipart(message + ([frame] if frame is not None else []))
        return tag

    def answer(self, tag, seconds=10):
        deadline = time.monotonic() + seconds
        while self.socket.poll(max(1, int((deadline - time.monotonic()) * 1000))):
            frames = self.socket.recv_multipart()
            if frames[1] == tag:
                if frames[2] != b"ok":
                    raise RuntimeError(f"{frames[2:4]}")
                return json.loads(frames[3])
        raise TimeoutError(f"no answer within {seconds} s")

    def ask(self, verb, seconds=10, **question):
        return self.answer(self.send(verb, **question), seconds)

    def take_events(self):
        while self.events.poll(0):
            topic, body = self.events.recv_multipart()
            yield topic.decode(), json.loads(body)

    def clips(self, window):
        """All rows of a window, every page of them."""
        clips, cursor = [], {}
        while True:
            answer = self.ask("clips", limit=5000, **window, **cursor)
            clips += answer["clips"]
            if "cursor" not in answer:
                return clips
            cursor = {"cursor": answer["cursor"]}
