#!/usr/bin/python3
"""What recording costs: halfdoor-recorder against ffmpeg and against rtspsrc ! fakesink, one run.

usage: tools/bench/run recording [--cameras 8] [--seconds 60] [--build build]

One replay process serves N cameras (1280x720@25 H.264, about 2 Mbit/s, GOP 50, TCP). Against the same
cameras, at the same time and for the same span, run: a hub with N recorders (sealed, hashed, synced, indexed), N ffmpeg
(-rtsp_transport tcp -c copy -f segment), N gst-launch rtspsrc ! fakesink. CPU is utime + stime of each process over the span,
after a warm-up; memory is PSS at the end; the daemon's own CPU is listed apart. Where there is `perf`,
thirty more seconds say where the recorders' time goes; sealing and hashing are libsodium and libcrypto.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "dev"))
import hubkit  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def disk_flushes(device):
    """Flush requests that the block device has completed, from /proc/diskstats (field 16)."""
    for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if fields[2] == device and len(fields) > 18:
            return int(fields[18])
    return None


def device_of(path):
    source = subprocess.run(["findmnt", "-n", "-o", "SOURCE", "-T", str(path)], capture_output=True, text=True,
                            check=False).stdout.strip()
    return os.path.basename(os.path.realpath(source)) if source.startswith("/dev/") else None


class Group:
    """Processes of one kind, measured together, each with what runs `beside` it."""

    def __init__(self, name, pids, beside=()):
        self.name, self.pids, self.every = name, pids, [*pids, *beside]

    def begin(self):
        self.cpu = sum(map(cpu_seconds, self.every))

    def end(self, seconds):
        self.cpu = (sum(map(cpu_seconds, self.every)) - self.cpu) / seconds / len(self.pids) * 100
        self.pss = sum(map(pss_mb, self.every)) / len(self.pids)


def where_time_goes(pids, folder):
    """Share of the recorders' samples per library, in percent; none without perf."""
    data = folder / "perf.data"
    record = ["perf", "record", "-q", "-F", "4999", "-o", data, "-p", ",".join(map(str, pids)), "--", "sleep", "30"]
    if not shutil.which("perf") or subprocess.run(record, capture_output=True, check=False).returncode != 0:
        return None
    table = subprocess.run(["perf", "report", "-q", "-i", data, "--sort", "dso", "--stdio"], capture_output=True, text=True,
                           check=False).stdout
    shares = {}
    for line in table.splitlines():
        percent, _, name = line.strip().partition("%")
        if name.strip() and float(percent) >= 0.1:
            shares[name.strip().split(".so")[0].split()[0]] = float(percent)
    return shares or None


def start_peers(urls, folder):
    ffmpeg, floor = [], []
    for number, url in enumerate(urls):
        target = folder / f"ffmpeg{number}"
        target.mkdir()
        ffmpeg.append(hubkit.Process(
            ["ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-c", "copy", "-f", "segment",
             "-segment_time", "60", "-reset_timestamps", "1", target / "%04d.mp4"], folder / "ffmpeg.log"))
        floor.append(hubkit.Process(
            ["gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "protocols=tcp", "latency=200", "!", "fakesink"],
            folder / "gst.log"))
    return ffmpeg, floor


def measure(options, folder):
    programs = hubkit.Programs(options.build)
    replay = hubkit.Replay(programs, folder, generate="h264:1280x720@25:kbit=2000:gop=50", options=["--cameras", options.cameras])
    urls = [c["url"] for c in replay.cameras]
    hub = hubkit.prepared_hub(programs, folder / "hub", {f"cam{i}": u for i, u in enumerate(urls)}, clip_seconds=60)
    ffmpeg, floor = [], []
    try:
        hub.start(wait_recording=False)
        hubkit.wait_until(lambda: (hub.data / "run" / "owner.sock").exists(), 20, "owner's socket of halfdoord")
        hubkit.apply_policy(hub)
        hub.wait_recording()
        ffmpeg, floor = start_peers(urls, folder)
        time.sleep(options.warmup)
        recorders = list(hub.recorder_pids().values())
        groups = [Group("halfdoor-recorder", recorders, hub.dialer_pids().values()),
                  Group("ffmpeg -c copy -f segment", [p.pid for p in ffmpeg]),
                  Group("rtspsrc ! fakesink", [p.pid for p in floor]), Group("halfdoord (all cameras)", [hub.daemon.pid])]
        device = device_of(hub.data)
        flushes = disk_flushes(device) if device else None
        for group in groups:
            group.begin()
        began = time.monotonic()
        ages = []
        while time.monotonic() - began < options.seconds:
            time.sleep(min(5, options.seconds))
            ages.append(hub.status().get("durable_age_ms") or 0)
        seconds = time.monotonic() - began
        for group in groups:
            group.end(seconds)
        flushes = (disk_flushes(device) - flushes) / seconds if flushes is not None else None
        return groups, ages, flushes, where_time_goes(recorders, folder)
    finally:
        if hub.daemon:
            hub.stop()
        for process in [*ffmpeg, *floor]:
            process.kill()
        replay.stop()


def report(options, groups, ages, flushes, shares):
    ours, ffmpeg, floor, daemon = groups
    print(f"{options.cameras} cameras, 1280x720@25 H.264 2 Mbit/s over TCP, {options.seconds} s, per camera:")
    print(f"{'process':32} {'CPU % of a core':>16} {'PSS MB':>8}")
    for group in groups:
        print(f"{group.name:32} {group.cpu:16.2f} {group.pss:8.1f}")
    result = {"bench": "recording", "machine": platform.machine(), "cores": os.cpu_count(), "cameras": options.cameras,
              "seconds": options.seconds, "cpu_percent": round(ours.cpu, 3), "ffmpeg_cpu_percent": round(ffmpeg.cpu, 3),
              "rtspsrc_cpu_percent": round(floor.cpu, 3), "daemon_cpu_percent": round(daemon.cpu, 3),
              "ratio_ffmpeg": round(ours.cpu / ffmpeg.cpu, 2), "ratio_rtspsrc": round(ours.cpu / floor.cpu, 2),
              "pss_mb": round(ours.pss, 1), "daemon_pss_mb": round(daemon.pss, 1), "ffmpeg_pss_mb": round(ffmpeg.pss, 1),
              "durable_age_ms_max": max(ages, default=None),
              "device_flushes_per_s_all_processes": None if flushes is None else round(flushes, 2)}
    rows = [("CPU / ffmpeg", result["ratio_ffmpeg"], "<= 1.9"), ("CPU / rtspsrc", result["ratio_rtspsrc"], "<= 1.5"),
            ("PSS MB", result["pss_mb"], "<= 16"), ("newest durable frame ms", result["durable_age_ms_max"], "<= 1500")]
    if shares:
        result["time_by_library_percent"] = shares
        result["seal_and_hash_percent"] = round(sum(v for k, v in shares.items() if k.startswith(("libsodium", "libcrypto"))), 1)
        rows.append(("sealing + hashing, % of it", result["seal_and_hash_percent"], "<= 10"))
    for name, value, bar in rows:
        print(f"{name:32} {value!s:>16} {bar:>8}")
    print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--build", default=None)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="halfdoor-bench-"))
    try:
        report(options, *measure(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
