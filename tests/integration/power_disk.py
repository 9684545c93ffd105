#!/usr/bin/python3
"""A disk that can lose its power: an ext4 file system on a loop device whose backing file is served from here (FUSE).

So every write and every flush that the kernel sends to the disk passes through this program, and it knows what a disk
with a volatile write cache knows: which sectors were written before the last finished flush (those are safe), and which
after it (any subset of them may have reached the medium, in any order). `cut` makes an image of the disk as a power
failure at that instant would leave it:

- "kept": everything written is there. What the file system had not yet sent is not.
- "lost": only what was flushed.
- "torn": what was flushed, and of the writes after it a random subset, sector by sector (512 bytes).

The same place delays answers (a disk that stalls), or fails them (a drive that is gone), and counts flushes and bytes.

The server is a process of its own (`power_disk.py serve`), so that it never waits for a test that waits for the disk.
Needs root, /dev/fuse and loop devices: `why_not()`."""
import contextlib
import ctypes
import errno
import json
import mmap
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import time

SECTOR, CHUNK = 512, 64 << 10
MAX_WRITE = 1 << 20
# Opcodes and structures of linux/fuse.h, protocol 7.
GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT = 3, 4, 14, 15, 16, 18, 20, 25, 26
FORGET, INTERRUPT, DESTROY, BATCH_FORGET = 2, 36, 38, 42
HEAD = struct.Struct("<IIQQIIIHH")
INIT_FLAGS = 1 << 5 | 1 << 22  # big writes, max_pages


