#!/usr/bin/env python3
"""Every online verb of `halfdoor` against a real hub: replayed cameras, halfdoord, halfdoor-gate, and the
dashboard of docs/examples. usage: test_cli_live.py BUILD_FOLDER"""
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "dev"))
import hubkit  # noqa: E402: found only after the line above

AREA = "40.7110,-74.0090;40.7110,-74.0050;40.7140,-74.0050;40.7140,-74.0090"


def utc(seconds_ago=0):
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="halfdoor-cli-")
        folder = pathlib.Path(cls.temp.name)
        cls.programs = hubkit.Programs(cls.build)
        cls.addClassCleanup(cls.temp.cleanup)  # also if a later line of this function fails
        cls.replay = hubkit.Replay(cls.programs, folder, generate="h264:320x240@25,h265:320x240@25")
        cls.addClassCleanup(cls.replay.stop)
        urls = {f"cam{i}": c["url"] for i, c in enumerate(cls.replay.cameras)}
        cls.hub = hubkit.prepared_hub(cls.programs, folder / "hub", urls, clip_seconds=3,
                                      extra_config="activity = true\n")
        cls.hub.cli("policy", "edit", cls.hub.laptop / "policy-1.draft", "--cell", "40.71,-74.01")
        cls.hub.cli("policy", "sign", cls.hub.laptop / "policy-1.draft", "--key", cls.hub.owner_key, "--force",
                    "-o", cls.hub.laptop / "policy-1.note")
        cls.hub.cli("policy", "apply", cls.hub.laptop / "policy-1.note")
        cls.addClassCleanup(cls.hub.stop)
        cls.hub.start()
        cls.begin = time.time()
        hubkit.wait_until(lambda: len(cls.hub.clip_files()) >= 6, 60, "six finished clips")

    def owner(self, *arguments, **options):
        return self.hub.cli(*arguments, **options)

    def requester(self, *arguments, check=True):
        return self.hub.run(*arguments, "--connect", self.hub.requester_address, "--key", self.hub.requester_key,
                            check=check)

    def test_status_says_that_both_cameras_record(self):
        text = self.owner("status").stdout
        self.assertIn("cam0", text)
        self.assertIn("recording", text)
        status = self.hub.json("status")[0]
        self.assertLess(status["durable_age_ms"], 5000)
        self.assertEqual({c["name"] for c in self.hub.json("cameras")}, {"cam0", "cam1"})

    def test_clips_are_the_same_as_text_json_and_table(self):
        window = ["--from", "-1h", "--to", utc(), "--camera", "cam0"]
        rows = [r for r in self.hub.json("clips", *window) if r["record"] == "clip" and r["state"] == "closed"]
        self.assertGreaterEqual(len(rows), 2)
        table = self.owner("clips", *window, "--tsv").stdout.splitlines()
        self.assertEqual(table[0].split("\t")[0], "camera")
        self.assertTrue(any(rows[0]["clip"] in line for line in table))
        self.assertIn(rows[0]["clip"], self.owner("clips", *window).stdout)
        gaps = self.hub.json("clips", *window, "--gaps")
        self.assertTrue(all("clip" in r or "cause" in r for r in gaps))
        nothing = self.owner("clips", "--from", "-3d", "--to", "-2d")
        self.assertIn("No clip", nothing.stdout)

    def test_activity_shows_the_owner_what_moves_and_nobody_without_the_key(self):
        window = ["--from", "-1h", "--to", utc(), "--camera", "cam0"]
        rows = self.hub.json("activity", *window, "--key", self.hub.owner_key)
        self.assertGreaterEqual(len(rows), 2)
        self.assertTrue(all(0 < row["changed_per_1000"] <= 1000 for row in rows))
        self.assertEqual([row["time"] for row in rows], sorted(row["time"] for row in rows))
        stranger = self.owner("activity", *window, "--key", self.hub.requester_key, check=False)
        self.assertEqual((stranger.returncode, stranger.stdout), (1, ""))

    def test_a_window_that_ends_before_it_begins_is_refused(self):
        done = self.owner("clips", "--from", "14:00", "--to", "13:00", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("later than --from", done.stderr)

    def test_watch_shows_live_events_and_ends_after_its_count(self):
        done = self.owner("watch", "--topic", "clip.closed", "--count", "2", "--seconds", "30", "--json")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(events), 2)
        self.assertTrue(all(e["topic"] == "clip.closed" and e["frames"] > 0 for e in events))
        none = self.owner("watch", "--topic", "health.nothing", "--count", "1", "--seconds", "1", check=False)
        self.assertEqual(none.returncode, 1)

    def test_export_gives_a_film_that_plays(self):
        out = self.hub.laptop / "own.mp4"
        rows = [r for r in self.hub.json("clips", "--from", "-1h", "--to", "now", "--camera", "cam1")
                if r["state"] == "closed"]
        done = self.owner("export", "--from", rows[0]["begin"], "--to", rows[1]["end"], "--camera", "cam1",
                          "--key", self.hub.owner_key, "-o", out, "--json")
        facts = json.loads(done.stdout)
        self.assertEqual(facts["frames"], rows[0]["frames"] + rows[1]["frames"])
        probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
                                "stream=nb_read_frames", "-of", "csv=p=0", out], capture_output=True, text=True,
                               check=True)
        self.assertEqual(int(probe.stdout.strip().strip(",")), facts["frames"])
        again = self.owner("export", "--from", "-1h", "--to", "now", "--camera", "cam1", "--key", self.hub.owner_key,
                           "-o", out, check=False)
        self.assertEqual(again.returncode, 2)

    def test_check_and_reindex_on_a_running_hub(self):
        self.assertEqual(self.owner("check").returncode, 0)
        before = self.owner("clips", "--from", "-1h", "--to", utc(3), "--json").stdout
        self.owner("reindex")
        hubkit.wait_until(lambda: self.hub.json("status")[0]["index"]["state"] == "ready", 20, "rebuilt index")
        closed = [l for l in before.splitlines() if '"closed"' in l]
        self.assertTrue(set(closed) <= set(self.owner("clips", "--from", "-1h", "--to", "now", "--json")
                                           .stdout.splitlines()))

    def test_policy_show_reads_the_ruling_policy_from_the_hub(self):
        shown = json.loads(self.owner("policy", "show", "--json").stdout)
        self.assertEqual(shown["number"], 1)
        self.assertEqual(shown["requesters"][0]["level"], "clips")

    def test_a_stranger_hears_nothing(self):
        self.hub.run("keygen", "-o", self.hub.office / "stranger.key")
        done = self.hub.run("ask", "--connect", self.hub.requester_address, "--hub-card",
                            self.hub.data / "hub" / "hub.card", "--key", self.hub.office / "stranger.key",
                            "--timeout", "2", *self.question("9999-1"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not know our key", done.stderr)

    @staticmethod
    def question(case):
        return ["--from", utc(905), "--to", utc(5), "--area", AREA, "--offence", "burglary", "--case", case,
                "--contact", "desk@police.example", "--text", "a red van"]

    def ask(self, case, *more):
        done = self.requester("ask", "--hub-card", self.hub.data / "hub" / "hub.card", "--owner-card",
                              self.hub.laptop / "owner.card", *self.question(case), *more, "--json")
        return json.loads(done.stdout)

    def test_ask_approve_fetch_open(self):
        hubkit.wait_until(lambda: time.time() > self.begin + 12, 30, "some seconds of video")
        saved = self.hub.office / "asked"
        answer = self.ask("2026-0042", "--save", saved)
        request = answer["request"]
        self.assertGreater(len(answer["clips"]), 0)
        self.assertTrue((saved / "answer.note").exists())
        again = json.loads(self.requester("ask", "--hub-card", saved / "hub.card", "--again", saved, "--json").stdout)
        self.assertEqual(again["clips"], answer["clips"])

        early = self.requester("fetch", request, "-o", self.hub.office / "early", check=False)
        self.assertEqual(early.returncode, 1)
        self.assertFalse((self.hub.office / "early").exists())

        self.assertIn(request, self.owner("requests").stdout)
        shown = self.owner("show", request).stdout
        for words in ("county police", "2026-0042", "a red van", "burglary"):
            self.assertIn(words, shown)

        unasked = self.owner("approve", request, "--key", self.hub.owner_key, "--camera", "cam0", check=False)
        self.assertEqual(unasked.returncode, 1)
        self.assertIn("--yes", unasked.stderr)
        wrong = self.owner("approve", request, "--key", self.hub.requester_key, "--yes", check=False)
        self.assertEqual(wrong.returncode, 1)
        granted = json.loads(self.owner("approve", request, "--key", self.hub.owner_key, "--camera", "cam0", "--yes",
                                        "--json").stdout)
        self.assertTrue(granted["granted"])

        release = self.hub.office / "release"
        fetched = json.loads(self.requester("fetch", request, "-o", release, "--json").stdout)
        self.assertEqual(fetched["pieces"], granted["pieces"])
        self.assertEqual(self.requester("verify", release).returncode, 0)
        video = self.hub.office / "released.mp4"
        opened = json.loads(self.requester("open", release, "-o", video, "--json").stdout)
        self.assertEqual(opened["frames"], fetched["frames"])
        subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", video, "-f", "null", "-"], check=True)
        self.assertEqual(self.hub.json("requests")[0]["state"], "fetched")

        piece = next(release.rglob("0001.age"), None) or next(release.rglob("*.age"))
        damaged = bytearray(piece.read_bytes())
        damaged[-1] ^= 1
        piece.write_bytes(damaged)
        self.assertIn(self.requester("verify", release, check=False).returncode, (1, 4))

    def test_dismiss_changes_nothing_that_a_requester_can_see(self):
        answer = self.ask("2026-0043")
        before = self.requester("fetch", answer["request"], "-o", self.hub.office / "x", check=False)
        self.owner("dismiss", answer["request"])
        after = self.requester("fetch", answer["request"], "-o", self.hub.office / "x", check=False)
        self.assertEqual((before.returncode, before.stderr), (after.returncode, after.stderr))
        self.assertEqual(after.returncode, 1)

    def test_the_dashboard_of_the_docs_lists_clips_and_follows_events(self):
        # The python that has the distribution's python3-zmq need not be the one that runs this test.
        pythons = [p for p in (sys.executable, "/usr/bin/python3")
                   if subprocess.run([p, "-c", "import zmq"], capture_output=True, check=False).returncode == 0]
        if not pythons:
            self.skipTest("python3-zmq is not installed")
        done = subprocess.run([pythons[0], ROOT / "docs/examples/dashboard.py", self.hub.data / "run", "3"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertTrue(any(line.startswith("clip cam") for line in lines))
        self.assertEqual(sum(line.startswith("event ") for line in lines), 3)


if __name__ == "__main__":
    Live.build = sys.argv.pop(1)
    unittest.main(verbosity=2)
