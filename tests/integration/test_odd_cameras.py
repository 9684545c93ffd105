#!/usr/bin/python3
"""Cameras with odd SDPs, odd answers and passwords, each recorded by a real hub or refused with a clear reason. Short;
the answers of real cameras are in test_cameras.py."""
import shutil
import unittest

import camera_hub
import hub_case
import hubkit
from odd_camera import Auth, Camera, OddCameras

V = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
BY_UDP = ("RTSP/1.0 200 OK\r\nCSeq: 0\r\nSession: 1\r\nTransport: RTP/AVP;unicast;client_port=1-2;source=127.0.0.9;"
          "server_port=3-4\r\n\r\n")
UDP = {"transport": '"udp"'}
USER = {"user": '"hub"', "password": '"of the test"'}
WRONG = {"user": '"hub"', "password": '"not this"'}


def auth(**kind):
    return Camera(auth=Auth("hub", "of the test", **kind))


# name -> camera, its keys, and what becomes of it: None is recorded, else words of the reason
CAMERAS = {
    "plain": (Camera(), {}, None),
    "no-session-lines": (Camera({"DESCRIBE": V}), {}, None),
    "control-before-media": (Camera({"DESCRIBE": f"v=0\na=control:*\n{V}a=control:/track1\n".replace("\r", "")}), {},
                             None),
    "wrong-sprop": (Camera({"DESCRIBE": V + "a=fmtp:96 sprop-parameter-sets=AAAA,!!!;packetization-mode=1\r\n"}), {},
                    None),
    "other-payload-type": (Camera({"DESCRIBE": V.replace("96", "127")}), {}, None),
    "hevc-by-its-other-name": (Camera({"DESCRIBE": V.replace("H264", "hevc")}, codec="H265"), {}, None),
    "channels-4-5": (Camera({"SETUP": "RTSP/1.0 200 OK\r\nCSeq: 0\r\nSession: a b;timeout=3\r\nTransport: "
                                      "RTP/AVP/TCP;unicast;interleaved=4-5\r\n\r\n"}), {}, None),
    "only-sound": (Camera({"DESCRIBE": "v=0\r\nm=audio 0 RTP/AVP 0\r\n"}), {}, "offers no video"),
    "other-codec": (Camera({"DESCRIBE": V.replace("H264", "VP8")}), {}, "VP8"),
    "no-sdp": (Camera({"DESCRIBE": "hello"}), {}, "camera describes no video"),
    "wants-udp": (Camera({"SETUP": BY_UDP}), {}, 'it wants UDP): set transport = "udp"'),
    "gets-udp": (Camera({"SETUP": BY_UDP}), UDP, None),
    "tcp-all-the-same": (Camera(), UDP, None),
    "no-udp": (Camera({"SETUP": "RTSP/1.0 461 Unsupported Transport\r\nCSeq: 0\r\n\r\n"}), UDP,
               '(461): set transport = "tcp"'),
    "basic": (auth(hashed=None), USER, None),
    "digest": (auth(extra=', opaque="x", algorithm=MD5'), USER, None),
    "digest-qop": (auth(extra=', qop="auth"'), USER, None),
    "digest-sha256": (auth(hashed="SHA-256", extra=", algorithm=SHA-256"), USER, None),
    "stale-nonces": (auth(fresh=1), USER, None),
    "wrong-password": (auth(), WRONG, "refused user or password"),
    "wrong-basic": (auth(hashed=None), WRONG, "refused user or password"),
    "no-password": (auth(), {}, "refused user or password"),
}


@unittest.skipIf(shutil.which("ffmpeg") is None, "no ffmpeg to make video with")
class OddCamerasTest(unittest.TestCase):
    def test_each_is_recorded_or_says_why_not(self):
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        server = OddCameras({name: camera for name, (camera, _, _) in CAMERAS.items()})
        self.addCleanup(server.close)
        with camera_hub.CameraHub(programs, folder, {name: server.url(name) for name in CAMERAS}, frames=10,
                                  keys={name: keys for name, (_, keys, _) in CAMERAS.items() if keys}) as run:
            outcomes, config = run.outcomes, run.hub.config.read_text(encoding="utf-8")
            log = run.hub.daemon.text()
        for name, (camera, _, reason) in CAMERAS.items():
            with self.subTest(name):
                outcome = outcomes[name]
                if reason is None:
                    self.assertTrue(outcome.recorded, outcome.words())
                    self.assertEqual(camera.asked[-1], "TEARDOWN")
                else:
                    self.assertFalse(outcome.recorded)
                    self.assertIn(reason, outcome.detail)
        self.assertGreater(CAMERAS["stale-nonces"][0].auth.stale, 2)
        self.assertIn("of the test", config)
        self.assertNotIn("of the test", log)
        self.assertNotIn("not this", log)


if __name__ == "__main__":
    hub_case.main()
