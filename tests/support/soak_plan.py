"""How the seconds of `make soak` are shared out, so that the run ends by itself with its summary.

Tests marked `soak(cost_s=60)` always do the same: a million keys, each client with each form of endpoint. They come
first, as many as fit into half of what the others can spare, taken in turns from all test functions; where SOAK_S is
small the rest is left out. Tests marked `soak(share=3)` go on for as long as the fixture `soak_s` tells, and `cost_s`
is what they need besides. Shares are of what is left when the test begins, so that whatever took longer or shorter than
planned is made up for by those that follow.

Costs were taken on a machine of 2 cores. They need not be right: they only decide what is chosen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest

__all__ = ["Need", "SoakHooks", "SoakPlan", "chosen", "fixed_budget_s"]

_DEFAULT_SOAK_S: Final = 1800.0
_DEFAULT_COST_S: Final = 10.0
_LEAST_FOR_SHARES_S: Final = 300.0
"""What the tests that share the time need to do anything at all."""
_GOLDEN: Final = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly whatever their number."""


@dataclass(frozen=True)
class Need:
    """What one test asks for: seconds whatever happens, and a share of those that are left."""

    cost_s: float = _DEFAULT_COST_S
    share: float = 0.0


@dataclass
class SoakPlan:
    """Pure arithmetic: who is still to come, and what each gets."""

    end_s: float
    needs: dict[str, Need] = field(default_factory=dict)

    def begin(self, name: str, now_s: float) -> float:
        """The seconds for this test, which is no longer to come from now on."""
        share = self.needs[name].share
        costs_s = sum(need.cost_s for need in self.needs.values())
        shares = sum(need.share for need in self.needs.values())
        del self.needs[name]
        return max(0.0, self.end_s - now_s - costs_s) * share / shares if share else 0.0


def fixed_budget_s(soak_s: float) -> float:
    """What tests of fixed size may cost together."""
    return max(0.0, soak_s - _LEAST_FOR_SHARES_S) / 2


def chosen(functions: Mapping[str, Sequence[tuple[str, float]]], budget_s: float) -> set[str]:
    """Names of the tests that fit, of (name, cost) by function: one of each function in turn, spread over its
    parameters.
    """
    turns: list[tuple[int, str, float]] = []
    for number, tests in enumerate(functions.values()):
        _, spread = zip(
            *sorted(((at + number) * _GOLDEN % 1, test) for at, test in enumerate(tests)), strict=True
        )
        turns += [(turn, *test) for turn, test in enumerate(spread)]
    found: set[str] = set()
    for _, name, cost_s in sorted(turns, key=lambda one: one[0]):
        if cost_s <= budget_s:
            budget_s -= cost_s
            found.add(name)
    return found


class SoakHooks:
    """The plan of this run as a plugin; does nothing where no test of the soak is to run."""

    def __init__(self) -> None:
        self._total_s = float(os.environ.get("SOAK_S") or _DEFAULT_SOAK_S)
        self._plan = SoakPlan(time.monotonic() + self._total_s)
        self._left_out = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Chooses, and puts those of fixed size first."""
        needs = {item.nodeid: _need(mark) for item in items if (mark := item.get_closest_marker("soak"))}
        functions: dict[str, list[tuple[str, float]]] = {}
        for item in items:
            need = needs.get(item.nodeid)
            if need and not need.share:
                functions.setdefault(item.nodeid.partition("[")[0], []).append((item.nodeid, need.cost_s))
        kept = chosen(functions, fixed_budget_s(self._total_s))
        if len(items) == 1:
            kept = set(needs)  # somebody wants to see this very test
        left_out = [
            item
            for item in items
            if (need := needs.get(item.nodeid)) and not need.share and item.nodeid not in kept
        ]
        self._left_out = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        gone = {item.nodeid for item in left_out}
        staying = [item for item in items if item.nodeid not in gone]
        staying.sort(key=lambda item: bool((need := needs.get(item.nodeid)) and need.share))
        items[:] = staying
        for item in items:
            if (need := needs.get(item.nodeid)) is not None:
                self._plan.needs[item.nodeid] = need
                if need.share:
                    item.add_marker(pytest.mark.timeout(self._total_s))

    def pytest_report_collectionfinish(self) -> list[str]:
        """What was decided."""
        if not self._plan.needs:
            return []
        fixed = [need.cost_s for need in self._plan.needs.values() if not need.share]
        return [
            f"soak of {self._total_s:.0f} s: {len(fixed)} tests of fixed size (about {sum(fixed):.0f} s), then "
            f"{len(self._plan.needs) - len(fixed)} that share the rest; {self._left_out} left out for want of time"
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture, so that the time they take is this test's own."""
        if item.nodeid in self._plan.needs:
            given_s = self._plan.begin(item.nodeid, time.monotonic())
            item.stash[_GIVEN] = given_s

    @pytest.fixture
    def soak_s(self, request: pytest.FixtureRequest) -> float:
        """The seconds for which this test is to go on."""
        return request.node.stash[_GIVEN]


_GIVEN: Final = pytest.StashKey[float]()


def _need(mark: pytest.Mark) -> Need:
    return Need(mark.kwargs.get("cost_s", _DEFAULT_COST_S), mark.kwargs.get("share", 0.0))
