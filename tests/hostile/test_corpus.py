"""Every hostile exchange that we could think of, each with its right answer, over a real socket to a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.hostile.corpus import CORPUS, STALLED
from tests.hostile.target import Target


@pytest.mark.parametrize("category", CORPUS)
def test_the_right_error_or_a_closed_connection(target: Target, category: str) -> None:
    wrong = [verdict for case in CORPUS[category] if (verdict := target.attack(case))]
    assert not wrong, "\n".join(wrong)


def test_clients_that_stall_are_cut(target: Target) -> None:
    """All at once: each waits for a time-out of the server."""
    with ThreadPoolExecutor(len(STALLED)) as threads:
        wrong = [verdict for verdict in threads.map(target.attack, STALLED) if verdict]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("category", ["cut short", "smuggling"])
def test_all_at_once(target: Target, category: str) -> None:
    with ThreadPoolExecutor(32) as threads:
        wrong = [verdict for verdict in threads.map(target.attack, CORPUS[category]) if verdict]
    assert not wrong, "\n".join(wrong)


def test_the_corpus_has_no_two_cases_of_one_name() -> None:
    names = list(_names())
    assert len(names) == len(set(names)) >= 400


def _names() -> Iterator[str]:
    for category, cases in CORPUS.items():
        for case in cases:
            yield f"{category}: {case.name}"
