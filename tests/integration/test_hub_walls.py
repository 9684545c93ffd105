#!/usr/bin/python3
"""A recorder that was taken over: each thing that it tries is refused or kills it, `halfdoor status` names the walls
that stopped it, and the other camera loses no frame. tests/integration/hostile is that recorder."""
import ctypes
import os
import pathlib
import re
import signal
import socket
import threading
import time
import unittest

import hub_case
import hubkit
from hub_case import cameras_of

CAMERAS = "h264:320x180@10:gop=10,h264:320x240@10:gop=10"


def landlock_abi():
    """Of this kernel; 0 without."""
    return max(0, ctypes.CDLL(None).syscall(444, 0, 0, 1))


class Visitors:
    """A TCP port that nobody has business with; counts who came."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.count = self.socket.getsockname()[1], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.count += 1


class TakenOver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder, cls.programs = hub_case.temp_folder(cls), hubkit.Programs()
        cls.libexec = cls.folder / "libexec"
        cls.libexec.mkdir()
        hostile = cls.programs.build / "tests/integration/hostile/halfdoor-recorder"
        (cls.libexec / "halfdoor-recorder").symlink_to(hostile)
        (cls.libexec / "halfdoor-gate").symlink_to(cls.programs.path("halfdoor-gate"))
        cls.replay = hubkit.Replay(cls.programs, cls.folder, generate=CAMERAS)
        cls.addClassCleanup(cls.replay.stop)
        cameras = {c["name"]: c["url"] for c in cls.replay.cameras}
        cls.hub = hubkit.prepared_hub(cls.programs, cls.folder / "hub", cameras, clip_seconds=3, requester=False)
        text = cls.hub.config.read_text(encoding="utf-8")
        # Never encoded here: the smaller memory limit, and no device.
        cls.hub.config.write_text(re.sub(r"(?m)^(url = .*)$", r'\1\nencode = "camera"', text), encoding="utf-8")
        cls.addClassCleanup(cls.hub.stop)
        cls.hub.daemon = hubkit.Process(
            [cls.programs.path("halfdoord"), "--config", cls.hub.config, "--libexec", cls.libexec],
            cls.folder / "halfdoord.log", env=cls.hub.environment())
        hub_case.wait_answering(cls.hub)
        hubkit.apply_policy(cls.hub)
        cls.hub.wait_recording(60)
        cls.good, cls.bad = sorted(cameras_of(cls.hub))
        cls.good_pid = cls.hub.recorder_pids()[cls.good]

    def log(self):
        return self.hub.daemon.text()

    def outcomes(self):
        return dict(re.findall(r'attack\.result what="(.*)" outcome=(\w+)', self.log()))

    def take_over(self, *lines):
        """The bad camera's recorder ends; the next one does this."""
        (self.hub.data / "run" / f"attack-{self.bad}").write_text("".join(line + "\n" for line in lines))
        pid = self.hub.recorder_pids().get(self.bad)
        if pid:
            os.kill(pid, 9)

    def release(self):
        (self.hub.data / "run" / f"attack-{self.bad}").unlink()

    def ends(self, how):
        return len(re.findall(rf'recorder\.ended camera={self.bad} how="{how}', self.log()))

    def walls(self):
        return {w["name"]: w for w in self.hub.status()["walls"]}

    def confined(self, pid):
        try:
            return "Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        except OSError:
            return False

    def dialers(self):
        """recorder's pid -> pid of its dialer."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text() == "dialer\n":
                    facts = (entry / "status").read_text(encoding="utf-8")
                    if "State:\tZ" not in facts:
                        found[int(re.search(r"(?m)^PPid:\s+(\d+)", facts)[1])] = int(entry.name)
            except OSError:
                pass
        return found


class Walls(TakenOver):
    def test_1_status_names_the_walls_that_the_recorders_report(self):
        walls = self.walls()
        for name in ("memory_shut", "no_new_privileges", "capabilities", "memory_limit", "system_calls"):
            self.assertEqual(walls[f"recorder.{name}"]["state"], "enforced", walls[f"recorder.{name}"])
        abi = landlock_abi()
        for name, since in (("files", 3), ("ports", 4), ("signals", 6)):
            wall = walls[f"recorder.{name}"]
            if abi < since:
                print(f"recorder.{name} is not tested as enforced: Landlock ABI {abi}, it needs {since}")
                self.assertNotEqual(wall["state"], "enforced", wall)
            else:
                self.assertEqual(wall["state"], "enforced", wall)
        self.assertEqual(walls["recorder.hosts"]["state"], "enforced", walls["recorder.hosts"])
        self.assertEqual(walls["recorder.dialer"]["state"], "enforced" if landlock_abi() >= 6 else "partial", walls["recorder.dialer"])
        self.assertEqual(walls["recorder.cpu_limit"]["state"], "partial")
        text = self.hub.cli("status").stdout
        for name in walls:
            self.assertIn(name, text)

    def test_2_the_kernel_says_the_same(self):
        status = pathlib.Path(f"/proc/{self.good_pid}/status").read_text(encoding="utf-8")
        facts = dict(re.findall(r"(?m)^(\w+):\t(.*)$", status))
        self.assertEqual((facts["Seccomp"], facts["NoNewPrivs"]), ("2", "1"))
        for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertEqual(int(facts[name], 16), 0, name)
        limits = pathlib.Path(f"/proc/{self.good_pid}/limits").read_text(encoding="utf-8")
        self.assertRegex(limits, r"Max core file size +0 +0")
        self.assertRegex(limits, r"Max data size +\d+ +\d+")
        for task in pathlib.Path(f"/proc/{self.good_pid}/task").iterdir():
            self.assertIn("Seccomp:\t2", (task / "status").read_text(encoding="utf-8"), task.name)

    def test_3_what_a_recorder_has_no_business_with_is_refused(self):
        visitors = Visitors()
        hub_keys = [p for p in (self.hub.data / "hub").iterdir() if p.stat().st_mode & 0o077 == 0]
        self.assertTrue(hub_keys)
        other = next((self.hub.data / "clips" / self.good).glob("*/*.clip*"))
        files = [*(f"read {key}" for key in hub_keys), f"list {self.hub.data / 'hub'}", f"read {self.hub.config}",
                 f"list {self.hub.data / 'clips'}", f"list {other.parent}", f"read {other}", f"unlink {other}",
                 f"append {self.hub.data / 'journal' / (self.good + '.log')}",
                 f"read {self.hub.data / 'journal' / (self.good + '.log')}",
                 f"append {self.hub.data / 'journal' / 'clock.log'}",
                 f"write {self.folder / 'written-outside'}", f"write {self.hub.data / 'clips' / 'written'}",
                 f"read /proc/{self.hub.daemon.pid}/environ"]
        ports = [f"tcp 127.0.0.1 {visitors.port}", "listen 127.0.0.1 0"]
        signals = [f"signal {self.hub.daemon.pid}", f"signal {self.good_pid}"]
        # A second host, on the camera's own port too; the camera itself, but not through the dialer.
        calls = ["udp 127.0.0.1 53", f"tcp 127.0.0.1 {self.replay.port}", f"tcp 127.0.0.2 {self.replay.port}",
                 "netlink", "raw", "fork"]
        self.take_over("wait 300", *files, *ports, *signals, *calls)
        hubkit.wait_until(lambda: calls[-1] in self.outcomes(), 15, "end of the attacks")
        outcomes, abi = self.outcomes(), landlock_abi()
        for group, since, refusal in ((files, 1, {"EACCES"}), (ports, 4, {"EACCES", "ENOSYS"}),
                                      (signals, 0, {"EPERM", "ENOSYS"}), (calls, 0, {"ENOSYS"})):
            if abi < since:
                print(f"not tested: {group}: Landlock ABI {abi}, it needs {since}")
                continue
            for what in group:
                with self.subTest(what=what):
                    self.assertIn(outcomes[what], refusal)
        self.assertTrue(other.exists() or other.with_suffix("").exists())
        self.assertFalse((self.folder / "written-outside").exists())
        self.assertEqual(visitors.count, 0)
        self.hub.wait_recording(20)

    def test_4_what_attacks_live_on_kills_it(self):
        for attack in ("execve", f"ptrace {self.hub.daemon.pid}", "become_root"):
            with self.subTest(attack=attack):
                before = self.ends("signal 31")
                self.take_over("wait 300", attack)
                hubkit.wait_until(lambda: self.ends("signal 31") > before, 15, "end by SIGSYS", 0.05)  # noqa: B023
                self.assertNotIn(attack, self.outcomes())
                self.release()
        self.hub.wait_recording(40)

    def test_4_what_crashes_or_leaks_is_ended_and_comes_back(self):
        for ill, end in (("abort", "signal 11"), ("leak", "signal 6")):
            with self.subTest(ill=ill):
                before = self.ends(end)
                self.take_over("wait 300", ill)
                hubkit.wait_until(lambda: self.ends(end) > before, 40, end, 0.05)  # noqa: B023
                self.release()
        self.hub.wait_recording(40)

    def test_5_the_other_camera_lost_no_frame(self):
        clips = hubkit.wait_until(lambda: len(self.hub.clip_files(self.good)) >= 2 and self.hub.clip_files(self.good),
                                  20, "clips of the other camera")
        count = hub_case.count_frames(self.programs, hub_case.opened(self.hub, clips, self.folder / "good.mp4"))
        self.assertTrue(count["complete"], count)
        self.assertEqual(self.hub.recorder_pids()[self.good], self.good_pid)
        self.assertEqual(cameras_of(self.hub)[self.good]["recorder_restarts"], 0)


class Dialing(TakenOver):
    """Around the dialer, and without it."""

    def test_1_neither_its_connection_nor_its_dialer_lead_elsewhere(self):
        visitors, name = Visitors(), f"hd{os.getpid()}"
        abstract = socket.socket(socket.AF_UNIX)
        self.addCleanup(abstract.close)
        abstract.bind(f"\0{name}")
        abstract.listen()
        there = f"127.0.0.1 {visitors.port}"
        attacks = {f"abstract {name}": ("EPERM", "ECONNREFUSED"), f"turn {there}": ("ENOSYS",),
                   f"turn_with_bytes {there}": ("ENOSYS",), f"aim {there}": ("dialer_ended",)}
        self.take_over("wait 300", *attacks, "cut")
        hubkit.wait_until(lambda: "cut" in self.outcomes(), 40, "the end of the attacks")
        self.release()
        for attack, refusals in attacks.items():
            with self.subTest(attack=attack):
                self.assertIn(self.outcomes()[attack], refusals)
        self.assertEqual(visitors.count, 0)
        hubkit.wait_until(lambda: self.ends("exit code 71"), 20, "the end of a recorder without a dialer", 0.05)
        self.hub.wait_recording(40)

    def test_2_a_dialer_that_dies_costs_no_video_until_the_camera_is_lost(self):
        camera, dialers = self.bad, self.dialers()
        old = self.hub.recorder_pids()[camera]
        self.take_over(*("wait 3000", "cut") * 5)
        # Behind its walls: a recorder whose dialer dies before that connects by itself, and says so.
        hubkit.wait_until(lambda: self.confined(self.hub.recorder_pids().get(camera, old)) and
                          self.hub.recorder_pids().get(camera, old) in self.dialers().keys() - {old}, 60,
                          "the next recorder's dialer", 0.05)
        hubkit.wait_until(lambda: dialers[old] not in self.dialers().values(), 20, "the end of the old one", 0.05)
        recorder, before = self.hub.recorder_pids()[camera], self.ends("exit code 71")
        dialer = self.dialers()[recorder]
        facts = dict(re.findall(r"(?m)^(\w+):\t(.*)$",
                                pathlib.Path(f"/proc/{dialer}/status").read_text(encoding="utf-8")))
        os.kill(dialer, 9)
        hubkit.wait_until(lambda: self.ends("exit code 71") > before, 30, "its end", 0.05)
        self.release()
        self.hub.wait_recording(40)
        self.assertNotEqual(self.hub.recorder_pids()[camera], recorder)
        self.assertEqual((facts["NoNewPrivs"], int(facts["CapEff"], 16)), ("1", 0))
        self.assertEqual(facts["Seccomp"], "2")

    def configure(self, line):
        """Of the bad camera, from now on."""
        text = self.hub.config.read_text(encoding="utf-8")
        begin = text.index(f'id = "{self.bad}"')
        head, key, rest = text[:begin], 'encode = "camera"\n', text[begin:]
        self.hub.config.write_text(head + rest.replace(key, f"{key}{line}\n", 1), encoding="utf-8")
        os.kill(self.hub.daemon.pid, signal.SIGHUP)

    def test_3_a_recorder_without_a_dialer_connects_by_itself_and_says_so(self):
        self.take_over("alone")
        hubkit.wait_until(lambda: self.walls()["recorder.hosts"]["state"] == "missing", 20, "the other level")
        self.release()
        self.assertIn("connects by itself", self.walls()["recorder.hosts"]["detail"])
        self.hub.wait_recording(20)
        self.assertEqual(len(self.dialers().keys() & set(self.hub.recorder_pids().values())), 1)

    def test_4_over_udp_nothing_leads_elsewhere_either(self):
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(stranger.close)
        stranger.bind(("127.0.0.2", 0))
        there = f"127.0.0.2 {stranger.getsockname()[1]}"
        attacks = {**{f"{how} {there}": "ENOSYS" for how in ("udp_sendto", "udp_sendmsg", "udp_sendmmsg", "udp_turn")},
                   f"udp {there}": "ENOSYS", "join 1023": "refused", f"aim {there}": "dialer_ended"}
        (self.hub.data / "run" / f"attack-{self.bad}").write_text("".join(f"{a}\n" for a in attacks))
        self.configure('transport = "udp"')
        hubkit.wait_until(lambda: attacks.keys() <= self.outcomes().keys(), 40, "the end of the attacks")
        self.assertEqual({a: self.outcomes()[a] for a in attacks}, attacks)
        stranger.setblocking(False)
        self.assertRaises(BlockingIOError, stranger.recv, 1)
        self.release()
        # Its dialer has ended; the connection and its ports are there until the camera is lost.
        os.kill(self.hub.recorder_pids()[self.bad], 9)
        hubkit.wait_until(lambda: self.walls()["recorder.hosts"]["state"] == "enforced", 20, "the walls of the next")
        self.hub.wait_recording(20)
        self.assertLessEqual(set(self.hub.recorder_pids().values()), self.dialers().keys())


@unittest.skipUnless(os.environ.get("HALFDOOR_LONG"), "long: meson test --suite slow")
class Ills(Walls):
    """A recorder that crashes, leaks or spins costs its camera only."""

    def starts(self):
        return len(re.findall(rf"recorder\.started camera={self.bad} ", self.log()))

    def test_3_what_a_recorder_has_no_business_with_is_refused(self):
        """A crash every 3 s: restarts come slower and slower."""
        before, begin = self.starts(), time.monotonic()
        self.take_over("wait 3000", "abort")
        time.sleep(40)
        self.release()
        starts, seconds = self.starts() - before, time.monotonic() - begin
        # 3.3 s of life each, then 0, 0.5, 1, 2, 4, 8 s of waiting: 6 in 40 s. Without waiting: 12.
        self.assertGreaterEqual(starts, 4)
        self.assertLessEqual(starts, seconds / 3.3 * 0.7)
        self.assertGreaterEqual(self.ends("signal 11"), 3)
        self.hub.wait_recording(60)

    def test_4_what_attacks_live_on_kills_it(self):
        """A leak ends at the memory limit; a thread that spins takes its share only."""
        before, most = self.ends("signal 6"), 0
        self.take_over("wait 1000", "leak")
        deadline = time.monotonic() + 60
        while self.ends("signal 6") == before and time.monotonic() < deadline:
            pid = self.hub.recorder_pids().get(self.bad)
            try:
                size = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
                most = max(most, int(size[1]) if size else 0)
            except OSError:
                pass
            time.sleep(0.05)
        self.release()
        self.assertGreater(self.ends("signal 6"), before)
        print(f"a leaking recorder had {most >> 10} MiB at most")
        self.assertLess(most >> 10, 450)
        self.take_over("wait 500", "spin", "spin")
        time.sleep(15)
        self.release()
        self.take_over()
        self.hub.wait_recording(60)


@unittest.skipUnless(os.environ.get("HALFDOOR_LONG"), "long: meson test --suite slow")
class OwnUser(unittest.TestCase):
    """Recorders as another user: they record, are adopted, and their clips are the daemon's to index and delete."""

    def test_recorders_have_a_user_of_their_own(self):
        if os.geteuid() != 0:
            self.skipTest("only root may start programs as another user")
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        folder.chmod(0o711)
        replay = hubkit.Replay(programs, folder, generate="h264:320x180@10:gop=10")
        self.addCleanup(replay.stop)
        cameras = {c["name"]: c["url"] for c in replay.cameras}
        hub = hubkit.prepared_hub(programs, folder / "hub", cameras, clip_seconds=3, requester=False)
        (folder / "hub").chmod(0o711)
        text = hub.config.read_text(encoding="utf-8")
        hub.config.write_text(text.replace("[hub]", '[hub]\nrecorder_user = "nobody"', 1), encoding="utf-8")
        self.addCleanup(hub.stop)
        hub.start(wait_recording=False)
        hub_case.wait_answering(hub)
        hubkit.apply_policy(hub)
        hub.wait_recording(60)
        walls = {w["name"]: w["state"] for w in hub.status()["walls"]}
        for name in ("recorder.user", "recorder.capabilities", "folder.data", "folder.runtime"):
            self.assertEqual(walls[name], "enforced", name)
        camera, pid = next(iter(hub.recorder_pids().items()))
        facts = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        self.assertRegex(facts, r"(?m)^Uid:\t65534\t65534\t65534\t65534$")
        hub.daemon.kill()
        hub.start()
        self.assertEqual(hub.recorder_pids(), {camera: pid}, "adopted")
        # A clip that a killed recorder left is mended by the daemon, whose file it is not.
        hubkit.wait_until(lambda: any((hub.data / "clips").rglob("*.part")), 10, "open clip", 0.05)
        time.sleep(1)
        os.kill(pid, 9)
        hubkit.wait_until(lambda: "clip.recovered" in hub.daemon.text(), 10, "recovered clip")
        hub.wait_recording(20)
        hubkit.wait_until(lambda: len(hub.clip_files(camera)) >= 3, 20, "clips")
        self.assertEqual(hub.cli("check", "--json").stdout.strip(), "")
        count = hub_case.count_frames(programs, hub_case.opened(hub, hub.clip_files(camera), folder / "all.mp4"))
        self.assertEqual((count["repeated"], count["counted"]), (0, count["packets"]), count)


if __name__ == "__main__":
    hub_case.main()
