#!/usr/bin/python3
"""Cameras with key frames far apart ("smart codec"): clips are cut by time, in the middle of reordered pictures too, and
the owner sees every frame of any window. A clip that is gone costs what builds on it, and that is said."""
import datetime
import json
import unittest

import hub_case
import hubkit
from hub_case import rfc3339, utc

CAMERAS = "h264:160x120@20:gop=3000:bframes=2:seconds=60,h264:176x144@10:gop=3000:seconds=60"


class Keyless(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder, cls.programs = hub_case.temp_folder(cls), hubkit.Programs()
        cls.running = hub_case.RunningHub(cls.programs, cls.folder, CAMERAS, clip_seconds=2,
                                          extra_config="clip_max_s = 2\nactivity = true\n")
        cls.running.__enter__()
        cls.addClassCleanup(cls.running.__exit__)
        cls.hub = cls.running.hub
        cls.rows = {}
        for camera in hub_case.cameras_of(cls.hub):
            hubkit.wait_until(lambda c=camera: len(cls.closed(c)) >= 4, 40, "four clips")
            cls.rows[camera] = cls.closed(camera)[:4]

    @classmethod
    def closed(cls, camera):
        rows = cls.hub.json("clips", "--from", "-5m", "--camera", camera)
        return [r for r in rows if r["state"] == "closed"]

    def export(self, camera, begin, end, check=True):
        target = self.folder / "export.mp4"
        done = self.hub.cli("export", "--from", begin, "--to", end, "--camera", camera, "--key", self.hub.owner_key,
                            "-o", target, "--force", "--json", check=check)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return done, rows, target

    def test_1_clips_were_cut_by_time_and_name_their_key_frame(self):
        for camera, rows in self.rows.items():
            first, *others = (hub_case.dump(self.hub, self.hub.data / "clips" / r["clip"], "--hashes") for r in rows)
            self.assertNotIn("key_frame", first[0])
            for records in others:
                self.assertEqual(records[0]["key_frame"]["clip"], first[0]["clip"])
                self.assertTrue(records[-1]["whole"])
            self.assertEqual(first[-2]["reason"], "hard_max", camera)
            # From the key frame to the begin of the fourth clip: three times two seconds, a little less each.
            self.assertGreater(hub_case.cameras_of(self.hub)[camera]["key_distance_ms"], 5000)
        done = self.hub.cli("check", "--hash", "--json")
        self.assertEqual(done.stdout.strip(), "")
        # Clips without a key frame have no score, and none is asked of them.
        for camera in self.rows:
            self.hub.cli("activity", "--from", "-5m", "--to", "now", "--camera", camera, "--key", self.hub.owner_key)

    def test_2_an_export_and_an_open_have_every_frame_once(self):
        for camera, rows in self.rows.items():
            sum_of = sum(r["frames"] for r in rows)
            _, files, target = self.export(camera, rows[0]["begin"], rows[3]["end"])
            count = hub_case.count_frames(self.programs, [target])
            self.assertTrue(count["complete"], count)
            # Beyond the last clip's end in display time lies at most what its last pictures need.
            self.assertIn(count["counted"] - sum_of, range(0, 4))
            self.assertEqual((files[0]["hidden"], files[0]["dropped"]), (0, 0))
            clips = [self.hub.data / "clips" / r["clip"] for r in rows]
            count = hub_case.count_frames(self.programs, hub_case.opened(self.hub, clips, self.folder / "all.mp4"))
            self.assertTrue(count["complete"], count)
            self.assertEqual(count["counted"], sum_of)

    def test_3_a_window_between_key_frames_is_shown_and_what_lies_before_it_is_hidden(self):
        for camera, rows in self.rows.items():
            begin = utc(rows[2]["begin"]) + datetime.timedelta(seconds=0.4)
            done, files, target = self.export(camera, rfc3339(begin), rfc3339(begin + datetime.timedelta(seconds=1)))
            self.assertIn("The window begins between key frames: 2 clips before it", done.stderr)
            count = hub_case.count_frames(self.programs, [target])
            self.assertTrue(count["complete"], count)
            self.assertEqual(files[0]["frames"], count["counted"])
            self.assertGreater(files[0]["hidden"], rows[0]["frames"] + rows[1]["frames"])
            self.assertAlmostEqual(files[0]["seconds"], 1.0, delta=0.35)

    def test_4_without_a_clip_between_what_builds_on_it_is_counted_and_the_rest_is_written(self):
        for camera, rows in self.rows.items():
            (self.hub.data / "clips" / rows[1]["clip"]).unlink()
            self.hub.cli("check", "--repair", check=False)
            done, files, _ = self.export(camera, rows[0]["begin"], rows[2]["end"], check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("pictures are left out", done.stderr)
            self.assertEqual(files[0]["frames"], rows[0]["frames"])
            self.assertGreater(files[0]["dropped"], 0)
            done, _, target = self.export(camera, rows[2]["begin"], rows[2]["end"], check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("begins without a key frame", done.stderr)
            self.assertFalse(target.exists())

    def test_5_status_warns_of_key_frames_more_than_ten_seconds_apart(self):
        def warned():
            texts = [w["text"] for w in self.hub.status()["warnings"] if w["name"] == "key_frames"]
            return texts if len(texts) == len(self.rows) else None
        texts = hubkit.wait_until(warned, 40, "a warning for each camera")
        for facts in hub_case.cameras_of(self.hub).values():
            self.assertGreater(facts["key_distance_ms"], 10000)
            self.assertTrue(any(facts["name"] in text for text in texts), texts)


if __name__ == "__main__":
    hub_case.main()
