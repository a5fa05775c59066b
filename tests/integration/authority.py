# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""A private certificate authority in a folder, made by openssl.

    authority = Authority(folder)
    cert, key = authority.issue("server", "DNS:localhost")
"""

import os
import subprocess

DAYS = "2"


class Authority:
    """`ca` is the path of its certificate."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.ca = os.path.join(folder, f"{name}.pem")
        self._openssl("req", "-x509", "-newkey", "ed25519", "-nodes",
                      "-keyout", f"{name}.key", "-out", f"{name}.pem",
                      "-days", DAYS, "-subj", f"/CN=dlo test {name}")

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True,
                       capture_output=True)

    def issue(self, name, *names):
        """(certificate, key): a new one for `name`, valid for the subject
        alternative `names`, if any, such as DNS:localhost."""
        extensions = os.path.join(self.folder, f"{name}.ext")
        with open(extensions, "w", encoding="utf-8") as file:
            file.write("basicConstraints = CA:FALSE\n")
            if names:
                file.write(f"subjectAltName = {','.join(names)}\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes",
                      "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-days", DAYS,
                      "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                      "-CAcreateserial", "-extfile", f"{name}.ext",
                      "-out", f"{name}.pem")
        return (os.path.join(self.folder, f"{name}.pem"),
                os.path.join(self.folder, f"{name}.key"))

    def lock(self, key, passphrase):
        """The path of a copy of a key that needs a passphrase."""
        locked = f"{key}.locked"
        self._openssl("pkey", "-in", key, "-aes256", "-passout",
                      f"pass:{passphrase}", "-out", locked)
        return locked
