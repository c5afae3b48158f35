"""`zerohop fs`: the cluster's objects as files."""

from __future__ import annotations

import click

from zerohop.cli.fs_cache import free, load, persist, pin, set_replication, set_ttl, unpin
from zerohop.cli.fs_change import mkdir, mv, rm, touch
from zerohop.cli.fs_copy import cp
from zerohop.cli.fs_list import du, ls
from zerohop.cli.fs_mount import mount, remount, sync, unmount
from zerohop.cli.fs_show import cat, checksum, head, location, stat, tail
from zerohop.cli.fs_show import test as test_path

__all__ = ["fs"]


@click.group()
def fs() -> None:
    """Work with objects as files: /bucket/key in the cluster, ./path or file:/path on this machine.

    Folders are implied by the keys below them; mkdir stores an empty object `folder/`. What is done to a folder is
    done object by object: it is not atomic, and after an interruption the same command does the rest.
    """


_FILES = (ls, stat, cat, head, tail, cp, mv, rm, mkdir, du, touch, test_path, checksum, location)
_MOUNTS = (mount, remount, unmount, sync)
_CACHE = (load, free, pin, unpin, persist, set_ttl, set_replication)

for _command in (*_FILES, *_MOUNTS, *_CACHE):
    fs.add_command(_command)
