"""Clients that are libraries: each lives in a process with the environment it needs, which takes its orders as JSON."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.clients.access import Access, Entry

__all__ = ["CLIENTS_BIN", "ROOT", "Driven", "by_node", "by_python", "with_clients_python"]

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENTS_BIN: Final = ROOT / ".venv-clients" / "bin"


class Driven:
    """Speaks to a driver: one JSON object a line in, one out."""

    def __init__(
        self, access: Access, command: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> None:
        self._log = Path(access.folder) / "driver.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, json.dumps(access.as_json())],
                cwd=ROOT,
                env={**access.environment, "PYTHONPATH": str(ROOT), **(variables or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, operation: str, **arguments: str | int) -> Any:
        """Calls a method of the driver; fails with the driver's own error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"operation": operation, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the driver ended: {self._log.read_text()}"
        reply = json.loads(line)
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def make_bucket(self) -> None:
        self.ask("make_bucket")

    def put(self, key: str, source: Path) -> None:
        self.ask("put", key=key, source=str(source))

    def put_in_parts(self, key: str, source: Path) -> None:
        self.ask("put_in_parts", key=key, source=str(source))

    def get(self, key: str, target: Path) -> None:
        self.ask("get", key=key, target=str(target))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return base64.b64decode(self.ask("get_range", key=key, start=start, stop=stop))

    def list(self, prefix: str) -> list[Entry]:
        return [(key, size) for key, size in self.ask("list", prefix=prefix)]

    def copy(self, source: str, target: str) -> None:
        self.ask("copy", source=source, target=target)

    def delete(self, key: str) -> None:
        self.ask("delete", key=key)

    def close(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0, self._log.read_text()


def by_python(access: Access, driver: str) -> Driven:
    """A driver in the environment of the tests themselves."""
    return Driven(access, [sys.executable, "-m", f"tests.clients.drivers.{driver}"])


def with_clients_python(access: Access, driver: str) -> Driven:
    """A driver in the environment of the clients."""
    return Driven(access, [str(CLIENTS_BIN / "python"), "-m", f"tests.clients.drivers.{driver}"])


def by_node(access: Access, driver: str) -> Driven:
    """A driver in Node."""
    trust = {"NODE_EXTRA_CA_CERTS": access.ca_file} if access.is_secure else None
    return Driven(access, ["node", str(ROOT / "tests/clients/node" / f"{driver}.js")], trust)
