# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""A certificate authority of a test's own, made by openssl in its folder."""

import os
import subprocess


class Authority:
    """`NAME.pem` in the folder is its certificate, `NAME.key` its key."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.openssl("req", "-x509", "-newkey", "ed25519", "-nodes",
                     "-days", "2", "-subj", f"/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True,
                       capture_output=True)

    def path(self, name):
        """The certificate of that name; its key ends in .key."""
        return os.path.join(self.folder, f"{name}.pem")

    def sign(self, name, *extensions):
        """A certificate for the common name NAME, and its key; the path
        without its suffix."""
        stem = os.path.join(self.folder, name)
        self.openssl("req", "-newkey", "rsa:2048", "-nodes",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr")
        with open(f"{stem}.ext", "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in extensions)
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-days", "2",
                     "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                     "-CAcreateserial", "-extfile", f"{name}.ext",
                     "-out", f"{name}.pem")
        return stem
