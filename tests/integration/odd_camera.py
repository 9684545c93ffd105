"""RTSP cameras with odd manners: each path of one server is a camera that gives the answers it is told to, byte for
byte (only CSeq is that of the request, and server_port one that is free), and then sends H.264 or H.265 over the same
TCP connection, or by UDP if that is what it was asked for and answers."""
import base64
import hashlib
import re
import secrets
import socket
import socketserver
import struct
import subprocess
import threading
import time

FPS = 15
MTU = 1400
SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=odd\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
       "m=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\na=control:track1\r\n")


def with_cseq(answer, cseq):
    """An answer as a camera gave it, to another request."""
    return re.sub(rb"(?im)^(cseq:)[^\r\n]*", lambda m: m.group(1) + b" " + cseq.encode(), answer, count=1)


def header(message, name):
    found = re.search(rf"(?im)^{name}:[ \t]*([^\r\n]*)", message)
    return found.group(1).strip() if found else None


def nal_units(annexb):
    return [n for n in re.split(rb"\x00\x00\x00\x01|\x00\x00\x01", annexb) if n]


def make_video(codec):
    """Access units (lists of NAL units) of a short loop, parameter sets in front of each key frame."""
    encoder = {"H264": ["-c:v", "libx264", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264"],
               "H265": ["-c:v", "libx265", "-x265-params", "log-level=none:aud=1:repeat-headers=1", "-f", "hevc"]}
    done = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={FPS}", "-t", "2",
                           "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", str(FPS), "-bf", "0", *encoder[codec],
                           "-"], stdout=subprocess.PIPE, check=True, timeout=60)
    units, delimiter = [], 9 if codec == "H264" else 35
    for nal in nal_units(done.stdout):
        kind = nal[0] & 31 if codec == "H264" else nal[0] >> 1 & 63
        if kind == delimiter:
            units.append([])
        else:
            units[-1].append(nal)
    return units


def fragments(codec, nal):
    """RTP payloads of one NAL unit (RFC 6184, RFC 7798)."""
    if len(nal) <= MTU:
        return [nal]
    if codec == "H264":
        head, kind, body = bytes([nal[0] & 0xe0 | 28]), nal[0] & 31, nal[1:]
    else:
        head, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    parts = [body[i:i + MTU] for i in range(0, len(body), MTU)]
    return [head + bytes([kind | (0x80 if i == 0 else 0) | (0x40 if i + 1 == len(parts) else 0)]) + part
            for i, part in enumerate(parts)]


class Auth:
    """A camera that wants user and password. `fresh`: answers after which a nonce is stale; `hashed`: MD5 or SHA-256,
    nothing for basic; `extra` goes into the challenge as it is."""

    def __init__(self, user, password, hashed="MD5", extra="", fresh=None, challenge=None):
        self.user, self.password, self.hashed, self.extra, self.fresh = user, password, hashed, extra, fresh
        self.own_challenge, self.lock, self.nonces = challenge, threading.Lock(), {}
        self.refused = self.stale = 0

    def challenge(self, stale=False):
        if self.own_challenge:
            self.nonces.setdefault(re.search(rb'nonce="([^"]*)"', self.own_challenge).group(1).decode(), 0)
            return self.own_challenge
        if not self.hashed:
            value = 'Basic realm="odd"'
        else:
            nonce = secrets.token_hex(8)
            self.nonces[nonce] = 0
            value = f'Digest realm="odd", nonce="{nonce}"{self.extra}' + (", stale=TRUE" if stale else "")
        return f"RTSP/1.0 401 Unauthorized\r\nCSeq: 0\r\nWWW-Authenticate: {value}\r\n\r\n".encode()

    def refusal(self, method, uri, message):
        """What to answer instead; None: the right user."""
        with self.lock:
            given = header(message, "Authorization")
            if not given:
                return self.challenge()
            if not self.hashed:
                right = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
                if given == f"Basic {right}":
                    return None
                self.refused += 1
                return self.challenge()
            fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
            nonce = fields.get("nonce", "")
            if nonce in self.nonces:
                self.nonces[nonce] += 1
                if self.fresh and self.nonces[nonce] > self.fresh:
                    self.stale += 1
                    return self.challenge(stale=True)
            if fields.get("response") == self.response(method, fields) and nonce in self.nonces:
                return None
            self.refused += 1
            return self.challenge()

    def response(self, method, fields):
        def digest(text):
            return hashlib.new(self.hashed.replace("-", "").lower(), text.encode()).hexdigest()
        realm = re.search(rb'realm="([^"]*)"', self.own_challenge).group(1).decode() if self.own_challenge else "odd"
        secret, what = digest(f"{self.user}:{realm}:{self.password}"), digest(f"{method}:{fields.get('uri')}")
        if "qop" in fields:
            return digest(f"{secret}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{what}")
        return digest(f"{secret}:{fields['nonce']}:{what}")


