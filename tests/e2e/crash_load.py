"""Writers and readers that know exactly what they may see, for tests that kill processes under them.

Each writer owns its keys and counts its versions. A body says in each of its 32-byte cells which key and version it is,
so a torn or mixed object cannot pass for a whole one.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from dataclasses import dataclass, field

SIZES = (32, 16 << 10, 96 << 10, (4 << 20) + 320, 9 << 20)
_CELL = 32


def body_of(key: str, version: int) -> bytes:
    size = SIZES[version % len(SIZES)]
    return f"{key}|{version}|".encode().ljust(_CELL, b".") * (size // _CELL)


def version_of(key: str, body: bytes) -> int:
    """The version that a body is, whole. Raises AssertionError for a torn, short, mixed or foreign body."""
    assert len(body) >= _CELL, f"{key}: {len(body)} bytes"
    name, version, _ = body[:_CELL].split(b"|")
    assert name.decode() == key
    assert body == body_of(key, int(version)), f"{key}: version {version.decode()} is torn"
    return int(version)


@dataclass
class KeyState:
    """`acknowledged`: the last version that was answered with 200. `sent`: the last that was begun."""

    acknowledged: int = -1
    sent: int = -1


@dataclass
class CrashLoad:
    """Load of `writers` threads of PUTs, and one of GETs for each, until `stop`. `problems` holds what went wrong."""

    host: str
    port: int
    bucket: str
    writers: int = 3
    keys_each: int = 4
    states: dict[str, KeyState] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    acknowledged_count: int = 0
    restarts: int = 0  # for the one who does them to note
    policies: tuple[str, ...] = ("cache_through",)
    # A request that runs while this is set may fail with 500 or 503, or a cut connection.
    may_fail: bool = True
    _times_allowed: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._threads: list[threading.Thread] = []
        for writer in range(self.writers):
            keys = [f"w{writer}-k{number}" for number in range(self.keys_each)]
            self.states |= {key: KeyState() for key in keys}
            self._threads.append(threading.Thread(target=self._guard, args=(self._write, keys)))
            self._threads.append(threading.Thread(target=self._guard, args=(self._read, keys)))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for_acknowledgements(self, more: int, timeout_s: float) -> None:
        """Returns once `more` further PUTs have been acknowledged. Raises AssertionError after `timeout_s`."""
        with self._progress:
            goal = self.acknowledged_count + more
            done = self._progress.wait_for(
                lambda: self.acknowledged_count >= goal or bool(self.problems), timeout_s
            )
        assert done, f"fewer than {more} PUTs succeeded within {timeout_s} s"

    def finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"

    def check(self) -> None:
        """After the load has ended and the cluster is back: nothing acknowledged is lost, nothing is torn."""
        assert not self.problems, self.problems
        for key, state in self.states.items():
            status, body = self._request("GET", key, b"")
            if status == 404:
                assert state.acknowledged == -1, (
                    f"{key}: version {state.acknowledged} was acknowledged and is lost"
                )
                continue
            assert status == 200, (key, status, body[:300])
            version = version_of(key, body)
            assert state.acknowledged <= version <= state.sent, (
                f"{key}: {version} is older than {state.acknowledged}"
            )

    def _guard(self, work: object, keys: list[str]) -> None:
        try:
            work(keys)  # type: ignore[operator]
        except AssertionError as problem:
            self.problems.append(str(problem))

    def allow_failures(self) -> None:
        """A member is about to be lost, or to return."""
        self._times_allowed += 1
        self.may_fail = True

    def forbid_failures(self) -> None:
        """Whatever begins from now on has to succeed."""
        self.may_fail = False

    def _failed(self, allowed_before: int, what: object) -> None:
        """`allowed_before` is what `_allowed` was when the request began."""
        assert allowed_before < 0 or allowed_before < self._times_allowed, f"a request failed: {what}"
        self._stop.wait(0.05)

    def _allowed(self) -> int:
        """-1 while failures are allowed, else how often they were."""
        return -1 if self.may_fail else self._times_allowed

    def _request(self, method: str, key: str, body: bytes, policy: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            headers = {"x-zerohop-write-policy": policy} if policy else {}
            connection.request(method, f"/{self.bucket}/{key}", body=body or None, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _write(self, keys: list[str]) -> None:
        for version in itertools.count():
            for key in keys:
                if self._stop.is_set():
                    return
                state = self.states[key]
                state.sent = version
                allowed = self._allowed()
                policy = self.policies[(version + version // len(SIZES)) % len(self.policies)]
                try:
                    status, answer = self._request("PUT", key, body_of(key, version), policy)
                except (OSError, http.client.HTTPException) as error:
                    self._failed(allowed, f"PUT {key} {version} {policy}: {error!r}")
                    continue
                if status != 200:
                    assert status in (500, 503), (status, answer)
                    self._failed(allowed, f"PUT {key} {version} {policy}: {status} {answer!r}")
                    continue
                state.acknowledged = version
                with self._progress:
                    self.acknowledged_count += 1
                    self._progress.notify_all()

    def _read(self, keys: list[str]) -> None:
        for key in itertools.cycle(keys):
            if self._stop.is_set():
                return
            before = self.states[key].acknowledged
            allowed = self._allowed()
            try:
                status, body = self._request("GET", key, b"")
            except (OSError, http.client.HTTPException) as error:
                # A cut connection is honest; a short body is an exception, too.
                self._failed(allowed, f"GET {key}: {error!r}")
                continue
            if status == 404:
                assert before == -1, f"{key}: version {before} was acknowledged and is missing"
            elif status == 200:
                version = version_of(key, body)
                assert version >= before, f"{key}: read version {version} after {before} was acknowledged"
            else:
                assert status in (500, 503), (status, body[:300])
                self._failed(allowed, f"GET {key}: {status} {body[:300]!r}")
