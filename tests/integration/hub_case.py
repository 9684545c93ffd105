"""What the tests of a whole hub share: a hub with replayed cameras, and counting the frames it kept."""
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "dev"))
import hubkit  # noqa: E402: found only after the line above


def utc(text):
    """A time of ours as a datetime, microseconds kept."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class RunningHub:
    """Replayed cameras and a hub that records them, below one folder; ends with the `with`."""

    def __init__(self, programs, folder, generate, clip_seconds=5, extra_config="", data=None, cameras=None,
                 replay_options=(), **hub):
        self.programs, self.folder, self.replay_options = programs, pathlib.Path(folder), replay_options
        self.cameras = cameras  # the hub records so many of the generated ones; none: all
        self.generate, self.clip_seconds, self.extra_config, self.data = generate, clip_seconds, extra_config, data
        self.hub_options = {"requester": False, **hub}
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.replay = hubkit.Replay(self.programs, self.folder, generate=self.generate, options=self.replay_options)
            stack.callback(self.replay.stop)
            cameras = {c["name"]: c["url"] for c in self.replay.cameras[:self.cameras]}
            self.hub = hubkit.prepared_hub(self.programs, self.folder / "hub", cameras, self.clip_seconds,
                                           extra_config=self.extra_config, **self.hub_options)
            stack.callback(self.hub.stop)
            self.hub.start(wait_recording=False)
            wait_answering(self.hub)
            hubkit.apply_policy(self.hub)
            self.hub.wait_recording(60)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        self.stack.close()


def wait_answering(hub, seconds=30):
    hubkit.wait_until(lambda: hub.cli("status", check=False).returncode == 0, seconds, "answer of halfdoord")


def cameras_of(hub):
    """camera id -> its part of `status`."""
    return {c["camera"]: c for c in hub.status()["cameras"]}


def dump(hub, path, *options, check=True):
    done = hub.run("dump", "--json", *options, path, check=check)
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def opened(hub, clips, target, *options):
    """The owner opens clip files into MP4s; gives their names. A part that is still written can be opened too."""
    done = hub.run("open", *clips, "--key", hub.owner_key, "-o", target, "--force", "--json", *options, timeout=300)
    return [json.loads(line)["file"] for line in done.stdout.splitlines() if '"file"' in line]


def count_frames(programs, files):
    """halfdoor-framecheck's count over MP4s of one camera, in order."""
    done = subprocess.run([programs.path("halfdoor-framecheck"), "--json", *map(str, files)], capture_output=True,
                          text=True, timeout=300, check=False)
    if done.returncode == 2:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def frames_through_now(hub, camera, folder):
    """The count over a camera's finished clips, once the one that is being written now is among them."""
    before = len(hub.clip_files(camera))
    hubkit.wait_until(lambda: len(hub.clip_files(camera)) > before, 30, "end of the open clip")
    return count_frames(hub.programs, opened(hub, hub.clip_files(camera), pathlib.Path(folder) / "through.mp4"))


def age_pieces(hub, clip, folder):
    """Each piece of a clip opened by stock age with the owner's key: files that play when put together."""
    content = pathlib.Path(clip).read_bytes()
    files = []
    for piece in (r for r in dump(hub, clip) if r["record"] == "piece"):
        sealed = content[piece["age_offset"]:piece["age_offset"] + piece["age_bytes"]]
        if hashlib.sha256(sealed).hexdigest() != piece["age_sha256"]:
            raise AssertionError(f"{clip}: piece {piece['sequence']} is not what its head says")
        target = pathlib.Path(folder) / f"{pathlib.Path(clip).name}-{piece['sequence']:04}.mp4"
        with open(target, "wb") as out:
            subprocess.run(["age", "-d", "-i", hub.owner_key], input=sealed, stdout=out, check=True)
        files.append(target)
    return files


def temp_folder(case):
    """A folder of the test case's own, short enough for socket paths, gone at its end."""
    folder = tempfile.TemporaryDirectory(prefix="hd-hub-", dir=os.environ.get("HALFDOOR_TEST_TEMP"))
    case.addClassCleanup(folder.cleanup)
    return pathlib.Path(folder.name)


def main():
    """usage: test_hub_*.py [BUILD_FOLDER] [unittest options]; tests run in the order of their names."""
    if len(sys.argv) > 1 and pathlib.Path(sys.argv[1]).is_dir():
        os.environ["HALFDOOR_BUILD"] = sys.argv.pop(1)
    os.umask(0o077)
    unittest.main(verbosity=2, failfast=True)
