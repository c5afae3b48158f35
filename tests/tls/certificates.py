"""Certificates for tests, written to files as a renewal does it."""

from __future__ import annotations

import os
from pathlib import Path

import trustme

__all__ = ["Authority"]


class Authority:
    """Issues certificates for 127.0.0.1 into one pair of files."""

    def __init__(self, issuer: trustme.CA, folder: Path) -> None:
        self._issuer = issuer
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.ca_file = str(folder / "ca.pem")
        issuer.cert_pem.write_to_path(self.ca_file)

    def issue(self, name: str = "first") -> None:
        """A new certificate, whose common name is `name`, in place of the old one."""
        issued = self._issuer.issue_cert("127.0.0.1", "localhost", common_name=name)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        self.replace(chain, issued.private_key_pem.bytes())

    def replace(self, chain: bytes | None = None, key: bytes | None = None) -> None:
        """Other contents for the files, each replaced whole."""
        for file, content in ((self.key, key), (self.certificate, chain)):
            if content is not None:
                fresh = file.with_suffix(".new")
                fresh.write_bytes(content)
                os.replace(fresh, file)
