"""What a hub had promised before its power failed, and whether what is left keeps it."""
import dataclasses
import datetime
import shutil
import subprocess
import time

import hub_case
import hubkit
from hub_case import utc
from hub_rpc import Rpc
from power_disk import Image

RETENTION = "\n[retention]\nreserve_mb = 16\n"


@dataclasses.dataclass
class Promises:
    """What the hub has told the world so far."""
    closed: dict = dataclasses.field(default_factory=dict)      # clip -> event
    deleted: dict = dataclasses.field(default_factory=dict)     # clip -> time of the event
    durable: dict = dataclasses.field(default_factory=dict)     # camera -> newest durable_until ever said
    recording: set = dataclasses.field(default_factory=set)
    policy: int = 0
    requests: set = dataclasses.field(default_factory=set)

    def take(self, rpc):
        for topic, event in rpc.take_events():
            if topic == "clip.closed":
                self.closed[event["clip"]] = event
            elif topic == "clip.deleted":
                self.deleted[event["clip"]] = utc(event["time"])

    def take_status(self, status):
        # A recorder that has just begun has promised nothing yet.
        self.recording = {c["camera"] for c in status["cameras"] if c["state"] == "recording" and c["durable_until"]}
        for camera in status["cameras"]:
            if camera["durable_until"]:
                self.durable[camera["camera"]] = utc(camera["durable_until"])
        self.policy = max(self.policy, status["policy"]["number"])

    def copy(self):
        return Promises(dict(self.closed), dict(self.deleted), dict(self.durable), set(self.recording), self.policy,
                        set(self.requests))


def tail(log):
    return log.read_text(errors="replace")[-3000:] if log.exists() else ""


def window_of_days(days=2):
    today, span = hub_case.now(), datetime.timedelta(days=days)
    return {"from": hub_case.rfc3339(today - span), "to": hub_case.rfc3339(today + span)}


def announced(promises, rows):
    """Problems of clips that were announced or deleted."""
    for clip, event in promises.closed.items():
        row = rows.get(clip)
        if clip in promises.deleted:
            if row:
                yield f"{clip} was deleted, and is back"
        elif row is None:
            # Marked as garbage a moment before the cut, not yet told: then it was the oldest.
            if any(c.startswith(clip.split("/")[0]) and c < clip for c in rows):
                yield f"{clip} was announced, and is not there"
        elif (row["bytes"], row["frames"], row["end"]) != (event["bytes"], event["frames"], event["end"]):
            yield f"{clip} is not as announced: {row} {event}"


def newest(promises, rows, cameras):
    """camera -> end of its newest frame, and the problems of promises that are not kept."""
    ends, problems = {}, []
    for camera in cameras:
        ends[camera] = max((utc(r["end"]) for c, r in rows.items() if c.startswith(camera)), default=None)
        promised = promises.durable.get(camera)
        if promised and (ends[camera] is None or ends[camera] < promised):
            problems.append(f"camera {camera[:8]}: durable until {promised} was said, the newest frame ends {ends[camera]}")
    return ends, problems


def said_after_all(rpc, promises):
    """What a running hub answers, against what was promised."""
    check = rpc.ask("check")
    while check["state"] == "running":
        time.sleep(0.02)
        check = rpc.ask("check", wait=True)
    if check["problems"]:
        yield f"check: {check['problems'][:3]}"
    status = rpc.ask("status")
    if status["policy"]["number"] < promises.policy:
        yield f"policy {status['policy']['number']}, {promises.policy} was in force"
    lost = promises.requests - {r["request"] for r in rpc.ask("requests", limit=200)["requests"]}
    if lost:
        yield f"requests lost: {lost}"


def untold(rpc, cameras):
    """Stretches between the first and the last clip of a camera that no clip and no gap tells of."""
    answer = rpc.ask("clips", limit=5000, gaps=True, **window_of_days())
    for camera in cameras:
        told = sorted((utc(r["begin"]), utc(r["end"])) for kind in ("clips", "gaps") for r in answer[kind]
                      if r["camera"] == camera and r.get("end"))
        # What lies before the oldest clip that is kept was deleted.
        until = min((utc(r["begin"]) for r in answer["clips"] if r["camera"] == camera), default=None)
        for begin, end in told if until else ():
            if begin > until:
                yield f"camera {camera[:8]}: nobody tells what was from {until} to {begin}"
            until = max(until, end)


class Judge:
    """Starts a hub on what a cut left, its cameras disabled, and asks it. One of several; each has its own folder."""

    def __init__(self, hub, programs, cameras, folder):
        self.hub, self.programs, self.cameras, self.folder = hub, programs, cameras, folder
        folder.mkdir()

    def image(self, path, promises):
        """Verdict over an image; the image is gone afterwards."""
        cut = Image(path, self.folder / "cut")
        try:
            cut.mount()
            return self.data(cut.folder, promises)
        except subprocess.CalledProcessError as error:
            return {}, [f"the image cannot be mounted: {error.stderr}"]
        finally:
            cut.unmount()
            path.unlink()

    def data(self, data, promises):
        """The end of each camera's newest frame, and every promise that was not kept."""
        config, log = self.folder / "after.toml", self.folder / "after.log"
        text = self.hub.config.read_text().split("\n[retention]")[0]
        text = text.replace(str(self.hub.data), str(data)).replace(self.hub.requester_address, "")
        config.write_text(text.replace("[[camera]]", "[[camera]]\nenabled = false") + RETENTION)
        log.unlink(missing_ok=True)
        try:
            return self.ask_hub(data, config, log, promises)
        except (RuntimeError, TimeoutError, hubkit.CliError, OSError, KeyError, ValueError) as error:
            return {}, [f"{type(error).__name__}: {error}", tail(log)]

    def ask_hub(self, data, config, log, promises):
        # Judging must not take the machine from the hub that records.
        daemon = hubkit.Process(["nice", "-n", "15", self.programs.path("halfdoord"), "--config", config], log,
                                env=self.hub.environment())
        rpc = Rpc(data / "run")
        try:
            hubkit.wait_until(lambda: not daemon.alive() or " hub.started " in daemon.text(), 60, "start after the cut", 0.02)
            if not daemon.alive():
                return {}, [f"halfdoord did not start: {daemon.text()[-900:]}"]
            rpc.connect()
            hubkit.wait_until(lambda: rpc.ask("status", 60)["index"]["state"] == "ready", 60, "ready index", 0.03)
            found = list(said_after_all(rpc, promises))
            rows = {clip["clip"]: clip for clip in rpc.clips(window_of_days())}
            found += untold(rpc, self.cameras)
        finally:
            rpc.close()
            code = daemon.stop()
        ends, broken = newest(promises, rows, self.cameras)
        found += broken + list(announced(promises, rows))
        if code != 0:
            found.append(f"halfdoord ended with {code}")
        found += self.whole_files(data)
        return ends, found + ([tail(log)] if found else [])

    def whole_files(self, data):
        """After the orderly stop: every file is a finished clip, whole to its hashes, with its row."""
        left = [x.name for x in (data / "clips").rglob("*") if x.is_file() and x.suffix != ".clip"]
        if left:
            yield f"left over: {left[:5]}"
        done = self.hub.run("check", "--data", data, "--hash", "--json", check=False)
        if done.returncode != 0:
            yield f"check --hash: exit {done.returncode} {done.stdout[:400]}{done.stderr[:200]}"

    def close(self):
        shutil.rmtree(self.folder, True)
