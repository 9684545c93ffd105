#!/usr/bin/python3
"""The demo behind tools/demo: one hub, at least four cameras, one request, one approval, one MP4."""
import argparse
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hubkit  # noqa: E402

GENERATED = "h264:1280x720@25,h264:640x480@15,h265:640x360@25"
# Real camera files that play as they are; the folder is optional.
FOOTAGE = hubkit.ROOT.parent / "shared" / "footage"
FITTING = ("parking_car_768x432_h264_aac.mp4", "porch_loop_720p25_gop50_derived.mp4",
           "street_window_480p_h264_g711a.mkv", "fishtank_360p_hevc_aac.mp4", "counter_person_768x432_h264.mp4")


def title(text):
    print(f"\n--- {text}", flush=True)


def utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def show(done):
    for line in (done.stdout + done.stderr).splitlines():
        print("  " + line)


def footage_files(option):
    if option:
        files = sorted(p for p in pathlib.Path(option).iterdir() if p.suffix in (".mp4", ".mkv", ".h264", ".h265", ".mov"))
        if not files:
            sys.exit(f"demo: --footage {option}: no .mp4, .mkv, .mov, .h264 or .h265 file in it")
        return files
    return [FOOTAGE / name for name in FITTING if (FOOTAGE / name).exists()]


def record(programs, folder, options):
    files = footage_files(options.footage)
    print(f"cameras: 3 generated, {len(files)} from real footage" + ("" if files else f" (no folder {FOOTAGE.name} beside the clone)"))
    replay = hubkit.Replay(programs, folder, generate=GENERATED, files=files)
    cameras = {c["name"]: c["url"] for c in replay.cameras}
    if len(cameras) == 3:  # one generated picture more, so that there are always four
        replay.stop()
        replay = hubkit.Replay(programs, folder, generate=GENERATED + ",h264:960x540@20")
        cameras = {c["name"]: c["url"] for c in replay.cameras}
    title("The owner makes a key on a laptop; the hub gets only the owner's card")
    hub = hubkit.prepared_hub(programs, folder / "hub", cameras, clip_seconds=10)
    print(f"  owner's key   {hub.owner_key}")
    print(f"  hub's data    {hub.data}")
    show(hub.run("card", "show", hub.owner_card))
    title(f"halfdoord starts; {len(cameras)} recorders connect")
    hub.start(wait_recording=False)
    hubkit.wait_until(lambda: hub.cli("status", check=False).returncode == 0, 20, "answer of halfdoord")
    hubkit.apply_policy(hub)
    hub.wait_recording()
    for remaining in range(options.seconds, 0, -10):
        print(f"  recording, {remaining} s to go", flush=True)
        time.sleep(min(10, remaining))
    return replay, hub


def look(hub, begin, end):
    title("Clips per camera")
    print(f"  {'camera':24} {'clips':>6} {'seconds':>8} {'frames':>7} {'MB':>7}")
    names = {c["camera"]: c["name"] for c in hub.status()["cameras"]}
    clips = [c for c in hub.json("clips", "--from", utc(begin), "--to", utc(end)) if "clip" in c]
    for camera, name in names.items():
        own = [c for c in clips if c["camera"] in (camera, name)]
        seconds = sum(_seconds(c) for c in own)
        print(f"  {name:24} {len(own):6} {seconds:8.1f} {sum(c['frames'] for c in own):7} {sum(c['bytes'] for c in own) / 1e6:7.2f}")
    if not clips:
        raise RuntimeError("nothing was recorded")
    title("What do you have in this minute? (metadata, over ZeroMQ)")
    done = hub.cli("clips", "--from", utc(end - 60), "--to", utc(end))
    print("\n".join("  " + line for line in done.stdout.splitlines()[:12]))
    return clips


def _seconds(clip):
    begin, end = (datetime.datetime.fromisoformat(clip[k].replace("Z", "+00:00")) for k in ("begin", "end"))
    return (end - begin).total_seconds()


def ask(hub, end):
    title("The police office asks: 15 minutes, one street corner, burglary")
    saved = hub.office / "request"
    done = hub.run("ask", *hub.requester_options(), "--from", utc(end - 900), "--to", utc(end), "--offence", "burglary",
                   "--case", "2026-0042", "--contact", "desk@police.example", "--area", hubkit.AREA, "--save", saved, "--json")
    answer = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    request = next(line["request"] for line in answer if "request" in line)
    show(hub.run("ask", *hub.requester_options(), "--again", saved))
    return request, saved


