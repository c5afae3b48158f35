"""Addresses, and where a server may listen."""

from __future__ import annotations

import pytest

from zerohop.errors import ConfigError
from zerohop.rpc.address import Address
from zerohop.rpc.listener import check_exposure


@pytest.mark.parametrize(
    "text", ["unix:/run/z/m.sock", "tcp://127.0.0.1:19998", "tls://master.example:1", "tcp://[::1]:0"]
)
def test_an_address_prints_as_it_was_read(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "unix:", "unix:relative", "unix:/a\0b", "tcp://", "tcp://h", "tcp://h:", "tcp://h:x", "tcp://h:65536",
     "tcp://:1", "http://h:1", "tcp://::1:5", "unix:/" + "x" * 107],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Address.parse(text)


def test_a_long_unix_path_says_how_long_it_may_be() -> None:
    assert Address.parse("unix:/" + "x" * 106).is_unix
    with pytest.raises(ConfigError, match="107 bytes"):
        Address.parse("unix:/" + "é" * 54)


@pytest.mark.parametrize(
    ("text", "has_secret", "has_tls", "plaintext_allowed", "allowed"),
    [
        ("unix:/run/z", False, False, False, True),
        ("tcp://127.0.0.1:1", False, False, False, True),
        ("tcp://localhost:1", False, False, False, True),
        ("tcp://[::1]:1", False, False, False, True),
        ("tcp://0.0.0.0:1", False, False, True, False),
        ("tcp://0.0.0.0:1", True, False, False, False),
        ("tcp://0.0.0.0:1", True, True, False, False),
        ("tcp://0.0.0.0:1", True, False, True, True),
        ("tls://0.0.0.0:1", True, True, False, True),
        ("tls://0.0.0.0:1", False, True, False, False),
        ("tls://127.0.0.1:1", False, False, False, False),
    ],
)
def test_beyond_this_host_it_takes_a_secret_and_tls(
    text: str, *, has_secret: bool, has_tls: bool, plaintext_allowed: bool, allowed: bool
) -> None:
    rules = {"has_secret": has_secret, "has_tls": has_tls, "plaintext_allowed": plaintext_allowed}
    if allowed:
        check_exposure(Address.parse(text), **rules)
    else:
        with pytest.raises(ConfigError):
            check_exposure(Address.parse(text), **rules)
