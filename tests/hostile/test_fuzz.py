"""Requests that nobody thought of, over the raw socket: hypothesis here, thousands of mutations in the soak."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.survival import ENDS, mutant, survives
from tests.hostile.target import Target
from tests.support.soak_report import SoakReport

_EXAMPLES = 300
_REQUESTS = 10_000

_words = st.sampled_from(
    [
        "GET",
        "PUT",
        "POST",
        "DELETE",
        "HEAD",
        "OPTIONS",
        "get",
        "G\0T",
        "",
        "/",
        "/hostile",
        "/hostile/present",
        "*",
        "HTTP/1.1",
    ]
)
_targets = st.one_of(
    st.sampled_from(
        [
            "/",
            "/hostile",
            "/hostile/present",
            "/hostile/none",
            "/hostile/../x",
            "//",
            "*",
            "/%zz",
            "/hostile?uploads",
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=40).map(lambda text: "/hostile/" + text),
)
_names = st.sampled_from(
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Range",
        "If-Match",
        "Expect",
        "Connection",
        "Authorization",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
        "x-amz-copy-source",
        "Content-MD5",
        "Content-Type",
        "x-amz-meta-a",
        "x-amz-checksum-crc32",
        "Upgrade",
        "Origin",
        "X Y",
        "",
    ]
)
_values = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "5",
            "-1",
            "chunked",
            "100-continue",
            "close",
            "bytes=0-1",
            "bytes=-1",
            "*",
            "localhost",
            "websocket",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "UNSIGNED-PAYLOAD",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e",
            "AWS a:b",
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=60),
)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """Something like a request: mostly well-formed around one or two oddities."""
    fields = draw(st.lists(st.tuples(_names, _values), max_size=6))
    lines = [f"{draw(_words)} {draw(_targets)} HTTP/1.1"]
    if draw(st.booleans()):
        lines.append("Host: localhost")
    lines += [f"{name}: {value}" for name, value in fields]
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    body = draw(st.one_of(st.binary(max_size=200), st.just(b"5\r\nhello\r\n0\r\n\r\n")))
    return (end.join(lines) + end + end).encode("latin-1") + body


@settings(
    max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(wire=st.lists(_requests(), min_size=1, max_size=3))
def test_whatever_comes_the_answer_is_no_5xx(target: Target, wire: list[bytes]) -> None:
    wrong = survives(target.port, wire)
    assert not wrong, wrong


@pytest.mark.parametrize("first_seed", [0])
def test_mutations_of_the_corpus(target: Target, first_seed: int) -> None:
    with ThreadPoolExecutor(8) as threads:
        wrong = [
            verdict
            for verdict in threads.map(
                lambda seed: survives(target.port, mutant(target.signer, seed)),
                range(first_seed, first_seed + _EXAMPLES),
            )
            if verdict
        ]
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.soak(share=3, cost_s=60)
def test_ten_thousand_hostile_requests(target: Target, soak_s: float, soak_report: SoakReport) -> None:
    """And on, for a share of the soak's time; no descriptor, no memory may be left behind."""
    seed = int(time.time()) << 24
    deadline = time.monotonic() + soak_s
    sent = 0
    with ThreadPoolExecutor(16) as threads:
        while sent < _REQUESTS or time.monotonic() < deadline:
            seeds = range(seed + sent, seed + sent + 1000)
            verdicts = threads.map(
                lambda at: survives(target.port, mutant(target.signer, at), ENDS[at % len(ENDS)]), seeds
            )
            wrong = [f"seed {at}: {verdict}" for at, verdict in zip(seeds, verdicts, strict=True) if verdict]
            assert not wrong, "\n".join(wrong[:5])
            sent += 1000
            if sent == 3000:
                target.note()  # what the first thousands made the allocators and pools take is theirs to keep
    target.assert_unharmed()
    soak_report.note(requests=sent)
