"""Log lines: one per event, with the process's name, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from zerohop.config import Secret, WorkerConfig
from zerohop.logs import configure_logs

_log = logging.getLogger("zerohop.test")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _logged(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logs("worker-7", form=form, level=level, stream=stream)
    return stream


def test_a_text_line_has_time_level_process_event_and_facts() -> None:
    stream = _logged("text")
    _log.warning("worker %s lost", "w1", extra={"silent_s": 5.2})
    time, level, process, *rest = stream.getvalue().split()
    assert time.endswith("Z")
    assert (level, process, rest) == ("warning", "worker-7", ["worker", "w1", "lost", "silent_s=5.2"])


def test_a_json_line_has_them_as_members() -> None:
    stream = _logged("json")
    _log.warning("worker lost", extra={"worker": "w1"})
    event = json.loads(stream.getvalue())
    assert event["process"] == "worker-7"
    assert (event["level"], event["event"], event["worker"]) == ("warning", "worker lost", "w1")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_event_is_one_line_whatever_it_holds(form: str) -> None:
    stream = _logged(form)
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        _log.exception("key %s", "a\nforged line", extra={"path": "b\r\nc"})
    assert stream.getvalue().count("\n") == 1
    assert "RuntimeError" in stream.getvalue()


def test_levels_below_the_least_are_silent() -> None:
    stream = _logged("text", level="error")
    _log.warning("unimportant")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_stay_out(form: str) -> None:
    stream = _logged(form)
    config = WorkerConfig(cluster_secret=Secret("hunter2"))
    _log.info("starting with %r", config, extra={"secret_key": "hunter2", "config": config})
    assert "hunter2" not in stream.getvalue()
    assert "***" in stream.getvalue()
