#!/usr/bin/python3
"""The disk of a hub that records stalls, fills up, and turns read-only: nothing that was recorded is harmed, `status`,
journal and events say so loudly, and everything goes on by itself when the disk is back; a clip under the owner's hold
stays. Needs root, loop devices and /dev/fuse."""
import datetime
import errno
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import hub_case
import hub_rpc
import hubkit
import power_disk
from hub_case import cameras_of

CAMERAS = "h264:320x180@15:gop=8:kbit=400,h265:320x180@10:gop=5:kbit=300"
# The smallest reserve there is; the file system is a little larger than the reserve and what ten clips need.
RETENTION = "\n[retention]\nreserve_mb = 16\n"
SKIPPED = 77  # meson's word for a skipped test
WHY_NOT = power_disk.why_not()


class Disk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder, cls.programs = hub_case.temp_folder(cls), hubkit.Programs()
        (cls.folder / "hub").mkdir()
        cls.disk = cls.enterClassContext(power_disk.PowerDisk(cls.folder / "disk", cls.folder / "hub" / "data"))
        cls.hub = cls.enterClassContext(hub_case.RunningHub(cls.programs, cls.folder, CAMERAS, clip_seconds=2,
                                                            extra_config=RETENTION)).hub
        cls.events = hubkit.Process([cls.programs.path("halfdoor"), "watch", "--json", "--config", cls.hub.config],
                                    cls.folder / "events.log")
        cls.addClassCleanup(cls.events.stop)
        cls.others_file = cls.hub.data / "somebody-elses"
        cls.ids = sorted(cameras_of(cls.hub))

    def fill(self, leave_bytes):
        """Somebody else's file takes what is free, but for so much."""
        step = 64 << 20
        fd = os.open(self.others_file, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            while step >= 4096:
                disk = os.statvfs(self.hub.data)
                size = min(step, disk.f_bavail * disk.f_frsize - leave_bytes)
                try:
                    if size < 4096:
                        return
                    os.posix_fallocate(fd, os.fstat(fd).st_size, size)
                except OSError as error:  # the recorders took some meanwhile
                    self.assertEqual(error.errno, errno.ENOSPC)
                    step //= 2
        finally:
            os.close(fd)

    def warnings(self):
        return {w["name"]: w["text"] for w in self.hub.status()["warnings"]}

    def states(self):
        return {c["state"] for c in cameras_of(self.hub).values()}

    def recording_again(self, seconds):
        moment = hub_case.now()
        hubkit.wait_until(lambda: all(c["state"] == "recording" and c["durable_until"]
                                      and hub_case.utc(c["durable_until"]) > moment
                                      for c in cameras_of(self.hub).values()), seconds, "recording", 0.2)

    def check_everything(self):
        """Every file is whole to its hashes, every row has its file."""
        self.assertEqual(self.hub.cli("check", "--json").stdout.strip(), "")
        for clip in self.hub.clip_files():
            end = hub_case.dump(self.hub, clip, "--hashes")[-1]
            self.assertTrue(end["whole"] and end["finished"], (clip, end))

    def events_text(self):
        return pathlib.Path(self.folder / "events.log").read_text()

    def test_0_a_stall_of_two_seconds_loses_no_frame_and_is_seen_in_status(self):
        rpc = hub_rpc.Rpc(self.hub.data / "run").connect()
        self.addCleanup(rpc.close)
        self.recording_again(20)
        self.disk.order("stall", seconds=2)
        ages = []
        for _ in range(60):
            ages.append(rpc.ask("status")["durable_age_ms"])
            time.sleep(0.05)
        self.assertGreater(max(ages), 1800)  # nothing is promised that the disk has not said
        self.recording_again(10)
        self.assertEqual(self.states(), {"recording"})
        for camera, facts in cameras_of(self.hub).items():
            self.assertEqual(facts["dropped_frames"], 0, camera)
            count = hub_case.frames_through_now(self.hub, camera, self.folder)
            self.assertEqual((count["missing"], count["repeated"]), (0, 0), count)

    def test_1_below_the_reserve_the_oldest_clips_go_but_not_a_held_one(self):
        for camera in self.ids:
            hubkit.wait_until(lambda c=camera: len(self.hub.clip_files(c)) > 12, 40, "thirteen clips")
        held, first = self.hub.clip_files(self.ids[0])[:2]
        row = next(r for r in self.hub.json("clips", "--from", "-5m", "--camera", self.ids[0]) if held.name in r["clip"])
        begin = hub_case.utc(row["begin"])
        hold = self.hub.json("hold", "--camera", self.ids[0], "--from", hub_case.rfc3339(begin), "--to",
                             hub_case.rfc3339(begin + datetime.timedelta(milliseconds=100)), "--forever")[0]["hold"]
        self.fill(leave_bytes=10 << 20)
        hubkit.wait_until(lambda: "disk_low" in self.warnings(), 15, "warning")
        self.assertIn("reserve", self.warnings()["disk_low"])
        hubkit.wait_until(lambda: not first.exists(), 15, "deletion of the oldest clip")
        self.assertEqual(self.states(), {"recording"})
        self.assertIn('"reason":"disk"', self.events_text())
        self.assertTrue(held.exists())
        self.assertEqual([h["hold"] for h in self.hub.json("holds")], [hold])
        self.hub.cli("unhold", hold)
        hubkit.wait_until(lambda: not held.exists(), 15, "deletion of the clip that is held no more")

    def test_2_a_full_disk_is_said_and_survived(self):
        ballast = self.hub.data / "ballast"
        ballast.unlink(missing_ok=True)  # With it the hub helps itself for a while: see below.
        self.fill(leave_bytes=0)
        hubkit.wait_until(lambda: self.states() == {"disk_problem"}, 20, "disk_problem", 0.2)
        self.assertIn("disk_problem", self.warnings())
        self.assertIn('"name":"disk_problem","state":"error"', self.events_text())
        time.sleep(4)  # goes on failing
        self.assertEqual(len(self.hub.recorder_pids()), 2)
        parts = [p for p in self.hub.clip_files(finished=False) if p.suffix == ".part"]
        self.assertLess(len(parts), 6, "each attempt left a file")
        # Even a power cut now does not leave a hub that cannot start: there is a room that it gives up.
        self.hub.daemon.kill()
        for pid in self.hub.recorder_pids().values():
            os.kill(pid, signal.SIGKILL)
        self.others_file.unlink()
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 8 << 20)
        self.fill(leave_bytes=0)
        self.hub.start()
        self.recording_again(20)
        self.assertIn("disk.ballast_given_up", self.hub.daemon.text())
        self.others_file.unlink()
        self.recording_again(20)
        hubkit.wait_until(lambda: not self.warnings() and ballast.exists(), 30, "end of all warnings, and a ballast", 0.3)
        self.check_everything()
        for camera in self.ids:
            gaps = [r for r in self.hub.json("clips", "--from", "-2m", "--gaps", "--camera", camera) if r["record"] == "gap"]
            # One gap, without a seam: its cause was in the journal, for which there is room, before the power was cut.
            self.assertEqual([g["cause"] for g in gaps].count("disk_full"), 1, gaps)
        # A hub that runs gives it up too.
        self.fill(leave_bytes=0)
        hubkit.wait_until(lambda: not ballast.exists(), 30, "end of the ballast")
        self.others_file.unlink()
        self.recording_again(20)
        hubkit.wait_until(lambda: not self.warnings(), 30, "end of all warnings", 0.3)
        self.check_everything()

    def test_3_a_disk_that_turns_read_only_is_said_and_survived(self):
        # A file system with open files cannot be remounted by hand; a read-only view over the clips can be put there.
        clips = self.hub.data / "clips"
        subprocess.run(["mount", "--bind", clips, clips], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", clips], check=True)
            hubkit.wait_until(lambda: self.states() == {"disk_problem"}, 20, "disk_problem", 0.2)
            text = " ".join(c["detail"] for c in cameras_of(self.hub).values()).lower()
            self.assertIn("read-only", text)
            self.assertIn("ead-only", self.warnings()["disk_problem"])
        finally:
            subprocess.run(["umount", clips], check=True)
        self.recording_again(20)
        hubkit.wait_until(lambda: not self.warnings(), 30, "end of all warnings", 0.3)

    def test_4_after_all_of_it_the_hub_stops_orderly_and_every_clip_is_whole(self):
        self.assertEqual(self.hub.stop(), 0)
        done = self.hub.cli("check", "--data", self.hub.data, "--hash", "--json", check=False)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, ""))
        self.assertEqual(self.hub.clip_files(finished=False), self.hub.clip_files())
        for camera in self.ids:
            count = hub_case.count_frames(self.programs, hub_case.opened(
                self.hub, self.hub.clip_files(camera), self.folder / "all.mp4"))
            self.assertEqual(count["repeated"], 0, count)


if __name__ == "__main__":
    if WHY_NOT:
        print(f"skipped: {WHY_NOT}")
        sys.exit(SKIPPED)
    hub_case.main()
