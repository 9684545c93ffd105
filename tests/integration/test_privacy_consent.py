#!/usr/bin/python3
"""Asking, granting and fetching under attack: a requester who wants more than was granted, and everybody else's
notes, keys and grants. usage: test_privacy_consent.py BUILD_FOLDER"""
import hashlib
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import time
import unittest

import privacy_kit as kit

PAGE = 65536
# Every verb of docs/protocol.md that belongs to somebody else.
FOREIGN_VERBS = ("hello status cameras clips events.since requests request dismiss headers grant.begin grant.put "
                 "grant.commit grant.abort policy policy.apply hub.card clip.read check reindex gate.policy gate.ask "
                 "gate.fetch").split()


def square_metres(corners):
    """The size of an area by the formula of docs/formats/request.md, written down a second time."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    e = math.sqrt(e2)
    points = []
    for corner in corners.split(";"):
        phi, lam = (math.radians(int(v) * 1e-7) for v in corner.split(","))
        s = math.sin(phi)
        points.append((a * lam, a * (1 - e2) * (s / (1 - e2 * s * s) + math.atanh(e * s) / e) / 2))
    origin = points[0]
    points = [(x - origin[0], y - origin[1]) for x, y in points]
    return round(abs(sum(p[0] * q[1] - q[0] * p[1] for p, q in zip(points, points[1:] + points[:1]))) / 2)


def rectangle(metres):
    """A rectangle at the hub's cell of exactly so many square metres."""
    south, west, north = 407100000, -740100000, 407170000
    low, high = 0, 400000

    def corners(width):
        return f"{south},{west};{south},{west + width};{north},{west + width};{north},{west}"
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if square_metres(corners(middle)) < metres else (low, middle)
    # One step east adds about 6 m2, one step north up to 20: together they meet every number.
    for east in range(low - 30, low + 30):
        for n in range(north - 12, north + 12):
            text = f"{south},{west};{south},{west + east};{n},{west + east};{n},{west}"
            if square_metres(text) == metres:
                return text
    raise ValueError(metres)


