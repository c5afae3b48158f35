"""What the wheel imports, it declares: a package that another one happens to bring is not there tomorrow."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "master", "worker", "proxy", "bench")


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(line for extra in extras for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9_-]", line)[0].lower().replace("-", "_") for line in requirements}
    own = {folder.name for root in SOURCE_ROOTS for folder in (ROOT / root).iterdir() if folder.is_dir()}
    imported = {
        name.partition(".")[0]
        for root in SOURCE_ROOTS
        for file in (ROOT / root).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _imported(node)
    }
    assert imported - own - set(sys.stdlib_module_names) - declared == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
