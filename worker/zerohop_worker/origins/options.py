"""What a mount is told: its URI and `--option name=value`, read into typed settings.

Options whose names stand in `SECRET_OPTIONS` may be references that each worker resolves for itself: `env:NAME`
(environment), `file:/path` (content of a file), `profile:NAME` (that profile of the AWS credentials file). No value
of theirs is part of a message or of a repr.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from zerohop.errors import InvalidRequest, OriginRefused
from zerohop.units import parse_duration

__all__ = [
    "SECRET_OPTIONS",
    "AzureSettings",
    "FolderSettings",
    "GcsSettings",
    "HdfsSettings",
    "HttpSettings",
    "S3Settings",
    "Settings",
    "known_options",
    "parse_settings",
]


def _secret() -> Any:
    return field(default="", repr=False, metadata={"secret": True})


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """What all stores behind HTTP have in common."""

    endpoint: str = ""  # URL; "": that of the provider
    anonymous: bool = False  # requests are not signed
    verify_tls: bool = True
    ca_file: str = ""  # PEM, instead of the certificates that the system trusts
    connect_timeout: float = 5.0  # seconds, for the connection alone
    read_timeout: float = 30.0  # seconds without a byte
    max_connections: int = 64  # that carry bodies; a few more carry the other requests
    max_attempts: int = 5  # of each request that may be repeated, the first included


@dataclass(frozen=True, kw_only=True)
class S3Settings(HttpSettings):
    """`s3://bucket/prefix`. Without any credentials those of the environment are taken, as the AWS SDKs do."""

    bucket: str = field(metadata={"place": True})
    prefix: str = field(metadata={"place": True})
    region: str = ""
    path_style: bool | None = None  # None: for every endpoint but Amazon's own
    profile: str = ""  # of the AWS credentials file, for all three
    access_key: str = _secret()
    secret_key: str = _secret()
    session_token: str = _secret()


@dataclass(frozen=True, kw_only=True)
class GcsSettings(HttpSettings):
    """`gs://bucket/prefix`. Without credentials the application default ones are taken."""

    bucket: str = field(metadata={"place": True})
    prefix: str = field(metadata={"place": True})
    service_account_file: str = ""
    service_account: str = _secret()  # JSON
    token: str = _secret()  # OAuth bearer token


@dataclass(frozen=True, kw_only=True)
class AzureSettings(HttpSettings):
    """`az://container/prefix`. Without credentials those of the environment or of the machine are taken."""

    bucket: str = field(metadata={"place": True})
    prefix: str = field(metadata={"place": True})
    account: str = ""
    tenant_id: str = ""
    client_id: str = ""
    account_key: str = _secret()
    sas: str = _secret()
    client_secret: str = _secret()
    token: str = _secret()  # OAuth bearer token


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """`file:///folder`: a local folder, or one on a network file system that every worker has at that path."""

    folder: str = field(metadata={"place": True})
    threads: int = 8  # calls of the file system at a time


@dataclass(frozen=True, kw_only=True)
class HdfsSettings:
    """`hdfs://namenode:port/folder`, or `hdfs://nameservice/folder` with `namenodes` or `config_dir`. The user is the
    worker's own, or what its environment says in HADOOP_USER_NAME, or the Kerberos principal.
    """

    authority: str = field(metadata={"place": True})
    folder: str = field(metadata={"place": True})
    namenodes: str = ""  # host:port,host:port of the nameservice
    config_dir: str = ""  # folder with core-site.xml and hdfs-site.xml, at each worker
    kerberos_principal: str = ""
    kerberos_keytab: str = ""  # path, at each worker
    connect_timeout: float = 5.0  # seconds, until a NameNode lets itself be reached when the mount is made
    read_timeout: float = 30.0  # seconds without an answer
    max_attempts: int = 5  # of each question to a NameNode that cannot be reached, or is in standby
    threads: int = 16  # calls of the library at a time


Settings = S3Settings | GcsSettings | AzureSettings | FolderSettings | HdfsSettings

_SCHEMES: Final[Mapping[str, type[Settings]]] = {
    "s3": S3Settings,
    "gs": GcsSettings,
    "az": AzureSettings,
    "file": FolderSettings,
    "hdfs": HdfsSettings,
}

SECRET_OPTIONS: Final = frozenset(
    found.name for cls in _SCHEMES.values() for found in fields(cls) if found.metadata.get("secret")
)
"""Names of options whose values are never shown."""

_PROFILE_NAMES: Final = {
    "access_key": "aws_access_key_id",
    "secret_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


def parse_settings(
    uri: str,
    options: Mapping[str, str],
    secrets: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Raises InvalidRequest (what is wrong with the URI or an option), OriginRefused (a reference leads nowhere)."""
    scheme, _, rest = uri.partition("://")
    cls = _SCHEMES.get(scheme)
    if cls is None or "://" not in uri:
        raise InvalidRequest(
            f"cannot mount {uri!r}: it must begin with {', '.join(f'{s}://' for s in _SCHEMES)}"
        )
    known = known_options(scheme)
    given = {**options, **secrets}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise InvalidRequest(f"{scheme}:// has no option {unknown[0]!r}; it has {', '.join(sorted(known))}")
    env = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for name, text in given.items():
        if known[name].metadata.get("secret"):
            values[name] = _resolve(name, text, env)
        else:
            values[name] = _value(name, str(known[name].type), text)
    settings: Settings = cls(**_place(scheme, uri, rest), **values)
    _check(settings)
    return settings


