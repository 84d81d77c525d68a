"""The one gate of a step log: names and values end here. What goes on is numbers, labels without digits, and times."""

import json
import shutil
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from audit.errors import Invalid
from insights.tasklog import pseudonyms
from insights.tasklog.layout import mapping_of
from insights.tasklog.models import TaskLog
from insights.tasklog.reading import lines_of, moment

MOST_STEPS = 2_000_000
MOST_SYMBOLS = 100_000
MOST_REJECTS = 1_000
Symbol = tuple[str, str, str, str]


@dataclass
class Entered:
    """What came in: one number each for who, what and when, and the names that the numbers for `what` stand for.

    ``marks`` tell equal values of one session; they are dropped once the log is mined.
    """

    mapping: dict[str, str] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    symbols: dict[Symbol, int] = field(default_factory=dict)
    who: "array[int]" = field(default_factory=lambda: array("i"))
    session: "array[int]" = field(default_factory=lambda: array("i"))
    what: "array[int]" = field(default_factory=lambda: array("i"))
    when: "array[int]" = field(default_factory=lambda: array("q"))
    marks: "array[int]" = field(default_factory=lambda: array("q"))
    rejected: list[tuple[int, str]] = field(default_factory=list)
    rejected_count: int = 0

    def reject(self, line: int, reason: str) -> None:
        """Count a line that is no step; of the first thousand its reason is kept."""
        self.rejected_count += 1
        if len(self.rejected) < MOST_REJECTS:
            self.rejected.append((line, reason))


def enter(chunks: Iterable[bytes], told: Mapping[str, str], *, zone: tzinfo, latest: datetime) -> Entered:
    """Read a step log and forget its names and values line by line. Raises ``Invalid`` where it is none."""
    entered, gate = Entered(), _Gate(zone, latest)
    for line, columns in lines_of(chunks):
        if columns is None:
            entered.reject(line, "The line cannot be read, or has another number of cells than the first.")
            continue
        if not entered.mapping:
            entered.mapping = mapping_of(columns, told)
        _step(entered, line, columns, gate)
        if len(entered.when) > MOST_STEPS:
            raise Invalid(f"The log has more than {MOST_STEPS:,} steps.", {"file": ["Bring it in in parts."]})
    if not entered.mapping:
        mapping_of((), told)
    if not entered.when:
        raise Invalid("No line of the file is a step.", {"file": [why for _, why in entered.rejected[:3]]})
    return entered


@dataclass
class _Gate:
    """What is known while one file is read, and is gone with it."""

    zone: tzinfo
    latest: datetime
    matcher: pseudonyms.Matcher = field(default_factory=pseudonyms.Matcher)
    key: bytes = field(default_factory=pseudonyms.person_key)
    labels: pseudonyms.Labels = field(default_factory=pseudonyms.Labels)
    known: dict[str, str] = field(default_factory=dict)

    def pseudonym(self, name: str) -> str:
        """Return the pseudonym of a user name, made once."""
        if name not in self.known:
            self.known[name] = pseudonyms.person(name, self.key)
        return self.known[name]


def _step(entered: Entered, line: int, columns: Mapping[str, str], gate: _Gate) -> None:
    part = {name: columns.get(column, "") for name, column in entered.mapping.items()}
    name, at = part["user"].strip(), moment(part["time"], gate.zone, gate.latest)
    if not name or not part["action"].strip() or not part["application"].strip():
        entered.reject(line, "It does not say who did what in which application.")
        return
    if at is None:
        entered.reject(line, "Its time cannot be read, or lies in the future.")
        return
    value, person = part.get("value", ""), gate.pseudonym(name)
    symbol = _symbol(part, name, value, gate.labels)
    if symbol not in entered.symbols and len(entered.symbols) >= MOST_SYMBOLS:
        symbol = ("other", "", "other", "empty")
    session = f"{person}/{part.get('session') or at.date().isoformat()}"
    entered.who.append(entered.people.setdefault(person, len(entered.people)))
    entered.session.append(entered.sessions.setdefault(session, len(entered.sessions)))
    entered.what.append(entered.symbols.setdefault(symbol, len(entered.symbols)))
    entered.when.append(int(at.timestamp() * 1_000_000))
    entered.marks.append(gate.matcher.of(session, value))


def _symbol(part: Mapping[str, str], name: str, value: str, labels: pseudonyms.Labels) -> Symbol:
    hidden = (" ".join(value.split()), name)
    element = labels.of(part.get("element", ""), *hidden) or labels.of(part.get("window", ""), *hidden)
    action = labels.of(part["action"], *hidden).lower()
    return labels.of(part["application"], *hidden), element, action, pseudonyms.class_of(value)


def home(log: TaskLog) -> Path:
    """Return the folder of everything that belongs to the log."""
    return Path(settings.INSIGHTS_DIR) / "tasks" / str(log.pk)


def keep(log: TaskLog, entered: Entered) -> None:
    """Write down the numbers, sorted by person, time and place in the file; the marks in a file of their own."""
    folder = home(log)
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: np.array(getattr(entered, name)) for name in ("who", "session", "what", "when", "marks")}
    order = np.lexsort((np.arange(len(columns["when"])), columns["when"], columns["who"]))
    marks = columns.pop("marks")[order]
    who, session, what, when = (columns[name][order] for name in ("who", "session", "what", "when"))
    np.savez(folder / "steps.npz", who=who, session=session, what=what, when=when)
    np.save(folder / "marks.npy", marks)
    (folder / "names.json").write_text(json.dumps([list(symbol) for symbol in entered.symbols]))


def load(log: TaskLog) -> tuple[dict[str, Any], list[Symbol]]:
    """Return the columns of the steps, with the marks while they stand, and the symbols. Raises ``OSError``."""
    folder = home(log)
    with np.load(folder / "steps.npz", allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    marks = folder / "marks.npy"
    columns["marks"] = np.load(marks, allow_pickle=False) if marks.exists() else np.zeros(len(columns["when"]), "int64")
    names = json.loads((folder / "names.json").read_text())
    return columns, [(one[0], one[1], one[2], one[3]) for one in names]


def drop_marks(log: TaskLog) -> None:
    """Forget which values were equal: it was needed only to find what is typed again."""
    (home(log) / "marks.npy").unlink(missing_ok=True)


def forget(log: TaskLog) -> None:
    """Remove every file of the log."""
    shutil.rmtree(home(log), ignore_errors=True)


def tidy(known: set[str], before: float) -> None:
    """Remove folders that no log knows and that nobody wrote to since ``before``: what a crash left."""
    for folder in (Path(settings.INSIGHTS_DIR) / "tasks").glob("*"):
        if folder.name not in known and folder.stat().st_mtime < before:
            shutil.rmtree(folder, ignore_errors=True)
