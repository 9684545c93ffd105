#!/usr/bin/python3
"""Suite `cameras`: every footage file and every transcript of a real camera (HALFDOOR_FOOTAGE, or ../shared/footage)
through a real hub. Prints a table. Minutes, not seconds."""
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import time
import unittest

import camera_hub
import hub_case
import hubkit
from odd_camera import Auth, Camera, OddCameras

FOOTAGE = pathlib.Path(os.environ.get("HALFDOOR_FOOTAGE", hub_case.ROOT.parent / "shared" / "footage"))
TRANSCRIPTS = FOOTAGE / "rtsp_camera_transcripts.tar"
# File: what becomes of its sound.
FILES = {
    "parking_car_768x432_h264_aac.mp4": "AAC, 48000 Hz",
    "counter_person_768x432_h264.mp4": "",
    "porch_person_720p_h264_vfr.mkv": "",
    "porch_loop_720p25_gop50_derived.mp4": "",
    "street_window_480p_h264_g711a.mkv": "G.711 A-law, 8000 Hz, as AAC",
    "fishtank_360p_hevc_aac.mp4": "AAC, 48000 Hz",
    "axis_ceiling_1080p_signed.h264": "",
}
SIGNED = "axis_ceiling_1080p_signed.h264"  # the camera signs its pictures in SEI units
COUNTER = b"HALFDOORFRAMECNT"  # the SEI unit that halfdoor-replay adds
SECONDS = 25
UDP_ONLY = {"h264dvr_setup_audio", "h264dvr_setup_video", "luckfox_rkipc_setup_udp"}


def decode_errors(file):
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-f", "null", "-"], capture_output=True,
                          text=True, check=False)
    # ffmpeg's null muxer counts in frames of a constant rate; what it says about times is not about the decoder.
    return [line for line in done.stderr.splitlines() if not re.search(r"\[null @|Last message repeated", line)]


def signed_units(stream):
    """The NAL units of H.264 that a signature covers or is in: slices and SEI."""
    units = (u.rstrip(b"\0") for u in stream.split(b"\0\0\1"))
    return {u for u in units if u and u[0] & 31 in (1, 5, 6) and COUNTER not in u}


def annexb(file):
    return subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb",
                           "-f", "h264", "-"], capture_output=True, check=True).stdout


@unittest.skipUnless(all((FOOTAGE / f).exists() for f in FILES), f"no footage in {FOOTAGE} (set HALFDOOR_FOOTAGE)")
class Footage(unittest.TestCase):
    def test_footage(self):
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        replay = hubkit.Replay(programs, folder, files=[FOOTAGE / f for f in FILES])
        self.addCleanup(replay.stop)
        cameras = {c["name"]: c["url"] for c in replay.cameras}
        print(f"\nfootage, {SECONDS} s each")
        with camera_hub.CameraHub(programs, folder / "hub", cameras, frames=1, seconds=60, clip_seconds=8) as run:
            time.sleep(SECONDS)
            outcomes = {s["name"]: camera_hub.Outcome(s) for s in run.hub.status()["cameras"]}
            run.hub.stop()
            for name, outcome in sorted(outcomes.items()):
                with self.subTest(file=name):
                    self.judge(run.hub, programs, folder / name, outcome)

    def judge(self, hub, programs, target, outcome):
        self.assertTrue(outcome.recorded, outcome.words())
        target.mkdir()
        files = []
        for i, clip in enumerate(hub.clip_files(outcome.id)):
            files.append(target / f"{i:03}.mp4")
            hub.run("open", clip, "--key", hub.owner_key, "-o", files[-1])
        count = hub_case.count_frames(programs, files)
        errors = [line for f in files for line in decode_errors(f)]
        print(f"{outcome.row()}, {len(files)} clips, {count['packets']} in them, {count['missing']} missing, "
              f"{count['repeated']} repeated, {outcome.reconnects} reconnects, "
              f"decodes {'clean' if not errors else 'WITH ERRORS'}, sound: {outcome.audio or '-'}", flush=True)
        self.assertEqual((count["missing"], count["repeated"], outcome.reconnects), (0, 0, 0))
        self.assertEqual(count["counted"], count["packets"])
        self.assertGreater(count["packets"], 8 * (SECONDS - 5))
        self.assertEqual(errors, [])
        if SIGNED.startswith(outcome.name):
            self.assertEqual(signed_units(b"".join(map(annexb, files))), signed_units((FOOTAGE / SIGNED).read_bytes()))
        sound = next(words for file, words in FILES.items() if file.startswith(outcome.name))
        self.assertEqual(outcome.audio, sound or "the camera offers none")


