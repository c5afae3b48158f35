"""Mounts that the configuration names: made when they are not there, changed where that is possible."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from zerohop.config import MasterConfig
from zerohop.errors import NoWorker, UserNotFound, ZerohopError
from zerohop.model import ADMIN, ANONYMOUS, MountInfo
from zerohop.mount_options import MountSettings, mount_settings
from zerohop.rpc.master_api import AddMount, ChangeMount, ListMounts, ListUsers
from zerohop.rpc.mutation import new_mutation_id
from zerohop_master.mounts import Mounts
from zerohop_master.users import Users

__all__ = ["DeclaredMounts"]

_log = logging.getLogger(__name__)


class DeclaredMounts:
    """`settle` is called again and again until nothing is left to do; what fails is logged once and tried again."""

    def __init__(self, config: MasterConfig, mounts: Mounts, users: Users) -> None:
        self._left = {name: dict(table) for name, table in config.mounts}
        self._mounts = mounts
        self._users = users
        self._told: dict[str, str] = {}

    async def settle(self) -> None:
        """One round over the mounts that are not settled yet."""
        if not self._left:
            return
        there = {mount.bucket: mount for mount in (await self._mounts.list(ListMounts(caller=ADMIN))).mounts}
        for name, table in list(self._left.items()):
            try:
                await self._settle(name, table, there.get(name))
            except NoWorker:
                return  # one comes, or the cluster has other troubles
            except ZerohopError as error:
                if self._told.get(name) != error.message:
                    self._told[name] = error.message
                    _log.error("mount %s of the configuration cannot be made: %s", name, error.message)
            else:
                del self._left[name]

    async def _settle(self, name: str, table: dict[str, str], there: MountInfo | None) -> None:
        options = {key: value for key, value in table.items() if key not in ("uri", "owner")}
        settings = mount_settings(options)
        if there is None:
            await self._add(name, table, settings)
            return
        same = (there.uri, there.options) == (table["uri"], settings.options)
        if not same or set(there.secret_options) != set(settings.secrets):
            _log.warning(
                "bucket %s is mounted with another URI or other options than the configuration says: "
                "`zerohop fs remount` changes options; to have another URI mounted, unmount this one",
                name,
            )
        change = ChangeMount(
            caller=ADMIN,
            bucket=name,
            read_only=settings.read_only,
            write_policy=settings.write_policy,
            metadata_ttl_s=settings.metadata_ttl_s,
            quota_bytes=settings.quota_bytes,
            mutation=new_mutation_id(),
        )
        if any(getattr(there, field) != getattr(change, field) for field in _CHANGEABLE):
            await self._mounts.change(change)

    async def _add(self, name: str, table: dict[str, str], settings: MountSettings) -> None:
        mount = MountInfo(
            mount_id=b"",
            bucket=name,
            uri=table["uri"],
            options=settings.options,
            read_only=settings.read_only,
            write_policy=settings.write_policy,
            metadata_ttl_s=settings.metadata_ttl_s,
            block_size_bytes=settings.block_size_bytes,
            quota_bytes=settings.quota_bytes,
            owner=await self._owner(table.get("owner", "")),
        )
        request = AddMount(caller=ADMIN, mount=mount, secrets=settings.secrets, mutation=new_mutation_id())
        await self._mounts.add(request)

    async def _owner(self, user_name: str) -> str:
        """As on the command line: the named user, else the only one, or anonymous while there is none."""
        users = (await self._users.all(ListUsers(caller=ADMIN))).users
        if user_name:
            for user in users:
                if user.name == user_name:
                    return user.canonical_id
            raise UserNotFound(f"there is no user {user_name!r}")
        if not users:
            return ANONYMOUS.user
        return users[0].canonical_id if len(users) == 1 else ADMIN.user


_CHANGEABLE: Sequence[str] = ("read_only", "write_policy", "metadata_ttl_s", "quota_bytes")
