"""Iteration over the nested boxes of MP4 files and the elements of Matroska files; length fields are untrusted.

Boxes that exceed the enclosing box end the iteration, payloads are read up to MAX_PAYLOAD bytes, and at most MAX_BOXES
boxes are visited. A damaged file therefore costs bounded time and memory, and at worst yields too few boxes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_END
from typing import BinaryIO, NamedTuple

MAX_BOXES = 20_000
MAX_PAYLOAD = 1 << 16  # bytes


class Box(NamedTuple):
    """Type of a box, and the file offsets at which its payload begins and ends."""

    type: bytes
    begin: int
    end: int


@dataclass
class Boxes:
    """Reader of a file's boxes (ISO base media: MP4, MOV) or elements (EBML: Matroska, WebM)."""

    file: BinaryIO
    ebml: bool = False
    seen: int = 0

    def whole(self) -> Box:
        """Returns the whole file as a box."""
        return Box(b"", 0, self.file.seek(0, SEEK_END))

    def inside(self, box: Box, *path: bytes, skip: int = 0) -> Iterator[Box]:
        """Yields the boxes along a path of types, starting `skip` bytes into `box`."""
        for child in self._children(box, skip):
            if child.type == path[0]:
                if len(path) == 1:
                    yield child
                else:
                    yield from self.inside(child, *path[1:])

    def children(self, box: Box, skip: int = 0) -> list[Box]:
        """Returns the direct children of a box, starting `skip` bytes into it."""
        return list(self._children(box, skip))

    def payload(self, box: Box, size: int = MAX_PAYLOAD) -> bytes:
        """Returns the first bytes of a box's payload, at most `size` and MAX_PAYLOAD."""
        self.file.seek(box.begin)
        return self.file.read(max(0, min(size, MAX_PAYLOAD, box.end - box.begin)))

    def _children(self, box: Box, skip: int) -> Iterator[Box]:
        """Yields the direct children of a box, up to the first invalid one."""
        at = box.begin + skip
        while at < box.end and self.seen < MAX_BOXES:
            self.seen += 1
            child = self._element(at, box.end) if self.ebml else self._box(at, box.end)
            if child is None or child.begin > child.end or child.end > box.end:
                return
            yield child
            at = child.end

    def _box(self, at: int, limit: int) -> Box | None:
        """ISO base media box at an offset; `limit` is the end of the enclosing box."""
        self.file.seek(at)
        head = self.file.read(16)
        if len(head) < 8:
            return None
        size, header = int.from_bytes(head[:4]), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16]), 16
        return Box(head[4:8], at + header, limit if size == 0 else at + size)

    def _element(self, at: int, limit: int) -> Box | None:
        """EBML element at an offset; `limit` is the end of the enclosing element."""
        self.file.seek(at)
        head = self.file.read(12)
        id_length = 9 - head[0].bit_length() if head else 9
        if id_length > 4 or len(head) <= id_length:
            return None
        size_length = 9 - head[id_length].bit_length()
        if size_length > 8 or len(head) < id_length + size_length:
            return None
        mask = (1 << 7 * size_length) - 1
        size = int.from_bytes(head[id_length : id_length + size_length]) & mask
        begin = at + id_length + size_length
        return Box(head[:id_length], begin, limit if size == mask else begin + size)
