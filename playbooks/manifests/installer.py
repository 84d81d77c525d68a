"""Apply checked documents: all of them in one transaction, or none; twice is as good as once."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from approvals import manifests as approvals_manifests
from audit import manifests as audit_manifests
from audit.context import Source, coming_from
from audit.errors import Invalid, Refusal
from audit.manifests import Difference, DocumentType
from connectors import manifests as connectors_manifests
from incidents import manifests as incidents_manifests
from playbooks import breadth, guards
from playbooks.manifests import documents
from playbooks.manifests.checking import Checked, check, path_of, repeated
from playbooks.manifests.loader import MAX_BYTES, Problem

# Fields that no row that stands is without.
ALWAYS_THERE = frozenset({"", "active", "because", "label", "name", "task", "time_zone"})
PACKS = Path(__file__).resolve().parent.parent / "packs"


@dataclass(frozen=True)
class Outcome:
    """What one document came to: created, changed or unchanged, and which fields differ."""

    kind: str
    name: str
    word: str
    differences: tuple[Difference, ...] = ()


@dataclass
class Report:
    """What a run did, or why it did nothing."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)
    widening: breadth.Widening | None = None  # more than one process before the first verified mend

    @property
    def exit_code(self) -> int:
        """0: applied (or planned); 1: a file is invalid; 2: what stands in the database forbids it."""
        if self.problems:
            return 1
        return 2 if self.conflicts else 0

    def count(self, word: str) -> int:
        """Count the outcomes of one word."""
        return sum(outcome.word == word for outcome in self.outcomes)


class _Undone(Exception):
    """Leave the transaction without a trace."""


_FROM_ABOVE: list[Mapping[str, DocumentType]] = []


def offer(part: Mapping[str, DocumentType]) -> None:
    """Add the kinds of documents of an app above this one; it calls this when it is ready."""
    if part not in _FROM_ABOVE:
        _FROM_ABOVE.append(part)


def document_types() -> dict[str, DocumentType]:
    """Gather the kinds of documents of all apps; the same kind twice is a mistake in the code."""
    types: dict[str, DocumentType] = {}
    for part in (
        audit_manifests.DOCUMENTS,
        connectors_manifests.DOCUMENTS,
        incidents_manifests.DOCUMENTS,
        approvals_manifests.DOCUMENTS,
        documents.DOCUMENTS,
        *_FROM_ABOVE,
    ):
        twice = types.keys() & part.keys()
        if twice:
            raise RuntimeError(f"Two apps declare documents of kind {', '.join(sorted(twice))}.")
        types |= part
    return types


def pack_files(slug: str) -> list[Path]:
    """List the files of a shipped pack in name order; empty where there is no such pack."""
    folder = PACKS / slug
    return sorted(folder.glob("*.yaml")) if slug.isidentifier() else []


def read(files: Iterable[Path]) -> tuple[list[Checked], list[Problem]]:
    """Check every file and report all that is wrong in any of them."""
    types = document_types()
    checked: list[Checked] = []
    problems: list[Problem] = []
    folders: list[Path] = []
    contents: defaultdict[Path, Any] = defaultdict(hashlib.sha256)
    for file in files:
        try:
            text = _text(file)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(file), 1, 1, "", f"The file cannot be read: {error}"))
            continue
        contents[file.parent].update(f"{file.name}\n{text}\n".encode())
        found, wrong = check(text, str(file), types)
        checked += found
        folders += [file.parent] * len(found)
        problems += wrong
    problems += repeated(checked)
    sealed = [
        replace(part, model=documents.sealed(part.model, contents[folder].hexdigest()))
        for part, folder in zip(checked, folders, strict=True)
    ]
    return sealed, problems


def _text(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise OSError(f"it is larger than {MAX_BYTES:,} bytes")
    return file.read_text(encoding="utf-8")


def run(files: Iterable[Path], *, actor: str, plan_only: bool = False, confirm_breadth: str = "") -> Report:
    """Apply files in the order of their kinds, in one transaction; with ``plan_only`` take it all back.

    Planning does the real thing and undoes it, so that a document may rest on one before it, and what
    the plan promises is what applying does. ``confirm_breadth`` is the reason to switch on more than one process
    before the first verified mend; a pack's header may hold it instead.
    """
    checked, problems = read(files)
    report = Report(problems=problems)
    if problems:
        return report
    checked.sort(key=lambda part: part.type.order)
    try:
        with coming_from(Source(channel="command")), transaction.atomic():
            before, open_before = breadth.active_processes(), guards.unguarded()
            for part in checked:
                _apply(part, actor, report)
            if not (report.problems or report.conflicts):
                report.widening = breadth.widening(before, breadth.active_processes())
                _hold_guards(report, open_before, checked)
            if report.widening is not None and not plan_only:
                _confirm(report, report.widening, checked, confirm_breadth, actor)
            if plan_only or report.problems or report.conflicts:
                raise _Undone
    except _Undone:
        pass
    return report


def _hold_guards(report: Report, before: frozenset[tuple[str, str]], checked: list[Checked]) -> None:
    """Refuse files that would leave a playbook in use with nothing that guards it."""
    if lost := guards.said(guards.unguarded() - before):
        policies = [part for part in checked if part.kind == "policy"] or checked
        report.conflicts.append(policies[-1].document.problem((), lost))


def _confirm(report: Report, found: breadth.Widening, checked: list[Checked], reason: str, actor: str) -> None:
    """Enter why more than one process starts at once, or refuse at the place of the last document."""
    written = (str(getattr(part.model, "confirm_breadth", "")) for part in checked)
    reason = reason.strip() or next((text for text in written if text.strip()), "")
    if reason:
        breadth.confirm(found, reason=reason, actor=actor)
        return
    how = "To go on anyway, say why: --confirm-breadth “reason”, or confirm_breadth in the pack's header."
    playbooks = [part for part in checked if part.kind == "playbook"] or checked
    report.conflicts.append(playbooks[-1].document.problem((), f"{found.why} {found.still} {how}"))


def _apply(part: Checked, actor: str, report: Report) -> None:
    try:
        with transaction.atomic():
            differences = tuple(part.type.plan(part.model))
            changed = bool(differences) and part.type.apply(part.model, actor)
    except Invalid as invalid:
        report.problems += _placed(part, invalid)
    except (Refusal, IntegrityError) as refusal:
        report.conflicts.append(part.document.problem((), f"{part.kind} {part.name}: {refusal}"))
    else:
        word = ("created" if _is_new(differences) else "changed") if changed else "unchanged"
        report.outcomes.append(Outcome(part.kind, part.name, word, differences if changed else ()))


def _is_new(differences: tuple[Difference, ...]) -> bool:
    """Tell a new row from a changed one: what every row has, this one had not."""
    return any(item.before is None and item.field in ALWAYS_THERE for item in differences)


def _placed(part: Checked, invalid: Invalid) -> list[Problem]:
    """Give each message of an action's refusal the place of the value that it is about."""
    if not invalid.errors:
        return [part.document.problem((), f"{part.kind} {part.name}: {invalid}")]
    return [
        part.document.problem(path_of(path), message)
        for path, messages in invalid.errors.items()
        for message in messages
    ]
