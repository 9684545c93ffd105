#!/usr/bin/python3
"""Power cuts under a whole hub that records four cameras.

The data folder is an ext4 file system on a disk that can lose its power (power_disk.py). Before each cut is noted what the
hub had promised (`durable_until` of each camera, events, answers); later a halfdoord, with its cameras disabled, starts on
the image as after a power failure. Looked at: it opens; every announced clip is there and whole, to its hashes; no camera's
newest frame is older than promised; every row has its file and every file its row; deleted clips stay deleted; policies and
requests that were answered are there; nothing unfinished is left over after an orderly stop.

Two thirds of the cuts are aimed: a clip is being closed, clips are being deleted, a policy is applied, the index is being
rebuilt; half of these within one of the next flushes. Whether a cut did fall there is decided afterwards, from the times of
files, events and log. Of the others some come beside a recorder's or the daemon's death.

--mode image: what was written is there (half of the cuts with all programs stopped by SIGSTOP). --mode torn: what was
flushed is there, and of what was written after the last finished flush a random subset of sectors. --mode kill: no disk
image; kill -9 of some or all of the programs, then the same questions. The age of the newest durable frame at the cut is
judged where the machine did not stall (a thread that sleeps 50 ms woke up in time for the last 3 s).

Needs root, loop devices and /dev/fuse (not --mode kill). usage: power_cut.py [BUILD_FOLDER] [--points N] ..."""
import argparse
import collections
import concurrent.futures
import contextlib
import datetime
import itertools
import json
import os
import pathlib
import random
import re
import signal
import statistics
import sys
import tempfile
import threading
import time

import hub_case
import hubkit
import power_disk
from hub_case import utc
from hub_rpc import Rpc
from power_judge import Judge, Promises, announced, newest, said_after_all, window_of_days

SKIPPED = 77  # meson's word for a skipped test
CAMERAS = ("h264:320x180@15:gop=15:kbit=400,h264:320x240@10:gop=20:bframes=2:kbit=400,h265:320x180@10:gop=10:kbit=400,"
           "h264:160x120@25:gop=50:kbit=400")
# Small limits, so that clips are deleted all the time.
RETENTION = "\n[retention]\nreserve_mb = 16\ncamera_max_mb = 1\n"
AIMS = {"close": 0.17, "delete": 0.17, "policy": 0.16, "rebuild": 0.17, "recorder": 0.05, "daemon": 0.03, "request": 0.05,
        "any": 0.20}
AIMED = ("close", "delete", "policy", "rebuild")
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def seconds(value):
    return datetime.timedelta(seconds=value)


class Heartbeat:
    """How long the machine lately kept a thread waiting that wanted to run."""

    def __init__(self):
        self.late = collections.deque(maxlen=60)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            before = time.monotonic()
            time.sleep(0.05)
            self.late.append(time.monotonic() - before - 0.05)

    def quiet(self):
        return max(self.late, default=0) < 0.1


