"""Start narrow: before the first verified mend, a second process is switched on only by somebody who says why.

Many processes at once are many causes for one failure to have. One slice that runs from signal to proof shows first
that connections, rights, policies and people fit. It is a warning: with a reason, which the ledger keeps, it passes.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.urls import reverse

from audit.actions import record
from audit.errors import Invalid
from connectors.models import Connection
from incidents.kinds import definition_of
from incidents.models import ExceptionKind, Incident
from playbooks.models import Execution, Playbook
from playbooks.pack_models import Pack
from playbooks.states import ExecutionState

UNNAMED = "a process without a name"


@dataclass(frozen=True)
class FirstStep:
    """One step to the first verified mend: what to do, where, and whether it is done."""

    name: str
    text: str
    url: str
    done: bool


@dataclass(frozen=True)
class Widening:
    """More than one process would be at work before the first verified mend."""

    added: tuple[str, ...]
    active: tuple[str, ...]
    missing: tuple[FirstStep, ...]

    @property
    def why(self) -> str:
        """Say in one sentence what speaks against it."""
        also = f" beside {', '.join(self.active)}" if self.active else ""
        return (
            f"This switches on {', '.join(self.added)}{also} before anything has been mended and verified here. "
            "If the first mend fails, nobody can tell which of them is at fault: get one process to its first "
            "verified mend, then add the next."
        )

    @property
    def still(self) -> str:
        """Say in one sentence what is missing, and where it is done."""
        return "Still missing: " + "; ".join(f"{step.name} ({step.url})" for step in self.missing) + "."


def mended() -> bool:
    """Tell whether this installation has ever mended something and read it back."""
    runs = Execution.objects.filter(direction=Execution.Direction.FORWARD, state=ExecutionState.VERIFIED)
    return runs.exists()


def first_steps() -> list[FirstStep]:
    """Return the way to the first verified mend, in order; each step is computed from rows."""
    connection = reverse("admin:connectors_connection_changelist")
    packs = reverse("admin:playbooks_pack_changelist")
    return [
        FirstStep(
            "connect one system",
            "Give Goldseam the address and the credentials of one system, with the fewest rights that do.",
            connection,
            Connection.objects.filter(enabled=True).exists(),
        ),
        FirstStep(
            "install one pack",
            "A pack brings the exception kinds, playbooks and policies of one process. It shows first what it changes.",
            packs,
            Pack.objects.exists() and Playbook.objects.filter(enabled=True).exists(),
        ),
        FirstStep(
            "see the first incident",
            "Let the system send its events, or send one signal by the API.",
            reverse("incidents"),
            Incident.objects.exists(),
        ),
        FirstStep(
            "approve the first mend",
            "Look at the change field by field, approve it, and see it read back from the source.",
            reverse("approvals"),
            mended(),
        ),
    ]


def process_of(kind: ExceptionKind) -> str:
    """Return the process that a kind of exception belongs to."""
    return definition_of(kind).process or UNNAMED


def active_processes() -> frozenset[str]:
    """Return the processes for which a playbook is switched on."""
    at_work = Playbook.objects.filter(enabled=True, versions__active=True).values("kind_code")
    return frozenset(process_of(kind) for kind in ExceptionKind.objects.filter(code__in=at_work))


def widening(before: Collection[str], after: Collection[str]) -> Widening | None:
    """Return what speaks against going from the one set of processes to the other; ``None``: nothing does."""
    added = frozenset(after) - frozenset(before)
    if not added or len(after) < 2 or mended():
        return None
    missing = tuple(step for step in first_steps() if not step.done)
    return Widening(tuple(sorted(added)), tuple(sorted(before)), missing)


def confirm(found: Widening, *, reason: str, actor: str) -> None:
    """Enter that somebody widens anyway, and why. Raises ``Invalid`` without a reason; call inside a transaction."""
    if not reason.strip():
        raise Invalid(found.why, {"confirm_breadth": [f"{found.why} {found.still} To go on anyway, say why."]})
    data = {"added": list(found.added), "active": list(found.active), "missing": [one.name for one in found.missing]}
    record("breadth.confirmed", actor=actor, target="breadth", reason=reason.strip(), data=data)
