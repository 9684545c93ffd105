"""A hub with cameras of all kinds, and what became of each: recorded, or why not."""
import re
import time

import hub_case
import hubkit

ENDED = {"refused", "unreachable", "encoder_failed"}


def with_camera_keys(hub, keys):
    """Adds TOML lines to [[camera]] blocks of the hub's configuration: camera name -> {key: value}."""
    text = hub.config.read_text(encoding="utf-8")
    for name, pairs in keys.items():
        lines = "".join(f"{k} = {v}\n" for k, v in pairs.items())
        text, done = re.subn(rf'''(?m)^(name = ["']{re.escape(name)}["']\n)''', lambda m, lines=lines: m.group(1) + lines, text)
        assert done == 1, f"no camera {name} in the configuration"
    hub.config.write_text(text, encoding="utf-8")


class Outcome:
    def __init__(self, status):
        self.name, self.state, self.detail = status["name"], status["state"], status["detail"]
        self.frames, self.codec, self.audio = status["frames"], status["codec"], status.get("audio", "")
        self.size = f"{status['width']}x{status['height']}" if status["width"] else "-"
        self.id, self.reconnects = status["camera"], status["reconnects"]
        self.recorded = self.state == "recording" and self.frames > 0

    def words(self):
        return "recorded" if self.recorded else f"{self.state}: {self.detail}"

    def row(self, width=34):
        what = f"{self.codec} {self.size}, {self.frames} frames" if self.recorded else self.words()
        return f"  {self.name:<{width}} {what}"


class CameraHub(hub_case.contextlib.ExitStack):
    """Runs until each camera has `frames` frames or gave a reason; then `outcomes`: name -> Outcome."""

    def __init__(self, programs, folder, cameras, frames=20, seconds=40, keys=None, extra_config="", clip_seconds=5):
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self.hub = hubkit.prepared_hub(programs, folder / "hub", cameras, clip_seconds, requester=False,
                                       extra_config=extra_config)
        with_camera_keys(self.hub, keys or {})
        self.callback(self.hub.stop)
        self.hub.start(wait_recording=False)
        hub_case.wait_answering(self.hub)
        hubkit.apply_policy(self.hub)
        deadline = time.monotonic() + seconds
        while True:
            self.outcomes = {o.name: o for o in map(Outcome, self.hub.status()["cameras"])}
            waiting = [o for o in self.outcomes.values()
                       if not (o.recorded and o.frames >= frames or o.state in ENDED)]
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(0.5)
