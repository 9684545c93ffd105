"""What the privacy tests share: the hub's formats and keys, read and made by code that is not the hub's.

Only the standard library and zmq. Slow and simple on purpose: it is a second opinion on docs/formats."""
import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import zmq
import zmq.utils.z85

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "dev"))
import hubkit  # noqa: E402: found only after the line above


def utc(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# Ed25519 as RFC 8032 describes it.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, g, h, y = f - e, d - c, d + c, f + e
    return x * g % P, h * y % P, g * h % P, x * y % P


def _times(scalar, point):
    out = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            out = _add(out, point)
        point, scalar = _add(point, point), scalar >> 1
    return out


def _base():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


BASE = _base()


def _encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519_sign(seed, message):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = _encode(_times(a, BASE))
    r = int.from_bytes(hashlib.sha512(h[32:] + message).digest(), "little") % L
    point = _encode(_times(r, BASE))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little"), public


# Keys of a person: docs/formats/note.md.

def hkdf(secret, info, salt=b""):
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def age_secret(path):
    """The 32 bytes of the AGE-SECRET-KEY-1 line of a key file (bech32)."""
    line = next(l for l in pathlib.Path(path).read_text().splitlines() if l.startswith("AGE-SECRET-KEY-1"))
    bits = 0
    for letter in line.lower().rsplit("1", 1)[1][:-6]:
        bits = bits << 5 | "qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(letter)
    return (bits >> 4).to_bytes(32, "big")


class Person:
    """Everything that follows from one secret and the card that its holder shows."""

    def __init__(self, key_file, card_file=None):
        self.secret = age_secret(key_file)
        self.note_seed = hkdf(self.secret, b"halfdoor/v1/note")
        curve = hkdf(self.secret, b"halfdoor/v1/curve")
        self.curve_secret = zmq.utils.z85.encode(curve)
        self.curve_public = zmq.curve_public(self.curve_secret)
        if card_file:
            lines = dict(l.split(" ", 1) for l in pathlib.Path(card_file).read_text().splitlines() if " " in l)
            self.age, self.key_name = lines["age"], lines["note"].split("+")[0]

    def sign(self, text, name=None):
        name = name or self.key_name
        signature, public = ed25519_sign(self.note_seed, text.encode())
        key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
        return f"{text}\n\u2014 {name} {base64.b64encode(key_id + signature).decode()}\n".encode()


def curve_of_hub(card_file, use):
    for line in pathlib.Path(card_file).read_text().splitlines():
        if line.startswith(f"curve {use} "):
            return line.split(" ", 2)[2].encode()
    raise KeyError(use)


# Requests: docs/formats/request.md.

SQUARE = "407064067,-740147403;407064067,-740052597;407135933,-740052597;407135933,-740147403"


def make_request(person, hub_id, begin, end, case, now, **changed):
    """(note, private body) within the rules unless `changed` says otherwise: fields by name, `signer`,
    `text` (replaces the signed text)."""
    letters = "".join(c for c in case.upper() if c.isalnum())
    case_salt = hkdf(person.secret, b"halfdoor/v1/case\n" + letters.encode())
    body = (f"halfdoor-private/v1\nsalt {os.urandom(32).hex()}\ncase-salt {case_salt.hex()}\ncase {case}\n"
            "contact desk@police.example\ntext -\n").encode()
    commitment = hashlib.sha256(b"halfdoor-case/v1\n" + case_salt + letters.encode()).hexdigest()
    fields = {"hub": hub_id, "nonce": os.urandom(16).hex(), "case": commitment, "offence": "burglary",
              "window": f"{utc(begin)} {utc(end)}", "area": SQUARE, "posted": utc(now), "expires": utc(now + 86400),
              "recipient": person.age, "amends": "-", "private_sha256": hashlib.sha256(body).hexdigest()}
    signer, text = changed.pop("signer", person), changed.pop("text", None)
    fields.update(changed)
    lines = [f"{key.replace('_', '-')} {value}" for key, value in fields.items()]
    return signer.sign(text or "halfdoor-request/v1\n" + "\n".join(lines) + "\n"), body


def request_id(note):
    return hashlib.sha256(note).hexdigest()[:32]


# The protocol: docs/protocol.md.

class Peer:
    """A DEALER with a deadline. `server` (Z85) makes it CURVE."""

    def __init__(self, address, me=None, server=None, timeout=5.0, **options):
        self.timeout = timeout
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        for name, value in options.items():
            setattr(self.socket, name, value)
        if server:
            self.socket.curve_serverkey = server
            self.public, secret = (me.curve_public, me.curve_secret) if me else zmq.curve_keypair()
            self.socket.curve_publickey, self.socket.curve_secretkey = self.public, secret
        self.socket.connect(address)
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close(0)

    def send(self, verb, fields, *binary):
        self.count += 1
        self.socket.send_multipart([b"HD1", verb.encode(), str(self.count).encode(), json.dumps(fields).encode(), *binary])

    def receive(self, timeout=None):
        """The frames of the next message, or None: silence."""
        if not self.socket.poll(int(1000 * (self.timeout if timeout is None else timeout))):
            return None
        return self.socket.recv_multipart()

    def ask(self, verb, fields, *binary, timeout=None):
        """(status, JSON, binary frames), or None: silence."""
        self.send(verb, fields, *binary)
        frames = self.receive(timeout)
        return frames and (frames[2].decode(), json.loads(frames[3]), frames[4:])


# Clips: docs/formats/clip.md.

class Piece:
    def __init__(self, head, identity, age):
        self.head, self.identity, self.age = head, identity, age
        self.sequence, self.kind = struct.unpack_from("<IB", identity, 34)
        self.start = identity[75]  # 1: IDR
        self.header_size = age.index(b"\n--- ") + 1 + age[age.index(b"\n--- ") + 1:].index(b"\n") + 1

    @property
    def header(self):
        return self.age[:self.header_size]

    @property
    def payload(self):
        return self.age[self.header_size:]


def read_clip(path):
    """(header bytes, pieces) of a clip file, finished or not; stops at the footer or a torn tail."""
    data = pathlib.Path(path).read_bytes()
    size = 12 + struct.unpack_from("<I", data, 8)[0] + 4
    header, at, pieces = data[:size], size, []
    while data[at:at + 4] == b"\x9dHDP":
        identity_size, age_size = struct.unpack_from("<HQ", data, at + 4)
        begin = at + 46 + identity_size + 4
        if begin + age_size > len(data):
            break
        pieces.append(Piece(data[at:begin], data[at + 46:at + 46 + identity_size], data[begin:begin + age_size]))
        at = begin + age_size
    return header, pieces


def age_open(age_bytes, key_file):
    """What stock age makes of it; None if it refuses."""
    done = subprocess.run(["age", "-d", "-i", str(key_file)], input=age_bytes, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def missing_tools(*names):
    gone = [n for n in names if shutil.which(n) is None]
    return f"not installed: {', '.join(gone)}" if gone else ""


LEVELS = {"police": "clips", "council": "coverage", "insurer": "silent"}


class Asked(unittest.TestCase):
    """A hub with two cameras and three requesters, of whom the police got two pieces of one clip. Tests derive."""

    @classmethod
    def setUpClass(cls):
        temp = tempfile.TemporaryDirectory(prefix="halfdoor-consent-")
        cls.addClassCleanup(temp.cleanup)
        folder = pathlib.Path(temp.name)
        cls.programs = hubkit.Programs(cls.build)
        cls.replay = hubkit.Replay(cls.programs, folder, generate="h264:320x240@10:gop=10,h264:320x240@10:gop=10")
        cls.addClassCleanup(cls.replay.stop)
        cls.names = ["nursery", "front door"]
        urls = {name: c["url"] for name, c in zip(cls.names, cls.replay.cameras)}
        ports = [hubkit.free_port(), hubkit.free_port()]
        cls.tcp = {"owner": f"tcp://127.0.0.1:{ports[0]}", "dashboard": f"tcp://127.0.0.1:{ports[1]}"}
        extra = "".join(f'\n[endpoints.{n}]\ntcp = "{a}"\n' for n, a in cls.tcp.items())
        cls.hub = hub = hubkit.prepared_hub(cls.programs, folder / "hub", urls, clip_seconds=6, extra_config=extra,
                                            requester=True)
        cls.people = {}
        draft = hub.laptop / "policy-1.draft"
        hub.cli("policy", "edit", draft, "--remove-requester", "county police")
        for who, level in LEVELS.items():
            key, card = hub.office / f"{who}.key", hub.office / f"{who}.card"
            if not key.exists():
                hub.run("keygen", "-o", key)
            hub.run("card", "make", "--kind", "requester", "--name", who, "--key", key, "-o", card)
            hub.cli("policy", "edit", draft, "--add-requester", card, "--name", who, "--level", level,
                    "--requests-per-day", "900", "--hours-per-day", "9000")
            cls.people[who] = Person(key, card)
        cls.police = cls.people["police"]
        cls.owner = Person(hub.owner_key, hub.owner_card)
        hub.cli("policy", "sign", draft, "--key", hub.owner_key, "-o", hub.laptop / "policy-1.note", "--force")
        hubkit.apply_policy(hub)
        cls.addClassCleanup(hub.stop)
        hub.start()
        cls.hub_id = hub.status()["hub"]
        cls.server = curve_of_hub(hub.data / "hub" / "hub.card", "requester")
        cls.camera_ids = {c["name"]: c["camera"] for c in hub.status()["cameras"]}
        hubkit.wait_until(lambda: all(len(hub.clip_files(c)) >= 1 for c in cls.camera_ids.values()), 40,
                          "a closed clip of each camera")
        cls.case = 0
        cls.grant_something(folder)

    @classmethod
    def grant_something(cls, folder):
        """The police ask, the owner approves two pieces of one clip, the police fetch: what most tests attack."""
        cls.note, cls.body = cls.request()
        with cls.peer() as peer:
            status, _, frames = peer.ask("ask", {}, cls.note, cls.body)
        assert status == "ok", status
        cls.answer, cls.id = frames[0], request_id(cls.note)
        cls.clip = cls.hub.clip_files(cls.camera_ids["front door"])[0]
        cls.clip_header, cls.pieces = read_clip(cls.clip)
        # Two pieces in the middle: one that a decoder can begin with, and the next; neighbours on both sides.
        cls.first = next(p.sequence for p in cls.pieces[2:-2] if p.start == 1)
        cls.granted = [0, cls.first, cls.first + 1]
        begin, end = (cls.piece_time(cls.pieces[n], at) for n, at in ((cls.first, 55), (cls.first + 1, 63)))
        cls.hub.cli("approve", cls.id, "--key", cls.hub.owner_key, "--camera", "front door", "--from", begin, "--to", end,
                    "--yes")
        cls.saved = folder / "saved"
        cls.saved.mkdir()
        hub_card = (cls.hub.data / "hub" / "hub.card").read_bytes()
        answer = cls.answer[4:4 + struct.unpack("<I", cls.answer[:4])[0]]
        for name, data in (("request.note", cls.note), ("request.private", cls.body), ("answer.note", answer),
                           ("hub.card", hub_card), ("owner.card", cls.hub.owner_card.read_bytes())):
            (cls.saved / name).write_bytes(data)
        cls.release = folder / "release"
        cls.fetched = cls.hub.run("fetch", cls.id, "--connect", cls.hub.requester_address, "--hub-card",
                                  cls.hub.data / "hub" / "hub.card", "--key", cls.hub.office / "police.key",
                                  "--saved", cls.saved, "--owner-card", cls.hub.owner_card, "-o", cls.release)
        cls.grant = (cls.release / "grant.note").read_text()

    @staticmethod
    def piece_time(piece, at):
        micros = struct.unpack_from("<q", piece.identity, at)[0]
        return f"{utc(micros // 1000000)[:-1]}.{micros % 1000000:06}Z"

    @classmethod
    def request(cls, who="police", **changed):
        """A note within the rules, of a case of its own."""
        cls.case = cls.case + 1
        now = changed.pop("now", time.time())
        end = changed.pop("end", now)
        begin = changed.pop("begin", end - 900)
        return make_request(cls.people[who], cls.hub_id, begin, end, changed.pop("case_number", f"2026-{cls.case}"),
                                now, **changed)

    @classmethod
    def peer(cls, who="police", **options):
        return Peer(cls.hub.requester_address, cls.people.get(who), cls.server, **options)
