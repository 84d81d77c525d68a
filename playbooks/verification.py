"""Fresh reads: has the record changed since the plan, and does it say now what was predicted?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.clock import db_now
from connectors import gateway
from connectors.base import Blocked, Record
from connectors.door.purposes import Purpose
from connectors.kit.comparison import same
from connectors.models import Connection
from playbooks import scopes
from playbooks.models import Execution, StepRun, Verification

ACTOR = "system:loop"


@dataclass(frozen=True)
class Drift:
    """What a fresh look before the write found: already as wanted, changed by somebody, or neither."""

    already_so: bool = False
    changed: str = ""
    records: Sequence[Record] = ()


def connection_of(step_run: StepRun) -> Connection:
    """Return the connection that a step goes through.

    Raises ``Blocked`` where it is not configured any more, or the step is not one that its playbook names.
    """
    if said := scopes.beyond(step_run):
        raise Blocked(said, code="operation")
    connection = Connection.objects.filter(slug=step_run.connection).first()
    if connection is None:
        raise Blocked(f"The connection “{step_run.connection}” is not configured any more.", code="disabled")
    return connection


def observe(step_run: StepRun, purpose: Purpose) -> list[Record]:
    """Read the records of a step from the source now."""
    return gateway.observe(
        connection_of(step_run),
        step_run.operation,
        step_run.parameters,
        actor=ACTOR,
        incident=step_run.execution.incident_id,
        purpose=purpose,
    )


def purpose_of(step_run: StepRun) -> Purpose:
    """Return what a step's calls are for: an undo is not held up by what holds new work up."""
    return Purpose.UNDO if step_run.execution.direction == Execution.Direction.BACKWARD else Purpose.NEW


def compare_with_plan(step_run: StepRun) -> Drift:
    """Read the record that is about to be written and hold it against what the plan saw."""
    records = observe(step_run, purpose_of(step_run))
    wanted = [change for change in step_run.expected if not change["side_effect"]]
    if wanted and all(same(change["after"], _value(records, change)) for change in wanted):
        return Drift(already_so=True)
    seen = _version_seen(step_run)
    primary = records[0] if records else None
    if seen is None:
        return Drift(records=records)
    if primary is None:
        return Drift(changed=f"{seen['entity']} {seen['key']} is no longer there.")
    if primary.version != seen["version"]:
        return Drift(changed=f"{primary.entity} {primary.key} was changed by someone since the plan was made.")
    # A field that says what is wanted already is our own half-done work: the version shows that nobody else was here.
    said = [(change, _value(records, change)) for change in wanted]
    differing = next((c for c, now in said if not same(c["before"], now) and not same(c["after"], now)), None)
    if differing is not None:
        return Drift(changed=f"{differing['field']} of {differing['key']} is no longer {differing['before']}.")
    return Drift(records=records)


def version_to_write(step_run: StepRun) -> str:
    """Return the row version that the target must still have for the write to be taken."""
    seen = _version_seen(step_run)
    return seen["version"] if seen else ""


def verify(step_run: StepRun) -> Verification:
    """Read the records afresh and compare each predicted field; the result is stored whatever it is."""
    records = observe(step_run, Purpose.SETTLE)
    fields = [
        {
            "entity": change["entity"],
            "key": change["key"],
            "field": change["field"],
            "expected": change["after"],
            "actual": _value(records, change),
            "matched": same(change["after"], _value(records, change)),
            "side_effect": change["side_effect"],
        }
        for change in step_run.expected
    ]
    primary = [row for row in fields if not row["side_effect"]]
    return Verification.objects.create(
        step_run=step_run,
        # Where nothing was predicted there is nothing that could agree.
        matched=bool(primary) and all(row["matched"] for row in primary),
        fields=fields,
        records=[{"system": r.system, "entity": r.entity, "key": r.key, "version": r.version} for r in records],
        surprises=sum(1 for row in fields if row["side_effect"] and not row["matched"]),
        read_at=db_now(),
    )


def difference(verified: Verification) -> str:
    """Say in one sentence what the source says instead."""
    wrong = [row for row in verified.fields if not row["matched"] and not row["side_effect"]]
    parts = [
        f"{row['field']} of {row['key']} should be {row['expected']}, the source says {row['actual']}" for row in wrong
    ]
    return "; ".join(parts) + "."


def _version_seen(step_run: StepRun) -> Mapping[str, str] | None:
    """Return the primary record's version as the plan saw it, or as our own earlier step of this run left it."""
    sources: Sequence[Mapping[str, str]] = step_run.step.sources
    if step_run.execution.direction == Execution.Direction.BACKWARD:
        sources = step_run.result.get("sources", [])
    if not sources:
        return None
    seen = sources[0]
    earlier = Verification.objects.filter(
        step_run__execution=step_run.execution, step_run__number__lt=step_run.number
    ).order_by("-id")
    for verified in earlier:
        for row in verified.records:
            if (row["system"], row["entity"], row["key"]) == (seen["system"], seen["entity"], seen["key"]):
                return row  # type: ignore[no-any-return]
    return seen


def _value(records: Sequence[Record], change: Mapping[str, Any]) -> Any:
    for record in records:
        if (record.entity, record.key) == (change["entity"], change["key"]):
            return record.fields.get(change["field"])
    return None
