"""Microsoft Teams: an outgoing webhook's messages in, cards out to the secret address of a workflow."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings as django_settings

from audit.clock import db_now
from connectors.base import (
    ConnectorError,
    Health,
    HookAnswer,
    Inbound,
    Operation,
    RateLimited,
    Refused,
    Sample,
    Tell,
    Unanswered,
    Written,
)
from connectors.kinds.teams import activities, cards
from connectors.kinds.teams.settings import TeamsConfig
from connectors.kit.answers import Explained, raise_for, retry_after
from connectors.redaction import Redactor
from connectors.talk.messages import Message
from connectors.talk.tellers import Teller
from connectors.transport import Reply
from connectors.wire import secretaddress

# What a connector of the older sort says in the body of a 200 where the message did not get through.
_FAILED = re.compile(r"webhook message delivery failed|HTTP error \d{3}", re.IGNORECASE)
_STATUS = re.compile(r"HTTP error (\d{3})", re.IGNORECASE)


class Teams(Teller):
    """What people write to the outgoing webhook, and cards whose buttons lead to the console's own pages."""

    slug = "teams"
    label = "Teams"
    config = TeamsConfig
    secrets = frozenset({"security_token", "workflow_url"})
    signed_with = "security_token"
    channel = "chat"
    operations = (Tell("teams.post", Message, "Post a card"),)
    settings: TeamsConfig

    def redactor(self) -> Redactor:
        """Return what takes the secrets out of texts, the pieces of the secret address too."""
        return Redactor([*self._secrets.values(), *secretaddress.parts_of(self._secrets.get("workflow_url", ""))])

    # --- in --------------------------------------------------------------------------------------
    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Hold the raw body against its HMAC, whose key is the security token decoded from base64."""
        activities.prove(self.secret("security_token"), body, headers)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut out what a person said, if its signed time is near enough to the database's."""
        return activities.inbound(body, self.settings, db_now())

    def answer(self, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
        """Say within the request what was noted: Teams shows it below the message."""
        return activities.answered(body, self.settings, str(django_settings.PUBLIC_URL).rstrip("/"))

    @classmethod
    def sample(cls, settings: TeamsConfig) -> Sample:
        """Return a message as an outgoing webhook sends it; whoever tries it puts in the time and signs it."""
        told = {
            "type": "message",
            "id": "1767225600000",
            "timestamp": "<time now, as in 2026-01-01T00:00:00Z>",
            "text": "<at>Goldseam</at> SO-000697 is stuck",
            "from": {"id": "29:1", "name": "Somebody"},
            "conversation": {"id": "19:channel@thread.tacv2;messageid=1767225600000"},
            "channelData": {"tenant": {"id": settings.tenant_id}},
        }
        return Sample(json.dumps(told), headers=(("Authorization", "HMAC <base64 HMAC>"),))

    # --- out -------------------------------------------------------------------------------------
    def check(self) -> Health:
        """Look the workflow's host up. Whether it takes cards cannot be tried without posting one."""
        secretaddress.reachable(self._workflow())
        tried = (f"the address of {self.settings.workflow_host}",)
        return Health(True, tried, "The host is there; whether the workflow takes cards shows when one is posted.")

    def logged(self, operation: Operation, arguments: Any) -> dict[str, Any]:
        """Keep which message it was, not what it said of a record."""
        return {"id": arguments.id, "type": arguments.type, "subject": arguments.subject}

    def tell(self, operation: Tell, arguments: Message, *, key: str) -> Written:
        """Post a card. A workflow gives back no name of the message, so nothing can be put below it later.

        The card's address takes no key either: where an answer is lost, the same card may appear twice.
        """
        url, body = self._workflow(), cards.body_of(arguments)
        reply = self.http.send("POST", url, raw=body, headers={"Content-Type": "application/json"})
        raise_for(reply, label=self.label, wrote=True, explain=_explained)
        if failed := _failure(reply):
            raise failed
        return Written(request_id=reply.headers.get("x-ms-workflow-run-id", "")[:100])

    def _workflow(self) -> str:
        return secretaddress.held_against(self.secret("workflow_url"), self.settings.workflow_host, name="workflow_url")


def _failure(reply: Reply) -> ConnectorError | None:
    """Return what a 200 means that tells of a failure; ``None`` where it tells of none."""
    text = reply.body[:4000].decode("utf-8", "replace")
    if not _FAILED.search(text):
        return None
    found = _STATUS.search(text)
    status = int(found[1]) if found else reply.status
    said = f"Teams took the request and did not deliver the message (HTTP error {status})."
    if status == 429:
        wait = retry_after(reply.headers.get("retry-after", ""))
        return RateLimited("Teams asks to wait.", status=429, code="throttled", retry_after=wait)
    if 400 <= status < 500:
        return Refused(f"{said} Look whether the connector is still there.", status=status, code="delivery")
    return Unanswered(said, status=status, code="delivery")


def _explained(reply: Reply) -> Explained:
    """Read a workflow's error body: ``{"error": {"code", "message"}}``."""
    error = reply.json()["error"]
    code = str(error["code"])
    gone = reply.status in (404, 410) or code in ("WorkflowNotFound", "WorkflowTriggerIsNotEnabled")
    said = " Look whether the workflow is still there and switched on." if gone else ""
    return Explained(f"{' '.join(str(error['message']).split())[:300]}{said}", code)
