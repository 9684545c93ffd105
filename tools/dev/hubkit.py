"""Replayed cameras and a whole hub in one folder: what demo, integration tests and benches share.

Everything runs as the calling user, on loopback and ipc sockets, below one folder that the caller names.
Nothing here knows how a verb works: it starts the real programs and reads what they print.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CELL = "40.712,-74.007"   # of the example hub; AREA is a quarter of a kilometre that touches it
AREA = "40.7110,-74.0090;40.7110,-74.0050;40.7140,-74.0050;40.7140,-74.0090"


class Programs:
    """Where the programs are: a meson build folder, or installed ones on the PATH."""

    PLACES = {"halfdoor": "tools/cli", "halfdoor-replay": "tools/replay", "halfdoord": "gateway/daemon",
              "halfdoor-recorder": "pipelines/record", "halfdoor-gate": "gateway/gate",
              "halfdoor-framecheck": "tools/dev", "halfdoor-memscan": "tests/integration"}

    def __init__(self, build=None):
        self.build = pathlib.Path(build or os.environ.get("HALFDOOR_BUILD", ROOT / "build")).resolve()

    def path(self, name):
        built = self.build / self.PLACES[name] / name
        if built.exists():
            return str(built)
        found = shutil.which(name)
        if not found:
            raise FileNotFoundError(f"{name}: not in {self.build} and not on the PATH; build first (tools/test)")
        return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(question, seconds, what, every=0.1):
    """The first true answer of `question()`, or a TimeoutError that says what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(every)


class Process:
    """A child whose output goes to a file; ended with the context."""

    def __init__(self, arguments, log, **popen):
        self.log = pathlib.Path(log)
        self.arguments = [str(a) for a in arguments]
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(self.arguments, stdout=popen.pop("stdout", output), stderr=output,
                                          stdin=popen.pop("stdin", subprocess.DEVNULL), **popen)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, seconds=30):
        """SIGTERM, then the exit code; SIGKILL if it does not obey."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Replay:
    """halfdoor-replay on a free port. `files` are files or folders, `generate` as of --generate."""

    def __init__(self, programs, folder, generate="", files=(), options=()):
        self.port = free_port()
        arguments = [programs.path("halfdoor-replay"), "--port", self.port, "--counter", "--json"]
        if generate:
            arguments += ["--generate", generate]
        arguments += list(options) + list(files)
        self.ready_file = pathlib.Path(folder) / "replay.json"
        with open(self.ready_file, "wb") as ready:
            # With --commands among the options it listens to command().
            self.process = Process(arguments, pathlib.Path(folder) / "replay.log", stdout=ready, stdin=subprocess.PIPE)
        self.cameras = wait_until(self._ready, 90, "ready line of halfdoor-replay")

    def _ready(self):
        if not self.process.alive():
            raise RuntimeError(f"halfdoor-replay ended: {self.process.text()[-2000:]}")
        for line in self.ready_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if message.get("event") == "ready" or "cameras" in message:
                    return message["cameras"]
        return None

    def command(self, line):
        """A fault now: CAMERA,KIND[,AMOUNT[,FOR]]."""
        self.process.child.stdin.write(f"{line}\n".encode())
        self.process.child.stdin.flush()

    def stop(self):
        self.process.child.stdin.close()
        return self.process.stop(10)


class CliError(RuntimeError):
    def __init__(self, arguments, code, out, err):
        super().__init__(f"halfdoor {' '.join(map(str, arguments))}: exit {code}\n{out}{err}")
        self.code, self.out, self.err = code, out, err


class Hub:
    """One hub: <folder>/data, <folder>/halfdoor.toml, an owner whose key is elsewhere, one requester."""

    def __init__(self, programs, folder, cameras, clip_seconds=5, replay_user=None):
        self.programs = programs
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.runtime = self.data / "run"
        self.config = self.folder / "halfdoor.toml"
        self.laptop = self.folder / "owner-laptop"
        self.office = self.folder / "requester-office"
        self.cameras = cameras            # name -> url
        self.clip_seconds = clip_seconds
        self.gate_port = free_port()
        self.daemon = None

    # The command line tool.

    def run(self, *arguments, check=True, timeout=120, env=None, stdin=None):
        command = [self.programs.path("halfdoor"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, "HOME": str(self.folder), **(env or {})}, input=stdin)
        if check and done.returncode != 0:
            raise CliError(arguments, done.returncode, done.stdout, done.stderr)
        return done

    def cli(self, *arguments, **options):
        return self.run(*arguments, "--config", self.config, **options)

    def json(self, *arguments, **options):
        """The JSON lines that a verb prints, parsed."""
        done = self.cli(*arguments, "--json", **options)
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    @property
    def owner_key(self):
        return self.laptop / "owner.key"

    @property
    def requester_key(self):
        return self.office / "police.key"

    @property
    def owner_card(self):
        return self.laptop / "owner.card"

    def requester_options(self):
        """What a requester was given: the hub's address and card; its own key."""
        return ["--connect", self.requester_address, "--hub-card", self.data / "hub" / "hub.card", "--key",
                self.requester_key]

    @property
    def requester_address(self):
        return f"tcp://127.0.0.1:{self.gate_port}"

    # Life.

    def start(self, wait_recording=True):
        # A folder of its own for the link: the programs look for each other beside themselves.
        self.daemon = Process([self.programs.path("halfdoord"), "--config", self.config],
                              self.folder / "halfdoord.log", env=self.environment())
        if wait_recording:
            self.wait_recording()

    def environment(self):
        """Where halfdoord finds the other programs when nothing is installed."""
        folders = {os.path.dirname(self.programs.path(n)) for n in ("halfdoor-recorder", "halfdoor-gate")}
        return {**os.environ, "PATH": ":".join([*sorted(folders), os.environ.get("PATH", "")])}

    def status(self):
        return self.json("status")[0]

    def wait_recording(self, seconds=40):
        def recording():
            if not self.daemon.alive():
                raise RuntimeError(f"halfdoord ended: {self.daemon.text()[-3000:]}")
            try:
                cameras = self.status()["cameras"]
            except (CliError, IndexError, KeyError):
                return False
            return len(cameras) == len(self.cameras) and all(c["state"] == "recording" for c in cameras)
        wait_until(recording, seconds, "state 'recording' of all cameras", every=0.25)

    def recorder_pids(self):
        """camera id -> pid of its halfdoor-recorder (children of this hub's daemon, adopted ones too)."""
        found = {}
        socket_path = str(self.runtime)
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if not arguments[0].endswith("halfdoor-recorder"):
                    continue
                if any(a.startswith(socket_path) for a in arguments) and "--camera" in arguments:
                    found[arguments[arguments.index("--camera") + 1]] = int(entry.name)
        return found

    def gate_pids(self):
        """The running halfdoor-gate of this hub, if there is one (a child of its daemon, or an adopted one)."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text().strip() == "halfdoor-gate":
                    if str(self.gate_port) in (entry / "cmdline").read_bytes().decode(errors="replace"):
                        found.append(int(entry.name))
        return found

    def stop(self, seconds=30):
        code = self.daemon.stop(seconds) if self.daemon else 0
        for pid in self.recorder_pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return code

    def dialer_pids(self):
        """camera id -> pid of its recorder's dialer, as far as there is one."""
        cameras, found = {pid: camera for camera, pid in self.recorder_pids().items()}, {}
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdigit() or (entry / "comm").read_text() != "dialer\n":
                    continue
                facts = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines())
                if int(facts["PPid"]) in cameras and not facts["State"].startswith("Z"):
                    found[cameras[int(facts["PPid"])]] = int(entry.name)
        return found

    # Files.

    def clip_files(self, camera=None, finished=True):
        pattern = f"{camera or '*'}/*/*.clip" + ("" if finished else "*")
        return sorted((self.data / "clips").glob(pattern), key=lambda p: p.name)


