#!/usr/bin/python3
"""A hub whose hardware encoder dies while it records: the next one takes over, and status, log, journal and clips say why.
The encoder is a fake under a real name, behind a /dev of its own in which the machine has a GPU. Needs root."""
import os
import subprocess
import unittest

import hub_case
import hubkit
from hub_case import cameras_of, utc

# A /dev with the few devices that programs need, and a render node.
WITH_GPU = """set -e
new=$(mktemp -d); mount -t tmpfs none "$new"
for d in null zero full random urandom tty; do cp -a "/dev/$d" "$new/"; done
mkdir "$new/dri" "$new/shm"; touch "$new/dri/renderD128"; mount --move "$new" /dev
exec "$@"
"""


def why_not():
    if os.geteuid() != 0:
        return "only root may give programs a /dev of their own"
    done = subprocess.run(["unshare", "-m", "sh", "-c", WITH_GPU, "sh", "test", "-e", "/dev/dri/renderD128"],
                          capture_output=True, text=True, check=False)
    return done.stderr.strip() or "no /dev of one's own here" if done.returncode else ""


class EncoderDies(unittest.TestCase):
    def setUp(self):
        reason = why_not()
        if reason:
            print(f"skipped: {reason}")
            self.skipTest(reason)
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        libexec = folder / "libexec"
        libexec.mkdir()
        (libexec / "halfdoor-recorder").symlink_to(programs.build / "tests/integration/fake_driver/halfdoor-recorder")
        (libexec / "halfdoor-gate").symlink_to(programs.path("halfdoor-gate"))
        replay = hubkit.Replay(programs, folder, generate="mjpeg:320x240@10")
        self.addCleanup(replay.stop)
        cameras = {c["name"]: c["url"] for c in replay.cameras}
        self.hub = hubkit.prepared_hub(programs, folder / "hub", cameras, clip_seconds=2, requester=False)
        self.addCleanup(self.hub.stop)
        self.hub.daemon = hubkit.Process(
            ["unshare", "-m", "sh", "-c", WITH_GPU, "sh", programs.path("halfdoord"), "--config", self.hub.config,
             "--libexec", libexec], folder / "halfdoord.log", env=self.hub.environment())
        hub_case.wait_answering(self.hub)
        hubkit.apply_policy(self.hub)

    def headers(self, camera):
        return [hub_case.dump(self.hub, clip)[0] for clip in self.hub.clip_files(camera)]

    def test_the_next_encoder_takes_over_and_everybody_is_told(self):
        (camera, _), = cameras_of(self.hub).items()
        hubkit.wait_until(lambda: {h["encoder"] for h in self.headers(camera)} >= {"vah264enc", "x264enc"}, 60,
                          "clips of both encoders")
        facts = cameras_of(self.hub)[camera]
        self.assertEqual((facts["state"], facts["encoder"]), ("recording", "x264enc"))
        self.assertIn("vah264enc: failed while it encoded", facts["encoder_why"])
        first, last = (next(h for h in self.headers(camera) if h["encoder"] == e) for e in ("vah264enc", "x264enc"))
        self.assertNotIn("failed", first["encoder_why"])
        self.assertEqual(last["encoder_why"], facts["encoder_why"])
        log = self.hub.daemon.text()
        self.assertIn(f"encoder.failed camera={camera} element=vah264enc", log)
        self.assertIn("the driver gave up", log)
        gaps = [r for r in self.hub.json("clips", "--from", "-5m", "--gaps") if r["record"] == "gap"]
        gap = next(g for g in gaps if g["cause"] == "encoder")
        # It takes 25 pictures to die, and no time to be replaced: the picture that it died of may be late.
        self.assertLess((utc(gap["end"]) - utc(gap["begin"])).total_seconds(), 5, gap)


if __name__ == "__main__":
    hub_case.main()