class Camera:
    """Answers by method: bytes as sent, or an SDP text without an RTSP head under DESCRIBE."""

    def __init__(self, answers=None, auth=None, setups=(), codec="H264"):
        self.answers = {k: v if isinstance(v, bytes) else v.encode() for k, v in (answers or {}).items()}
        self.auth, self.setups, self.codec = auth, list(setups), codec
        self.asked, self.seen = [], []      # methods in order; and those that the right user asked
        described = self.answers.get("DESCRIBE", b"")
        if b"H265/90000" in described:
            self.codec = "H265"
        payload = re.search(rb"m=video \S+ RTP/AVP (\d+)", described)
        self.payload_type = int(payload.group(1)) if payload else 96
        self.session = "12345678"
        for answer in [*self.answers.values(), *self.setups]:
            found = re.search(rb"(?im)^session:[ \t]*([^;\r\n]+)", answer)
            if found:
                self.session = found.group(1).decode().strip()

    def answer(self, method, uri):
        own = self.answers.get(method)
        if method == "SETUP" and self.setups:
            own = self.setups[min(self.seen.count("SETUP"), len(self.setups)) - 1]
        if own is not None and own.startswith(b"RTSP/"):
            return own
        session = f"Session: {self.session};timeout=60\r\n"
        more = {"OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", "PLAY": session,
                "SETUP": f"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n{session}"}.get(method, "")
        body = b""
        if method == "DESCRIBE":
            body = own if own is not None else SDP.format(codec=self.codec).encode()
            more = f"Content-Base: {uri}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        return f"RTSP/1.0 200 OK\r\nCSeq: 0\r\n{more}\r\n".encode() + body


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.camera, self.channel, self.lock, self.over = None, 0, threading.Lock(), threading.Event()
        self.udp = None
        received = b""
        try:
            while chunk := self.request.recv(65536):
                received = self.take(received + chunk)
        except OSError:
            pass
        self.over.set()
        if self.udp:
            self.udp.close()

    def take(self, data):
        while data:
            if data[:1] == b"$":
                if len(data) < 4 or len(data) < 4 + struct.unpack(">H", data[2:4])[0]:
                    break
                data = data[4 + struct.unpack(">H", data[2:4])[0]:]
                continue
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            body = int(header(head.decode(errors="replace"), "Content-Length") or 0)
            data = rest[body:]
            self.reply(head.decode(errors="replace"))
        return data

    def reply(self, message):
        method, uri = message.split(" ")[:2]
        cameras = self.server.cameras
        if self.camera is None:
            self.camera = cameras.get(re.sub(r"^\w+://[^/]*/", "", uri).split("/")[0])
        cseq = header(message, "CSeq") or "0"
        if self.camera is None:
            self.send(f"RTSP/1.0 404 Not Found\r\nCSeq: {cseq}\r\n\r\n".encode())
            return
        self.camera.asked.append(method)
        refusal = self.camera.auth.refusal(method, uri, message) if self.camera.auth else None
        if refusal is None:
            self.camera.seen.append(method)
        answer = with_cseq(refusal or self.camera.answer(method, uri), cseq)
        asked = re.search(r"client_port=(\d+)", message)
        if method == "SETUP" and asked and b"server_port=" in answer and self.udp is None:
            answer = self.send_by_udp(answer, int(asked.group(1)))
        self.send(answer)
        if refusal:
            return
        channel = re.search(rb"interleaved=(\d+)", answer)
        if method == "SETUP" and channel and self.camera.seen.count("SETUP") == 1:
            self.channel = int(channel.group(1))
        if method == "PLAY":
            threading.Thread(target=self.stream, daemon=True).start()

    def send_by_udp(self, answer, port):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.connect(("127.0.0.1", port))
        own = self.udp.getsockname()[1]
        return re.sub(rb"server_port=[\d-]+", f"server_port={own}-{own + 1}".encode(), answer)

    def send(self, data):
        with self.lock:
            self.request.sendall(data)

    def stream(self):
        codec = self.camera.codec
        units, sequence, timestamp, begin = self.server.video[codec], 7, 0, time.monotonic()
        for number in range(10**9):
            payloads = [p for nal in units[number % len(units)] for p in fragments(codec, nal)]
            timestamp = number * (90000 // FPS)
            packets = []
            for i, payload in enumerate(payloads):
                marker = 0x80 if i + 1 == len(payloads) else 0
                packets.append(struct.pack(">BBHII", 0x80, marker | self.camera.payload_type, sequence & 0xffff,
                                           timestamp & 0xffffffff, 0x0dd) + payload)
                sequence += 1
            try:
                if self.udp:
                    for packet in packets:
                        self.udp.send(packet)
                else:
                    self.send(b"".join(struct.pack(">cBH", b"$", self.channel, len(p)) + p for p in packets))
            except OSError:
                return
            if self.over.wait(max(0.0, begin + (number + 1) / FPS - time.monotonic())):
                return


class OddCameras(socketserver.ThreadingTCPServer):
    """`cameras`: path -> Camera. Serves from the construction until close()."""
    allow_reuse_address, daemon_threads, block_on_close = True, True, False

    def __init__(self, cameras, port=0):
        self.cameras = cameras
        self.video = {codec: make_video(codec) for codec in sorted({c.codec for c in cameras.values()})}
        super().__init__(("127.0.0.1", port), Connection)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def url(self, name):
        return f"rtsp://127.0.0.1:{self.server_address[1]}/{name}"

    def close(self):
        self.shutdown()
        self.server_close()