class Sweep:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.random = random.Random(options.seed)
        self.programs = hubkit.Programs()
        self.heartbeat = Heartbeat()
        self.failures, self.ages, self.cuts, self.unflushed = [], {True: [], False: []}, 0, []
        self.phases = collections.Counter()
        self.promises = Promises()
        self.drafts = itertools.count(2)
        self.images = itertools.count(1)
        self.lock = threading.Lock()  # of what judges add to: failures, ages, phases

    # Life of the hub that is cut.

    def start(self, stack):
        self.disk = None
        if self.options.mode != "kill":
            (self.folder / "hub").mkdir()
            self.disk = stack.enter_context(power_disk.PowerDisk(self.folder / "disk", self.folder / "hub" / "data"))
        running = stack.enter_context(hub_case.RunningHub(
            self.programs, self.folder, CAMERAS, self.options.clip_seconds, RETENTION, requester=True))
        self.hub = running.hub
        self.rpc = Rpc(self.hub.data / "run")
        stack.callback(self.rpc.close)
        self.rpc.connect()
        self.cameras = sorted(hub_case.cameras_of(self.hub))
        self.judges = [Judge(self.hub, self.programs, self.cameras, self.folder / f"judge-{n}")
                       for n in range(self.options.judges)]

    def pids(self):
        """halfdoord first: it would start recorders that are not in the list."""
        return [self.hub.daemon.pid, *self.hub.recorder_pids().values(), *self.hub.gate_pids()]

    def signal_all(self, number):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def note(self):
        self.promises.take_status(self.rpc.ask("status"))
        self.promises.take(self.rpc)

    # What the hub is made to do just before the cut. Gives what is to be waited for after it.

    def finished(self):
        return {path for camera in self.cameras for path in (self.hub.data / "clips" / camera).glob("*/*.clip")}

    def prepare_close(self):
        before, deadline = self.finished(), time.monotonic() + 2
        while time.monotonic() < deadline and self.finished() <= before:
            time.sleep(0.003)
        # At once, or a little before the next clip of a camera ends: clips of one camera end in the same rhythm.
        time.sleep(self.random.choice((0, self.random.uniform(0, 0.12))))

    def prepare_delete(self):
        os.kill(self.hub.daemon.pid, signal.SIGHUP)  # the configuration again: and a pass over the limits at once
        if self.random.random() < 0.3:
            time.sleep(self.random.uniform(0.05, 0.15))
            return
        known, deadline = len(self.promises.deleted), time.monotonic() + 0.5
        while time.monotonic() < deadline and len(self.promises.deleted) == known:  # marked; now they are swept
            self.rpc.events.poll(20)
            self.promises.take(self.rpc)
        time.sleep(self.random.choice((0, self.random.uniform(0, 0.03))))

    def prepare_policy(self):
        number = next(self.drafts)
        draft, note = (self.hub.laptop / f"policy-{number}.{kind}" for kind in ("draft", "note"))
        self.hub.cli("policy", "edit", draft, "--minimum-age", number % 7, "--owner-card", self.hub.owner_card)
        self.hub.cli("policy", "sign", draft, "--key", self.hub.owner_key, "-o", note)
        self.note()
        tag = self.rpc.send("policy.apply", note.read_bytes())
        time.sleep(self.random.choice((0, 0.002, self.random.uniform(0, 0.04))))
        return tag

    def prepare_rebuild(self):
        self.note()
        tag = self.rpc.send("reindex")
        time.sleep(self.random.choice((0, 0.003, self.random.uniform(0, 0.05))))
        return tag

    def prepare_recorder(self):
        os.kill(self.random.choice(list(self.hub.recorder_pids().values())), signal.SIGKILL)
        time.sleep(self.random.uniform(0, 1.5))

    def prepare_daemon(self):
        self.promises.take(self.rpc)
        self.hub.daemon.kill()
        self.hub.start(wait_recording=False)
        hub_case.wait_answering(self.hub)
        self.rpc.connect()
        time.sleep(self.random.uniform(0, 1.5))

    def prepare_request(self):
        end = hub_case.now() - seconds(10)
        done = self.hub.run("ask", *self.hub.requester_options(), "--from", hub_case.rfc3339(end - seconds(900)),
                            "--to", hub_case.rfc3339(end), "--offence", "burglary", "--case", f"c{self.cuts}",
                            "--contact", "x@y.example", "--area", hubkit.AREA, "--json", check=False)
        for line in done.stdout.splitlines() if done.returncode == 0 else ():
            with contextlib.suppress(ValueError, KeyError):
                self.promises.requests.add(json.loads(line)["request"])

    def prepare_any(self):
        time.sleep(self.random.uniform(0, self.options.pause))

    # One cut.

    def one(self, pool):
        self.cuts += 1
        aim = self.random.choices(list(AIMS), AIMS.values())[0]
        if aim not in ("policy", "rebuild"):
            self.note()
        begun = hub_case.now()
        waited_for = getattr(self, f"prepare_{aim}")()
        if not self.disk:
            return self.one_kill(aim, begun)
        if waited_for is None and aim != "request":
            self.note()  # as late as possible: what was promised while it was prepared counts
        path, promises, moment = self.cut()
        if waited_for:
            with contextlib.suppress(RuntimeError):  # a policy that was cut and is applied all the same
                self.rpc.answer(waited_for, 20)
        applied = (begun, hub_case.now()) if aim == "policy" else None
        return pool.submit(self.judge, self.cuts, path, promises, moment, applied, self.heartbeat.quiet())

    def cut(self):
        path = self.folder / f"cut-{next(self.images)}.img"
        torn = self.options.mode == "torn"
        stopped = not torn and self.random.random() < 0.5
        at_flush = 0 if stopped or self.random.random() < 0.3 else self.random.randint(1, 8)
        if stopped:
            self.signal_all(signal.SIGSTOP)
        try:
            if stopped:
                self.promises.take(self.rpc)  # said before the cut, read after it
            promises = self.promises.copy()
            done = self.disk.cut(path, "torn" if torn else "kept", self.random.random(), at_flush)
        finally:
            if stopped:
                self.signal_all(signal.SIGCONT)
        self.unflushed.append((done["unflushed"], done["kept"]))
        return path, promises, datetime.datetime.fromtimestamp(done["moment"], UTC)

    def judge(self, cut, path, promises, moment, applied, quiet):
        """In a thread of the pool."""
        with self.lock:
            judge = self.judges.pop()
        try:
            ends, problems = judge.image(path, promises)
        finally:
            with self.lock:
                self.judges.append(judge)
        self.enter(cut, problems, self.phases_at(moment, applied))
        ages = [(moment - end).total_seconds() for camera, end in ends.items() if end and camera in promises.recording]
        if ages:
            self.enter_age(cut, max(ages), quiet)

    def phases_at(self, moment, applied):
        """In which phases the cut fell, by what the living hub says."""
        near = lambda begin, end: begin - seconds(0.02) <= moment <= end + seconds(0.1)
        time.sleep(max(0.0, (moment + seconds(0.3) - hub_case.now()).total_seconds()))
        fell = set()
        for path in self.finished():
            with contextlib.suppress(FileNotFoundError):
                times = path.stat()  # mtime: the footer was written; ctime: it was renamed
                if near(*(datetime.datetime.fromtimestamp(t, UTC) for t in (times.st_mtime, times.st_ctime))):
                    fell.add("close")
        if any(near(at, at + seconds(0.1)) for at in list(self.promises.deleted.values())):
            fell.add("delete")
        if applied and applied[0] <= moment <= applied[1]:
            fell.add("policy")
        log = self.hub.daemon.text()[-200_000:]
        began, done = ([hub_case.utc(t) for t in re.findall(rf"^(\S+) \S+ \S+ index\.rebuild_{what} ", log, re.M)]
                       for what in ("began", "done"))
        if any(near(b, min((d for d in done if d >= b), default=b)) for b in began):
            fell.add("rebuild")
        return fell

    def enter(self, cut, problems, fell):
        with self.lock:
            for phase in fell:
                self.phases[phase] += 1
            self.phases["any of these" if fell else "none of these"] += 1
            for problem in problems:
                print(f"cut {cut} ({', '.join(sorted(fell)) or 'no phase'}): {problem}", flush=True)
            if problems:
                self.failures.append(problems)

    def enter_age(self, cut, age, quiet):
        with self.lock:
            self.ages[quiet].append(age)
        if age > self.options.max_age:
            print(f"cut {cut}: newest durable frame {age:.2f} s old{'' if quiet else ' (the machine stalled)'}", flush=True)

    # --mode kill

    def one_kill(self, aim, begun):
        """Some of the programs; every fourth time all of them, and then a hub without cameras looks at what is left."""
        everything = self.cuts % 4 == 0
        self.promises.take(self.rpc)
        pids = self.pids()
        victims = pids if everything else self.random.sample(pids, self.random.randint(1, max(1, len(pids) - 1)))
        if aim not in ("policy", "rebuild") and not everything:
            self.promises.take_status(self.rpc.ask("status"))
        moment = hub_case.now()
        for pid in pids if everything else victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon_died = self.hub.daemon.pid in victims
        if daemon_died:
            self.hub.daemon.child.wait()
        if everything:
            ends, problems = self.judges[0].data(self.hub.data, self.promises)
        if daemon_died:
            self.hub.start(wait_recording=False)
            hub_case.wait_answering(self.hub)
            self.rpc.connect()
        self.hub.wait_recording(60)
        if not everything:
            problems = self.live_problems()
        self.promises.take(self.rpc)
        self.enter(self.cuts, problems, self.phases_at(moment, (begun, moment) if aim == "policy" else None))
        return None

    def live_problems(self):
        hubkit.wait_until(lambda: self.rpc.ask("status")["index"]["state"] == "ready", 60, "ready index", 0.05)
        promises = self.promises.copy()
        # An adopted recorder tells of its open clip with its next sync.
        hubkit.wait_until(lambda: all(utc(c["durable_until"] or "1970-01-01T00:00:00Z") >= promises.durable.get(c["camera"], EPOCH)
                                      for c in self.rpc.ask("status")["cameras"]), 20, "word of every recorder", 0.1)
        problems = list(said_after_all(self.rpc, promises))
        rows = {clip["clip"]: clip for clip in self.rpc.clips({**window_of_days(), "open": True})}
        self.promises.take(self.rpc)
        promises.deleted.update(self.promises.deleted)
        closed = {c: r for c, r in rows.items() if r["state"] == "closed"}
        return problems + list(announced(promises, {**rows, **closed})) + newest(promises, rows, self.cameras)[1]

    # All of them.

    def sweep(self):
        begin = time.monotonic()
        waiting = set()
        with concurrent.futures.ThreadPoolExecutor(self.options.judges) as pool:
            while self.cuts < self.options.points and time.monotonic() - begin < self.options.seconds:
                done = self.one(pool)
                if done:
                    waiting.add(done)
                # No more images than fit into memory.
                finished, waiting = concurrent.futures.wait(
                    waiting, None if len(waiting) >= 3 * self.options.judges else 0, concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    future.result()
                if self.cuts % 25 == 0:
                    self.say()
            for future in concurrent.futures.as_completed(waiting):
                future.result()
        self.say()
        p = self.promises
        print(f"clips announced {len(p.closed)}, deleted {len(p.deleted)}, policy {p.policy}, requests {len(p.requests)}, "
              f"seed {self.options.seed}, {time.monotonic() - begin:.0f} s")
        return self.verdict()

    def verdict(self):
        quiet = self.ages[True]
        late = sum(age > self.options.max_age for age in quiet)
        failed = bool(self.failures) or self.cuts == 0
        if late > max(1, self.options.late_share * len(quiet)):
            print(f"{late} of {len(quiet)} cuts found a newest frame older than {self.options.max_age} s")
            failed = True
        aimed = self.phases["any of these"]
        if self.options.points >= 50 and aimed * 2 < self.cuts:
            print(f"only {aimed} of {self.cuts} cuts fell into a close, delete, policy change or rebuild")
            failed = True
        return 1 if failed else 0

    def say(self):
        with self.lock:
            phases = ", ".join(f"{name} {self.phases[name]}" for name in (*AIMED, "any of these", "none of these"))
            print(f"{self.options.mode}: {self.cuts} cuts, {len(self.failures)} failures; fell into: {phases}")
            for quiet, what in ((True, "machine quiet"), (False, "machine stalled")):
                ages = sorted(self.ages[quiet])
                if ages:
                    print(f"  age of the newest durable frame, {what}: {len(ages)} cuts, median {statistics.median(ages):.2f} s, "
                          f"p99 {ages[int(0.99 * (len(ages) - 1))]:.2f} s, max {ages[-1]:.2f} s")
            some = [(u, k) for u, k in self.unflushed if u]
            if some and self.options.mode == "torn":
                print(f"  {len(some)} cuts found unflushed writes: median {statistics.median(u for u, _ in some):.0f} bytes, of which "
                      f"{100 * sum(k for _, k in some) / sum(u for u, _ in some):.0f} % were kept")
        sys.stdout.flush()


def why_not(mode):
    """The reason why this machine cannot do it, or nothing."""
    try:
        import zmq  # noqa: F401: only whether it is there
    except ImportError:
        return "no python3-zmq"
    return "" if mode == "kill" else power_disk.why_not()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no further point after this")
    parser.add_argument("--mode", choices=("image", "torn", "kill"), default="image")
    parser.add_argument("--clip-seconds", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1.0, help="longest random wait before a cut, seconds")
    parser.add_argument("--max-age", type=float, default=1.5, help="of the newest durable frame at a cut, seconds")
    parser.add_argument("--late-share", type=float, default=0.02, help="cuts that may be late, of those on a quiet machine")
    parser.add_argument("--judges", type=int, default=2, help="images that are looked at at the same time")
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
