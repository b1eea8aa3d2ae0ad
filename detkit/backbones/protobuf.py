"""A reader of protocol buffers, as far as Caffe's files use them; it checks every bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from detkit.errors import WeightsError


class Wire(IntEnum):
    """The encoding of a field's content."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


_WIDTHS = {Wire.FIXED64: 8, Wire.FIXED32: 4}


@dataclass(frozen=True)
class Message:
    """A part of a file that consists of fields.

    Source: protobuf.dev, "Encoding".

    Args:
        data: the whole file.
        start: the first byte of the part.
        stop: the byte after its last.
        source: path of the file, for messages.
    """

    data: memoryview
    start: int
    stop: int
    source: str

    def fields(self) -> Iterator[Field]:
        """The fields in file order. Fields of one number may be scattered.

        Raises:
            WeightsError: if a field reaches beyond the message, or has a kind that Caffe's files do not use.
        """
        at = self.start
        while at < self.stop:
            tag, start = self.varint(at)
            number, kind = tag >> 3, tag & 7
            if number == 0 or kind not in tuple(Wire):
                raise self.error(
                    at, f"field {number} of wire type {kind}; allowed: fields from 1, wire types 0, 1, 2 and 5"
                )
            wire = Wire(kind)
            if wire is Wire.VARINT:
                _, stop = self.varint(start)
            else:
                length = _WIDTHS.get(wire)
                if length is None:
                    length, start = self.varint(start)
                stop = start + length
                if stop > self.stop:
                    raise self.error(at, f"field {number} claims {length} bytes where {self.stop - start} are left")
            yield Field(number, wire, Message(self.data, start, stop, self.source))
            at = stop

    def varint(self, at: int) -> tuple[int, int]:
        """The unsigned 64-bit number that starts at a byte, and the byte after it."""
        value = 0
        for i in range(10):
            if at + i >= self.stop:
                raise self.error(at, "a number is cut off")
            byte = self.data[at + i]
            value |= (byte & 127) << (7 * i)
            if byte < 128:
                break
        if byte >= 128 or value >> 64:
            raise self.error(at, "a number of more than 64 bits")
        return value, at + i + 1

    def error(self, at: int, what: str) -> WeightsError:
        """The error for damage at a byte of the file."""
        return WeightsError(f"weights {self.source}: byte {at}: {what}; the file is damaged or of another kind")


@dataclass(frozen=True)
class Field:
    """One field.

    Args:
        number: its number in the definition of the message.
        wire: its encoding.
        content: its bytes.
    """

    number: int
    wire: Wire
    content: Message

    def message(self) -> Message:
        """The message that it holds."""
        self._expect(Wire.BYTES)
        return self.content

    def text(self) -> str:
        """The text that it holds."""
        self._expect(Wire.BYTES)
        try:
            return str(self._bytes(), "utf-8")
        except UnicodeDecodeError:
            raise self.content.error(self.content.start, f"field {self.number} is no UTF-8 text") from None

    def integer(self) -> int:
        """The signed number that it holds."""
        self._expect(Wire.VARINT)
        return _signed(self.content.varint(self.content.start)[0])

    def integers(self) -> Iterator[int]:
        """The signed numbers that it holds: one, or any number of them packed."""
        self._expect(Wire.VARINT, Wire.BYTES)
        at = self.content.start
        while at < self.content.stop:
            value, at = self.content.varint(at)
            yield _signed(value)

    def numbers(self, wire: Wire) -> memoryview:
        """The bytes of the numbers that it holds: one of the given kind, or any number of them packed."""
        self._expect(wire, Wire.BYTES)
        length = self.content.stop - self.content.start
        if length % _WIDTHS[wire]:
            what = f"field {self.number} holds {length} bytes, which is no multiple of {_WIDTHS[wire]}"
            raise self.content.error(self.content.start, what)
        return self._bytes()

    def _bytes(self) -> memoryview:
        return self.content.data[self.content.start : self.content.stop]

    def _expect(self, *allowed: Wire) -> None:
        if self.wire not in allowed:
            kinds = " or ".join(str(int(w)) for w in allowed)
            what = f"field {self.number} is of wire type {int(self.wire)}, but {kinds} is needed"
            raise self.content.error(self.content.start, what)


def _signed(value: int) -> int:
    """The two's complement of an unsigned 64-bit number."""
    return value - (1 << 64) if value >> 63 else value
