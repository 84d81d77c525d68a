"""The report of rights as people, programs and spreadsheets read it: one wording for all of them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from audit.errors import Invalid
from audit.exports import cell
from connectors.door import credential_uses
from connectors.door.credential_uses import Credential
from connectors.models import Connection
from connectors.rights import report as rights
from connectors.rights.report import Report, Right, State

TITLES = {
    State.UNUSED: ("Never used", "Allowed all that time, never used, and nothing in use names it. It can go."),
    State.UNNAMED: (
        "Used, and named by nothing",
        "Used in that time, but nothing that is switched on names it now. Find out what used it, then withdraw it.",
    ),
    State.MISSING: (
        "Named, not allowed",
        "Something in use names it, and it will be refused: allow it, or change that.",
    ),
    State.LEFT: ("Used, no longer allowed", "It was used in that time and has been withdrawn since."),
    State.IDLE: ("Needed, not used", "Something in use names it, or it takes back what is named. It stays."),
    State.NEW: ("Too early to say", "Allowed for a shorter time than is looked at, or not all calls are counted yet."),
    State.IN_USE: ("In use", "Named and used."),
}
TONES = {State.UNUSED: "medium", State.UNNAMED: "medium", State.MISSING: "critical", State.LEFT: "medium"}
COLUMNS = (
    "connection", "operation", "label", "use", "state", "allowed", "allowed_since", "calls", "refused", "last_used_at",
    "last_looked_at", "named_by", "takes_back", "needs",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """The rights in one state, with what that means."""

    state: State
    title: str
    text: str
    rights: Sequence[Right]

    @property
    def tone(self) -> str:
        """The word that pages colour it by."""
        return TONES.get(self.state, "")

    @property
    def can_go(self) -> bool:
        """Whether these can be taken away with one click."""
        return self.state in rights.CAN_GO


def days_of(text: str) -> int:
    """Read how many days are to be looked at. Raises ``Invalid``."""
    if not text:
        return rights.DAYS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= rights.MOST_DAYS):
        raise Invalid("So many days cannot be looked at.", {"days": [f"Is a number from 1 to {rights.MOST_DAYS}."]})
    return int(text)


def groups(report: Report) -> list[Group]:
    """Return the rights by state, what has to be done first."""
    found = []
    for state in rights.ORDER:
        mine = [one for one in report.rights if one.state is state]
        if mine:
            found.append(Group(state, *TITLES[state], mine))
    return found


def context(connection: Connection, days: int) -> dict[str, Any]:
    """Return what both pages of one connection show."""
    report = rights.report(connection, days)
    return {
        "connection": connection,
        "report": report,
        "groups": groups(report),
        "credentials": credential_uses.credentials(connection, days),
        "days": days,
        "choices": sorted({*rights.CHOICES, days}),
    }


def told(report: Report, credentials: Sequence[Credential]) -> dict[str, Any]:
    """Return a report as programs read it."""
    return {
        "connection": report.connection.slug,
        "days": report.days,
        "since": report.since,
        "log_since": report.log_since,
        "complete": report.whole,
        "rights": [_told(one) for one in report.rights],
        "credentials": [
            {"name": one.name, "set": one.is_set, "set_at": one.set_at, "last_used_at": one.used_at,
             "unused": one.unused}
            for one in credentials
        ],
        "grants": {
            "always": list(report.told.always),
            "rights": [{"right": right, "operations": names} for right, names in report.grants.items()],
        },
    }  # fmt: skip


def _told(one: Right) -> dict[str, Any]:
    return {
        "operation": one.name,
        "label": one.label,
        "use": one.use,
        "state": one.state.value,
        "allowed": one.allowed,
        "allowed_since": one.allowed_since,
        "calls": one.used.calls,
        "refused": one.used.refused,
        "last_used_at": one.used.last_at,
        "last_looked_at": one.looked_at,
        "named_by": [{"by": named.by, "name": named.name, "url": named.url} for named in one.named],
        "takes_back": list(one.undo_of),
        "needs": list(one.rights),
    }


def rows(report: Report, credentials: Sequence[Credential]) -> Iterator[list[Any]]:
    """Yield a report's lines as a spreadsheet has them; a secret is a line too."""
    slug = report.connection.slug
    for one in report.rights:
        line = {**_told(one), "connection": slug, "named_by": "; ".join(named.text for named in one.named)}
        yield [_joined(line[name]) for name in COLUMNS]
    for secret in credentials:
        state = "unused" if secret.unused else "in_use" if secret.is_set else "not set"
        blank: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {
            "connection": slug,
            "operation": secret.name,
            "use": "secret",
        }
        blank |= {"state": state, "allowed_since": secret.set_at or "", "last_used_at": secret.used_at or ""}
        yield [blank[name] for name in COLUMNS]


def _joined(value: Any) -> Any:
    if isinstance(value, list):
        return "; ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value


def as_csv(reports: Sequence[Report], name: str) -> HttpResponse:
    """Answer with the lines of these reports as a file in which no cell is a formula."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(answer)
    writer.writerow(COLUMNS)
    for report in reports:
        for line in rows(report, credential_uses.credentials(report.connection, report.days)):
            writer.writerow([cell(value) for value in line])
    return answer
