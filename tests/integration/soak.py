#!/usr/bin/python3
"""A hub that records 8 cameras for half an hour while everything goes wrong now and then: cameras stall, hang up, skip
frames, lose and reorder packets, jump in time, change their picture; recorders and halfdoord are killed with -9; a client
asks and listens all the time.

Looked at, at the end: every frame that a camera sent while nothing was wrong with it is there once (a fault may cost frames
from its beginning until 8 s after its end; a kill of a recorder the 8 s after it; a kill of halfdoord nothing), by the time
of sending that each frame carries: a recorder's time is that of display, which is another one with B-frames; clips and gaps
tile the time of each camera; events came without a hole; memory, file descriptors and threads of each kind of program do not
grow. usage: soak.py [BUILD_FOLDER] [--minutes N] ..."""
import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import hub_case
import hubkit
from hub_case import utc
from hub_rpc import Rpc

SIZES = ("h264:320x180@15:gop=15", "h265:320x180@15:gop=15", "h264:320x240@10:gop=20:bframes=2", "h264:160x120@25:gop=50")
OTHER = ("h264:176x144@15:gop=15", "h265:176x144@15:gop=15", "h264:176x144@10:gop=20:bframes=2", "h264:176x144@25:gop=50")
# Kind, amount and seconds; how many frames it costs is not our business, only when.
FAULTS = (("stall", (2, 8), 0), ("reset", None, 0), ("close", None, 0), ("skip", (5, 40), 0), ("loss", (1, 5), 10),
          ("reorder", (1, 5), 10), ("rtpjump", (-40, 40), 0), ("ntpjump", (-3600, 3600), 0), ("garble", (1, 3), 5),
          ("truncate", (1, 3), 5), ("noise", (10, 2000), 0), ("nosr", None, 20), ("drift", (-300, 300), 30), ("slow", (1, 2), 5),
          ("switch", None, 0))
AFTERMATH = 8.0  # seconds after a fault in which its camera may still miss frames
# A frame carries the time at which it was made. A fault also takes those that were on their way out of the camera then.
ON_THE_WAY = datetime.timedelta(seconds=0.25)
RETENTION = "\n[retention]\nreserve_mb = 16\n"
# Growth over the whole run that is still flat: caches fill, rows are added.
BOUNDS = {"halfdoord": {"anon_kb": 8000, "fds": 6, "threads": 0}, "halfdoor-recorder": {"anon_kb": 1500, "fds": 2, "threads": 0},
          "dialer": {"anon_kb": 500, "fds": 2, "threads": 0}, "halfdoor-gate": {"anon_kb": 1500, "fds": 2, "threads": 0}}


def from_us(microseconds):
    return datetime.datetime.fromtimestamp(microseconds / 1e6, datetime.timezone.utc)