class Consent(kit.Asked):
    def ask(self, peer, request):
        reply = peer.ask("ask", {}, *request)
        self.assertIsNotNone(reply, "silence")
        return reply[0], reply[1].get("error", {}), reply[2]

    def refused(self, peer, request, field, code=None):
        status, error, frames = self.ask(peer, request)
        self.assertNotEqual(status, "ok", f"taken, although {field} is wrong")
        self.assertEqual(frames, [])
        self.assertEqual(error["field"], field, error)
        self.assertNotEqual(error["rule"], "")
        if code:
            self.assertEqual(status, code, error)

    def taken(self):
        """Requests in the ledger."""
        out = self.hub.run("dump", self.hub.data / "requests" / "requests.log", "--json").stdout
        return out.count('"taken"')

    def page(self, request, who="police"):
        with self.peer(who) as peer:
            status, error, frames = self.ask(peer, request)
        self.assertEqual(status, "ok", error)
        self.assertEqual([len(f) for f in frames], [PAGE])
        size = struct.unpack("<I", frames[0][:4])[0]
        self.assertEqual(size, PAGE - 4)
        return frames[0][4:].decode()

    # Who gets in.

    def test_a_stranger_gets_silence_and_leaves_no_trace(self):
        before = self.taken()
        with self.peer("nobody", timeout=1.5) as stranger:
            self.assertIsNone(stranger.ask("ask", {}, self.note, self.body))
        self.assertEqual(self.taken(), before)
        log = self.hub.daemon.text()
        self.assertNotIn(stranger.public.decode(), log)
        with kit.Peer(self.hub.requester_address, self.police, self.police.curve_public, timeout=1) as misled:
            self.assertIsNone(misled.ask("fetch", {"request": self.id, "part": 0}), "answered under another hub key")

    def test_a_requesters_key_opens_no_other_endpoint(self):
        for endpoint, address in self.tcp.items():
            server = kit.curve_of_hub(self.hub.data / "hub" / "hub.card", endpoint)
            with kit.Peer(address, self.police, server, timeout=1) as peer:
                self.assertIsNone(peer.ask("status", {}), endpoint)
            if endpoint == "owner":  # the endpoint lives: its owner is heard
                with kit.Peer(address, self.owner, server) as peer:
                    self.assertEqual(peer.ask("status", {})[0], "ok")

    def test_only_ask_and_fetch_exist_for_a_requester(self):
        with self.peer() as peer:
            for verb in FOREIGN_VERBS + ["export", "ASK", ""]:
                status, reply, frames = peer.ask(verb, {"request": self.id})
                self.assertEqual((status, frames), ("invalid", []), verb)
                self.assertIn(reply["error"]["field"], ("verb", "frames", ""), verb)

    # Notes.

    def test_a_replayed_note_gets_the_same_bytes_and_one_entry(self):
        before = self.taken()
        with self.peer() as peer:
            for _ in range(3):
                status, _, frames = peer.ask("ask", {}, self.note, self.body)
                self.assertEqual((status, frames), ("ok", [self.answer]))
            self.assertEqual(peer.ask("ask", {}, self.note)[2], [self.answer], "without its private body")
        self.assertEqual(self.taken(), before)

    def test_a_note_altered_in_any_line_is_refused(self):
        before = self.taken()
        note, body = self.request()
        lines = note.decode().split("\n")
        altered = {"hub": "0" * 32, "nonce": "1" * 32, "case": "2" * 64, "offence": "arson",
                   "window": f"{kit.utc(time.time() - 1900)} {kit.utc(time.time() - 100)}", "area": rectangle(200000),
                   "posted": kit.utc(time.time() - 30), "expires": kit.utc(time.time() + 9999),
                   "recipient": self.people["council"].age, "amends": "3" * 64, "private-sha256": "4" * 64}
        with self.peer() as peer:
            for number, line in enumerate(lines[1:12], 1):
                key = line.split(" ")[0]
                forged = lines[:number] + [f"{key} {altered.pop(key)}"] + lines[number + 1:]
                self.refused(peer, ("\n".join(forged).encode(), body), "signature", "refused")
            self.refused(peer, (note + lines[-2].encode() + b"\n", body), "note")  # a second signature line
            self.refused(peer, (note.replace(b"offence ", b"offence  "), body), "note")
            self.refused(peer, (note, body.replace(b"2026-", b"2027-")), "private-sha256")
            self.refused(peer, (note, body + b"\n"), "private-sha256")
        self.assertEqual(altered, {})
        self.assertEqual(self.taken(), before)

    def test_nobody_asks_in_anothers_name(self):
        council = self.people["council"]
        with self.peer() as peer:
            # The council's own note, stolen, over the police's connection; and the council signing for the police.
            self.refused(peer, self.request("council"), "signature", "refused")
            self.refused(peer, self.request(signer=council), "signature", "refused")
            # Signed by the police, to somebody else's key.
            self.refused(peer, self.request(recipient=council.age), "recipient", "refused")
            self.refused(peer, self.request(recipient=self.owner.age), "recipient", "refused")
            self.refused(peer, self.request(hub="ab" * 16), "hub")

    def test_rules_are_exact_at_their_edges(self):
        now = time.time()
        with self.peer() as peer:
            for seconds, good in ((899, False), (900, True), (43200, True), (43201, False)):
                self.edge(peer, self.request(begin=int(now) - seconds, end=int(now)), "window", good)
            self.edge(peer, self.request(end=int(now) + 3), "window", False)  # not over yet
            self.edge(peer, self.request(begin=now, end=now - 900), "window", False)
            for metres, good in ((64749, False), (64750, True), (1294994, True), (1294995, False)):
                self.edge(peer, self.request(area=rectangle(metres)), "area", good)
            for offset, good in ((-602, False), (-597, True), (600, True), (603, False)):
                now = time.time()
                self.edge(peer, self.request(posted=kit.utc(now + offset)), "posted", good)
            self.edge(peer, self.request(expires=kit.utc(time.time() + 31 * 86400)), "expires", False)
            for case, good in (("77", True), ("7 7", True), ("7-7", False)):  # two for a case, however it is written
                self.edge(peer, self.request(case_number=case), "case", good)

    def edge(self, peer, request, field, good):
        if good:
            self.assertEqual(self.ask(peer, request)[:2], ("ok", {}), field)
        else:
            self.refused(peer, request, field)

    # What an answer tells.

    def test_an_answer_tells_its_level_and_nothing_more(self):
        pages = {who: self.page(self.request(who), who) for who in kit.LEVELS}
        self.assertRegex(pages["police"], r"\nclip [0-9a-f]{8} \d{10} \d+\n")
        self.assertNotIn("\ncoverage", pages["police"])
        self.assertRegex(pages["council"], r"\ncoverage 20\S+ [01]*1[01]*\n")
        self.assertNotIn("\nclip ", pages["council"])
        allowed = {"halfdoor-answer/v1", "hub", "request", "received", "coverage", "clip", "pad", "", "\u2014"}
        clips = [p for c in self.camera_ids.values() for p in self.hub.clip_files(c)]
        secrets = list(self.camera_ids) + list(self.camera_ids.values()) + list(kit.LEVELS) + ["40.71", "407"]
        secrets += [kit.read_clip(p)[0][14:30].hex() for p in clips] + [str(p.stat().st_size) for p in clips]
        for who, page in pages.items():
            self.assertEqual({line.split(" ")[0] for line in page.split("\n")} - allowed, set(), who)
            text = re.sub(r"(hub|request) [0-9a-f]+\n|\u2014 .*\n|\nclip [0-9a-f]{8} ", "", page)
            self.assertEqual([s for s in secrets if s in text], [], who)
        again = self.page(self.request())
        labels = [set(re.findall(r"\nclip ([0-9a-f]{8})", p)) for p in (pages["police"], again)]
        self.assertEqual(labels[0] & labels[1], set(), "labels are the same in two requests")

    def test_having_nothing_telling_nothing_and_being_elsewhere_look_the_same(self):
        elsewhere = kit.SQUARE.replace("-740", "-730")
        long_ago = time.time() - 10 * 86400
        shapes = set()
        for who, changed in (("insurer", {}), ("police", {"area": elsewhere}), ("council", {"area": elsewhere}),
                             ("police", {"end": long_ago}), ("insurer", {"end": long_ago, "area": elsewhere})):
            page = self.page(self.request(who, **changed), who)
            shapes.add(re.sub(r"(request|received) \S+\n|\u2014 .*\n", "", page))
        self.assertEqual(len(shapes), 1, "states that must look the same differ")

    # What a release lets out.

    def test_everything_but_a_release_for_this_requester_looks_the_same(self):
        waiting, dismissed = self.request(), self.request()
        for request in (waiting, dismissed):
            self.page(request)
        self.hub.cli("dismiss", kit.request_id(dismissed[0]))
        replies = set()
        for who, wanted in (("police", kit.request_id(waiting[0])), ("police", kit.request_id(dismissed[0])),
                            ("police", "ab" * 16), ("council", self.id), ("insurer", "00" * 16)):
            with self.peer(who) as peer:
                for part in (0, 1):
                    peer.send("fetch", {"request": wanted, "part": part})
                    frames = peer.receive()
                    replies.add((frames[0], *frames[2:]))
        self.assertEqual(replies, {(b"HD1", b"ok", b'{"released":false}')})

    def test_exactly_the_granted_pieces_open(self):
        if kit.missing_tools("age"):
            self.skipTest(kit.missing_tools("age"))
        key = self.hub.office / "police.key"
        released = sorted(p.name for p in self.release.glob("clip-*/*.age"))
        self.assertEqual(released, [f"{n:04}.age" for n in self.granted])
        originals = [kit.age_open(p.age, self.hub.owner_key) for p in self.pieces]
        headers = {}
        for path in self.release.glob("clip-*/*.age"):
            number = int(path.stem)
            self.assertEqual(kit.age_open(path.read_bytes(), key), originals[number])
            headers[number] = path.read_bytes()[:-len(self.pieces[number].payload)]
        self.assertGreater(len(self.pieces), 4)
        for piece in self.pieces:
            self.assertIsNone(kit.age_open(piece.age, key), "the disk's own file opens")
            for number, header in headers.items():
                opened = kit.age_open(header + piece.payload, key)
                self.assertEqual(opened is not None, number == piece.sequence, f"header {number} on {piece.sequence}")
        other = kit.read_clip(self.hub.clip_files(self.camera_ids["nursery"])[0])[1]
        self.assertEqual([kit.age_open(headers[0] + p.payload, key) for p in other], [None] * len(other))

    def verify(self, folder, *options):
        return self.hub.run("verify", folder, "--key", self.hub.office / "police.key", "--saved", self.saved,
                            "--owner-card", self.hub.owner_card, *options, check=False)

    def test_a_release_tampered_in_any_file_is_refused_by_name(self):
        self.assertEqual(self.verify(self.release).returncode, 0)
        files = sorted(p for p in self.release.rglob("*") if p.is_file())
        self.assertEqual(len(files), 5 + 1 + 3 * 3)
        for path in files:
            good = path.read_bytes()
            for at in {len(good) // 2, len(good) - 2}:
                path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
                done = self.verify(self.release)
                self.assertNotEqual(done.returncode, 0, f"{path.name}: byte {at}")
            # The notes and headers are named by what they are, pieces by their number.
            said = done.stdout + done.stderr
            path.write_bytes(good)
            if path.suffix in (".age", ".original"):
                self.assertIn(f"piece {int(path.stem)}", said)
            if path.name == "README.txt":
                self.assertIn(path.name, said)
        self.assertEqual(self.verify(self.release).returncode, 0)

    def test_a_piece_slipped_into_a_release_is_seen(self):
        # The page of commands joins all .age files of a folder: one that was not released must not be among them.
        if kit.missing_tools("age"):
            self.skipTest(kit.missing_tools("age"))
        forged = self.release / "clip-0001" / "0001.age"
        subprocess.run(["age", "-r", self.police.age, "-o", str(forged)], input=b"another picture", check=True)
        try:
            done = self.verify(self.release)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("0001.age", done.stdout + done.stderr)
        finally:
            forged.unlink()

    # Grants.

    def commit(self, note, headers, request=None):
        """What the hub says to a grant that somebody at its owner socket brings: (status, rule)."""
        with kit.Peer(f"ipc://{self.hub.data}/run/owner.sock") as peer:
            status, reply, _ = peer.ask("grant.begin", {"request": request or self.id, "headers_bytes": len(headers)},
                                        note if isinstance(note, bytes) else note.encode())
            if status == "ok":
                upload = reply["upload"]
                status, reply, _ = peer.ask("grant.put", {"upload": upload, "offset": 0}, headers)
                self.assertEqual(status, "ok")
                status, reply, _ = peer.ask("grant.commit", {"upload": upload})
        return status, reply.get("error", {}).get("rule", "") + reply.get("error", {}).get("field", "")

    def granted_headers(self):
        ages = sorted(self.release.glob("clip-*/*.age"))
        return b"".join(p.read_bytes()[:-len(self.pieces[int(p.stem)].payload)] for p in ages)

    def grant_text(self, headers, **changed):
        text = self.grant[:self.grant.index("\n\n") + 1]
        count = headers.count(b"age-encryption.org/v1\n")
        changed.setdefault("headers", f"{count} {hashlib.sha256(headers).hexdigest()}")
        changed.setdefault("not_after", kit.utc(time.time() + 5000))
        for key, value in changed.items():
            key = key.replace("_", "-")
            text = re.sub(rf"(?m)^{key} .*$", f"{key} {value}", text)
        return text

    def test_the_hub_refuses_grants_that_break_a_rule(self):
        headers = self.granted_headers()
        clip_id = self.clip_header[14:30].hex()
        granted = f" {self.first} {self.first + 1}\n"
        self.assertIn(f"range {clip_id}{granted}", self.grant)
        status, rule = self.commit(self.grant, headers)
        self.assertNotEqual(status, "ok", "the same grant was taken twice")
        owner = self.owner.sign
        fresh = self.grant_text(headers)
        attacks = {
            "signed by a requester": (self.police.sign(fresh), headers),
            "signed in the owner's name by another": (self.police.sign(fresh, self.owner.key_name), headers),
            "text changed after signing": (owner(fresh).replace(granted.encode(), f" {self.first} {self.first + 2}\n".encode()), headers),
            "for another hub": (owner(self.grant_text(headers, hub="ab" * 16)), headers),
            "for an unknown request": (owner(self.grant_text(headers, request="cd" * 32)), headers),
            "over": (owner(self.grant_text(headers, not_after=kit.utc(time.time() - 5))), headers),
            "for ever": (owner(self.grant_text(headers, not_after=kit.utc(time.time() + 31 * 86400))), headers),
            "to another recipient": (owner(self.grant_text(headers, recipient=self.people["council"].age)), headers),
            "other headers than signed": (owner(fresh), headers[:-20] + b"A" + headers[-19:]),
            "fewer headers": (owner(self.grant_text(self.first_headers(headers, 2))), self.first_headers(headers, 2)),
            "more headers": (owner(self.grant_text(headers * 2)), headers * 2),
            "headers without identity": self.with_headers(
                re.sub(rb"-> halfdoor-piece\n.*\n", b"", headers)),
            "a second stanza": self.with_headers(self.doubled(headers)),
            "another camera": (owner(self.grant_text(headers, camera=self.camera_ids["nursery"])), headers),
            "a clip that is not there": (owner(fresh.replace(clip_id, "ef" * 16)), headers),
        }
        for what, (note, uploaded) in attacks.items():
            status, rule = self.commit(note, uploaded)
            self.assertIn(status, ("refused", "invalid", "corrupt", "not_found"), f"{what}: {rule}")
        self.assertEqual(self.verify(self.release).returncode, 0)
        # For another request of the same requester: its window ended before the clip began.
        early, body = self.request(end=struct.unpack_from("<q", self.pieces[self.first].identity, 55)[0] // 1000000 - 1)
        self.page((early, body))
        digest = hashlib.sha256(early).hexdigest()
        outside = owner(self.grant_text(headers, request=digest))
        status, rule = self.commit(outside, headers, digest[:32])
        self.assertNotEqual(status, "ok", "pieces outside the window went out")
        status, rule = self.commit(owner(fresh), headers, digest[:32])
        self.assertEqual(status, "invalid", rule)

    def with_headers(self, headers):
        return self.owner.sign(self.grant_text(headers)), headers

    @staticmethod
    def first_headers(headers, count):
        parts = headers.split(b"age-encryption.org/v1\n")[1:count + 1]
        return b"".join(b"age-encryption.org/v1\n" + p for p in parts)

    @staticmethod
    def doubled(headers):
        stanza = re.search(rb"-> X25519 .*\n.*\n", headers)[0]
        return headers.replace(stanza, stanza * 2, 1)


if __name__ == "__main__":
    os.umask(0o077)
    Consent.build = sys.argv.pop(1) if len(sys.argv) > 1 else None
    unittest.main(verbosity=2)
