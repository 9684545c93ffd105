#!/usr/bin/python3
"""Wrong and hostile input to a hub that records: wrong configuration, windows and cameras that make no sense, frames
that are no protocol, messages beyond every limit. Each gets its clear error, or silence, and no camera loses a frame."""
import json
import os
import signal
import socket
import time
import unittest

import hub_case
import hubkit
from hub_case import cameras_of

try:
    import zmq
except ImportError:
    zmq = None

CAMERAS = "h264:160x120@15:gop=15,h265:160x120@10:gop=10"
GIB = 1 << 30


def rss_bytes(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


@unittest.skipIf(zmq is None, "no python3-zmq")
class Input(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder, cls.programs = hub_case.temp_folder(cls), hubkit.Programs()
        cls.hub = cls.enterClassContext(hub_case.RunningHub(cls.programs, cls.folder, CAMERAS, clip_seconds=3)).hub
        cls.recorders, cls.daemon = cls.hub.recorder_pids(), cls.hub.daemon.pid
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, 0)

    def tearDown(self):
        """Whatever a test did: the same processes, and the owner is answered."""
        self.assertTrue(self.hub.daemon.alive(), self.hub.daemon.text()[-2000:])
        self.assertEqual(self.hub.recorder_pids(), self.recorders)
        self.assertEqual({c["state"] for c in cameras_of(self.hub).values()}, {"recording"})

    def dealer(self, endpoint="owner", kind=None):
        peer = self.context.socket(kind or zmq.DEALER)
        peer.linger = 0
        peer.connect(f"ipc://{self.hub.data}/run/{endpoint}.sock")
        self.addCleanup(peer.close, 0)
        return peer

    def reply(self, peer, seconds=3.0):
        """(status, json) or None."""
        if not peer.poll(int(seconds * 1000)):
            return None
        frames = peer.recv_multipart()
        if frames[0] == b"":  # a REQ socket's delimiter, mirrored
            frames = frames[1:]
        return frames[2].decode(), json.loads(frames[3])

    def ask(self, verb, question, endpoint="owner"):
        peer = self.dealer(endpoint)
        text = question if isinstance(question, bytes) else json.dumps(question).encode()
        peer.send_multipart([b"HD1", verb, b"7", text])
        return self.reply(peer)

    # Configuration.

    def daemon_with(self, text, *options):
        config = self.folder / "wrong.toml"
        config.write_text(text)
        log = self.folder / "wrong.log"
        log.unlink(missing_ok=True)
        process = hubkit.Process([self.programs.path("halfdoord"), "--config", config, *options], log)
        return process.child.wait(10), log.read_text()

    def test_a_wrong_configuration_names_file_line_key_and_rule(self):
        data = f'[hub]\ndata_folder = "{self.folder}/elsewhere"\n'
        cases = [
            (data + "log_levl = 1\n", 3, "hub.log_levl", "log_level"),
            (data + "log_level = 7\n", 3, "hub.log_level", ""),
            (data + "[recording]\nclip_target_s = 121\n", 4, "recording.clip_target_s", "120"),
            (data + "[retention]\nreserve_mb = 1\n", 4, "retention.reserve_mb", "16"),
            (data + '[[camera]]\nid = "12"\nname = "door"\nurl = "rtsp://h/"\n', 4, "camera[1].id", "32"),
            (data + '[[camera]]\nid = "' + "0" * 31 + '1"\nname = "door"\nurl = "rtsp://u:secret@h/"\n', 6, "camera[1].url", ""),
            (data + "[hub\n", 3, "", ""),
        ]
        for text, line, key, rule in cases:
            for options in ((), ("--check-config",)):
                with self.subTest(key=key, options=options):
                    code, said = self.daemon_with(text, *options)
                    self.assertEqual(code, 2, said)
                    self.assertIn(f"wrong.toml:{line}: {key}", said)
                    self.assertIn(rule, said)
                    self.assertNotIn("secret", said)
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_a_wrong_configuration_at_sighup_changes_nothing_and_is_shown(self):
        good = self.hub.config.read_text()
        self.hub.config.write_text(good + "\n[retention]\nmax_age_hours = -1\n")
        try:
            os.kill(self.daemon, signal.SIGHUP)
            warning = hubkit.wait_until(
                lambda: [w for w in self.warnings() if w["name"] == "config"], 10, "warning")[0]
            self.assertIn("retention.max_age_hours", warning["text"])
        finally:
            self.hub.config.write_text(good)
        os.kill(self.daemon, signal.SIGHUP)
        hubkit.wait_until(lambda: not [w for w in self.warnings() if w["name"] == "config"], 10, "end of the warning")

    def warnings(self):
        status, body = self.ask(b"status", {})
        self.assertEqual(status, "ok")
        return body["warnings"]

    def test_a_second_daemon_on_the_same_data_is_refused(self):
        log = self.folder / "second.log"
        second = hubkit.Process([self.programs.path("halfdoord"), "--config", self.hub.config], log)
        self.assertEqual(second.child.wait(10), 3, log.read_text())

    # Questions that make no sense.

    def test_a_window_that_ends_before_it_begins_and_a_camera_that_is_not_there(self):
        window = {"from": "2026-01-01T10:00:00Z", "to": "2026-01-01T09:00:00Z"}
        for question, field in ((window, "to"), ({**window, "to": window["from"]}, "to"),
                                ({**window, "to": "2028-01-01T00:00:00Z"}, "to"),
                                ({**window, "to": "yesterday"}, "to"), ({"to": window["to"]}, "from"),
                                ({**window, "to": "2026-01-01T11:00:00Z", "cameras": ["attic"]}, "cameras"),
                                ({**window, "to": "2026-01-01T11:00:00Z", "limit": 0}, "limit"),
                                ({**window, "to": "2026-01-01T11:00:00Z", "cursor": "x"}, "cursor"),
                                ({**window, "to": "2026-01-01T11:00:00Z", "colour": 1}, "colour")):
            for endpoint in ("owner", "dashboard"):
                with self.subTest(question=question, endpoint=endpoint):
                    status, body = self.ask(b"clips", question, endpoint)
                    self.assertIn(status, ("invalid", "not_found"), body)
                    self.assertEqual(body["error"]["field"].split("[")[0], field, body)
                    self.assertTrue(body["error"]["rule"])
        done = self.hub.cli("clips", "--from", "14:00", "--to", "13:00", check=False)
        self.assertEqual(done.returncode, 2)
        done = self.hub.cli("export", "--from", "-1h", "--to", "-1m", "--camera", "attic", "--key", self.hub.owner_key,
                            "-o", self.folder / "none.mp4", check=False)
        self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assertIn("attic", done.stderr)

    # Bytes that are no protocol.

    def test_malformed_messages_get_an_error_or_silence(self):
        deep = b'{"a":' * 20 + b"1" + b"}" * 20
        messages = [[b""], [b"HD1"], [b"HD2", b"status", b"1", b"{}"], [b"HD1", b"STATUS", b"1", b"{}"],
                    [b"HD1", b"status", b"", b"{}"], [b"HD1", b"status", b"1" * 65, b"{}"], [b"HD1", b"status", b"1"],
                    [b"HD1", b"status", b"1", b""], [b"HD1", b"status", b"1", b"[]"], [b"HD1", b"status", b"1", b"{} x"],
                    [b"HD1", b"status", b"1", b'{"a":1,"a":1}'], [b"HD1", b"status", b"1", b'{"a":"\xff"}'],
                    [b"HD1", b"status", b"1", b"\xef\xbb\xbf{}"], [b"HD1", b"status", b"1", deep],
                    [b"HD1", b"clip.read", b"1", b'{"clip":"../../hub/hub.key","offset":0,"size":100}'],
                    [b"HD1", b"clip.read", b"1", b'{"clip":"/etc/passwd","offset":0,"size":100}'],
                    [b"HD1", b"nothing.such", b"1", b"{}"],
                    [os.urandom(50) for _ in range(8)], [b"x"] * 60]
        for message in messages:
            with self.subTest(message=[m[:30] for m in message]):
                peer = self.dealer()
                peer.send_multipart(message)
                answer = self.reply(peer, 0.3)
                if answer:
                    self.assertIn(answer[0], ("invalid", "not_found", "refused"), answer)
        self.assertEqual(self.ask(b"status", {})[0], "ok")

    def test_bytes_that_are_not_even_zeromq(self):
        for name in ("owner", "dashboard", "events", "gate"):
            for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff" * 9 + b"\x7f" + b"\x03" + b"\x00" * 53):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
                    raw.connect(f"{self.hub.data}/run/{name}.sock")
                    raw.sendall(garbage)
        link = f"{self.hub.data}/run/link.sock"
        for garbage in (b"\x00", b"x" * 60_000, os.urandom(2000)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
                raw.connect(link)
                raw.send(garbage)
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(30)]
        for raw in silent:
            raw.connect(link)
        time.sleep(0.5)
        self.assertEqual(self.ask(b"status", {})[0], "ok")
        for raw in silent:
            raw.close()

    # Messages beyond every limit.

    def test_one_frame_of_a_gibibyte_ends_its_connection_only(self):
        before = rss_bytes(self.daemon)
        huge = memoryview(bytes(GIB))  # zero pages: costs this process no memory
        for endpoint in ("owner", "dashboard"):
            peer = self.dealer(endpoint)
            peer.send_multipart([b"HD1", b"status", b"1"], zmq.SNDMORE)
            peer.send(huge, copy=False)
            self.assertIsNone(self.reply(peer, 1.0))
            peer.close(0)
        self.assertEqual(self.ask(b"status", {})[0], "ok")
        self.assertLess(rss_bytes(self.daemon) - before, 32 << 20)

    def test_a_message_of_many_legal_frames_is_dropped_and_counted(self):
        dropped = self.ask(b"status", {})[1]["counters"]["dropped_messages"]
        frame = bytes(1 << 20)
        peer = self.dealer()
        for _ in range(63):  # 64 MiB; libzmq gathers a message before it shows it to anybody
            peer.send(frame, zmq.SNDMORE)
        peer.send(frame)
        self.assertIsNone(self.reply(peer, 1.0))
        hubkit.wait_until(lambda: self.ask(b"status", {})[1]["counters"]["dropped_messages"] > dropped, 10, "count")

    def test_z_no_camera_lost_a_frame_by_any_of_it(self):
        for camera in self.recorders:
            clips = hubkit.wait_until(
                lambda c=camera: len(self.hub.clip_files(c)) >= 3 and self.hub.clip_files(c), 30, "three clips")
            count = hub_case.count_frames(
                self.programs, hub_case.opened(self.hub, clips, self.folder / "all.mp4"))
            self.assertTrue(count["complete"], count)


if __name__ == "__main__":
    hub_case.main()
