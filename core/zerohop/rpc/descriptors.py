"""File descriptors lent from one process to others of its host, over a Unix socket of packets.

The client (the holder) asks and gets a response together with descriptors, which are then its own to close. Either
side may send notices. When a connection is lost both sides are told: to the lender it means that all descriptors
of this holder count as returned, since the holder closes them or is gone.
"""

from __future__ import annotations

from zerohop.rpc.borrower import DescriptorClient
from zerohop.rpc.lender import DescriptorServer, Holder, Lent
from zerohop.rpc.packets import MAX_DESCRIPTORS, close_descriptors

__all__ = ["MAX_DESCRIPTORS", "DescriptorClient", "DescriptorServer", "Holder", "Lent", "close_descriptors"]
