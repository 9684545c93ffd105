#!/usr/bin/python3
"""Cameras that the hub has to encode: one sends MJPEG, one more than its limits allow. Real programs, real time: the
daemon probes and shares out; status, log and clips say the same; what was recorded plays."""
import pathlib
import subprocess
import unittest

import hub_case
import hubkit
from hub_case import cameras_of

CAMERAS = "mjpeg:320x240@10:audio=pcmu,h264:640x360@15:gop=15,h264:160x120@15:gop=15"
LIMITS = "max_width = 320\nmax_height = 240\n"
SOFTWARE = ("x264enc", "openh264enc")
# name -> pictures a second, size, why the hub encodes it; none: it does not
EXPECTED = {
    "mjpeg-240p": (10, (320, 240), "camera sends JPEG; software gave 12 pictures in "),
    "h264-360p": (15, (320, 180), "camera sends 640x360, over the limit of 320x240; software gave 12 pictures in "),
    "h264-120p": (15, (160, 120), None),
}


def decoded_frames(film):
    """Pictures that a player sees, and what it complains about."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", film, "-map", "0:v", "-f", "framecrc", "-"],
                          capture_output=True, text=True, timeout=120, check=False)
    return sum(line.startswith("0,") for line in done.stdout.splitlines()), done.stderr


class Encode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = hub_case.temp_folder(cls)
        running = hub_case.RunningHub(hubkit.Programs(), folder, CAMERAS, clip_seconds=2, extra_config=LIMITS)
        cls.enterClassContext(running)
        cls.hub, cls.folder = running.hub, folder
        hubkit.wait_until(lambda: all(cls.hub.clip_files(c) for c in cameras_of(cls.hub)), 40,
                          "a finished clip of each camera")
        cls.status = cls.hub.status()
        cls.by_name = {c["name"]: c for c in cls.status["cameras"]}

    def test_a_clips_of_cameras_that_the_hub_encodes_are_whole_and_play(self):
        for name, (rate, size, _) in EXPECTED.items():
            for clip in self.hub.clip_files(self.by_name[name]["camera"]):
                lines = {line["record"]: line for line in hub_case.dump(self.hub, clip) if "record" in line}
                header, footer = lines["header"], lines["footer"]
                self.assertEqual((header["width"], header["height"]), size)
                film = hub_case.opened(self.hub, [clip], self.folder / "film.mp4")[0]
                frames, complaints = decoded_frames(film)
                self.assertEqual(complaints, "", name)
                self.assertEqual(frames, footer["frames"], name)
                seconds = (footer["boot_end_us"] - footer["boot_begin_us"]) / 1e6
                self.assertAlmostEqual(frames, seconds * rate, delta=2, msg=f"{name}: {footer}")
                # The hub asks for key frames by time, whatever the rate: 60 pictures of MJPEG would be 6 s.
                self.assertLessEqual(footer["longest_key_distance_ms"], 2400, name)

    def test_b_encoder_and_reason_are_in_status_log_and_clip(self):
        log = self.hub.daemon.text()
        for name, (_, size, reason) in EXPECTED.items():
            camera = self.by_name[name]
            header = hub_case.dump(self.hub, self.hub.clip_files(camera["camera"])[0])[0]
            self.assertEqual((camera["width"], camera["height"]), size)
            self.assertEqual(header["encoder"], camera["encoder"])
            self.assertEqual(header["encoder_why"], camera["encoder_why"])
            self.assertTrue(camera["codec"].startswith("avc1."), camera)
            granted = [line for line in log.splitlines() if "encoder.granted" in line and camera["camera"] in line]
            if reason is None:
                self.assertEqual(camera["encoder"], "camera")
                self.assertEqual(granted, [])
                continue
            self.assertIn(camera["encoder"], SOFTWARE)
            self.assertTrue(camera["encoder_why"].startswith(reason), camera)
            self.assertEqual(len(granted), 1, granted)
            self.assertIn(camera["encoder"], granted[0])

    def test_c_a_camera_that_the_hub_encodes_keeps_its_sound_and_its_walls(self):
        camera = self.by_name["mjpeg-240p"]
        self.assertIn("G.711", camera["audio"])
        seconds = 0
        for line in hub_case.dump(self.hub, self.hub.clip_files(camera["camera"])[0]):
            if line.get("kind") == "audio":
                seconds += (line["boot_end_us"] - line["boot_begin_us"]) / 1e6
        self.assertGreater(seconds, 1)
        walls = {w["name"]: w for w in self.status["walls"]}
        # Of the weakest recorder: these two encode.
        for name in ("hosts", "system_calls", "memory_limit", "no_new_privileges"):
            self.assertEqual(walls[f"recorder.{name}"]["state"], "enforced", walls[f"recorder.{name}"])
        for pid in self.hub.recorder_pids().values():
            status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            self.assertIn("Seccomp:\t2", status)

    def test_d_what_the_board_has_and_who_uses_it_is_in_status(self):
        encoders = self.status["encoders"]
        self.assertIn(self.by_name["mjpeg-240p"]["encoder"], encoders["elements"])
        self.assertGreater(encoders["software_used"], 0)
        self.assertLessEqual(encoders["software_used"], encoders["software_pixels_per_s"])
        self.assertEqual(encoders["refused_cameras"], 0)
        self.assertEqual(self.hub.daemon.text().count("encoder.probing"), 1)


if __name__ == "__main__":
    hub_case.main()
