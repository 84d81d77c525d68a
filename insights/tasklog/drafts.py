"""Writes a playbook of the steps that were seen: a draft that is off, has no active version, and says what is open."""

from typing import Any

from django.utils.text import slugify

from audit.actions import record
from audit.clock import db_now
from audit.proofs import digest
from connectors import registry
from connectors.base import Write
from connectors.models import Connection
from insights.tasklog.models import Routine
from playbooks.definitions import MAX_STEPS, PlaybookDefinition
from playbooks.models import Playbook, PlaybookVersion

# No connection offers it, so the playbook cannot be switched on before somebody has chosen.
TO_CHOOSE = "choose"
_CHANGES = (
    *("paste", "input", "type", "edit", "change", "enter", "fill", "set", "select", "write"),
    *("save", "submit", "post", "send", "confirm", "book", "release", "approve", "create", "delete"),
)


def write(routine: Routine, *, kind_code: str, author: str) -> Playbook:
    """Store the draft of ``routine`` and return its playbook; the caller's transaction holds both."""
    definition = definition_of(routine)
    PlaybookDefinition.model_validate(definition)
    label = f"Draft: {_words(routine.steps[0])} … {_words(routine.steps[-1])}"
    playbook = Playbook.objects.create(
        slug=_free(f"task-{routine.log_id}-{routine.number}"), label=label[:120], kind_code=kind_code, enabled=False
    )
    version = PlaybookVersion.objects.create(
        playbook=playbook,
        number=1,
        definition=definition,
        digest=digest(definition),
        active=False,
        author=author,
        created_at=db_now(),
    )
    said = {"task_log": routine.log_id, "routine": routine.number, "kind": kind_code, "digest": version.digest}
    record("playbook.drafted", actor=author, target=playbook, data=said)
    return playbook


def definition_of(routine: Routine) -> dict[str, Any]:
    """Return the routine as the text of a playbook; a step whose system is known has the operation that fits best."""
    systems = routine.log.systems
    operations = {slug: _writes(slug) for slug in {*systems.values()}}
    steps = [
        _step(number, step, systems.get(step["application"], ""), operations)
        for number, step in enumerate(_changing(routine.steps)[:MAX_STEPS], start=1)
    ]
    open_ = sum(step["operation"] == TO_CHOOSE for step in steps)
    rationale = (
        f"Seen {routine.repeats} times by {routine.people} people in {routine.weeks} weeks, "
        f"{routine.median_seconds:.0f} seconds each ({routine.get_kind_display().lower()}; task log {routine.log_id}, "
        f"routine {routine.number}). It is a draft: {open_} of {len(steps)} steps still need their operation, "
        "and every step its arguments."
    )
    return {"causes": [], "rationale": rationale, "steps": steps}


def _changing(steps: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the steps that put something somewhere; where none does, all of them."""
    said = [f"{step['action']} {step['element']}".lower() for step in steps]
    return [step for step, text in zip(steps, said, strict=True) if any(word in text for word in _CHANGES)] or steps


def _step(number: int, step: dict[str, str], connection: str, operations: dict[str, list[str]]) -> dict[str, Any]:
    title = f"{step['application']}: {_words(step)}" + (f" ({step['value']})" if step["value"] != "empty" else "")
    name = slugify(f"{step['action']}-{step['element']}")[:50]
    return {
        "name": f"s{number}-{name}".rstrip("-"),
        "title": title.replace("{", "(").replace("}", ")")[:200],
        "connection": connection or (slugify(step["application"])[:60] or "unknown"),
        "operation": _fitting(step, operations.get(connection, [])),
        "arguments": {},
    }


def _fitting(step: dict[str, str], offered: list[str]) -> str:
    """Return the operation that shares most words with the step; without any, it is left to a person."""
    said = set(slugify(f"{step['element']} {step['action']} {step['application']}").split("-"))
    ranked = sorted(offered, key=lambda name: (-len(said & set(name.replace(".", "_").split("_"))), name))
    best = ranked[0] if ranked else ""
    return best if best and said & set(best.replace(".", "_").split("_")) else TO_CHOOSE


def _writes(slug: str) -> list[str]:
    connection = Connection.objects.filter(slug=slug).first()
    if connection is None:
        return []
    return [one.name for one in registry.operations_of(connection) if isinstance(one, Write)]


def _words(step: dict[str, str]) -> str:
    return " ".join(part for part in (step["action"], step["element"] or step["application"]) if part)


def _free(slug: str) -> str:
    found, number = slug, 1
    while Playbook.objects.filter(slug=found).exists():
        number += 1
        found = f"{slug}-{number}"
    return found
