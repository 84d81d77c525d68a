"""Exception kinds, queues, calendars and service levels as documents of configuration."""

from collections.abc import Callable
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from django.db import models
from pydantic import Field, field_validator, model_validator

from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences, enter_applied
from incidents.calendars import check_hours, check_place
from incidents.kinds import KindDefinition
from incidents.models import Calendar, ExceptionKind, Queue, SlaPolicy
from incidents.states import Assign, Severity

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Label = Annotated[str, Field(min_length=1, max_length=120)]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Span = Annotated[list[Clock], Field(min_length=2, max_length=2)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Minutes = Annotated[int, Field(ge=1, le=525_600)]


class KindDocument(Document):
    """How one kind of exception is detected, proved, judged and routed."""

    kind: Literal["exception_kind"] = "exception_kind"
    code: Slug
    label: Label
    domain: Slug
    entity_type: Slug
    enabled: bool = True
    definition: KindDefinition

    @property
    def columns(self) -> dict[str, Any]:
        """Return what the row holds; the definition as its author wrote it."""
        text = self.definition.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {**self.model_dump(include={"label", "domain", "entity_type", "enabled"}), "definition": text}


class MemberDocument(Document):
    """A person who takes work from a queue: for which kinds or domains (none: all), and how much at once."""

    kind: str = ""
    user: Annotated[str, Field(min_length=1, max_length=150)]
    skills: list[Slug] = []
    capacity: Annotated[int, Field(ge=1, le=1_000)] = 10


class QueueDocument(Document):
    """A team's list of work."""

    kind: Literal["queue"] = "queue"
    slug: Slug
    label: Label
    domains: list[str] = []
    business_units: list[str] = []
    members: list[MemberDocument] = []
    assign: Assign = Assign.OFF
    calendar: Slug | None = None  # members are on duty in its open hours; none: always

    @field_validator("members")
    @classmethod
    def _are_different(cls, members: list[MemberDocument]) -> list[MemberDocument]:
        names = [member.user for member in members]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} stands here twice")
        return members

    @model_validator(mode="after")
    def _has_somebody(self) -> "QueueDocument":
        if self.assign != Assign.OFF and not self.members:
            raise ValueError(f"assign: {self.assign.value} needs members")
        return self

    @property
    def columns(self) -> dict[str, Any]:
        """Return what the row holds, but for the calendar."""
        plain = self.model_dump(include={"label", "domains", "business_units"})
        members = [member.model_dump(exclude={"kind"}) for member in self.members]
        return {**plain, "members": members, "assign": self.assign.value}


class CalendarDocument(Document):
    """Business hours and the days on which the clock stands still."""

    kind: Literal["calendar"] = "calendar"
    slug: Slug
    label: Label
    time_zone: str = "UTC"
    hours: dict[Day, list[Span]]
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
    subdivision: str = ""
    closed_days: list[Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]] = []

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as unknown:
            raise ValueError(f"unknown time zone {value}; write it like Europe/Berlin") from unknown
        return value

    @field_validator("hours")
    @classmethod
    def _are_hours(cls, hours: dict[Day, list[list[str]]]) -> dict[Day, list[list[str]]]:
        if wrong := check_hours(hours):
            raise ValueError(wrong)
        return hours

    @model_validator(mode="after")
    def _is_a_known_country(self) -> "CalendarDocument":
        if wrong := check_place(self.country, self.subdivision):
            raise ValueError(wrong)
        return self


class TargetDocument(Document):
    """Business minutes to acknowledge and to resolve."""

    kind: str = ""
    acknowledge: Minutes
    resolve: Minutes


class SlaDocument(Document):
    """How fast incidents must be acknowledged and resolved, and who hears of it when they are not."""

    kind: Literal["sla_policy"] = "sla_policy"
    slug: Slug
    label: Label
    calendar: Slug
    domains: list[str] = []
    kinds: list[str] = []
    business_units: list[str] = []
    regions: list[str] = []
    targets: dict[Severity, TargetDocument]
    warn_percent: Annotated[int, Field(ge=1, le=100)] = 75
    escalate_to: list[str] = []
    escalate_every_minutes: Minutes = 60
    contractual: bool = False
    priority: Annotated[int, Field(ge=0, le=32_767)] = 100
    enabled: bool = True

    @property
    def columns(self) -> dict[str, Any]:
        """Return what the row holds, but for the calendar."""
        plain = self.model_dump(exclude={"kind", "slug", "calendar", "targets"})
        targets = {
            str(severity.value): target.model_dump(exclude={"kind"}) for severity, target in self.targets.items()
        }
        return {**plain, "targets": targets}


def _columns(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(document, "columns", None) or document.model_dump(exclude={"kind", "slug"})
    if isinstance(document, SlaDocument | QueueDocument):
        calendar = Calendar.objects.filter(slug=document.calendar).first()
        if calendar is None and document.calendar is not None:
            message = f"There is no calendar “{document.calendar}”."
            raise Invalid(message, {"calendar": [message]})
        found["calendar"] = calendar
    return found


def _shown(value: Any) -> Any:
    return value.slug if isinstance(value, Calendar) else value


def _handlers(
    model: type[models.Model], key: str, name: str
) -> tuple[Callable[[Any], list[Difference]], Callable[[Any, str], bool]]:
    """Return how documents of one kind are compared with what stands, and applied."""

    def wanted(document: Any, *, planning: bool) -> dict[str, Any]:
        if planning and isinstance(document, SlaDocument | QueueDocument):
            # The calendar may come into being in the same run.
            return {**document.columns, "calendar": document.calendar}
        return _columns(document)

    def compare(document: Any, columns: dict[str, Any]) -> list[Difference]:
        row = model._default_manager.filter(**{key: getattr(document, key)}).first()
        before = {field: _shown(getattr(row, field)) for field in columns} if row else None
        after = {field: _shown(value) for field, value in columns.items()}
        return differences(f"{name} {getattr(document, key)}", before, after)

    def plan(document: Any) -> list[Difference]:
        return compare(document, wanted(document, planning=True))

    def apply(document: Any, actor: str) -> bool:
        columns = wanted(document, planning=False)
        lines = compare(document, columns)
        if not lines:
            return False
        row = model._default_manager.filter(**{key: getattr(document, key)}).first()
        fresh = row is None
        row = row or model(**{key: getattr(document, key)})
        for field, value in columns.items():
            setattr(row, field, value)
        if isinstance(row, ExceptionKind) and not fresh:
            row.version += 1
        row.save()
        enter_applied(name, row, lines, actor, fresh=fresh)
        return True

    return plan, apply


DOCUMENTS: dict[str, DocumentType] = {
    "queue": DocumentType(QueueDocument, 40, *_handlers(Queue, "slug", "queue")),
    "calendar": DocumentType(CalendarDocument, 30, *_handlers(Calendar, "slug", "calendar")),
    "sla_policy": DocumentType(SlaDocument, 40, *_handlers(SlaPolicy, "slug", "slapolicy")),
    "exception_kind": DocumentType(KindDocument, 50, *_handlers(ExceptionKind, "code", "exceptionkind")),
}