class Medium:
    """The disk's content: what was flushed, what is there if the power stays, and the difference in order."""

    def __init__(self, path):
        self.flushed, self.size = self.memory(path), os.path.getsize(path)
        shutil.copyfile(path, f"{path}.current")
        self.current = self.memory(f"{path}.current")
        zeros = bytes(CHUNK)
        self.used = {at // CHUNK for at in range(0, self.size, CHUNK) if self.flushed[at:at + CHUNK] != zeros}
        self.pending = []

    @staticmethod
    def memory(path):
        with open(path, "r+b") as file:
            return mmap.mmap(file.fileno(), 0)

    def write(self, offset, data):
        self.current[offset:offset + len(data)] = data
        self.pending.append((offset, data))
        self.used.update(range(offset // CHUNK, (offset + len(data) - 1) // CHUNK + 1))

    def flush(self):
        for offset, data in self.pending:
            self.flushed[offset:offset + len(data)] = data
        self.pending.clear()

    def image(self, path, kind, seed):
        """Writes the image that a cut leaves; gives how many unflushed bytes there were, and how many it kept."""
        rng, kept = random.Random(seed), 0
        with open(path, "w+b") as file:
            file.truncate(self.size)
            for chunk in sorted(self.used):
                file.seek(chunk * CHUNK)
                file.write(self.flushed[chunk * CHUNK:(chunk + 1) * CHUNK])
            share = rng.choice((0.1, 0.5, 0.9)) if kind == "torn" else 1.0 if kind == "kept" else 0.0
            for offset, data in self.pending:
                for at in range(0, len(data), SECTOR):
                    if rng.random() < share:
                        file.seek(offset + at)
                        kept += file.write(data[at:at + SECTOR])
        return sum(len(data) for _, data in self.pending), kept


class Server:
    def __init__(self, mount_point, control, medium):
        self.medium = Medium(medium)
        self.fuse = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.fuse},rootmode=100600,user_id=0,group_id=0,max_read={MAX_WRITE}".encode()
        if libc.mount(b"power_disk", os.fsencode(mount_point), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount of the FUSE file")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.bind(control)
        self.control.listen(4)
        self.clients, self.waiting = [], None   # waiting: a cut that was ordered for a flush to come
        self.stall_until, self.failing, self.flush_s = 0.0, False, 0.0
        self.flushes = self.writes = self.written = 0

    def run(self):
        import select
        poll = select.poll()
        poll.register(self.fuse, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        while True:
            for fd, event in poll.poll():
                if fd == self.fuse:
                    if event & (select.POLLERR | select.POLLHUP) or not self.serve():
                        return
                elif fd == self.control.fileno():
                    client, _ = self.control.accept()
                    self.clients.append(client)
                    poll.register(client, select.POLLIN)
                else:
                    client = next(c for c in self.clients if c.fileno() == fd)
                    order = client.recv(4096)
                    if not order:
                        poll.unregister(client)
                        self.clients.remove(client)
                        client.close()
                    else:
                        self.obey(client, json.loads(order))

    # Orders of the test.

    def obey(self, client, order):
        answer = {}
        if order["do"] == "cut":
            if order["at_flush"] > 0:
                self.waiting = (order, client)
                return
            answer = self.cut(order)
        elif order["do"] == "stall":
            self.stall_until = time.monotonic() + order["seconds"]
        elif order["do"] == "flush_ms":
            self.flush_s = order["ms"] / 1000
        elif order["do"] == "fail":
            self.failing = order["on"]
        elif order["do"] == "never_mind":
            answer = {"late": self.waiting is None}
            self.waiting = None
        elif order["do"] == "counts":
            answer = {"flushes": self.flushes, "writes": self.writes, "bytes": self.written}
        client.send(json.dumps(answer).encode())

    def cut(self, order):
        moment = time.time()
        unflushed, kept = self.medium.image(order["path"], order["kind"], order["seed"])
        return {"moment": moment, "unflushed": unflushed, "kept": kept}

    # Questions of the kernel.

    def serve(self):
        try:
            message = os.read(self.fuse, MAX_WRITE + 4096)
        except OSError as error:
            return error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN)
        _, opcode, unique, *_ = HEAD.unpack_from(message)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return True
        if opcode == DESTROY:
            return False
        error, body = self.answer(opcode, message)
        os.write(self.fuse, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        return True

    def attributes(self):
        return struct.pack("<QII6Q10I", 3600, 0, 0, 1, self.medium.size, self.medium.size // 512, 0, 0, 0, 0, 0, 0,
                           0o100600, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode, message):
        if opcode == INIT:
            return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 1 << 20, INIT_FLAGS, 16, 12, MAX_WRITE, 1,
                                  MAX_WRITE // 4096, 0, 0, *[0] * 7)
        if opcode in (GETATTR, SETATTR):
            return 0, self.attributes()
        if opcode == OPEN:
            return 0, struct.pack("<QII", 0, 1, 0)  # 1: no page cache between the loop device and us
        if opcode in (READ, WRITE, FSYNC):
            wait = self.stall_until - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if self.failing:
                return errno.EIO, b""
            return 0, getattr(self, {READ: "read", WRITE: "write", FSYNC: "sync"}[opcode])(message)
        if opcode in (FLUSH, RELEASE):
            return 0, b""
        return errno.ENOSYS, b""

    def read(self, message):
        _, offset, size = struct.unpack_from("<QQI", message, HEAD.size)
        return self.medium.current[offset:offset + size]

    def write(self, message):
        _, offset, size = struct.unpack_from("<QQI", message, HEAD.size)
        self.medium.write(offset, message[-size:])
        self.writes, self.written = self.writes + 1, self.written + size
        return struct.pack("<II", size, 0)

    def sync(self, _):
        self.flushes += 1
        time.sleep(self.flush_s)
        if self.waiting:
            order, client = self.waiting
            order["at_flush"] -= 1
            if order["at_flush"] <= 0:  # before it is finished: nothing of it is promised yet
                self.waiting = None
                client.send(json.dumps(self.cut(order)).encode())
        self.medium.flush()
        return b""


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=True).stdout.strip()


def make_ext4(path, size):
    with open(path, "wb") as image:
        image.truncate(size)
    # Nothing that the kernel would write later, by itself.
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", path)


class Image:
    """An ext4 image in a file, on a loop device, mounted at `folder`."""

    def __init__(self, path, folder):
        self.path, self.folder, self.loop = pathlib.Path(path), pathlib.Path(folder), None

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


class PowerDisk:
    """The test's side: the mounted disk, and orders to the server behind it. Ends with the `with`."""

    def __init__(self, work_folder, mount_folder, megabytes=160):
        self.work, self.folder, self.bytes = pathlib.Path(work_folder), pathlib.Path(mount_folder), megabytes << 20

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.work.mkdir(parents=True)
            stack.callback(shutil.rmtree, self.work, True)
            self.file, medium, control = (self.work / name for name in ("disk.img", "medium", "control"))
            self.file.touch()
            make_ext4(medium, self.bytes)
            self.server = subprocess.Popen([sys.executable, __file__, "serve", self.file, control, medium])
            stack.callback(self.end_server)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(self.socket.close)
            for _ in range(200):
                with contextlib.suppress(OSError):
                    self.socket.connect(str(control))
                    break
                time.sleep(0.05)
            self.image = Image(self.file, self.folder)
            stack.callback(self.image.unmount)
            self.image.mount()
            (self.folder / "lost+found").rmdir()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        with contextlib.suppress(OSError, ValueError):
            self.order("fail", on=False)
        self.stack.close()

    def end_server(self):
        subprocess.run(["umount", "-l", self.file], capture_output=True, check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(5)
        self.server.kill()
        self.server.wait()

    def order(self, what, patience=20, **words):
        self.socket.settimeout(patience)
        self.socket.send(json.dumps({"do": what, **words}).encode())
        return json.loads(self.socket.recv(4096))

    def cut(self, path, kind, seed=0, at_flush=0, patience=1.0):
        """The image that a power cut leaves: now, or in the middle of the at_flush-th flush from now. If none comes
        for `patience` seconds: then."""
        words = {"path": str(path), "kind": kind, "seed": seed}
        if at_flush:
            with contextlib.suppress(TimeoutError):
                return self.order("cut", patience, at_flush=at_flush, **words)
            first = self.order("never_mind")
            if "moment" in first:  # it came after all, just now
                self.socket.recv(4096)
                return first
        return self.order("cut", at_flush=0, **words)


def why_not():
    """The reason why this machine cannot do it, or nothing."""
    if os.geteuid() != 0:
        return "loop mounts need root"
    missing = [tool for tool in ("mkfs.ext4", "losetup", "mount") if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not os.path.exists("/dev/fuse"):
        return "no /dev/fuse"
    probe = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"no loop device: {probe.stderr.strip()}"


if __name__ == "__main__":
    if sys.argv[1:2] != ["serve"] or len(sys.argv) != 5:
        sys.exit("usage: power_disk.py serve FILE CONTROL_SOCKET MEDIUM")
    Server(sys.argv[2], sys.argv[3], sys.argv[4]).run()
