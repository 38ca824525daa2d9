"""Reading of the nested boxes of MP4 files and elements of Matroska files, whose length fields are untrusted.

A box that exceeds the enclosing one ends the iteration, payloads are read up to MAX_PAYLOAD bytes, and at most
MAX_BOXES boxes are visited. A damaged file therefore costs bounded time and memory, and at worst yields too few boxes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_END
from typing import BinaryIO, NamedTuple

MAX_BOXES = 20_000
MAX_PAYLOAD = 1 << 16  # bytes


class ContainerBox(NamedTuple):
    """A box or element: its `type`, and the file offsets `begin` and `end` of its payload."""

    type: bytes
    begin: int
    end: int


@dataclass
class BoxReader:
    """Reader of a file's boxes (ISO base media: MP4, MOV) or elements (EBML: Matroska, WebM).

    Attributes:
        file: File opened for reading.
        ebml: Whether the file consists of EBML elements rather than ISO boxes.
        visited: Number of boxes read so far.
    """

    file: BinaryIO
    ebml: bool = False
    visited: int = 0

    def root(self) -> ContainerBox:
        """Returns the whole file as a box."""
        return ContainerBox(b"", 0, self.file.seek(0, SEEK_END))

    def find(self, box: ContainerBox, *path: bytes, skip: int = 0) -> Iterator[ContainerBox]:
        """Finds descendants of a box.

        Args:
            box: Box to search.
            path: Types of a child of `box`, of a child of that child, and so on.
            skip: Bytes at the start of the payload of `box` before its first child.

        Yields:
            The boxes at the end of the path, in file order.
        """
        for child in self._children(box, skip):
            if child.type == path[0]:
                if len(path) == 1:
                    yield child
                else:
                    yield from self.find(child, *path[1:])

    def children(self, box: ContainerBox, skip: int = 0) -> list[ContainerBox]:
        """Returns the direct children of a box, up to the first invalid one.

        Args:
            box: Box.
            skip: Bytes at the start of its payload before its first child.
        """
        return list(self._children(box, skip))

    def payload(self, box: ContainerBox, size: int = MAX_PAYLOAD) -> bytes:
        """Returns the first bytes of a box's payload.

        Args:
            box: Box.
            size: Maximum number of bytes; never more than MAX_PAYLOAD.
        """
        self.file.seek(box.begin)
        return self.file.read(max(0, min(size, MAX_PAYLOAD, box.end - box.begin)))

    def _children(self, box: ContainerBox, skip: int) -> Iterator[ContainerBox]:
        """Yields the direct children of a box, up to the first invalid one."""
        offset = box.begin + skip
        while offset < box.end and self.visited < MAX_BOXES:
            self.visited += 1
            child = self._element(offset, box.end) if self.ebml else self._box(offset, box.end)
            if child is None or child.begin > child.end or child.end > box.end:
                return
            yield child
            offset = child.end

    def _box(self, offset: int, limit: int) -> ContainerBox | None:
        """ISO base media box at an offset; `limit` is the end of the enclosing box."""
        self.file.seek(offset)
        header = self.file.read(16)
        if len(header) < 8:
            return None
        size, header_size = int.from_bytes(header[:4]), 8
        if size == 1:
            size, header_size = int.from_bytes(header[8:16]), 16
        return ContainerBox(header[4:8], offset + header_size, limit if size == 0 else offset + size)

    def _element(self, offset: int, limit: int) -> ContainerBox | None:
        """EBML element at an offset; `limit` is the end of the enclosing element."""
        self.file.seek(offset)
        header = self.file.read(12)
        id_length = 9 - header[0].bit_length() if header else 9
        if id_length > 4 or len(header) <= id_length:
            return None
        size_length = 9 - header[id_length].bit_length()
        if size_length > 8 or len(header) < id_length + size_length:
            return None
        unknown_size = (1 << 7 * size_length) - 1
        size = int.from_bytes(header[id_length : id_length + size_length]) & unknown_size
        begin = offset + id_length + size_length
        return ContainerBox(header[:id_length], begin, limit if size == unknown_size else begin + size)
