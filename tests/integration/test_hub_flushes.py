#!/usr/bin/python3
"""Device flushes and commits of the file system per second, of hubs with 1, 4 and 8 cameras: one sync
of the file system a second serves all recorders, however many there are. The disk under the hub counts what the kernel
sends it, and takes 8 ms for a flush, as a fast card does. Needs root, loop devices and /dev/fuse.
HALFDOOR_FLUSH_CAMERA and HALFDOOR_FLUSH_MS in the environment: cameras and disks of another kind."""
import json
import os
import pathlib
import sys
import time
import unittest

import hub_case
import hubkit
import power_disk

SKIPPED = 77  # meson's word for a skipped test
WHY_NOT = power_disk.why_not()
SECONDS = 24
CAMERA = os.environ.get("HALFDOOR_FLUSH_CAMERA", "h264:320x180@25:gop=25:kbit=500")
FLUSH_MS = int(os.environ.get("HALFDOOR_FLUSH_MS", "8"))


def commits(disk):
    """Of the ext4 journal since the mount; fsync makes one unless it finds that another's is enough."""
    device = pathlib.Path(disk.image.loop).name
    return int(next(pathlib.Path("/proc/fs/jbd2").glob(f"{device}-*/info")).read_text().split()[0])


def counts(disk):
    """What the disk was told, the file system's commits, and the bytes of all clips."""
    clips = sum(clip.stat().st_size for clip in (disk.folder / "clips").rglob("*.clip*"))
    return {**disk.order("counts"), "commits": commits(disk), "clips": clips}


class Flushes(unittest.TestCase):
    def count(self, cameras):
        """Flushes and written bytes per second, and clip bytes per second, in steady state between two clip ends."""
        folder, programs = hub_case.temp_folder(type(self)), hubkit.Programs()
        (folder / "hub").mkdir()
        generate = ",".join([CAMERA] * cameras)
        with power_disk.PowerDisk(folder / "disk", folder / "hub" / "data") as disk:
            with hub_case.RunningHub(programs, folder, generate, clip_seconds=60):
                disk.order("flush_ms", ms=FLUSH_MS)
                time.sleep(5)
                before = counts(disk)
                time.sleep(SECONDS)
                after = counts(disk)
        more = {what: after[what] - before[what] for what in before}
        return {"cameras": cameras, "commits_per_s": round(more["commits"] / SECONDS, 2),
                "flushes_per_s": round(more["flushes"] / SECONDS, 2), "writes_per_s": round(more["writes"] / SECONDS, 1),
                "kbit_per_s": round(more["clips"] * 8 / 1000 / SECONDS),
                "device_bytes_per_clip_byte": round(more["bytes"] / more["clips"], 3)}

    def test_flushes_do_not_grow_with_the_number_of_cameras(self):
        found = {}
        for cameras in (1, 4, 8):
            found[cameras] = self.count(cameras)
            print(json.dumps(found[cameras]), flush=True)
        # Measured at load 5 to 8 on 2 cores: 2.0 for any number. Each its own sync at the shared instant: 3.0 to 3.9 with eight.
        for what in ("commits_per_s", "flushes_per_s"):
            self.assertLessEqual(found[8][what], 1.25 * found[1][what], found)


if __name__ == "__main__":
    if WHY_NOT:
        print(f"skipped: {WHY_NOT}")
        sys.exit(SKIPPED)
    hub_case.main()
