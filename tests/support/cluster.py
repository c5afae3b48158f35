"""A real cluster for tests: `zerohop up` as a child process, in a folder and on a port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import psutil

from zerohop.cli.data_folder import RunningCluster, read_running_cluster

__all__ = ["Cluster", "User"]

_READY: Final = re.compile(r"zerohop is ready: S3 at (\S+)")
_DEFECT: Final = re.compile(r"Traceback|Warning: |never awaited|never retrieved")
_PATIENCE_S: Final = 60.0
_QUOTAS: Final = {
    # Small enough for any machine, large enough that nothing is evicted unless a test asks for it.
    "ZEROHOP_WORKER_MEM_QUOTA": "256MiB",
    "ZEROHOP_WORKER_SSD_QUOTA": "1GiB",
    # Tests kill more often than a healthy cluster crashes.
    "ZEROHOP_UP_RESTARTS_PER_MINUTE": "1000",
}


@dataclass(frozen=True)
class User:
    """A user of the cluster with its keys."""

    name: str
    access_key: str
    secret_key: str


class Cluster:
    """Starts with `start`; `stop` at the end asserts that nothing is left behind."""

    python: str = sys.executable

    def __init__(
        self,
        folder: Path,
        *,
        proxies: int = 2,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """`env` adds configuration by environment variables, `flags` further flags of `zerohop up`."""
        self.folder = folder
        self.data = folder / "data"
        self.endpoint = ""
        self._flags = (f"--proxies={proxies}", *flags)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
        self._env = {**clean, **_QUOTAS, **(env or {}), "PYTHONWARNINGS": "default"}
        self._log = folder / "cluster.log"
        self._output: list[str] = []
        self._changed = threading.Condition()
        self._ended = True
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._users: dict[str, User] = {}
        self._ready_before_kill = 0

    # ------------------------------------------------------------------------------------------- life and death

    def start(self) -> None:
        """Starts it and waits until it is ready; a second start keeps the port of the first."""
        self.launch()
        self.wait_for(_READY)

    def launch(self) -> None:
        """Starts it without waiting."""
        assert self._ended, "it is running"
        port = self.port if self.endpoint else 0
        command = [
            self.python,
            "-m",
            "zerohop.cli",
            "up",
            f"--data={self.data}",
            f"--port={port}",
            *self._flags,
        ]
        self._output.clear()
        self._ended = False
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Asks it to drain and end, if it runs; asserts a clean exit without anything left behind."""
        if self._process is None or self._process.poll() is not None:
            self._forget()
            return
        running = self.running
        processes = self._processes(running)
        self._process.send_signal(signal.SIGTERM)
        status = self.wait_ended()
        assert status == 0, self._tell(f"ended with status {status}")
        assert not [process for process in processes if process.is_running()], self._tell(
            "processes are left"
        )
        assert not running.mem_dir or not Path(running.mem_dir).exists(), self._tell(
            "the memory tier is left"
        )
        assert not (self.data / "cluster.json").exists(), self._tell("cluster.json is left")
        assert not _DEFECT.search(self.log), self._tell("the log tells of a defect")

    def wait_ended(self) -> int:
        """The exit status of the supervisor, once it has ended."""
        assert self._process is not None
        status = self._process.wait(_PATIENCE_S)
        self._forget()
        return status

    def restart(self) -> None:
        """Stops it cleanly and starts it again on the same folder and port."""
        self.stop()
        self.start()

    def kill(self, name: str) -> None:
        """kill -9 of one process: `supervisor`, `master`, `worker`, `proxy-0`, ..."""
        self._ready_before_kill = self._count_ready(name)
        os.kill(self.pid(name), signal.SIGKILL)

    def wait_restarted(self, name: str) -> None:
        """After `kill(name)`: until the supervisor has the process back."""
        self._wait(lambda: self._count_ready(name) > self._ready_before_kill, f"{name} to be ready again")

    def kill_all(self) -> None:
        """kill -9 of every process at once; returns when all are gone."""
        processes = self._processes(self.running)
        for process in processes:
            # The supervisor comes first, and its children may die of that before they are reached.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert self._process is not None
        self._process.wait(_PATIENCE_S)
        self.assert_gone(processes)
        self._forget()

    def kill_whatever_is_left(self) -> None:
        """For a teardown after a failure."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # its children go with it
            self._process.wait(_PATIENCE_S)
        self._forget()

    # --------------------------------------------------------------------------------------------- looking at it

    @property
    def port(self) -> int:
        """The port of the S3 endpoint."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def endpoints(self) -> list[str]:
        """One: its proxies share a port."""
        return [self.endpoint]

    @property
    def running(self) -> RunningCluster:
        """What `cluster.json` says."""
        return read_running_cluster(self.data)

    @property
    def log(self) -> str:
        """What all processes wrote to standard error since the first start."""
        return self._log.read_text(errors="replace")

    @property
    def output(self) -> str:
        """What the supervisor wrote to standard output since the last start."""
        with self._changed:
            return "".join(self._output)

    @property
    def supervisor_pid(self) -> int:
        """Pid of `zerohop up` itself, also before it is ready."""
        assert self._process is not None
        return self._process.pid

    def pid(self, name: str) -> int:
        """Pid of a process by name."""
        return self.running.pids[name]

    def processes(self) -> list[psutil.Process]:
        """All processes of the cluster, the supervisor first."""
        return self._processes(self.running)

    def assert_gone(self, processes: Sequence[psutil.Process]) -> None:
        """Asserts that these processes have ended, or do so very soon."""
        _, alive = psutil.wait_procs(list(processes), timeout=_PATIENCE_S)
        assert not alive, self._tell(f"still alive: {alive}")

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Waits until the supervisor has written a line with the pattern."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in self._output if (match := pattern.search(line)))
            return bool(found)

        self._wait(look, f"{pattern.pattern!r}")
        if pattern is _READY:
            self.endpoint = found[0][1]
        return found[0]

    # --------------------------------------------------------------------------------------------------- using it

    def cli(
        self, *arguments: str, stdin: str | None = None, check: bool = True, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a client command of `zerohop` against this cluster."""
        done = subprocess.run(
            [self.python, "-m", "zerohop.cli", *arguments],
            env={**self._env, "ZEROHOP_DATA": str(self.data)},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            cwd=cwd,
            check=False,
        )
        assert not check or done.returncode == 0, self._tell(
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

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._changed:
                    self._output.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self, predicate: object, what: str) -> None:
        assert callable(predicate)
        deadline = time.monotonic() + _PATIENCE_S
        with self._changed:
            while not predicate():
                left = deadline - time.monotonic()
                if self._ended or left <= 0 or not self._changed.wait(left):
                    break
            else:
                return
        self._fail(f"it ended or took too long while the test waited for {what}")

    def _fail(self, why: str) -> NoReturn:
        raise AssertionError(self._tell(why))

    def _tell(self, why: str) -> str:
        return f"{why}\n--- output\n{self.output}--- log\n{self.log[-8000:]}"

    def _count_ready(self, name: str) -> int:
        return sum(line.startswith(f"{name} ready") for line in self._output)

    def _processes(self, running: RunningCluster) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in running.pids.values()]

    def _forget(self) -> None:
        """The output ends when the last process that holds it does."""
        # After a kill the memory tier waits for the next start, which the test may not want.
        if (self.data / "cluster.json").exists() and self.running.mem_dir:
            shutil.rmtree(self.running.mem_dir, ignore_errors=True)
        if self._reader is not None:
            self._reader.join(_PATIENCE_S)
            assert not self._reader.is_alive(), "a process of the cluster still holds its output"
        self._process = self._reader = None
