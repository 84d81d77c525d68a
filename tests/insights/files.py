"""Small event logs as files, for tests of the import."""

import csv
import io
import zipfile
from datetime import datetime

from insights.actions import import_file

HEADER = ("case", "activity", "time")
MAPPING = {"case": "case", "activity": "activity", "timestamp": "time"}
GOOD = [("c1", "open", "2024-01-01T10:00:00Z"), ("c1", "close", "2024-01-01T11:00:00Z")]


def text_of(rows, *, header=HEADER, delimiter=","):
    """The rows as the text of a CSV file."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *rows] if header else rows)
    return out.getvalue()


def write(folder, name, content):
    """A file with that content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(**members):
    """A zip archive with those members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def xes(body):
    """An XES document round ``body``."""
    return f'<?xml version="1.0"?><log xmlns="http://www.xes-standard.org/">{body}</log>'


def trace(case, *events):
    """A trace of (activity, time)."""
    told = "".join(
        f'<event><string key="concept:name" value="{name}"/><date key="time:timestamp" value="{at}"/></event>'
        for name, at in events
    )
    named = f'<string key="concept:name" value="{case}"/>' if case else ""
    return f"<trace>{named}{told}</trace>"


def imported(tmp_path, content, *, name="log.csv", mapping=MAPPING, **more):
    """The log that a file of that content becomes."""
    return import_file(write(tmp_path, name, content), mapping=mapping, **more)


def utc(*parts):
    """A moment as the tables hold it: UTC without a zone."""
    return datetime(*parts)  # noqa: DTZ001
