"""House rules: what no linter checks, so that the tree keeps its shape."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "master", "worker", "proxy", "bench")

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 70

LONG_FILES: dict[str, int] = {}
"""Files that may be longer, with the length up to which and a reason beside each."""

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "types", "manager", "misc"}


@cache
def _files() -> tuple[Path, ...]:
    """All tracked or new Python files, and nothing that is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists())


def _sources() -> Iterator[Path]:
    return (file for file in _files() if _name(file).split("/")[0] in SOURCE_ROOTS)


def _tests() -> Iterator[Path]:
    return (file for file in _files() if _name(file).startswith("tests/"))


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def test_files_stay_short_enough_to_enter() -> None:
    grown = []
    for file in _files():
        lines = file.read_text().count("\n")
        if lines > LONG_FILES.get(_name(file), LONGEST_FILE_LINES):
            grown.append(f"{_name(file)} has {lines} lines")
    assert not grown


def test_the_list_of_long_files_holds_no_short_ones() -> None:
    assert not [name for name in LONG_FILES if (ROOT / name).read_text().count("\n") <= LONGEST_FILE_LINES]


def test_functions_stay_short() -> None:
    grown = [
        f"{_name(file)}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for file in _files()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION_LINES
    ]
    assert not grown


def test_modules_are_named_after_one_noun() -> None:
    taken = VAGUE_NAMES | (set(sys.stdlib_module_names) - {"__main__"})
    assert not [_name(file) for file in _sources() if file.stem in taken]


def test_public_modules_say_what_they_are() -> None:
    assert not [
        _name(file) for file in _sources() if not ast.get_docstring(_tree(file)) and file.read_text().strip()
    ]


def test_nothing_is_left_unfinished() -> None:
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    assert not list(_lines_with(mark, _files()))


def test_public_functions_do_something() -> None:
    """A private method may be left to subclasses; a public one that only raises is a promise that was not kept."""
    hollow = [
        f"{_name(file)}:{node.lineno}: {node.name}"
        for file in _sources()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and ast.unparse(node.body[-1]).startswith("raise NotImplementedError")
    ]
    assert not hollow


def test_tests_wait_for_events_and_not_for_time() -> None:
    assert not list(_lines_with(re.compile(r"\bsleep\(\s*(?!0\))[0-9.]"), _tests()))


def test_tests_run() -> None:
    assert not list(
        _lines_with(re.compile(r"pytest\.(mark\.)?(skip|xfail|import" r"orskip)|unittest\.skip"), _tests())
    )


def test_no_error_is_swallowed_whole() -> None:
    swallowed = [
        f"{_name(file)}:{node.lineno}"
        for file in _sources()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and _does_nothing(node.body)
    ]
    assert not swallowed


def _is_broad(caught: ast.expr | None) -> bool:
    return caught is None or (isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException"))


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(isinstance(one, ast.Pass | ast.Continue) or _is_constant(one) for one in body)


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_the_text_speaks_of_the_project_only() -> None:
    """No paths of somebody's machine, no addresses of a private registry."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    outside = re.compile(r"/work/(main|shared)|/root/|/home/[a-z]+/|design card|\bissue #?\d", re.IGNORECASE)
    files = [ROOT / name for name in listed.stdout.splitlines() if name != _name(Path(__file__))]
    texts = [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8192]]
    assert not list(_lines_with(outside, texts))


@pytest.mark.parametrize("file", sorted((ROOT / "constraints").glob("*.txt")), ids=lambda file: file.name)
def test_constraints_hold_names_and_versions_only(file: Path) -> None:
    line = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_]+")
    assert not [text for text in file.read_text().splitlines() if not line.fullmatch(text)]


def _lines_with(pattern: re.Pattern[str], files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                yield f"{_name(file)}:{number}: {line.strip()[:80]}"