def prepared_hub(programs, folder, cameras, clip_seconds=5, level="clips", requester=True, extra_config="", runtime=None):
    """A hub as its owner sets it up: keys made elsewhere, the owner's card brought to the hub, policy 1 signed
    on the owner's side and applied, one requester (a police office) with the given level. Not started."""
    hub = Hub(programs, folder, cameras, clip_seconds)
    hub.laptop.mkdir()
    hub.office.mkdir()
    for key, kind, name, place in ((hub.owner_key, "owner", "Ada", hub.laptop),
                                   (hub.requester_key, "requester", "County Police", hub.office)):
        hub.run("keygen", "-o", key)
        hub.run("card", "make", "--kind", kind, "--name", name, "--key", key, "-o", place / f"{kind}.card")
    options = []
    for name, url in cameras.items():
        options += ["--camera", f"{name}={url}"]
    if requester:
        options += ["--requester-listen", hub.requester_address]
    hub.run("init", "--data", hub.data, "--owner-card", hub.owner_card, "--config-out", hub.config,
            "--draft-out", hub.laptop / "policy-1.draft", *options)
    if runtime:
        hub.runtime = pathlib.Path(runtime)
        text = hub.config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("runtime_folder")]
        at = next(n for n, line in enumerate(lines) if line.startswith("data_folder"))
        hub.config.write_text("\n".join([*lines[:at + 1], f'runtime_folder = "{runtime}"', *lines[at + 1:]]) + "\n")
    with open(hub.config, "a", encoding="utf-8") as config:
        config.write(f"\n[recording]\nclip_target_s = {clip_seconds}\n{extra_config}")
    edit = ["policy", "edit", hub.laptop / "policy-1.draft", "--all-cameras", "--minimum-age", "0", "--cell", CELL]
    if requester:
        edit += ["--add-requester", hub.office / "requester.card", "--name", "county police", "--level", level]
    hub.cli(*edit)
    hub.cli("policy", "sign", hub.laptop / "policy-1.draft", "--key", hub.owner_key, "-o", hub.laptop / "policy-1.note")
    return hub


def apply_policy(hub, number=1):
    hub.cli("policy", "apply", hub.laptop / f"policy-{number}.note", "--owner-card", hub.owner_card)
