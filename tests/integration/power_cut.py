#!/usr/bin/python3
"""Power cuts under a whole hub that records four cameras.

The data folder is an ext4 file system in an image. A cut is a copy of the image: what the kernel had not yet
written is not in it, as on a disk whose plug was pulled. Before each cut is noted what the hub had promised
(`durable_until` of each camera, events, answers); then the copy is mounted and a halfdoord, with its cameras
disabled, starts on it as after a power failure. Looked at: it opens; every announced clip is there and whole, to its
hashes; no camera's newest frame is older than promised, or older than --max-age at the cut; every row has its file and
every file its row; deleted clips stay deleted; policies and requests that were answered are there.

Every second cut is made with all processes stopped in the middle of whatever they did, every second one between two
writes of the running system. --mode kill uses no image: kill -9 of everything, then the same questions.

Needs root and loop devices (not --mode kill). usage: power_cut.py [BUILD_FOLDER] [--points N] ..."""
import argparse
import contextlib
import datetime
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import hub_case
import hubkit
from hub_case import utc

SKIPPED = 77  # meson's word for a skipped test
CAMERAS = "h264:320x180@15:gop=15,h264:320x240@10:gop=20:bframes=2,h265:320x180@10:gop=10,h264:160x120@25:gop=50"
# Small limits, so that clips are deleted all the time and cuts fall into that too.
RETENTION = "\n[retention]\nreserve_mb = 16\ncamera_max_mb = 1\n"
IMAGE_BYTES = 160 << 20


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=True).stdout.strip()


