"""Packs against the simulated distributor: connections lead there, its facts come in, incidents are carried on."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F

from connectors.kit import credentials
from incidents.intake import accept
from incidents.models import Incident
from incidents.normal import NormalSignal
from playbooks.models import Verification
from tests import remembering
from tests.playbooks import driving


def lead_to(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the packs' connections lead to the simulator at ``url``, and let it be called."""
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_URL", url)
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_SECRET", "simulator")
    monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", "a-hook-secret-of-some-length")
    monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")
    settings.OUTBOUND_ALLOW = [url.removeprefix("http://")]
    credentials.forget_all()


def install(url: str, *packs: str, **said: Any) -> None:
    """Apply packs to the simulator at ``url``: the first time in earnest, afterwards as it was remembered."""
    remembering.once((url, *packs), lambda: call_command("apply", pack=list(packs), stdout=io.StringIO(), **said))


def take_in(fact: Any) -> Incident:
    """Let a fact of the distributor come in as a signal, and return its incident."""
    one = NormalSignal(
        source="urn:distributor:test", id=fact.entity_key, time=datetime.now(UTC), code=fact.kind,
        entity_type=fact.entity_type, entity_key=fact.entity_key, business_unit=fact.business_unit,
        region=fact.region, amount=Decimal(str(fact.amount)), attributes=dict(fact.attributes),
    )  # fmt: skip
    return Incident.objects.get(pk=accept(one).incident.pk)


def drive(incident: Incident) -> Incident:
    """Carry an incident on until it rests; a playbook that wants a second look minutes later finds them gone by."""

    def later() -> None:
        Verification.objects.update(read_at=F("read_at") - timedelta(minutes=30))

    return driving.drive(incident, before=later)
