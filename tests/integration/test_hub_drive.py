#!/usr/bin/python3
"""The drive of a hub is pulled out while it records, and comes back: the hub says so loudly, lives on, puts nothing into the
folder that is there instead, and records and indexes again by itself once the file system is mounted again, as a new device.
The same for a file system that its errors made read-only (ext4's errors=remount-ro), until it is mounted anew.
And a file system that is frozen for two seconds (a snapshot is taken) costs no frame. Needs root, loop devices and /dev/fuse."""
import subprocess
import sys
import time
import unittest

import hub_case
import hubkit
import power_disk
from hub_case import cameras_of, utc

SKIPPED = 77  # meson's word for a skipped test
WHY_NOT = power_disk.why_not()
CAMERAS = "h264:320x180@15:gop=8:kbit=400,h265:320x180@10:gop=5:kbit=300"


class Drive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder, cls.programs = hub_case.temp_folder(cls), hubkit.Programs()
        (cls.folder / "hub").mkdir()
        cls.disk = cls.enterClassContext(power_disk.PowerDisk(cls.folder / "disk", cls.folder / "hub" / "data"))
        # Sockets are not on the drive, as on an installed hub.
        cls.runtime = cls.folder / "run"
        cls.runtime.mkdir(mode=0o700)
        cls.hub = cls.enterClassContext(hub_case.RunningHub(
            cls.programs, cls.folder, CAMERAS, clip_seconds=4, runtime=cls.runtime,
            extra_config="\n[retention]\nreserve_mb = 16\n")).hub

    def recording_again(self, seconds):
        moment = hub_case.now()
        hubkit.wait_until(lambda: all(c["state"] == "recording" and c["durable_until"] and utc(c["durable_until"]) > moment
                                      for c in cameras_of(self.hub).values()), seconds, "recording", 0.2)

    def test_1_a_frozen_file_system_costs_no_frame(self):
        time.sleep(3)
        for _ in range(2):
            subprocess.run(["fsfreeze", "-f", self.hub.data], check=True)
            time.sleep(2)
            subprocess.run(["fsfreeze", "-u", self.hub.data], check=True)
            self.recording_again(10)
        for camera in cameras_of(self.hub):
            count = hub_case.frames_through_now(self.hub, camera, self.folder)
            self.assertEqual((count["missing"], count["repeated"]), (0, 0), count)

    def warnings(self):
        return {w["name"] for w in self.hub.status()["warnings"]}

    def everything_is_indexed(self, moment):
        """Every finished clip that ended before the moment has its row, and every row its file."""
        indexed = {r["clip"] for r in self.hub.json("clips", "--from", "-10m") if r["record"] == "clip"}
        files = {str(p.relative_to(self.hub.data / "clips")) for p in self.hub.clip_files()
                 if p.stat().st_mtime < moment.timestamp()}
        self.assertEqual(files - indexed, set())
        self.assertEqual(self.hub.cli("check", "--json").stdout.strip(), "")

    def mount_anew(self):
        again = power_disk.Image(self.disk.file, self.hub.data)
        again.mount()
        self.addClassCleanup(again.unmount)

    def test_2_a_drive_that_is_pulled_and_comes_back(self):
        self.recording_again(20)
        promised = {camera: utc(facts["durable_until"]) for camera, facts in cameras_of(self.hub).items()}
        daemon = self.hub.daemon.pid
        self.disk.order("fail", on=True)
        hubkit.wait_until(lambda: {c["state"] for c in cameras_of(self.hub).values()} == {"disk_problem"}, 20, "disk_problem")
        self.assertIn("disk_problem", self.warnings())
        time.sleep(5)
        self.assertTrue(self.hub.daemon.alive())
        self.assertEqual(len(self.hub.recorder_pids()), 2)
        # Answered with what there is, or refused in words; never silence.
        asked = self.hub.cli("clips", "--from", "-10m", check=False)
        self.assertTrue(asked.returncode == 0 or "error" in asked.stderr.lower(), asked)
        # The kernel lets go of it: what is at its place now is not the hub's, and gets nothing.
        subprocess.run(["umount", "-l", self.hub.data], check=True)
        hubkit.wait_until(lambda: "drive" in self.warnings(), 10, "warning")
        time.sleep(3)
        self.assertEqual([p for p in self.hub.data.rglob("*") if p.is_file()], [])
        # Back, as another device: the old mount is a corpse that its open files keep.
        self.disk.order("fail", on=False)
        self.mount_anew()
        # A question that is asked in the middle of it would be lost with the old socket.
        hubkit.wait_until(lambda: self.hub.daemon.text().count("hub.started") == 2, 30, "second start in the log")
        hub_case.wait_answering(self.hub)
        self.recording_again(30)
        hubkit.wait_until(lambda: not self.warnings(), 30, "end of all warnings", 0.3)
        self.assertEqual((self.hub.daemon.pid, self.hub.daemon.alive()), (daemon, True))
        self.assertEqual(self.hub.daemon.text().count("hub.starting_anew"), 1)
        moment = hub_case.now()
        self.recording_again(30)
        self.everything_is_indexed(moment)
        for camera, until in promised.items():
            rows = self.hub.json("clips", "--from", "-10m", "--camera", camera, "--gaps")
            self.assertTrue(any(r["record"] == "clip" and utc(r["begin"]) <= until <= utc(r["end"]) for r in rows), rows)
            gaps = [g for g in rows if g["record"] == "gap" and utc(g["begin"]) >= until]
            self.assertIn("disk_error", {g["cause"] for g in gaps}, gaps)

    def test_3_a_file_system_that_an_error_made_read_only(self):
        subprocess.run(["mount", "-o", "remount,abort", self.hub.data], check=True)
        hubkit.wait_until(lambda: {c["state"] for c in cameras_of(self.hub).values()} == {"disk_problem"}, 20, "disk_problem")
        self.assertIn("disk_problem", self.warnings())
        time.sleep(3)
        self.assertTrue(self.hub.daemon.alive())
        asked = self.hub.cli("clips", "--from", "-10m", check=False)
        self.assertTrue(asked.returncode == 0 or "error" in asked.stderr.lower(), asked)
        subprocess.run(["umount", "-l", self.hub.data], check=True)
        self.mount_anew()
        self.recording_again(60)
        hubkit.wait_until(lambda: not self.warnings(), 30, "end of all warnings", 0.3)
        moment = hub_case.now()
        self.recording_again(30)
        self.everything_is_indexed(moment)

    def test_4_an_orderly_end_leaves_every_clip_whole(self):
        self.assertEqual(self.hub.stop(), 0)
        done = self.hub.cli("check", "--data", self.hub.data, "--hash", "--json", check=False)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, ""))
        self.assertEqual(self.hub.clip_files(finished=False), self.hub.clip_files())


if __name__ == "__main__":
    if WHY_NOT:
        print(f"skipped: {WHY_NOT}")
        sys.exit(SKIPPED)
    hub_case.main()
