"""Reads a step log line by line, CSV or JSON, in bounded memory, as it arrives; nothing of it is put down."""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from audit.errors import Invalid

LONGEST_LINE = 1 << 20
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
Line = tuple[int, dict[str, str] | None]


def lines_of(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Yield each line's number and its columns as text; ``None`` where the line cannot be read. Raises ``Invalid``."""
    texts = _decoded(chunks)
    head = ""
    # A whole first line is needed to tell the layout and what parts its columns.
    while not head.strip() or ("\n" not in head.lstrip() and len(head) < LONGEST_LINE):
        piece = next(texts, None)
        if piece is None:
            break
        head += piece
    if not head.strip():
        raise Invalid("The file is empty.", {"file": ["The file is empty."]})
    text = _chained(head, texts)
    return _json(text) if head.lstrip()[0] in "[{" else _csv(_split(text), head)


def _decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    for chunk in chunks:
        if chunk:
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _chained(head: str, texts: Iterator[str]) -> Iterator[str]:
    yield head
    yield from texts


def _split(texts: Iterator[str]) -> Iterator[str]:
    """Yield whole lines; one longer than a megabyte ends the reading."""
    rest = ""
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        if len(rest) > LONGEST_LINE:
            raise Invalid("A line is too long.", {"file": ["One line is longer than a megabyte."]})
        yield from (line + "\n" for line in whole)
    if rest:
        yield rest


def _csv(lines: Iterator[str], head: str) -> Iterator[Line]:
    first = head.lstrip().splitlines()[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader((line.replace("\x00", "") for line in lines), delimiter=delimiter)
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise Invalid("The first line cannot be read.", {"file": [str(error)[:200]]}) from error
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, None
            continue
        if row:
            yield reader.line_num, dict(zip(names, row, strict=False)) if len(row) == len(names) else None


def _json(texts: Iterator[str]) -> Iterator[Line]:
    """Read a list of objects, objects one a line, or ``{"events": [...]}``, one object at a time."""
    decode = json.JSONDecoder().raw_decode
    buffer, number, done = "", 0, False
    while True:
        buffer = buffer.lstrip(" \t\r\n,")
        if buffer[:1] in ("[", "]"):
            buffer = buffer[1:]
            continue
        if buffer[:1] == "{" and number == 0 and (opened := _within(buffer)):
            buffer = opened
            continue
        try:
            found, end = decode(buffer)
        except ValueError:
            if len(buffer) > LONGEST_LINE or done:
                if buffer.strip(" \t\r\n,]}"):
                    yield number + 1, None
                return
            piece = next(texts, None)
            done = piece is None
            buffer += piece or ""
            continue
        number, buffer = number + 1, buffer[end:]
        yield number, _flat(found) if isinstance(found, dict) else None


def _within(buffer: str) -> str:
    """Return what follows ``{"events": [`` where the document begins so."""
    for name in ("events", "steps", "log"):
        head = f'{{"{name}":['
        squeezed = buffer[:60].replace(" ", "").replace("\n", "").replace("\r", "").replace("\t", "")
        if squeezed.startswith(head):
            return buffer[buffer.index("[") + 1 :]
    return ""


def _flat(given: dict[str, Any], before: str = "") -> dict[str, str]:
    """Return an object's values as text by name; a nested name is joined by a dot."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, dict) and not before:
            found |= _flat(value, f"{name}.")
        elif isinstance(value, str):
            found[before + name] = value.replace("\x00", "")
        elif value is not None:
            found[before + name] = json.dumps(value)
    return found


def moment(text: str, zone: tzinfo, latest: datetime) -> datetime | None:
    """Return a time as UTC, ``None`` for what is none or lies in the future; without a zone it is meant in ``zone``."""
    text = text.strip()
    try:
        if text.replace(".", "", 1).isdigit():
            number = float(text)
            at = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        else:
            at = datetime.fromisoformat(text)
            at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at if _EARLIEST <= at <= latest + timedelta(days=1) else None