class Clocks(unittest.TestCase):
    """The camera's clock is a fact to record: a jump of it, or no clock at all, moves no frame."""

    def test_a_camera_clock_moves_no_frame(self):
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        replay = hubkit.Replay(programs, folder, generate="h264:160x120@15:gop=15", options=[
            "--cameras", "3", "--fault", "1,ntpjump,12,3600", "--fault", "2,nosr,0"])
        self.addCleanup(replay.stop)
        cameras = {c["name"]: c["url"] for c in replay.cameras}
        with camera_hub.CameraHub(programs, folder / "hub", cameras, frames=1, seconds=60, clip_seconds=60) as run:
            time.sleep(35)
            status = {s["name"]: s for s in run.hub.status()["cameras"]}
        jumped, silent, plain = (status[name] for name in cameras)
        print(f"\nclocks: offsets in ms "
              f"{[s.get('camera_clock_offset_ms') for s in (jumped, silent, plain)]}")
        self.assertAlmostEqual(jumped["camera_clock_offset_ms"], 3_600_000, delta=1000)
        self.assertNotIn("camera_clock_offset_ms", silent)
        self.assertAlmostEqual(plain["camera_clock_offset_ms"], 0, delta=1000)
        for camera in status.values():
            self.assertEqual((camera["reconnects"], camera["dropped_frames"]), (0, 0))
            self.assertGreater(camera["frames"], 30 * 15)
            self.assertEqual(camera["clips"], 0)  # nothing was cut: the first clip is still open


def transcripts():
    with tarfile.open(TRANSCRIPTS) as tar:
        return {pathlib.Path(m.name).stem: tar.extractfile(m).read()
                for m in tar.getmembers() if m.name.startswith("transcripts/") and m.name.endswith(".txt")}


def camera_of(name, text):
    """A camera that gives this answer, byte for byte but for CSeq, and plain ones to everything else."""
    if b"\n401 " in text or text.startswith(b"RTSP/1.0 401"):
        return Camera(auth=Auth("hub", "pw", challenge=text))
    if "_options" in name:
        return Camera({"OPTIONS": text})
    if "_setup" in name:
        return Camera({"SETUP": text})
    if "_play" in name or name == "bad_rtptime":
        return Camera({"PLAY": text})
    if "_teardown" in name:
        return Camera({"TEARDOWN": text})
    return Camera({"DESCRIBE": text})


@unittest.skipUnless(TRANSCRIPTS.exists(), f"no {TRANSCRIPTS} (set HALFDOOR_FOOTAGE)")
@unittest.skipIf(shutil.which("ffmpeg") is None, "no ffmpeg to make video with")
class Transcripts(unittest.TestCase):
    BATCH = 15

    def serve(self, transport):
        texts = transcripts()
        self.assertEqual(len(texts), 43)
        if transport == "udp":
            texts = {name: texts[name] for name in UDP_ONLY}
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        # A camera's name has few kinds of letters.
        names = {name: re.sub("[^a-z0-9]", "-", name.lower()) for name in sorted(texts)}
        cameras = {names[n]: camera_of(n, t) for n, t in texts.items()}
        server = OddCameras(cameras)
        self.addCleanup(server.close)
        print(f"\ntranscripts, transport = \"{transport}\"")
        todo, recorded = sorted(cameras), 0
        for i in range(0, len(todo), self.BATCH):
            batch = todo[i:i + self.BATCH]
            keys = {n: {"user": '"hub"', "password": '"pw"'} for n in batch if cameras[n].auth}
            with camera_hub.CameraHub(programs, folder / f"{i}", {n: server.url(n) for n in batch}, keys=keys,
                                      extra_config=f'transport = "{transport}"\n', seconds=60) as run:
                outcomes = run.outcomes
            for name, outcome in sorted(outcomes.items()):
                print(outcome.row(), flush=True)
                recorded += outcome.recorded
                with self.subTest(transcript=name):
                    if name.replace("-", "_") in UDP_ONLY and transport == "tcp":
                        self.assertFalse(outcome.recorded)
                        self.assertEqual((outcome.state, outcome.detail),
                                         ("refused", "camera does not offer this transport (it wants UDP): "
                                                     'set transport = "udp"'))
                    else:
                        self.assertTrue(outcome.recorded, outcome.words())
                        self.assertEqual(cameras[name].asked[-1], "TEARDOWN")
        self.assertEqual(recorded, 3 if transport == "udp" else 43 - len(UDP_ONLY))

    def test_transcripts_over_tcp(self):
        self.serve("tcp")

    def test_transcripts_over_udp(self):
        self.serve("udp")


if __name__ == "__main__":
    hub_case.main()
