"""Subscriptions as documents of configuration."""

from typing import Annotated, Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from pydantic import Field

from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences, enter_applied
from connectors.models import Connection
from incidents.states import Severity
from playbooks.telling import actions, ways
from playbooks.telling.models import Subscription
from playbooks.telling.states import Event

_COLUMNS = (
    *("label", "enabled", "operation", "events", "min_severity", "domains", "business_units", "regions"),
    *("recipients", "ask_approvers", "with_values", "skip_hours"),
)


class SubscriptionDocument(Document):
    """Which events go out through which connection, and with whose eyes they are seen."""

    kind: Literal["subscription"] = "subscription"
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
    label: Annotated[str, Field(min_length=1, max_length=120)]
    enabled: bool = True
    connection: Annotated[str, Field(min_length=1, max_length=60)]
    operation: Annotated[str, Field(min_length=1, max_length=100)]
    events: Annotated[list[Event], Field(min_length=1)]
    as_user: Annotated[str, Field(max_length=150)] = ""
    min_severity: Severity | Literal[""] = ""
    domains: list[str] = []
    business_units: list[str] = []
    regions: list[str] = []
    recipients: Annotated[list[Annotated[str, Field(pattern=r"^[^@\s,]+@[^@\s,]+$")]], Field(max_length=50)] = []
    ask_approvers: bool = False
    with_values: bool = False
    skip_hours: Annotated[int, Field(ge=1, le=8760)] = 24

    @property
    def columns(self) -> dict[str, Any]:
        """Return the subscription's own columns."""
        return {name: plain for name, plain in self.model_dump(mode="json").items() if name in _COLUMNS}


def plan(document: SubscriptionDocument) -> list[Difference]:
    """Say what applying the document would change."""
    row = Subscription.objects.select_related("connection", "as_user").filter(slug=document.slug).first()
    wanted = {**document.columns, "connection": document.connection, "as_user": document.as_user}
    before = None
    if row is not None:
        user = row.as_user.get_username() if row.as_user else ""
        before = {**{name: getattr(row, name) for name in _COLUMNS}, "connection": row.connection.slug, "as_user": user}
    return differences(f"subscription {document.slug}", before, wanted)


@transaction.atomic
def apply(document: SubscriptionDocument, actor: str) -> bool:
    """Make the subscription or bring it in line. Raises ``Invalid`` for a way or a user that there is not."""
    lines = plan(document)
    if not lines:
        return False
    row = Subscription.objects.select_for_update().filter(slug=document.slug).first()
    fresh = row is None
    wakes = document.enabled and (row is None or not row.enabled)
    row = row or Subscription(slug=document.slug)
    for name, value in document.columns.items():
        setattr(row, name, value)
    row.connection, row.as_user = _way(document), _user(document)
    if wakes:
        actions.begin_now(row)
    row.save()
    enter_applied("subscription", row, lines, actor, fresh=fresh)
    return True


def _way(document: SubscriptionDocument) -> Connection:
    way = ways.named(f"{document.connection}:{document.operation}")
    if way is None:
        known = ", ".join(one.name for one in ways.known()) or "none"
        text = f"{document.connection} may not do {document.operation}. What can tell something: {known}."
        raise Invalid(text, {"operation": [text]})
    if why := ways.objection(way, document.recipients, ask_approvers=document.ask_approvers):
        raise Invalid(why, {"recipients": [why]})
    return way.connection


def _user(document: SubscriptionDocument) -> User | None:
    if not document.as_user:
        return None
    user = User.objects.filter(username=document.as_user).first()
    if user is None:
        text = f"There is no user “{document.as_user}”."
        raise Invalid(text, {"as_user": [text]})
    return user


DOCUMENTS: dict[str, DocumentType] = {"subscription": DocumentType(SubscriptionDocument, 90, plan, apply)}
