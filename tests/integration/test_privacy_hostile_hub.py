#!/usr/bin/python3
"""A hub that lies to its owner: `halfdoor approve` must sign nothing that it could not prove.
A proxy stands between the owner's tool and a real hub and changes what passes. usage: test_privacy_hostile_hub.py BUILD"""
import os
import re
import struct
import sys
import threading
import time
import unittest

import privacy_kit as kit
import zmq


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Pack:
    """A header pack (docs/protocol.md section 6) as lists that a liar may change."""

    def __init__(self, data):
        self.clips, at = [], 0  # [path, header, [[identity, age size, sha256, age header]]]
        while at < len(data):
            if data[at] == 1:
                size = struct.unpack_from("<H", data, at + 1)[0]
                path, at = data[at + 3:at + 3 + size], at + 3 + size
                size = struct.unpack_from("<I", data, at)[0]
                self.clips.append([path, data[at + 4:at + 4 + size], []])
                at += 4 + size
            else:
                size = struct.unpack_from("<I", data, at + 1)[0]
                identity, at = data[at + 5:at + 5 + size], at + 5 + size
                age_size, digest, size = struct.unpack_from("<Q32sI", data, at)
                self.clips[-1][2].append([identity, age_size, digest, data[at + 44:at + 44 + size]])
                at += 44 + size

    def bytes(self):
        out = b""
        for path, header, pieces in self.clips:
            out += b"\x01" + struct.pack("<H", len(path)) + path + struct.pack("<I", len(header)) + header
            for identity, size, digest, age in pieces:
                out += b"\x02" + struct.pack("<I", len(identity)) + identity
                out += struct.pack("<Q32sI", size, digest, len(age)) + age
        return out


def with_camera(header, camera):
    """A clip header that says another camera, checksum and all."""
    body = header[:30] + camera + header[46:-4]
    return body + struct.pack("<I", crc32c(body))


class Liar(threading.Thread):
    """Passes everything on to the hub, and its reply through `lie(verb, frames)`."""

    def __init__(self, address, hub, lie):
        super().__init__(daemon=True)
        self.lie, self.verbs, self.over = lie, [], False
        self.front = zmq.Context.instance().socket(zmq.ROUTER)
        self.front.linger = 0
        self.front.maxmsgsize = -1
        self.front.bind(address)
        self.hub = kit.Peer(hub, timeout=10)

    def run(self):
        while not self.over:
            if not self.front.poll(50):
                continue
            peer, *frames = self.front.recv_multipart()
            verb = frames[1].decode()
            self.verbs.append(verb)
            self.hub.socket.send_multipart(frames)
            reply = self.hub.receive()
            if reply is not None:
                reply = self.lie(verb, reply)
            if reply is not None:
                self.front.send_multipart([peer, *reply])

    def end(self):
        self.over = True
        self.join()
        self.front.close(0)
        self.hub.socket.close(0)


