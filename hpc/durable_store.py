"""Where Zarr puts its bytes: a local store whose writes are durable, measured, and never begin with a read.

Owns the passage from Zarr's keys to files. Never encodes anything: that is Zarr's own pipeline.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from pathlib import Path
from typing import Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from hpc.durable import METADATA_NAME, write_durably


class DurableStore(LocalStore):
    """A local Zarr store whose writes survive a power cut, and which remembers size and sha256 of what it wrote.

    Chunks look absent to whoever writes through it, so that Zarr never reads a shard in order to write it: a unit owns
    its shards whole.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False, writer: str = "unnamed-0") -> None:
        super().__init__(Path(root).resolve(), read_only=read_only)
        self.writer = writer
        self._written: dict[str, tuple[int, str]] = {}

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same place, read-only or not."""
        return type(self)(self.root, read_only=read_only, writer=self.writer)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Metadata as it is on the disk; chunks never."""
        if not key.endswith(METADATA_NAME):
            return None
        return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        """Put one key on the disk, whole or not at all. Raises OSError (disk full, input/output error)."""
        await asyncio.to_thread(self._put, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """As `set`, but leave a key alone that is there."""
        if not await self.exists(key):
            await self.set(key, value)

    def _put(self, key: str, value: Buffer) -> None:
        self._check_writable()
        data = value.as_buffer_like()
        folder = (self.root / key).parent
        if Path(os.path.realpath(folder)) != folder:
            raise OSError(errno.ELOOP, "a link inside the store leads out of it", str(folder))
        write_durably(self.root / key, data, self.writer)
        self._written[key] = (len(value), hashlib.sha256(data).hexdigest())

    def take_written(self) -> dict[str, tuple[int, str]]:
        """Size in bytes and sha256 of each key written since the last call."""
        written, self._written = self._written, {}
        return written
