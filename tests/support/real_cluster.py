"""A cluster of several workers and proxies for tests: `zerohop master|worker|proxy`, each a process of its own with a
configuration file, on TCP, over one shared under-store folder.

Every worker counts as a host of its own, and each proxy as one that has a worker: so a request finds some blocks on its
host, by descriptor, and others elsewhere, by relay. The test plays the supervisor of the proxies: it owns their
listening sockets, which share one port.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.cluster import User

from zerohop.cli.s3_port import claim_s3_port
from zerohop.config.sources import environment_variable

__all__ = ["RealCluster"]

_PATIENCE_S: Final = 60.0
_DEFECT: Final = re.compile(r"Traceback|Warning: |never awaited|never retrieved")

Settings = Mapping[str, Mapping[str, Any]]


@dataclass
class _Process:
    """One process slot: its command stays the same, its life does not."""

    name: str
    command: list[str]
    pass_fds: tuple[int, ...] = ()
    popen: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)  # of all lives, standard output and error
    begun: int = 0  # where the lines of the present life begin
    readers: list[threading.Thread] = field(default_factory=list)


class RealCluster:
    """Names of processes: `master`, `worker-0`..., `proxy-0`... `settings` adds to the sections of their files."""

    def __init__(
        self,
        *,
        workers: int = 3,
        proxies: int = 2,
        settings: Settings | None = None,
        heartbeat_s: float = 0.2,
        lost_after_s: float = 1.0,
        scheme: str = "tcp",
        master_host: str = "127.0.0.1",
        launchers: Mapping[str, Sequence[str]] | None = None,
        one_port: bool = True,
    ) -> None:
        """`launchers`: a command by process name that its own command is given to, and that becomes it (exec).

        Without `one_port` each proxy has a port of its own, for tests that choose between them.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="zh-"))  # short: socket paths have 108 bytes
        self.workers = [f"worker-{number}" for number in range(workers)]
        self.proxies = [f"proxy-{number}" for number in range(proxies)]
        self.under_store = self.folder / "store"
        self._master_port = _held_port()
        self.master_address = f"{scheme}://{master_host}:{self._master_port.getsockname()[1]}"
        self._scheme = scheme
        self._launchers = launchers or {}
        self._settings: dict[str, Mapping[str, Any]] = dict(settings or {})
        self._timing = {"heartbeat_s": f"{heartbeat_s}s", "lost_after_s": f"{lost_after_s}s"}
        self._changed = threading.Condition()
        self._processes: dict[str, _Process] = {}
        self._sockets = [
            sock
            for count in ([proxies] if one_port and proxies else [1] * proxies)
            for sock in claim_s3_port("127.0.0.1", 0, count)
        ]
        self._users: dict[str, User] = {}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
        self._env = {**clean, "PYTHONWARNINGS": "default"}

    # ------------------------------------------------------------------------------------------- life and death

    def start(self) -> None:
        """Starts all, and waits until each proxy knows each worker."""
        self.launch("master")
        self.wait_ready("master")
        for name in [*self.workers, *self.proxies]:
            self.launch(name)
        for name in [*self.workers, *self.proxies]:
            self.wait_ready(name)
        for worker in self.workers:
            self.wait_seen(worker)

    def launch(self, name: str) -> None:
        """Starts one process, anew perhaps, without waiting."""
        process = self._processes.get(name) or self._prepare(name)
        assert process.popen is None, f"{name} runs"
        process.begun = len(process.lines)
        process.popen = subprocess.Popen(
            process.command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=process.pass_fds,
            text=True,
            errors="replace",
        )
        process.readers = [
            threading.Thread(target=self._read, args=(process, stream), daemon=True)
            for stream in (process.popen.stdout, process.popen.stderr)
        ]
        for reader in process.readers:
            reader.start()

    def configure(self, name: str, *, cluster: Mapping[str, Any] | None = None, **values: Any) -> None:
        """The configuration of one more process: `values` for its own section, `cluster` instead of the others'."""
        assert name not in self._processes
        self._settings = {**self._settings, name: values}
        if cluster is not None:
            self._settings[f"{name}/cluster"] = cluster

    def wait_ready(self, name: str) -> None:
        """Until the present life of the process has said that it is ready."""
        self.wait_line(name, rf"^{re.escape(name)} ready")

    def kill(self, name: str) -> None:
        """kill -9; returns when it is gone."""
        self._end(name, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM; returns when it has drained and ended, cleanly."""
        status = self._end(name, signal.SIGTERM)
        assert status == 0, self.tell(f"{name} ended with status {status}")

    def restart(self, name: str) -> None:
        """An orderly restart of one process."""
        self.terminate(name)
        self.launch(name)
        self.wait_ready(name)

    def pause(self, name: str) -> None:
        """SIGSTOP: the process hangs."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.pid(name), signal.SIGCONT)

    def stop(self) -> None:
        """Ends all cleanly, proxies first; asserts that no log tells of a defect."""
        for group in (self.proxies, self.workers, ["master"]):
            running = [name for name in group if name in self._processes and self._processes[name].popen]
            for name in running:
                os.kill(self.pid(name), signal.SIGTERM)
            for name in running:
                status = self._gone(self._processes[name])
                assert status == 0, self.tell(f"{name} ended with status {status}")
        defect = _DEFECT.search(log := self.log)
        assert defect is None, self.tell(
            f"the log tells of a defect:\n{log[max(0, defect.start() - 300) : defect.end() + 3000]}"
        )

    def clean_up(self) -> None:
        """For the end, whatever happened."""
        for process in self._processes.values():
            if process.popen is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.popen.send_signal(signal.SIGCONT)
                self.kill(process.name)
        for sock in (*self._sockets, self._master_port):
            sock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> RealCluster:
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        try:
            if kind is None:
                self.stop()
        finally:
            self.clean_up()

    # --------------------------------------------------------------------------------------------- looking at it

    @property
    def port(self) -> int:
        """Of S3; all proxies share it."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoints(self) -> list[str]:
        """Of each proxy; all the same where they share a port."""
        return [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in self._sockets]

    def admin_address(self, name: str) -> str:
        """Of the process's admin port."""
        return f"unix:{self.folder}/{name}-admin.sock"

    @property
    def log(self) -> str:
        """What all processes wrote since the start, one after the other."""
        return "".join(
            f"[{name}] {line}" for name, process in self._processes.items() for line in process.lines
        )

    def tell(self, why: str) -> str:
        return f"{why}\n" + "".join(
            f"--- {name}\n" + "".join(process.lines[-40:]) for name, process in self._processes.items()
        )

    def pid(self, name: str) -> int:
        popen = self._processes[name].popen
        assert popen is not None, f"{name} does not run"
        return popen.pid

    def worker_id(self, name: str) -> str:
        return (self.folder / name / "worker-id").read_text().strip()

    def data_dir(self, name: str) -> Path:
        return self.folder / name

    def mark(self, name: str) -> int:
        """How many lines a process has written, for `wait_line(after=...)`."""
        return len(self._processes[name].lines)

    def wait_line(self, name: str, pattern: str, *, after: int | None = None) -> str:
        """A line of the process that matches, once there is one since its present life began (or since `after`)."""
        process = self._processes[name]
        wanted = re.compile(pattern)
        deadline = time.monotonic() + _PATIENCE_S
        with self._changed:
            while True:
                first = process.begun if after is None else after
                for line in process.lines[first:]:
                    if wanted.search(line):
                        return line
                left = deadline - time.monotonic()
                ended = process.popen is None or process.popen.poll() is not None
                if left <= 0 or (ended and not any(reader.is_alive() for reader in process.readers)):
                    raise AssertionError(self.tell(f"{name} did not write {pattern!r}"))
                self._changed.wait(min(left, 1.0))

    def wait_ended(self, name: str) -> int:
        """Until the process ends by itself; its exit status."""
        process = self._processes[name]
        assert process.popen is not None
        return self._gone(process)

    def wait_seen(self, worker: str, *, by: Sequence[str] | None = None) -> None:
        """Until all proxies know that the worker is live."""
        worker_id = self.worker_id(worker)
        for proxy in self.proxies if by is None else by:
            self.wait_line(proxy, rf"worker {worker_id} is live")

    def marks(self) -> dict[str, int]:
        """Take them before a worker is killed or stopped, for `wait_given_up`."""
        return {name: self.mark(name) for name in self.proxies}

    def wait_given_up(self, worker: str, marks: Mapping[str, int]) -> None:
        """Until all proxies have heard from the master that the worker is lost (or gone)."""
        worker_id = self.worker_id(worker)
        for proxy, mark in marks.items():
            self.wait_line(proxy, rf"worker {worker_id} is no longer live", after=mark)

    # --------------------------------------------------------------------------------------------------- using it

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a client command of `zerohop` against this cluster."""
        cluster = self._settings.get("cluster", {})
        shared = {environment_variable("cluster", name): str(value) for name, value in cluster.items()}
        done = subprocess.run(
            [sys.executable, "-m", "zerohop.cli", *arguments],
            env={**self._env, **shared, "ZEROHOP_MASTER": self.master_address},
            input="",
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert not check or done.returncode == 0, self.tell(
            f"zerohop {' '.join(arguments)} ended with {done.returncode}: {done.stderr}{done.stdout}"
        )
        return done

    def user(self, name: str) -> User:
        """The user of that name, made when it is first asked for."""
        if name not in self._users:
            made = json.loads(self.cli("user", "add", name, "--json").stdout)
            self._users[name] = User(name, made["access_key"], made["secret_key"])
        return self._users[name]

    # ----------------------------------------------------------------------------------------------------- inside

    def _prepare(self, name: str) -> _Process:
        kind = name.partition("-")[0]
        path = self.folder / f"{name}.toml"
        path.write_text(_toml(self._sections(name, kind)))
        command = [*self._launchers.get(name, ()), sys.executable, "-m", "zerohop.cli", kind]
        command += [f"--config={path}", f"--process-name={name}"]
        pass_fds: tuple[int, ...] = ()
        if kind == "proxy":
            pass_fds = (self._sockets[self.proxies.index(name)].fileno(),)
            command.append(f"--listen-fd={pass_fds[0]}")
        self._processes[name] = process = _Process(name, command, pass_fds)
        return process

    def _sections(self, name: str, kind: str) -> dict[str, dict[str, Any]]:
        folder = self.folder / name
        number = name.partition("-")[2] or "m"
        own: dict[str, dict[str, Any]] = {
            "master": {"listen": [self.master_address], "data_dir": str(folder), **self._timing},
            "worker": {
                "master": [self.master_address],
                "listen": [f"{self._scheme}://127.0.0.1:0"],
                "data_dir": str(folder),
                "under_store": str(self.under_store),
                "mem_dir": str(folder / "mem"),
                "mem_quota": "64MiB",
                "ssd_quota": "512MiB",
            },
            "proxy": {"master": [self.master_address], "drain_s": "5s"},
        }
        own[kind]["admin_listen"] = [self.admin_address(name)]
        sections = {"cluster": {"host_id": f"host-{number}"}, kind: own[kind]}
        for section in sections:
            sections[section] |= self._settings.get(f"{name}/{section}", self._settings.get(section, {}))
        if name in self._settings:
            sections[kind] |= self._settings[name]
        return sections

    def _end(self, name: str, number: int) -> int:
        process = self._processes[name]
        assert process.popen is not None
        process.popen.send_signal(number)
        return self._gone(process)

    def _gone(self, process: _Process) -> int:
        assert process.popen is not None
        try:
            status = process.popen.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.tell(f"{process.name} does not end")) from None
        for reader in process.readers:
            reader.join(_PATIENCE_S)
        process.popen = None
        return status

    def _read(self, process: _Process, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    process.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def _held_port() -> socket.socket:
    """A socket bound to a port for the master, whose address the others are told before it starts.

    With SO_REUSEADDR on both, and as this one does not listen, the master can bind the port too; nobody who asks for
    any free port is given it, neither now nor while the master is being restarted.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