class HostileHub(kit.Asked):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wanted = cls.request()
        with cls.peer() as peer:
            assert peer.ask("ask", {}, *cls.wanted)[0] == "ok"
        cls.wanted_id = kit.request_id(cls.wanted[0])
        cls.number = 0

    def approve(self, lie, *options, state=None, camera="front door", timeout=30):
        """Runs approve through a liar: (the finished program, verbs that came)."""
        type(self).number += 1
        folder = self.hub.folder / f"lie-{self.number}"
        folder.mkdir()
        address = f"ipc://{folder}/s"
        liar = Liar(address, f"ipc://{self.hub.data}/run/owner.sock", lie)
        liar.start()
        try:
            done = self.hub.run("approve", self.wanted_id, "--connect", address, "--key", self.hub.owner_key,
                                "--state", state or folder / "state", "--camera", camera, "--yes", *options,
                                check=False, timeout=timeout)
        finally:
            liar.end()
        return done, liar.verbs

    def refuses(self, lie, words=".", **options):
        done, verbs = self.approve(lie, **options)
        self.assertNotEqual(done.returncode, 0, "approved: " + done.stdout)
        self.assertEqual([v for v in verbs if v.startswith("grant")], [], "something was signed and sent")
        self.assertRegex(done.stderr, words)
        return done

    def packs(self, change):
        def lie(verb, frames):
            if verb == "headers":
                pack = Pack(frames[4])
                change(pack)
                frames[4] = pack.bytes()
            return frames
        return lie

    def nursery(self):
        """A pack of the other camera's clips, as the hub itself gives it."""
        with kit.Peer(f"ipc://{self.hub.data}/run/owner.sock") as peer:
            _, _, frames = peer.ask("headers", {"request": self.wanted_id, "cameras": [self.camera_ids["nursery"]]})
        return Pack(frames[0])

    # The tests. First of all: through a proxy that does not lie, the same command grants.

    def test_zz_an_honest_hub_gets_its_grant(self):
        done, verbs = self.approve(lambda _, frames: frames)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("grant.commit", verbs)

    def test_headers_of_another_camera_under_a_false_name_are_refused(self):
        nursery, door = self.nursery(), bytes.fromhex(self.camera_ids["front door"])

        def renamed(pack):
            pack.clips = [[path.replace(self.camera_ids["nursery"].encode(), door.hex().encode()),
                           with_camera(header, door),
                           [[i[:2] + door + i[18:], size, digest, age] for i, size, digest, age in pieces]]
                          for path, header, pieces in nursery.clips]
        self.refuses(self.packs(renamed), "belongs to another")

        def only_the_age_headers(pack):
            for mine, other in zip(pack.clips, nursery.clips):
                for piece, foreign in zip(mine[2], other[2]):
                    piece[3] = foreign[3]
        self.refuses(self.packs(only_the_age_headers), "belongs to another")

        def as_they_are(pack):
            pack.clips = nursery.clips
        self.refuses(self.packs(as_they_are), "not approved")

        def mixed(pack):
            pack.clips[0][2] = nursery.clips[0][2]
        self.refuses(self.packs(mixed), "another camera or clip")

    def test_another_time_or_place_of_a_piece_is_refused(self):
        def shifted(pack):
            for clip in pack.clips:
                for piece in clip[2]:
                    begin, end = (t - 60_000_000 for t in struct.unpack_from("<qq", piece[0], 55))
                    piece[0] = piece[0][:55] + struct.pack("<qq", begin, end) + piece[0][71:]
        self.refuses(self.packs(shifted), "belongs to another")

        def exchanged(pack):
            pieces = pack.clips[0][2]
            pieces[1][3], pieces[2][3] = pieces[2][3], pieces[1][3]
        self.refuses(self.packs(exchanged), "belongs to another")

        def later_header(pack):  # the clip's own header, one bit of its codec text changed
            header = pack.clips[0][1]
            body = header[:-5] + bytes([header[-5] ^ 1])
            pack.clips[0][1] = body + struct.pack("<I", crc32c(body))
        self.refuses(self.packs(later_header), "belongs to another")

    def test_a_flipped_age_header_is_refused(self):
        for where in (40, 120, -3):
            def flipped(pack):
                age = bytearray(pack.clips[0][2][1][3])
                age[where] = ord("A") if age[where] != ord("A") else ord("B")
                pack.clips[0][2][1][3] = bytes(age)
            self.refuses(self.packs(flipped))

    def test_a_cut_pack_is_refused_and_so_is_one_that_says_a_clip_twice(self):
        def cut(verb, frames):
            if verb == "headers":
                frames[4] = frames[4][:-7]
            return frames
        self.refuses(cut, "header pack")

        def twice(pack):
            path, header, pieces = pack.clips[0]
            pack.clips.append([path.replace(b"clip", b"clop"), header, pieces])
        self.refuses(self.packs(twice), "twice")

    def test_a_pack_without_end_ends_the_tool(self):
        rounds = [0]
        first = []

        def endless(verb, frames):
            if verb == "headers":
                rounds[0] += 1
                first.extend(frames if not first else [])
                frames = [b"HD1", frames[1], b"ok", b'{"clips":1,"pieces":1,"cursor":"%d"}' % rounds[0], first[4]]
            return frames
        begin = time.monotonic()
        self.refuses(endless, "without end")
        self.assertLess(time.monotonic() - begin, 25)
        self.assertLess(rounds[0], 5000)

    def test_an_altered_or_other_request_is_refused(self):
        note = self.wanted[0]
        council = self.people["council"]
        start = note[:note.index(b"\n\n") + 1].decode()
        others = {
            "another request of the same requester": self.note,
            "a wider window": re.sub(rb"window \S+", b"window 2026-01-01T00:00:00Z", note),
            "another recipient": re.sub(rb"recipient \S+", b"recipient " + council.age.encode(), note),
            "signed by somebody whom the policy does not know": self.owner.sign(start),
        }
        for what, forged in others.items():
            def lie(verb, frames):
                if verb == "request":
                    frames[4] = forged
                return frames
            self.refuses(lie, "another request|signed|request")

        def private(verb, frames):
            if verb == "request":
                frames[5] = frames[5].replace(b"2026-", b"1999-")
            return frames
        self.refuses(private, "private part")

    def test_an_altered_policy_or_card_is_refused(self):
        def recipient(verb, frames):
            if verb == "policy":
                frames[4] = frames[4].replace(self.police.age.encode(), self.people["council"].age.encode())
            return frames
        self.refuses(recipient, "policy")

        def self_signed(verb, frames):
            if verb == "policy":
                text = frames[4].decode()
                frames[4] = self.police.sign(text[:text.index("\n\n") + 1], self.owner.key_name)
            return frames
        self.refuses(self_signed, "policy")

        def other_card(verb, frames):
            if verb == "hub.card":
                frames[4] = self.hub.owner_card.read_bytes()
            return frames
        self.refuses(other_card, "card")

    def test_exchanged_camera_names_are_not_covered_by_yes(self):
        state = self.hub.folder / "state-of-names"
        self.hub.run("show", self.wanted_id, "--connect", f"ipc://{self.hub.data}/run/owner.sock", "--state", state,
                     "--owner-card", self.hub.owner_card)

        def exchanged(verb, frames):
            if verb == "cameras":
                frames[3] = (frames[3].replace(b"nursery", b"\0").replace(b"front door", b"nursery")
                             .replace(b"\0", b"front door"))
            return frames
        done = self.refuses(exchanged, "names", state=state)
        self.assertIn("nursery", done.stderr)
        # The id is the same, whatever the name: that is still possible.
        done, _ = self.approve(lambda _, frames: frames, state=state, camera=self.camera_ids["nursery"])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_silence_and_nonsense_end_with_an_error(self):
        for nonsense in ([b"HD1", b"x", b"ok", b"{}"], [b"\0" * 1000], [b"HD1", b"1", b"ok", b'{"a":' * 200]):
            self.refuses(lambda verb, frames: nonsense if verb == "headers" else frames)


if __name__ == "__main__":
    os.umask(0o077)
    HostileHub.build = sys.argv.pop(1) if len(sys.argv) > 1 else None
    unittest.main(verbosity=2)
