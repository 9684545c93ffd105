#!/usr/bin/python3
"""rtsps:// behind the recorder's walls: a real hub checks a camera's certificate with an authority's that the recorder
can no longer read, records its sound too, and says what is wrong with the certificates that it does not take."""
import os
import shutil
import subprocess
import unittest

import camera_hub
import hub_case
import hubkit

CAMERAS = "h264:160x120@15:gop=15:audio=aac"


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder):
    """authority.crt, and camera.pem for 127.0.0.1 that it vouches for."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-days", "2", "-subj", "/CN=test authority", "-keyout", "authority.key",
            "-out", "authority.crt")
    openssl(folder, "req", *key, "-subj", "/CN=camera", "-keyout", "camera.key", "-out", "camera.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(folder, "x509", "-req", "-in", "camera.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-days", "2",
            "-set_serial", "2", "-extfile", "names", "-out", "camera.crt")
    (folder / "camera.pem").write_text((folder / "camera.crt").read_text() + (folder / "camera.key").read_text())


@unittest.skipIf(shutil.which("openssl") is None, "no openssl to make certificates")
class Tls(unittest.TestCase):
    def test_a_hub_behind_its_walls_records_rtsps_with_sound_and_refuses_what_it_should(self):
        folder, programs = hub_case.temp_folder(self), hubkit.Programs()
        make_certificates(folder)
        os.environ["SSL_CERT_FILE"] = str(folder / "authority.crt")
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        replay = hubkit.Replay(programs, folder, generate=CAMERAS, options=["--tls", folder / "camera.pem"])
        self.addCleanup(replay.stop)
        url = replay.cameras[0]["url"]
        self.assertTrue(url.startswith("rtsps://127.0.0.1:"), url)
        cameras = {"good": url, "other-name": url.replace("127.0.0.1", "localhost"), "other-pin": url}
        pin = {"other-pin": {"tls": '"sha256:' + "0" * 64 + '"'}, "other-name": {"encode": '"camera"'}}
        hub = self.enterContext(camera_hub.CameraHub(programs, folder, cameras, frames=30, seconds=90, keys=pin,
                                                     clip_seconds=2))
        seen = hub.outcomes
        self.assertTrue(seen["good"].recorded, seen["good"].words())
        self.assertIn("AAC", seen["good"].audio)
        # A pin takes one certificate more; this one has an authority's word.
        self.assertTrue(seen["other-pin"].recorded, seen["other-pin"].words())
        self.assertEqual(seen["other-name"].state, "refused", seen["other-name"].words())
        self.assertIn("is for 127.0.0.1, not for localhost", seen["other-name"].detail)

        walls = {w["name"]: w for w in hub.hub.status()["walls"] if w["name"].startswith("recorder.")}
        self.assertIn("recorder.system_calls", walls)
        clip = hubkit.wait_until(lambda: hub.hub.clip_files(seen["good"].id), 60, "closed clip")[0]
        kinds = {r.get("kind") for r in hub_case.dump(hub.hub, clip) if r["record"] == "piece"}
        self.assertLessEqual({"video", "audio"}, kinds)


if __name__ == "__main__":
    hub_case.main()