def refused_video(hub, request, clips):
    title("It tries to get video before anybody approved")
    target = hub.office / "too-early"
    done = hub.run("fetch", request, *hub.requester_options(), "--owner-card", hub.owner_card, "-o", target, check=False)
    print(f"  halfdoor fetch {request}: exit {done.returncode}")
    show(done)
    if done.returncode == 0 or target.exists() and any(target.rglob("*.age")):
        raise RuntimeError("video left the hub without approval")
    clip = hub.data / "clips" / clips[0]["clip"]
    done = hub.run("open", clip, "--key", hub.requester_key, "-o", hub.office / "stolen.mp4", check=False)
    print(f"  even with the hub's disk in hand: halfdoor open {clip.name}: exit {done.returncode}")
    show(done)
    if done.returncode == 0:
        raise RuntimeError("the requester's key opened a clip")


def approve(hub, request, camera):
    title(f"The owner looks at it, and approves one camera ({camera})")
    show(hub.cli("show", request, "--owner-card", hub.owner_card))
    show(hub.cli("approve", request, "--key", hub.owner_key, "--camera", camera, "--yes", timeout=300))


def fetch_and_open(hub, request, saved):
    title("The police office fetches the release, verifies it and opens it")
    release, video = hub.office / "release", hub.office / "released.mp4"
    show(hub.run("fetch", request, *hub.requester_options(), "--owner-card", hub.owner_card, "-o", release, timeout=300))
    show(hub.run("open", release, "--key", hub.requester_key, "--saved", saved, "--owner-card", hub.owner_card,
                 "-o", video, timeout=300))
    probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
                            "stream=codec_name,width,height,nb_read_frames:format=duration", "-of", "json", video],
                           capture_output=True, text=True, check=True)
    facts = json.loads(probe.stdout)
    stream = facts["streams"][0]
    print(f"\n  released video  {video}")
    print(f"  frames          {stream['nb_read_frames']} ({stream['codec_name']}, {stream['width']}x{stream['height']})")
    print(f"  duration        {float(facts['format']['duration']):.2f} s")
    print(f"  SHA-256         {hashlib.sha256(video.read_bytes()).hexdigest()}")
    if int(stream["nb_read_frames"]) == 0:
        raise RuntimeError("the released video has no frame")


def farewell(hub, replay, options):
    title("Where to look next")
    print(f"  the hub's answers      {hub.programs.path('halfdoor')} status --config {hub.config}")
    print(f"  a sealed clip, dumped  {hub.programs.path('halfdoor')} dump {hub.clip_files()[0]}")
    print("  docs/architecture.md   how it is built      docs/protocol.md  write a dashboard")
    print("  docs/cli.md            every verb           docs/formats/     every byte")
    if options.keep:
        print(f"\n  The hub goes on (halfdoord {hub.daemon.pid}, halfdoor-replay {replay.process.pid}). To end it:")
        print(f"    kill {hub.daemon.pid} {replay.process.pid}; rm -r {options.folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder")
    parser.add_argument("--seconds", type=int, default=40)
    options = parser.parse_args()
    options.folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="halfdoor-demo-")).resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    replay, hub = None, None
    try:
        replay, hub = record(hubkit.Programs(), options.folder, options)
        end = int(time.time())
        clips = look(hub, begin - 5, end)
        request, saved = ask(hub, end)
        refused_video(hub, request, clips)
        approve(hub, request, next(iter(hub.cameras)))
        fetch_and_open(hub, request, saved)
        farewell(hub, replay, options)
        print(f"\ndemo: done in {time.time() - begin:.0f} s, everything is in {options.folder}")
        return 0
    except (hubkit.CliError, RuntimeError, TimeoutError, subprocess.CalledProcessError) as problem:
        print(f"\ndemo: failed: {problem}", file=sys.stderr)
        print(f"demo: logs are in {options.folder}", file=sys.stderr)
        options.keep = False
        return 1
    finally:
        if not options.keep:
            with contextlib.suppress(Exception):
                hub.stop()
            with contextlib.suppress(Exception):
                replay.stop()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