class Watcher:
    """Memory, descriptors and threads of the hub's programs, every 5 s, by process. Memory: what is not a file's, because
    a process's share of its libraries' pages grows when other hubs on the machine end."""

    def __init__(self, hub):
        self.hub, self.samples = hub, collections.defaultdict(list)  # (kind, pid) -> [(seconds, values)]

    def look(self, at):
        pids = {"halfdoord": [self.hub.daemon.pid], "halfdoor-recorder": self.hub.recorder_pids().values(),
                "dialer": self.hub.dialer_pids().values(), "halfdoor-gate": self.hub.gate_pids()}
        for kind, some in pids.items():
            for pid in some:
                with contextlib.suppress(OSError, StopIteration):
                    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    self.samples[kind, pid].append((at, {
                        "anon_kb": int(next(line for line in lines if line.startswith("Pss_Anon:")).split()[1]),
                        "fds": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task"))}))

    def growth(self, run_seconds):
        """kind -> what -> slope per hour, growth over the run at that slope (median over its processes), newest value.
        A process counts from a minute after its start, if it then lived for a quarter of the run."""
        out = {}
        for kind in BOUNDS:
            rows = []
            for (k, _), samples in self.samples.items():
                late = [s for s in samples if s[0] >= samples[0][0] + 60]
                if k == kind and late and late[-1][0] - late[0][0] >= run_seconds / 4 - 60:
                    rows.append(late)
            out[kind] = {what: self.slope(rows, what, run_seconds) for what in BOUNDS[kind]} if rows else {}
        return out

    @staticmethod
    def slope(rows, what, run_seconds):
        slopes = []
        for late in rows:
            xs, ys = [s[0] for s in late], [s[1][what] for s in late]
            slopes.append(statistics.linear_regression(xs, ys).slope if len(xs) > 2 else 0.0)
        slope = statistics.median(slopes)
        return {"per_hour": round(slope * 3600, 1), "over_run": round(slope * run_seconds, 1), "processes": len(rows),
                "last": statistics.median(late[-1][1][what] for late in rows)}


class Client(threading.Thread):
    """Asks all the time and takes every event; what is wrong with the answers is kept."""

    def __init__(self, hub):
        super().__init__(daemon=True)
        self.hub, self.over, self.asked, self.events, self.holes, self.away = hub, threading.Event(), 0, 0, [], 0

    def run(self):
        rpc, run, last = Rpc(self.hub.data / "run").connect(), None, 0
        while not self.over.is_set():
            try:
                end = hub_case.now()
                window = {"from": hub_case.rfc3339(end - datetime.timedelta(seconds=300)), "to": hub_case.rfc3339(end)}
                rpc.ask("status", 3)
                rpc.ask("clips", 3, gaps=True, open=True, **window)
                self.asked += 2
            except (TimeoutError, RuntimeError):
                self.away += 1
                rpc.connect()
                run = None
            for _, event in rpc.take_events():
                if event["run"] == run and event["n"] != last + 1:
                    self.holes.append((run, last, event["n"]))
                run, last = event["run"], event["n"]
                self.events += 1
            time.sleep(0.1)
        rpc.close()


class Soak:
    def __init__(self, options, folder):
        self.options, self.folder, self.random = options, folder, random.Random(options.seed)
        self.programs = hubkit.Programs()
        self.faults = collections.defaultdict(list)   # camera id -> [(begin, end, kind)], UTC
        self.counts = collections.Counter()
        self.problems = []

    def start(self, stack):
        kinds = [SIZES[n % 4] for n in range(self.options.cameras)] + list(OTHER)
        self.running = stack.enter_context(hub_case.RunningHub(
            self.programs, self.folder, ",".join(kinds), self.options.clip_seconds, RETENTION, requester=True,
            cameras=self.options.cameras, replay_options=["--commands", "--seed", str(self.options.seed)]))
        self.hub = self.running.hub
        self.cameras = sorted(hub_case.cameras_of(self.hub).items(), key=lambda c: c[1]["name"])
        self.number = {facts["name"]: n + 1 for n, facts in enumerate(self.running.replay.cameras)}
        self.watcher, self.client = Watcher(self.hub), Client(self.hub)

    # What goes wrong.

    def hurt_camera(self):
        camera, facts = self.random.choice(self.cameras)
        kind, amounts, lasts = self.random.choice(FAULTS)
        number = self.number[facts["name"]]
        words = [str(number), kind]
        if kind == "switch":  # to the small picture of the same kind, or back
            other = self.options.cameras + (number - 1) % 4 + 1
            words.append(str(self.random.choice((number, other))))
        elif amounts:
            words.append(f"{self.random.uniform(*amounts):.1f}" if kind in ("stall", "loss", "reorder", "rtpjump", "slow")
                         else str(self.random.randint(*map(int, amounts))))
        if lasts:
            words.append(str(lasts))
        span = lasts + (float(words[2]) if kind == "stall" else 0)
        begin = hub_case.now()
        self.running.replay.command(",".join(words))
        self.faults[camera].append((begin, begin + datetime.timedelta(seconds=span + AFTERMATH), kind))
        self.counts[kind] += 1

    def kill_recorder(self):
        camera, pid = self.random.choice(list(self.hub.recorder_pids().items()))
        begin = hub_case.now()
        os.kill(pid, 9)
        # What was not yet synced is lost too.
        self.faults[camera].append((begin - datetime.timedelta(seconds=2), begin + datetime.timedelta(seconds=AFTERMATH), "kill"))
        self.counts["kill of a recorder"] += 1

    def kill_daemon(self):
        self.hub.daemon.kill()
        time.sleep(self.random.uniform(0.5, 12))
        self.hub.start(wait_recording=False)
        hub_case.wait_answering(self.hub)
        self.counts["kill of halfdoord"] += 1

    def run(self):
        length = self.options.minutes * 60
        begin = time.monotonic()
        # The daemon dies in the first half only, so that the second shows how one process grows.
        daemon_deaths = sorted(self.random.uniform(0.1, 0.5) * length for _ in range(max(1, int(self.options.minutes / 10))))
        recorder_deaths = sorted(self.random.uniform(0.1, 0.9) * length for _ in range(max(1, int(self.options.minutes / 5))))
        self.client.start()
        next_fault, next_look, next_word = 20.0, 0.0, 120.0
        while (now := time.monotonic() - begin) < length:
            if now >= next_look:
                self.watcher.look(now)
                next_look = now + 5
            # None at the very end: what is measured then is that all came back.
            if now >= next_fault and now < length - 30:
                self.hurt_camera()
                next_fault = now + self.random.uniform(0.5, 1.5) * self.options.every
            if recorder_deaths and now >= recorder_deaths[0]:
                recorder_deaths.pop(0)
                self.kill_recorder()
            if daemon_deaths and now >= daemon_deaths[0]:
                daemon_deaths.pop(0)
                self.kill_daemon()
            if now >= next_word:
                next_word += 120
                print(f"{now / 60:.0f} min: {sum(self.counts.values())} faults, {self.client.events} events, "
                      f"{self.client.asked} answers", flush=True)
            time.sleep(0.2)
        self.ended = hub_case.now()
        self.client.over.set()
        self.client.join(20)
        states = {facts["name"]: facts["state"] for facts in hub_case.cameras_of(self.hub).values()}
        if set(states.values()) != {"recording"}:
            self.problems.append(f"not recording at the end: {states}")

    # What is left.

    def judge(self):
        self.rows = {camera: [] for camera, _ in self.cameras}
        for record in self.hub.json("clips", "--from", "-1d", "--gaps"):
            self.rows[record["camera_id"] if "camera_id" in record else record["camera"]].append(record)
        if self.hub.cli("check", "--json").stdout.strip():
            self.problems.append("check found something")
        if self.hub.stop() != 0:
            self.problems.append("halfdoord did not end well")
        totals = collections.Counter()
        for camera, facts in self.cameras:
            self.judge_frames(camera, facts["name"], totals)
            self.judge_tiling(camera, facts["name"])
        print(json.dumps({"frames": totals["counted"], "lost_in_faults": totals["inside"], "lost_outside": totals["outside"],
                          "repeated": totals["repeated"], "faults": dict(self.counts)}))
        if self.client.holes:
            self.problems.append(f"events with holes: {self.client.holes[:5]}")
        self.judge_growth()

    def judge_frames(self, camera, name, totals):
        """Frame numbers that are missing are those of faults: each by the time at which it should have been sent, which is
        between the times that the frames beside the hole carry themselves."""
        files = hub_case.opened(self.hub, self.hub.clip_files(camera), self.folder / "opened.mp4", "--fragments")
        count = hub_case.count_frames(self.programs, files)
        for file in files:
            pathlib.Path(file).unlink(missing_ok=True)
        totals.update(counted=count["counted"], repeated=count["repeated"])
        if count["missing"] != sum(gap["missing"] for gap in count["gaps"]):
            self.problems.append(f"{name}: more holes than halfdoor-framecheck lists")
        for gap in count["gaps"]:
            before, after = from_us(gap["sent_before_us"]), from_us(gap["sent_after_us"])
            step = (after - before) / (gap["missing"] + 1)
            outside = sum(not self.in_fault(camera, before + step * n) for n in range(1, gap["missing"] + 1))
            totals.update(inside=gap["missing"] - outside, outside=outside)
            if outside:
                self.problems.append(f"{name}: {outside} of {gap['missing']} frames lost behind number {gap['after']} between "
                                     f"{before} and {after}, without a fault; {self.nearby(camera, before)}")
        if count["repeated"]:
            self.problems.append(f"{name}: {count['repeated']} frames twice")
        # What never came back would be no hole between two frames.
        if count["last_sent_us"] == 0 or from_us(count["last_sent_us"]) < self.ended:
            self.problems.append(f"{name}: the last frame was sent at {from_us(count['last_sent_us'])}, before the end")

    def in_fault(self, camera, sent):
        return any(begin - ON_THE_WAY <= sent <= end for begin, end, _ in self.faults[camera])

    def nearby(self, camera, when):
        """What happened to that camera about then, in seconds from it; for whoever looks for the cause."""
        def away(moment):
            return round((moment - when).total_seconds(), 3)
        faults = [(kind, away(begin), away(end)) for begin, end, kind in self.faults[camera] if abs(away(begin)) < 60]
        rows = [(r.get("cause", "clip"), away(utc(r["begin"])), away(utc(r["end"]))) for r in self.rows[camera]
                if r.get("end") and abs(away(utc(r["begin"]))) < 30]
        return f"faults {faults}, clips and gaps {sorted(rows, key=lambda row: row[1])}"

    def judge_tiling(self, camera, name):
        spans = sorted((utc(r["begin"]), utc(r["end"])) for r in self.rows[camera] if r.get("end"))
        reached, holes = None, []
        for begin, end in spans:
            if reached and begin > reached:
                holes.append(((begin - reached).total_seconds(), reached))
            reached = max(reached or end, end)
        if holes:
            self.problems.append(f"{name}: {len(holes)} stretches without clip or gap, the longest {max(holes)[0]:.3f} s "
                                 f"from {max(holes)[1]}")

    def judge_growth(self):
        seconds = self.options.minutes * 60
        for kind, found in self.watcher.growth(seconds).items():
            print(json.dumps({"program": kind, **found}))
            for what, bound in BOUNDS[kind].items():
                if self.options.minutes >= 10 and what in found and found[what]["over_run"] > bound + 0.5:
                    self.problems.append(f"{kind}: {what} grew by {found[what]['over_run']} in the run, more than {bound}")
            if self.options.minutes >= 10 and not found:
                self.problems.append(f"{kind}: no process lived long enough to be measured")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--clip-seconds", type=int, default=10)
    parser.add_argument("--every", type=float, default=8, help="seconds between two faults, about")
    parser.add_argument("--keep", help="a new folder for all that the run leaves behind, which stays")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if options.build:
        os.environ["HALFDOOR_BUILD"] = options.build
    os.umask(0o077)
    with contextlib.ExitStack() as stack:
        if options.keep:
            folder = pathlib.Path(options.keep)
            folder.mkdir(parents=True)
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(
                prefix="hd-soak-", dir=os.environ.get("HALFDOOR_TEST_TEMP"))))
        soak = Soak(options, folder)
        soak.start(stack)
        soak.run()
        soak.judge()
    print(f"{options.minutes:g} minutes, {options.cameras} cameras, seed {options.seed}: {soak.client.events} events, "
          f"{soak.client.asked} answers, unanswered {soak.client.away} times")
    for problem in soak.problems:
        print(f"PROBLEM: {problem}")
    print("soak: " + ("FAILED" if soak.problems else "ok"))
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
