#!/usr/bin/python3
"""One hub through its bad days: eight cameras over RTSP that freeze once, kill -9 of a recorder, kill -9 and upgrade of
halfdoord, an orderly stop, a lost index. Counts every frame. The steps are one story and run in the order of their numbers."""
import datetime
import os
import shutil
import signal
import subprocess
import time
import unittest

import hub_case
import hubkit
from hub_case import cameras_of, rfc3339, utc

# Small pictures: what counts is frames. The second one has B-frames.
CAMERAS = ",".join(["h264:320x180@15:gop=15", "h264:320x240@10:gop=10:bframes=2", "h265:320x180@10:gop=10"] +
                   [f"h264:{16 * n}x64@10:gop=10" for n in range(5, 10)])
# All cameras' program stops for 2 s; what was due comes late, and nothing is lost.
FREEZE = ("--fault", "1,freeze,12,2")


class Recording(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = hub_case.temp_folder(cls)
        cls.folder, cls.programs = folder, hubkit.Programs()
        cls.hub = cls.enterClassContext(hub_case.RunningHub(cls.programs, folder, CAMERAS, replay_options=FREEZE)).hub
        cls.ids = sorted(cameras_of(cls.hub))
        cls.begin = hub_case.now()
        cls.names = {c: facts["name"] for c, facts in cameras_of(cls.hub).items()}

    def finished(self, camera, count, seconds=40):
        """Waits for that many closed clips of a camera."""
        return hubkit.wait_until(lambda: len(self.hub.clip_files(camera)) >= count and self.hub.clip_files(camera),
                                 seconds, f"{count} closed clips of {self.names[camera]}")

    def frames(self, clips, name):
        return hub_case.count_frames(self.programs, hub_case.opened(self.hub, clips, self.folder / f"{name}.mp4"))

    def window(self, begin, end):
        return self.hub.cli("clips", "--json", "--gaps", "--from", rfc3339(begin), "--to", rfc3339(end)).stdout

    def middle_of_a_clip(self, camera):
        """The camera's open clip, 2 to 3.5 s after it began."""
        def found():
            for part in (self.hub.data / "clips" / camera).rglob("*.part"):
                begin = datetime.datetime.strptime(part.parent.name + part.name.split("Z-")[0], "%Y-%m-%d%H%M%S.%f")
                age = hub_case.now() - begin.replace(tzinfo=datetime.timezone.utc)
                if datetime.timedelta(seconds=2) <= age <= datetime.timedelta(seconds=3.5):
                    return part
            return None
        return hubkit.wait_until(found, 15, "clip in its middle", 0.05)

    def rebuilds(self, action):
        def count():
            return self.hub.daemon.log.read_text().count(" index.rebuild_done ")
        before = count()
        action()
        hubkit.wait_until(lambda: count() > before, 20, "end of a rebuild")

    def check_finds_nothing(self):
        done = self.hub.cli("check", "--json")
        self.assertEqual(done.stdout.strip(), "")

    def test_1_no_frame_is_lost_or_repeated_across_three_clip_boundaries(self):
        for camera in self.ids:
            clips = self.finished(camera, 4)
            with self.subTest(camera=self.names[camera]):
                count = self.frames(clips, "first")
                self.assertTrue(count["complete"], count)
                self.assertGreater(count["counted"], 150)
        # The same over ZeroMQ: the owner's window as one MP4.
        rows = [r for r in self.hub.json("clips", "--from", "-5m", "--camera", self.ids[0]) if r["state"] == "closed"]
        target = self.folder / "export.mp4"
        self.hub.cli("export", "--from", rows[0]["begin"], "--to", rows[3]["end"], "--camera", self.ids[0],
                     "--key", self.hub.owner_key, "-o", target)
        count = hub_case.count_frames(self.programs, [target])
        self.assertTrue(count["complete"], count)
        self.assertGreaterEqual(count["counted"], sum(r["frames"] for r in rows[:4]) - 1)

    def test_2_kill_of_a_recorder_costs_its_camera_seconds_and_the_others_nothing(self):
        victim = self.ids[0]
        type(self).victim = victim
        pid = self.hub.recorder_pids()[victim]
        part = self.middle_of_a_clip(victim)
        facts = cameras_of(self.hub)[victim]
        promised = utc(facts["durable_until"])
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        part = part.with_suffix("")
        hubkit.wait_until(part.exists, 10, "recovered clip", 0.05)
        records = hub_case.dump(self.hub, part, "--hashes")
        pieces = [r for r in records if r["record"] == "piece" and r["kind"] == "video"]
        self.assertTrue(records[-1]["whole"], records[-1])
        self.assertEqual(records[-2]["reason"], "recovered")
        self.assertGreaterEqual(utc(pieces[-1]["utc_end"]), promised)
        # To the last whole piece, with our tool and with stock age.
        ours = self.frames([part], "killed")
        stock = hub_case.count_frames(self.programs, hub_case.age_pieces(self.hub, part, self.folder))
        self.assertTrue(ours["complete"], ours)
        self.assertEqual(ours["counted"], sum(p["frames"] for p in pieces))
        self.assertEqual(stock["counted"], ours["counted"])

        def again():
            facts = cameras_of(self.hub)[victim]
            return facts["state"] == "recording" and facts["durable_until"] and utc(facts["durable_until"]) > promised
        hubkit.wait_until(again, 10, "new recording", 0.1)
        self.assertLess(time.monotonic() - killed, 5 + 1.3)  # 5 s, and the piece's way to the disk and to us
        self.assertNotEqual(self.hub.recorder_pids()[victim], pid)
        window = self.hub.json("clips", "--from", facts["durable_until"], "--gaps", "--camera", victim)
        gaps = [r for r in window if r["record"] == "gap"]
        self.assertEqual(len(gaps), 1, gaps)
        self.assertLess(utc(gaps[0]["end"]) - utc(gaps[0]["begin"]), datetime.timedelta(seconds=5))

    def test_3_kill_and_upgrade_of_halfdoord_lose_no_frame(self):
        pids = self.hub.recorder_pids()
        self.assertEqual(len(pids), 8)
        self.hub.daemon.kill()
        time.sleep(6)  # a clip of each camera ends without a daemon
        self.assertEqual(self.hub.recorder_pids(), pids)
        self.hub.start()
        self.assertEqual(self.hub.recorder_pids(), pids)
        # What an upgrade does: the daemon alone ends, in order.
        self.hub.daemon.child.send_signal(signal.SIGUSR2)
        self.assertEqual(self.hub.daemon.child.wait(20), 0)
        self.assertEqual(self.hub.recorder_pids(), pids)
        self.hub.start()
        self.assertEqual(self.hub.recorder_pids(), pids)
        self.check_finds_nothing()

    def test_4_an_orderly_stop_closes_and_indexes_every_clip(self):
        type(self).ended = hub_case.now()
        self.assertEqual(self.hub.stop(), 0)
        self.assertEqual(self.hub.clip_files(finished=False), self.hub.clip_files())
        done = self.hub.cli("check", "--data", self.hub.data, "--hash", "--json")
        self.assertEqual(done.stdout.strip(), "")

    def test_5_no_frame_was_lost_but_those_of_the_killed_recorder(self):
        self.assertIn("fault freeze", (self.folder / "replay.log").read_text())
        for camera in self.ids:
            clips = self.hub.clip_files(camera)
            with self.subTest(camera=self.names[camera]):
                count = self.frames(clips, "all")
                self.assertEqual(count["repeated"], 0, count)
                self.assertEqual(count["counted"], count["packets"], count)
                if camera == self.victim:
                    self.assertEqual(len(count["gaps"]), 1, count)
                    self.assertLess(count["missing"], 15 * 5)
                else:
                    self.assertTrue(count["complete"], count)

    def test_6_without_its_index_the_hub_answers_the_same(self):
        self.hub.start()
        begin, end = self.begin - datetime.timedelta(seconds=30), self.ended
        # The gap of the stop ends with the first durable video after it.
        hubkit.wait_until(lambda: '"end":null' not in self.window(begin, end), 10, "the end of the last gap", 0.2)
        before = self.window(begin, end)
        self.assertGreater(len(before.splitlines()), 12)
        self.assertEqual(self.hub.stop(), 0)
        shutil.rmtree(self.hub.data / "index")
        self.rebuilds(self.hub.start)
        self.assertEqual(self.window(begin, end), before)
        # And on demand, while it records.
        self.rebuilds(lambda: self.hub.cli("reindex"))
        self.assertEqual(self.window(begin, end), before)
        self.check_finds_nothing()
        # And offline.
        self.assertEqual(self.hub.stop(), 0)
        self.hub.cli("reindex", "--data", self.hub.data)
        self.hub.start(wait_recording=False)
        hub_case.wait_answering(self.hub)
        self.assertEqual(self.window(begin, end), before)


class Walls(unittest.TestCase):
    """What each program may link. Debian's libavformat itself pulls libzmq (its zmq protocol), so halfdoor-recorder
    has libzmq in its address space; what we can promise is that no line of ours asks for it: its own NEEDED list."""

    VIDEO = ("libgst", "libav", "libsw", "libgobject", "libglib")

    def needed(self, program):
        text = subprocess.run(["readelf", "-d", hubkit.Programs().path(program)], capture_output=True, text=True,
                              check=True).stdout
        return [line.split("[")[1].rstrip("]") for line in text.splitlines() if "(NEEDED)" in line]

    def loaded(self, program):
        text = subprocess.run(["ldd", hubkit.Programs().path(program)], capture_output=True, text=True,
                              check=True).stdout
        return [line.split()[0] for line in text.splitlines()]

    def test_daemon_and_gate_have_no_video_library_at_all(self):
        for program in ("halfdoord", "halfdoor-gate"):
            with self.subTest(program=program):
                found = [lib for lib in self.loaded(program) if lib.startswith(self.VIDEO)]
                self.assertEqual(found, [])
                self.assertIn("libzmq.so.5", self.needed(program))

    def test_the_gate_has_no_index(self):
        self.assertEqual([lib for lib in self.loaded("halfdoor-gate") if "rocksdb" in lib], [])

    def test_the_recorder_asks_for_neither_index_nor_sockets(self):
        self.assertEqual([lib for lib in self.needed("halfdoor-recorder") if "rocksdb" in lib or "zmq" in lib], [])
        self.assertEqual([lib for lib in self.loaded("halfdoor-recorder") if "rocksdb" in lib], [])


if __name__ == "__main__":
    hub_case.main()
