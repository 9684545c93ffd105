#!/usr/bin/python3
"""What a thief, root on the running hub, or a reader of logs finds: nothing that opens a sealed picture, and no
camera password where it has no business. usage: test_privacy_hub.py BUILD_FOLDER"""
import math
import os
import pathlib
import random
import re
import stat
import subprocess
import sys
import tempfile
import unittest

import privacy_kit as kit
from privacy_kit import hubkit

USER = "camera-operator-7Qx"
PASSWORD = "Vq8-wrong-horse-battery-1f"
SAMPLES = 40  # of 16 bytes from each opened piece: none may stand anywhere in the data folder


def files_below(folder):
    """(path, bytes) of every regular file; sockets are no files."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = pathlib.Path(root) / name
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path, path.read_bytes()
            except FileNotFoundError:
                pass  # a .part that was finished meanwhile


def too_many(count, expected):
    """Whether chance explains `count` hits where `expected` are likely: no, below one in 10^9."""
    return count > expected + 7 * math.sqrt(expected) + 3


class Thief(unittest.TestCase):
    """After clips were closed, while the hub goes on."""

    @classmethod
    def setUpClass(cls):
        temp = tempfile.TemporaryDirectory(prefix="halfdoor-privacy-")
        cls.addClassCleanup(temp.cleanup)
        folder = pathlib.Path(temp.name)
        cls.programs = hubkit.Programs(cls.build)
        secret = folder / "replay.password"
        secret.write_text(PASSWORD + "\n")
        cls.replay = hubkit.Replay(cls.programs, folder, generate="h264:320x240@25,h265:320x240@25",
                                   options=["--user", USER, "--password-file", secret])
        cls.addClassCleanup(cls.replay.stop)
        urls = {f"cam{i}": re.sub(r"rtsp://([^@/]*@)?", f"rtsp://{USER}:{PASSWORD}@", c["url"])
                for i, c in enumerate(cls.replay.cameras)}
        cls.hub = hubkit.prepared_hub(cls.programs, folder / "hub", urls, clip_seconds=3)
        hubkit.apply_policy(cls.hub)
        cls.addClassCleanup(cls.hub.stop)
        cls.hub.start()
        cls.cameras = {c["camera"]: c["name"] for c in cls.hub.status()["cameras"]}
        hubkit.wait_until(lambda: all(len(cls.hub.clip_files(c)) >= 3 for c in cls.cameras), 60,
                          "three closed clips of each camera")

    # Processes.

    def processes(self):
        """name -> pid of everything that the hub runs."""
        found = {"halfdoord": self.hub.daemon.pid}
        for camera, pid in self.hub.recorder_pids().items():
            found["halfdoor-recorder " + self.cameras[camera]] = pid
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"halfdoor-gate" in line.split(b"\0")[0] and str(self.hub.data).encode() in line:
                found["halfdoor-gate"] = int(entry.name)
        self.assertEqual(len(found), 4, found)
        return found

    def scan(self, *arguments):
        done = subprocess.run([self.programs.path("halfdoor-memscan"), *map(str, arguments)], capture_output=True,
                              text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def newest(self, camera):
        """All clips, that which is being written last: its newest piece was sealed a moment ago."""
        return self.hub.clip_files(camera) + [p for p in self.hub.clip_files(camera, finished=False) if p.name.endswith(".part")]

    def need_other_memory(self):
        if os.geteuid() != 0:
            self.skipTest("recorder and gate are not dumpable: only root may look into their memory")

    def test_no_process_holds_what_opens_a_sealed_piece(self):
        self.need_other_memory()
        recipient = kit.Person(self.hub.owner_key, self.hub.owner_card).age
        for name, pid in self.processes().items():
            clips = [p for camera, own in self.cameras.items() if "recorder" not in name or name.endswith(own)
                     for p in self.newest(camera)]
            code, text = self.scan("--stride", 8 if "recorder" in name else 4, "--recipient", recipient, pid, *clips)
            print(f"  {name}: {text.strip()}")
            self.assertEqual(code, 0, f"{name}: {text}")
            self.assertGreater(int(re.search(r"(\d+) bytes", text)[1]), 1_000_000, "hardly any memory was read")
            self.assertGreaterEqual(int(re.search(r"(\d+) targets", text)[1]), 4, "hardly any piece was tried")

    def test_the_scan_finds_each_kind_of_secret_where_there_is_one(self):
        clip = self.hub.clip_files()[0]
        with subprocess.Popen([self.programs.path("halfdoor-memscan"), "--hold", self.hub.owner_key, clip],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            self.assertEqual(holder.stdout.readline(), b"ready\n")
            recipient = kit.Person(self.hub.owner_key, self.hub.owner_card).age
            code, text = self.scan("--recipient", recipient, holder.pid, clip)
            holder.stdin.close()
        self.assertEqual(code, 1, text)
        for kind in ("file key", "wrap key", "payload key", "shared secret", "identity"):
            self.assertIn(f"FOUND {kind}", text)

    def test_the_camera_password_is_only_where_it_is_needed(self):
        needles = pathlib.Path(self.hub.folder) / "needles"
        needles.write_text(PASSWORD + "\n")
        for name, pid in self.processes().items():
            for file in ("cmdline", "environ"):
                try:
                    text = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
                except PermissionError:
                    continue  # not dumpable: nobody else can read it either
                self.assertNotIn(PASSWORD.encode(), text, f"{name} {file}")
                self.assertNotIn(USER.encode(), text, f"{name} {file}")
        self.need_other_memory()
        holds = {name: self.scan("--text", needles, pid)[0] for name, pid in self.processes().items()}
        self.assertEqual(holds["halfdoor-gate"], 0, "the gate has a camera's password in its memory")
        # Those two log in: if the search did not find it here, it would not find it anywhere.
        self.assertEqual([holds[n] for n in sorted(holds) if "gate" not in n], [1, 1, 1])

    def test_no_log_names_a_credential_or_key(self):
        logs = self.hub.daemon.text()
        self.assertIn("endpoint.opened", logs)
        for word in (PASSWORD, USER, "AGE-SECRET-KEY-1", "Authorization:"):
            self.assertNotIn(word, logs)

    # The disk.

    def opened(self, clip):
        """The plain pieces, by stock age and the owner's key."""
        _, pieces = kit.read_clip(clip)
        plain = [kit.age_open(p.age, self.hub.owner_key) for p in pieces]
        self.assertNotIn(None, plain, f"stock age refuses a piece of {clip.name}")
        self.assertGreaterEqual(len(plain), 3)
        return plain

    def test_the_data_folder_holds_nothing_of_any_picture(self):
        self.skip_without("age")
        chance = random.Random(11)
        needles = {b"HALFDOORFRAMECNT": "frame counter", b"AGE-SECRET-KEY-1": "secret key", b"JFIF\0": "JPEG",
                   PASSWORD.encode(): "password", USER.encode(): "user"}
        for camera in self.cameras:
            plain = self.opened(self.hub.clip_files(camera)[1])
            record = plain[0].index(b"avcC" if b"avcC" in plain[0] else b"hvcC")
            needles[plain[0][record + 12:record + 36]] = "codec parameters"
            for piece in plain:
                for _ in range(SAMPLES):
                    at = chance.randrange(len(piece) - 16)
                    if len(set(piece[at:at + 16])) > 8:
                        needles[piece[at:at + 16]] = "bytes of a picture"
        self.assertGreater(len(needles), 200)
        self.assertTrue(any(b"HALFDOORFRAMECNT" in p for p in plain), "the replay sends no counters: a weak test")
        structures = re.compile(rb"ftyp(iso|mp4|dash|msdh)|moof....mfhd|moov....mvhd|mdat....\x00\x00|styp(msdh|iso)"
                                rb"|\x00\x00\x00\x01[\x67\x27][\x42\x4d\x64]|\x00\x00\x00\x01\x40\x01\x0c"
                                rb"|\xff\xd8\xff[\xe0\xe1\xdb]..(JFIF|Exif)", re.DOTALL)
        counted = dict.fromkeys((b"moov", b"moof", b"mdat", b"ftyp", b"\x00\x00\x00\x01\x67", b"\x00\x00\x01\x65",
                                 b"\x00\x00\x01\x26", b"\xff\xd8\xff"), 0)
        random_bytes = 0
        for path, data in files_below(self.hub.data):
            for needle, what in needles.items():
                self.assertNotIn(needle, data, f"{what} in {path}")
            for match in structures.finditer(data):
                # 7 fixed bytes and more: chance gives less than one in 10^9 for a folder of 100 MB.
                self.fail(f"{match[0][:12]!r} in {path} at byte {match.start()}")
            random_bytes += len(data)
            for pattern in counted:
                counted[pattern] += data.count(pattern)
        self.assertGreater(random_bytes, 500_000)
        for pattern, count in counted.items():
            # Ciphertext holds each of them now and then; 00 00 01 65 also a binary header.
            self.assertFalse(too_many(count, random_bytes / 256 ** len(pattern)), f"{pattern!r} {count} times")

    def test_stock_age_opens_every_piece_and_they_play(self):
        self.skip_without("age", "ffprobe")
        for camera in self.cameras:
            clip = self.hub.clip_files(camera)[0]
            film = pathlib.Path(self.hub.laptop) / f"{camera}.mp4"
            film.write_bytes(b"".join(self.opened(clip)))
            probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
                                    "stream=nb_read_frames", "-of", "csv=p=0", film], capture_output=True, text=True,
                                   check=True)
            self.assertEqual(probe.stderr, "", "decoding reports errors")
            self.assertGreaterEqual(int(probe.stdout.strip().strip(",")), 50)

    def test_no_key_on_the_hub_opens_a_piece(self):
        self.skip_without("age")
        _, pieces = kit.read_clip(self.hub.clip_files()[0])
        self.assertIsNone(kit.age_open(pieces[0].age, self.hub.requester_key))
        for path, data in files_below(self.hub.data / "hub"):
            if path.suffix not in (".key", ".curve"):
                continue
            self.assertIsNone(kit.age_open(pieces[0].age, path), path)

    def test_only_their_owner_reads_files_and_keys(self):
        wrong = []
        for root, folders, names in os.walk(self.hub.data):
            for name in folders + names:
                path = pathlib.Path(root) / name
                try:
                    mode = path.lstat().st_mode
                except FileNotFoundError:
                    continue
                # RocksDB chooses the modes of its files; the folder around them is shut.
                parts = path.relative_to(self.hub.data).parts
                # In production the recorders are another user of the sockets' group; the folder shuts everybody else out.
                spared = "index" in parts[:-1] or parts in (("run", "link.sock"), ("run", "sync.sock"))
                if stat.S_IMODE(mode) & 0o077 and not spared:
                    wrong.append(f"{stat.filemode(mode)} {path.relative_to(self.hub.data)}")
        self.assertEqual([w for w in wrong if not w.endswith(".card")], [])
        for folder in (".", "run", "hub", "clips", "index", "requests", "releases", "journal", "policy"):
            self.assertEqual(stat.S_IMODE((self.hub.data / folder).stat().st_mode), 0o700, folder)
        for path in self.hub.folder.glob("*.password"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_status_says_honestly_which_walls_stand(self):
        walls = {w["name"]: w["state"] for w in self.hub.status()["walls"]}
        self.assertEqual(walls["folder.data"], "enforced")
        for wall, pid in (("recorder.user", next(iter(self.hub.recorder_pids().values()))),
                          ("gate.user", self.processes()["halfdoor-gate"])):
            same = uid_of(self.hub.daemon.pid) == uid_of(pid)
            self.assertEqual(walls[wall], "missing" if same else "enforced", wall)
        self.assertEqual(walls["daemon.user"], "missing" if uid_of(self.hub.daemon.pid) == 0 else "enforced")

    def skip_without(self, *tools):
        gone = kit.missing_tools(*tools)
        if gone:
            self.skipTest(gone)


def uid_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    raise ValueError(pid)


if __name__ == "__main__":
    os.umask(0o022)  # a careless user's: the programs must not rely on it
    Thief.build = sys.argv.pop(1) if len(sys.argv) > 1 else None
    unittest.main(verbosity=2)