class Image:
    """An ext4 image on a loop device, mounted at `folder`."""

    def __init__(self, path, folder):
        self.path, self.folder, self.loop = pathlib.Path(path), pathlib.Path(folder), None

    def make(self):
        with open(self.path, "wb") as image:
            image.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.path)
        self.mount()
        (self.folder / "lost+found").rmdir()

    def mount(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.loop = run("losetup", "--find", "--show", self.path)
        run("mount", self.loop, self.folder)

    def unmount(self):
        if self.loop is None:
            return
        for _ in range(50):  # a program that was killed a moment ago may still hold it
            if subprocess.run(["umount", self.folder], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        subprocess.run(["losetup", "-d", self.loop], capture_output=True, check=False)
        self.loop = None

    def writes(self):
        """Finished writes and requests under way: equal before and after means that nothing was written between."""
        words = pathlib.Path(f"/sys/block/{pathlib.Path(self.loop).name}/stat").read_text().split()
        return words[4], words[6], words[8]

    def copy(self, target):
        """The image as it was at one instant; gives that instant, or None if it never stood still for long enough."""
        for _ in range(40):
            before, moment = self.writes(), hub_case.now()
            if before[2] == "0":
                run("cp", "--sparse=always", self.path, target)
                if self.writes() == before:
                    return moment
            time.sleep(0.005)
        return None


class Rpc:
    """Questions to a hub and its events, without starting a program for each."""

    def __init__(self, runtime):
        import zmq
        self.zmq, self.context, self.runtime = zmq, zmq.Context.instance(), pathlib.Path(runtime)
        self.socket = self.events = None

    def connect(self):
        self.close()
        self.socket = self.context.socket(self.zmq.DEALER)
        self.socket.connect(f"ipc://{self.runtime}/owner.sock")
        self.events = self.context.socket(self.zmq.SUB)
        self.events.subscribe(b"clip.")
        self.events.connect(f"ipc://{self.runtime}/events.sock")

    def close(self):
        for socket in (self.socket, self.events):
            if socket is not None:
                socket.close(0)

    def ask(self, verb, seconds=10, **question):
        tag = os.urandom(4).hex().encode()
        self.socket.send_multipart([b"HD1", verb.encode(), tag, json.dumps(question).encode()])
        deadline = time.monotonic() + seconds
        while self.socket.poll(max(1, int((deadline - time.monotonic()) * 1000))):
            frames = self.socket.recv_multipart()
            if frames[1] == tag:
                if frames[2] != b"ok":
                    raise RuntimeError(f"{verb}: {frames[2:4]}")
                return json.loads(frames[3])
        raise TimeoutError(f"no answer to {verb} within {seconds} s")

    def take_events(self):
        while self.events.poll(0):
            topic, body = self.events.recv_multipart()
            yield topic.decode(), json.loads(body)


class Promises:
    """What the hub has told the world so far."""

    def __init__(self):
        self.closed, self.deleted = {}, set()    # clip -> event; clips
        self.durable = {}                        # camera -> newest durable_until ever said
        self.recording = set()
        self.policy, self.requests = 0, set()

    def take(self, rpc):
        for topic, event in rpc.take_events():
            if topic == "clip.closed":
                self.closed[event["clip"]] = event
            elif topic == "clip.deleted":
                self.deleted.add(event["clip"])

    def take_status(self, status):
        # A recorder that has just begun has promised nothing yet.
        self.recording = {c["camera"] for c in status["cameras"] if c["state"] == "recording" and c["durable_until"]}
        for camera in status["cameras"]:
            if camera["durable_until"]:
                self.durable[camera["camera"]] = utc(camera["durable_until"])
        self.policy = max(self.policy, status["policy"]["number"])


def all_clips(rpc):
    today, days = hub_case.now(), datetime.timedelta(days=2)
    window = {"from": hub_case.rfc3339(today - days), "to": hub_case.rfc3339(today + days)}
    clips, cursor = [], {}
    while True:
        answer = rpc.ask("clips", limit=5000, **window, **cursor)
        clips += answer["clips"]
        if "cursor" not in answer:
            return clips
        cursor = {"cursor": answer["cursor"]}


class Sweep:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.random = random.Random(options.seed)
        self.programs = hubkit.Programs()
        self.image = None if options.mode == "kill" else Image(folder / "disk.img", folder / "hub" / "data")
        self.failures, self.ages, self.late, self.cuts = [], [], 0, 0
        self.promises = Promises()
        self.drafts = itertools.count(2)

    # Life of the hub that is cut.

    def start(self, stack):
        if self.image:
            stack.callback(self.image.unmount)
            self.image.folder.parent.mkdir()
            self.image.make()
        running = stack.enter_context(hub_case.RunningHub(
            self.programs, self.folder, CAMERAS, self.options.clip_seconds, RETENTION, requester=True))
        self.hub = running.hub
        self.rpc = Rpc(self.hub.data / "run")
        stack.callback(self.rpc.close)
        self.rpc.connect()
        self.cameras = sorted(hub_case.cameras_of(self.hub))

    def signal_all(self, number):
        """halfdoord first: it would start recorders that are not in the list."""
        for pids in ([self.hub.daemon.pid], self.hub.recorder_pids().values()):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def disturb(self):
        """Something that writes more than pieces, just before the cut."""
        what = self.random.random()
        if what < 0.06:
            number = next(self.drafts)
            draft, note = (self.hub.laptop / f"policy-{number}.{kind}" for kind in ("draft", "note"))
            self.hub.cli("policy", "edit", draft, "--minimum-age", number % 7, "--owner-card", self.hub.owner_card)
            self.hub.cli("policy", "sign", draft, "--key", self.hub.owner_key, "-o", note)
            self.hub.cli("policy", "apply", note, "--owner-card", self.hub.owner_card)
        elif what < 0.12:
            self.rpc.ask("reindex")
        elif what < 0.16:
            os.kill(self.random.choice(list(self.hub.recorder_pids().values())), signal.SIGKILL)
        elif what < 0.20:
            self.promises.take(self.rpc)
            self.hub.daemon.kill()
            self.hub.start(wait_recording=False)
            hub_case.wait_answering(self.hub)
            self.rpc.connect()
        elif what < 0.24:
            end = hub_case.now() - datetime.timedelta(seconds=10)
            done = self.hub.run("ask", *self.hub.requester_options(), "--from", hub_case.rfc3339(end - datetime.timedelta(seconds=900)),
                                "--to", hub_case.rfc3339(end), "--offence", "burglary", "--case", f"c{self.cuts}",
                                "--contact", "x@y.example", "--area", hubkit.AREA, "--json", check=False)
            for line in done.stdout.splitlines() if done.returncode == 0 else ():
                with contextlib.suppress(ValueError, KeyError):
                    self.promises.requests.add(json.loads(line)["request"])
        time.sleep(self.random.uniform(0, self.options.pause))

    # One cut.

    def note(self):
        status = self.rpc.ask("status")
        self.promises.take_status(status)
        self.promises.take(self.rpc)

    def cut_image(self, stopped):
        """A copy of the disk and the moment of the cut."""
        target = self.folder / "cut.img"
        self.note()
        if stopped:
            self.signal_all(signal.SIGSTOP)
        try:
            moment = self.image.copy(target)
            if stopped:
                self.promises.take(self.rpc)  # said before the cut, read after it
        finally:
            if stopped:
                self.signal_all(signal.SIGCONT)
        return target, moment

    def one(self):
        self.disturb()
        if not self.image:
            return self.one_kill()
        target, moment = self.cut_image(stopped=self.cuts % 2 == 0)
        if moment is None:
            return False
        cut = Image(target, self.folder / "cut")
        cut.mount()
        try:
            self.judge(cut.folder, moment)
        finally:
            cut.unmount()
        return True

    def one_kill(self):
        self.note()
        moment = hub_case.now()
        self.signal_all(signal.SIGKILL)
        self.hub.daemon.child.wait()
        self.judge(self.hub.data, moment)
        self.hub.start()
        self.rpc.connect()
        return True

    # What is left after it.

    def judge(self, data, moment):
        self.cuts += 1
        try:
            problems = self.problems(data, moment)
        except (RuntimeError, TimeoutError, hubkit.CliError, OSError, KeyError, ValueError) as error:
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems:
            print(f"cut {self.cuts}: {problem}", flush=True)
        if problems:
            self.failures.append(problems)
            print((self.folder / "after.log").read_text(errors="replace")[-3000:], flush=True)

    def problems(self, data, moment):
        config = self.folder / "after.toml"
        text = self.hub.config.read_text().replace(str(self.hub.data), str(data)).replace(RETENTION, "\n[retention]\nreserve_mb = 16\n")
        config.write_text(text.replace("[[camera]]", "[[camera]]\nenabled = false"))
        log = self.folder / "after.log"
        log.unlink(missing_ok=True)
        daemon = hubkit.Process([self.programs.path("halfdoord"), "--config", config], log, env=self.hub.environment())
        rpc = Rpc(data / "run")
        try:
            hubkit.wait_until(lambda: not daemon.alive() or " index.rebuild_done " in daemon.text()
                              or " hub.started " in daemon.text(), 20, "start after the cut", 0.02)
            if not daemon.alive():
                return [f"halfdoord did not start: {daemon.text()[-500:]}"]
            rpc.connect()
            hubkit.wait_until(lambda: rpc.ask("status")["index"]["state"] == "ready", 20, "ready index", 0.05)
            found = list(self.compare(rpc, data, moment))
        finally:
            rpc.close()
            code = daemon.stop()
        if code != 0:
            found.append(f"halfdoord ended with {code}")
        done = self.hub.run("check", "--data", data, "--hash", "--json", check=False)
        if done.returncode != 0:
            found.append(f"check --hash: exit {done.returncode} {done.stdout[:400]}{done.stderr[:200]}")
        return found

    def compare(self, rpc, data, moment):
        p = self.promises
        check = rpc.ask("check")
        while check["state"] == "running":
            time.sleep(0.02)
            check = rpc.ask("check", wait=True)
        if check["problems"]:
            yield f"check: {check['problems'][:3]}"
        status = rpc.ask("status")
        if status["policy"]["number"] < p.policy:
            yield f"policy {status['policy']['number']}, {p.policy} was in force"
        lost = p.requests - {r["request"] for r in rpc.ask("requests", limit=200)["requests"]}
        if lost:
            yield f"requests lost: {lost}"
        rows = {clip["clip"]: clip for clip in all_clips(rpc)}
        yield from self.announced(rows)
        yield from self.newest(rows, moment)
        parts = [x.name for x in (data / "clips").rglob("*") if x.is_file() and x.suffix != ".clip"]
        if parts:
            yield f"left over: {parts[:5]}"

    def announced(self, rows):
        p = self.promises
        for clip, event in p.closed.items():
            row = rows.get(clip)
            if clip in p.deleted:
                if row:
                    yield f"{clip} was deleted, and is back"
            elif row is None:
                camera = clip.split("/")[0]
                # Marked as garbage a moment before the cut, not yet told: then it was the oldest.
                older = [c for c in rows if c.startswith(camera) and c < clip]
                if older:
                    yield f"{clip} was announced, and is not there"
            elif (row["bytes"], row["frames"], row["end"]) != (event["bytes"], event["frames"], event["end"]):
                yield f"{clip} is not as announced: {row} {event}"

    def newest(self, rows, moment):
        worst = 0.0
        for camera in self.cameras:
            end = max((utc(r["end"]) for c, r in rows.items() if c.startswith(camera)), default=None)
            promised = self.promises.durable.get(camera)
            if promised and (end is None or end < promised):
                yield f"camera {camera[:8]}: durable until {promised} was said, the newest frame ends {end}"
            if camera in self.promises.recording and end:
                worst = max(worst, (moment - end).total_seconds())
        self.ages.append(worst)
        if worst > self.options.max_age:
            self.late += 1
            print(f"cut {self.cuts}: newest durable frame {worst:.2f} s old", flush=True)

    def sweep(self):
        begin = time.monotonic()
        while self.cuts < self.options.points and time.monotonic() - begin < self.options.seconds:
            if not self.one():
                print("the disk never stood still for a copy; next point", flush=True)
            if self.cuts and self.cuts % 25 == 0:
                self.say()
        self.say()
        deleted, closed = len(self.promises.deleted), len(self.promises.closed)
        print(f"clips announced {closed}, deleted {deleted}, policy {self.promises.policy}, "
              f"requests {len(self.promises.requests)}, seed {self.options.seed}")
        if self.cuts == 0:
            return 1
        too_late = self.late > max(1, self.options.late_share * self.cuts)
        return 1 if self.failures or too_late else 0

    def say(self):
        ages = sorted(self.ages) or [0]
        print(f"power cuts ({self.options.mode}): {self.cuts} points, {len(self.failures)} failures; age of the newest durable "
              f"frame: median {statistics.median(ages):.2f} s, p99 {ages[int(0.99 * (len(ages) - 1))]:.2f} s, "
              f"max {ages[-1]:.2f} s; {self.late} above {self.options.max_age} s", flush=True)


def why_not(mode):
    """The reason why this machine cannot do it, or nothing."""
    try:
        import zmq  # noqa: F401: only whether it is there
    except ImportError:
        return "no python3-zmq"
    if mode == "kill":
        return ""
    if os.geteuid() != 0:
        return "loop mounts need root"
    missing = [tool for tool in ("mkfs.ext4", "losetup", "mount") if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"no loop device: {probe.stderr.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no further point after this")
    parser.add_argument("--mode", choices=("image", "kill"), default="image")
    parser.add_argument("--clip-seconds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=2.5, help="longest random wait before a cut, seconds")
    parser.add_argument("--max-age", type=float, default=1.5, help="of the newest durable frame at a cut, seconds")
    parser.add_argument("--late-share", type=float, default=0.02, help="cuts that a loaded machine may be late at")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", help="in memory by default")
    options = parser.parse_args()
    if options.build:
        os.environ["HALFDOOR_BUILD"] = options.build
    os.umask(0o077)
    reason = why_not(options.mode)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    place = options.folder or ("/dev/shm" if os.path.isdir("/dev/shm") else None)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hd-cut-", dir=place)))
        sweep = Sweep(options, folder)
        sweep.start(stack)
        return sweep.sweep()


if __name__ == "__main__":
    sys.exit(main())
