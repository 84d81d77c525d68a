"""Hold documents against their schemas and say, with line and column, everything that does not fit."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from audit.manifests import DocumentType
from playbooks.manifests.loader import Document, Path, Problem, Unreadable, load

LISTED = re.compile(r"; (?=[a-z_]+(?:\.\w+)*: )")
STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
NAMES = ("slug", "username", "code", "name", "playbook")


@dataclass(frozen=True)
class Checked:
    """A document that fits its schema and waits to be applied."""

    document: Document
    kind: str
    type: DocumentType
    model: BaseModel

    @property
    def name(self) -> str:
        """Return what the document is called: its slug, username, code, name or playbook, and its subject.

        One that has none of them in its text, such as a budget, may work its slug out.
        """
        value = self.document.value
        called = next((str(value[name]) for name in NAMES if name in value), str(getattr(self.model, "slug", "")))
        return f"{called} {value.get('subject', '')}".strip()


def check(text: str, file: str, types: dict[str, DocumentType]) -> tuple[list[Checked], list[Problem]]:
    """Read and check every document of one file; what is unreadable ends the file, the rest goes on."""
    checked: list[Checked] = []
    problems: list[Problem] = []
    try:
        for document in load(text, file):
            found = _check_document(document, types)
            if isinstance(found, Checked):
                checked.append(found)
            else:
                problems.extend(found)
    except Unreadable as unreadable:
        problems.append(unreadable.problem)
    return checked, problems


def repeated(documents: list[Checked]) -> list[Problem]:
    """Find documents that speak of the same thing twice: which one would hold would be an accident."""
    seen: dict[tuple[str, str], Checked] = {}
    problems = []
    for checked in documents:
        first = seen.setdefault((checked.kind, checked.name), checked)
        if first is not checked:
            where = f"{first.document.file}:{first.document.places[()].line}"
            problems.append(checked.document.problem((), f"{checked.kind} {checked.name} stands at {where} already."))
    return problems


def _check_document(document: Document, types: dict[str, DocumentType]) -> Checked | list[Problem]:
    value = document.value
    if not isinstance(value, dict):
        return [document.problem((), "A document is a mapping that begins with `kind:`.")]
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in types:
        known = ", ".join(sorted(types))
        message = f"There is no document of kind “{kind}”." if kind else "`kind:` is missing."
        return [document.problem(("kind",), f"{message} Known kinds: {known}.")]
    try:
        model = types[kind].schema.model_validate(value)
    except ValidationError as error:
        return _problems(document, [dict(part) for part in error.errors(include_url=False)])
    return Checked(document, kind, types[kind], model)


def _problems(document: Document, errors: list[dict[str, Any]]) -> list[Problem]:
    """Turn a schema's errors into problems; of several readings that one value failed, the telling one is kept."""
    groups: dict[tuple[Path, object], list[dict[str, Any]]] = {}
    for error in errors:
        path = tuple(error["loc"])
        lacking = path[-1] if error["type"] in ("extra_forbidden", "missing") else None
        groups.setdefault((document.existing(path), lacking), []).append(error)
    found: list[Problem] = []
    for same in groups.values():
        telling = [error for error in same if (error.get("ctx") or {}).get("error")] or same[:1]
        for error in telling:
            found += _named(document, error) or [_problem(document, error)]
    return found


def _named(document: Document, error: dict[str, Any]) -> list[Problem]:
    """Cut an error that lists several places (``evidence.0.if: …; title: …``) into one problem for each."""
    listed = (error.get("ctx") or {}).get("found")
    if not isinstance(listed, str):
        return []
    problems = []
    for one in LISTED.split(listed):
        path, _, message = one.partition(": ")
        steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
        problems.append(document.problem((*error["loc"], *steps), message))
    return problems


def _problem(document: Document, error: dict[str, Any]) -> Problem:
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return document.problem(path, "This name is not known here.", at_key=True)
    if error["type"] == "missing":
        return document.problem(path, "This is missing.", at_key=True)
    raised = (error.get("ctx") or {}).get("error")
    message = str(raised) if isinstance(raised, Exception) else str(error["msg"])
    problem = document.problem(path, message.removeprefix("Value error, "), at_key="[key]" in path)
    line, column = _inside(raised)
    return _within_text(document, path, problem, line, column) if line else problem


def _inside(raised: object) -> tuple[int, int]:
    """Tell where inside a text an expression is wrong, if the error knows: line and column from 1."""
    for error in (raised, getattr(raised, "__cause__", None)):
        line = getattr(error, "line", None)
        if isinstance(line, int) and line > 0:
            return line, max(int(getattr(error, "column", 1) or 1), 1)
    return 0, 0


def _within_text(document: Document, path: Path, problem: Problem, line: int, column: int) -> Problem:
    """Move a problem from the start of a text to the spot within it, where the file's layout allows."""
    place = document.places.get(document.existing(path))
    if place is None or place.style == ">":
        return problem  # a folded text has lost its lines
    if place.style == "|":
        return Problem(problem.file, place.line + line, problem.column, problem.path, problem.message)
    if line > 1:
        return problem
    shift = column - 1 + (1 if place.style else 0)
    return Problem(problem.file, place.line, place.column + shift, problem.path, problem.message)


def path_of(text: str) -> Path:
    """Read ``steps[0].operation`` back into a path."""
    return tuple(int(number) if number else name for name, number in STEP.findall(text))