def known_options(scheme: str) -> dict[str, Field[Any]]:
    """The options of a scheme (`s3`, `gs`, `az`, `file`, `hdfs`) by name."""
    return {one.name: one for one in fields(_SCHEMES[scheme]) if not one.metadata.get("place")}


def _place(scheme: str, uri: str, rest: str) -> dict[str, Any]:
    host, slash, path = rest.partition("/")
    if scheme == "file":
        if host or not slash:
            raise InvalidRequest(f"{uri!r} must be file:/// and the absolute path of a folder")
        if "\0" in path or any(part in (".", "..") for part in path.split("/")):
            raise InvalidRequest(f"{uri!r}: the path of the folder must have no '.' or '..' in it")
        return {"folder": "/" + path.strip("/")}
    if not host:
        raise InvalidRequest(f"{uri!r} names no {_HOSTS.get(scheme, 'bucket')}")
    if "@" in host:
        raise InvalidRequest("a mount's URI must hold no credentials: give them as options")
    if scheme == "hdfs":
        parts = path.strip("/").split("/")
        if parts != [""] and any(part in ("", ".", "..") or ":" in part or "\0" in part for part in parts):
            raise InvalidRequest(f"{uri!r}: the path of the folder must have no '//', '.', '..' or ':' in it")
        return {"authority": host, "folder": "/" + path.strip("/")}
    # All of it is literal, as in the tools of the providers: a key may hold any character.
    return {"bucket": host, "prefix": path if not path or path.endswith("/") else path + "/"}


_HOSTS: Final = {"az": "container", "hdfs": "NameNode or nameservice"}


def _value(name: str, kind: str, text: str) -> Any:
    parse = _PARSERS[kind.partition(" ")[0]]
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(f"option {name}: {error}") from error


def _bool(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"{text!r} is neither true nor false")
    return known[text.lower()]


def _int(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise ValueError(f"{text!r} is not a whole number from 1 to 1024")
    return int(text)


def _duration(text: str) -> float:
    found = parse_duration(text)
    if not 0.001 <= found <= 3600:
        raise ValueError(f"{text!r} is not between 1ms and 1h")
    return found


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "bool": _bool,
    "int": _int,
    "float": _duration,
}


def _check(settings: Settings) -> None:
    if isinstance(settings, HdfsSettings):
        _check_hdfs(settings)
    if not isinstance(settings, HttpSettings):
        return
    if settings.endpoint and not settings.endpoint.startswith(("http://", "https://")):
        raise InvalidRequest("option endpoint must begin with http:// or https://")
    if "@" in settings.endpoint.partition("://")[2].partition("/")[0]:
        raise InvalidRequest("option endpoint must hold no credentials: give them as options of their own")
    secret = [
        one.name for one in fields(settings) if one.metadata.get("secret") and getattr(settings, one.name)
    ]
    if settings.anonymous and secret:
        raise InvalidRequest(f"either anonymous or {', '.join(secret)}")
    if isinstance(settings, S3Settings) and bool(settings.access_key) != bool(settings.secret_key):
        raise InvalidRequest("access_key and secret_key must be given together")
    if isinstance(settings, S3Settings) and settings.profile and settings.access_key:
        raise InvalidRequest("either profile or access_key")
    if isinstance(settings, AzureSettings) and not settings.account and not settings.endpoint:
        raise InvalidRequest("az:// needs the option account")


def _check_hdfs(settings: HdfsSettings) -> None:
    nodes = settings.namenodes.split(",") if settings.namenodes else []
    if not all(_NODE.fullmatch(node) for node in nodes):
        raise InvalidRequest("option namenodes must be host:port,host:port")
    if nodes and ":" in settings.authority:
        raise InvalidRequest(f"either the address {settings.authority} or the namenodes of a nameservice")
    if ":" in settings.authority and not _NODE.fullmatch(settings.authority):
        raise InvalidRequest(f"{settings.authority!r} is no host:port")
    if bool(settings.kerberos_principal) != bool(settings.kerberos_keytab):
        raise InvalidRequest("kerberos_principal and kerberos_keytab must be given together")


_NODE: Final = re.compile(r"[\w.-]+:[0-9]{1,5}", re.ASCII)


def _resolve(name: str, text: str, env: Mapping[str, str]) -> str:
    kind, colon, what = text.partition(":")
    if colon and kind == "env":
        if what not in env:
            raise OriginRefused(f"option {name}: the worker's environment has no variable {what}")
        return env[what]
    if colon and kind == "file":
        try:
            return Path(what).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise OriginRefused(f"option {name}: the worker cannot read {what}: {reason}") from None
    if colon and kind == "profile" and name in _PROFILE_NAMES:
        return _from_profile(name, what, env)
    return text


def _from_profile(name: str, profile: str, env: Mapping[str, str]) -> str:
    path = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
    except (OSError, UnicodeDecodeError, configparser.Error):
        # The parser's own messages quote lines of the file.
        raise OriginRefused(f"option {name}: the worker cannot read profiles from {path}") from None
    if not parser.has_section(profile):
        raise OriginRefused(f"option {name}: {path} at the worker has no profile {profile}")
    value = parser.get(profile, _PROFILE_NAMES[name], fallback="")
    if not value and name != "session_token":
        raise OriginRefused(f"option {name}: profile {profile} has no {_PROFILE_NAMES[name]}")
    return value
