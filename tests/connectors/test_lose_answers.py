"""Each ERP kind on its bad days, with the simulator's ledger as witness: no second effect, no request inside a pause.

Two writes of each kind: one that changes a record, and one that makes or posts something, where twice would be worst.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from audit.clock import db_now
from connectors import gateway, transport
from connectors.base import (
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
    VersionConflict,
)
from connectors.door import retry
from connectors.models import Connection
from tests.connectors.at_door import side_by_side
from tests.connectors.business import CUSTOMER, INVOICE, ORDER, plant_case, plant_crm, plant_invoice, plant_order
from tests.connectors.conftest import Simulated
from tests.connectors.crm_uses import asked
from tests.connectors.sap_world import BILL, REPLACE, WRONG, plant_wrong_order
from tests.connectors.sap_world import ORDER as SAP_ORDER

KEY = "d" * 40
SILENCE = 0.8  # seconds that a target is silent for after it has committed


@dataclass
class Subject:
    """One write of one kind, where its request is found, and how a person changes the record meanwhile."""

    system: str
    connection: Connection
    operation: str
    arguments: dict[str, Any]
    path: str
    edit: tuple[str, Any, dict[str, Any]] | None = None
    outcomes: list[str] = field(default_factory=list)

    def send(self, version: str = "") -> gateway.Answer:
        """Send it once, as the connection stands now."""
        fresh = Connection.objects.get(pk=self.connection.pk)
        given: dict[str, Any] = {"actor": "test", "effect_key": KEY, "version": version}
        return gateway.call(fresh, self.operation, self.arguments, **given)

    def found(self) -> bool:
        """Look for its trace."""
        fresh = Connection.objects.get(pk=self.connection.pk)
        found = gateway.find(fresh, self.operation, self.arguments, effect_key=KEY, actor="test")
        return found is not None

    def carry(self) -> bool:
        """Do what the retry table says, try after try, as time passes; tell whether the effect is there at the end."""
        for attempt in range(1, 8):
            try:
                self.send()
            except ConnectorError as error:
                self.outcomes.append(type(error).__name__)
                then = retry.decide(error, wrote=True, attempt=attempt, key=KEY)
                Connection.objects.update(not_before=db_now() - timedelta(hours=1))
                if then.read_back and self.found():
                    return True
                if then.park:
                    return False
            else:
                return True
        return False


def fo_change(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    plant_order(simulated)
    given = {"company": "demf", "order": ORDER, "mode": "AIR"}
    edit = ("SalesOrderHeadersV2", ORDER, {"DeliveryModeCode": "SEA"})
    return Subject("fo", use("fo"), "order.set_delivery_mode", given, "PATCH .*SalesOrderHeadersV2", edit)


def fo_posting(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    plant_invoice(simulated)
    given = {"company": "demf", "invoice": INVOICE, "reason": "Billed twice"}
    edit = ("SalesInvoiceHeadersV2", INVOICE, {"CustomersOrderReference": "PO-78"})
    return Subject("fo", use("fo"), "invoice.credit", given, "POST .*CreditInvoice", edit)


def fo_reissue(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    plant_invoice(simulated, CreditedAmount=1250.5, RemainingAmount=0)
    given = {"company": "demf", "invoice": INVOICE, "customer": CUSTOMER, "reason": "Wrong account"}
    edit = ("SalesInvoiceHeadersV2", INVOICE, {"CustomersOrderReference": "PO-78"})
    return Subject("fo", use("fo"), "invoice.reissue", given, "POST .*ReissueInvoice", edit)


def fo_taking_back(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    plant_invoice(simulated, CreditedAmount=1250.5, RemainingAmount=0)
    made = {"FreeTextNumber": "FTI-1", "IsCorrection": "Yes", "CorrectedInvoiceId": INVOICE, "IsPosted": "Yes"}
    whose = {
        "CustomerAccount": CUSTOMER,
        "CurrencyCode": "EUR",
        "InvoiceAmount": 1250.5,
        "CustomerReference": "earlier",
    }
    simulated.plant("fo", "FreeTextInvoiceHeaders", dataAreaId="demf", InvoiceIdentifier=1, **made, **whose)
    given = {"company": "demf", "reference": "earlier", "reason": "Wrong again"}
    edit = ("FreeTextInvoiceHeaders", {"InvoiceIdentifier": 1}, {"FreeTextNumber": "FTI-2"})
    return Subject("fo", use("fo"), "reissue.reverse", given, "POST .*CreditFreeTextInvoice", edit)


def dv_change(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    ids = plant_crm(simulated)
    name, given = asked("columns", ids)
    return Subject("dv", use("dv"), name, given, "PATCH .*accounts", ("account", ids["account"], {"name": "Lamps"}))


def dv_making(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    name, given = asked("new case", plant_crm(simulated))
    return Subject("dv", use("dv"), name, given, "PATCH .*incidents")


def sap_change(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    given = {"order": SAP_ORDER, "condition": "02"}
    edit = ("A_SalesOrder", SAP_ORDER, {"ShippingType": "03"})
    return Subject("sap", use("sap"), "order.set_shipping", given, "PATCH .*A_SalesOrder", edit)


def sap_posting(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    edit = ("A_BillingDocument", BILL, {"DocumentReferenceID": "x"})
    path = "POST .*BILLING_DOCUMENT_SRV/Cancel"
    return Subject("sap", use("sap"), "billing.cancel", {"billing": BILL}, path, edit)


def sap_entering(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    plant_wrong_order(simulated, reason="Z9")
    edit = ("A_SalesOrder", WRONG, {"ShippingType": "03"})
    return Subject("sap", use("sap"), "order.replace", REPLACE, "POST .*A_SalesOrder", edit)


def sf_change(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    case = plant_case(simulated)["Id"]
    return Subject(
        "sf", use("crm"), "case.close", {"case": case}, "PATCH .*Case/", ("Case", case, {"Priority": "High"})
    )


def sf_making(use: Callable[[str], Any], simulated: Simulated) -> Subject:
    given = {"case": plant_case(simulated)["Id"], "text": "The second invoice is credited."}
    return Subject("sf", use("crm"), "case.comment", given, "POST .*CaseComment")


SUBJECTS = [
    fo_change, fo_posting, fo_reissue, fo_taking_back,
    dv_change, dv_making, sap_change, sap_posting, sap_entering, sf_change, sf_making,
]  # fmt: skip
SYSTEMS = {"fo", "dv", "sap", "sf"}


@pytest.fixture(params=SUBJECTS, ids=lambda made: made.__name__)
def subject(request: pytest.FixtureRequest, simulated: Simulated, settings: Any) -> Subject:
    settings.BREAKER_FAILURES = settings.BREAKER_SHARE = 0
    made: Subject = request.param(request.getfixturevalue, simulated)
    # A token that is at hand: what a test counts are the write's own requests.
    gateway.observe(made.connection, made.operation, made.arguments, actor="test")
    return made


def writes(simulated: Simulated) -> list[dict[str, Any]]:
    """The requests that carried the key, in the order of their arrival."""
    return [row for row in simulated.requests() if row["effect_key"] == KEY and row["method"] != "GET"]


def test_every_erp_kind_is_here_with_a_change_and_with_something_made() -> None:
    assert {made.__name__.partition("_")[0] for made in SUBJECTS} == SYSTEMS
    assert len(SUBJECTS) >= 2 * len(SYSTEMS)


# --- the retry table -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("403", Refused), ("404", NotFound), ("409", Refused), ("410", NotFound), ("412", VersionConflict),
        ("415", Refused), ("422", Refused),
    ],
)  # fmt: skip
def test_what_the_target_refuses_is_left_to_a_person_after_one_try(
    subject: Subject, simulated: Simulated, fault: str, error: type[ConnectorError]
) -> None:
    simulated.fault(fault, subject.path, system=subject.system, count=20)

    done = subject.carry()

    assert (done, subject.outcomes) == (False, [error.__name__])
    assert simulated.effects(KEY) == []
    assert len([row for row in writes(simulated) if row["status"] == int(fault)]) == 1


@pytest.mark.parametrize(("fault", "error"), [("lock", Locked), ("429", RateLimited)])
def test_what_passes_is_tried_again_and_done_once(
    subject: Subject, simulated: Simulated, fault: str, error: type[ConnectorError]
) -> None:
    simulated.fault(fault, subject.path, system=subject.system, count=2)

    done = subject.carry()

    assert (done, subject.outcomes) == (True, [error.__name__] * 2)
    assert len(simulated.effects(KEY)) == 1


def test_a_lock_that_does_not_end_is_left_to_a_person(subject: Subject, simulated: Simulated) -> None:
    simulated.fault("lock", subject.path, system=subject.system, count=20)

    assert not subject.carry()
    assert subject.outcomes == ["Locked"] * 5
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize("fault", ["500", "502", "503", "504", "fail_before", "reset_before", "html"])
def test_an_answer_that_was_lost_before_the_commit_is_looked_for_then_sent_again(
    subject: Subject, simulated: Simulated, fault: str
) -> None:
    simulated.fault(fault, subject.path, system=subject.system)

    done = subject.carry()

    assert (done, subject.outcomes) == (True, ["Unanswered"])
    assert len(simulated.effects(KEY)) == 1
    assert _read_between(simulated), "nothing is sent again unseen"


def _read_between(simulated: Simulated) -> bool:
    """Tell whether the target was asked between the first and the last request that carried the key."""
    sent = [row["n"] for row in writes(simulated)]
    reads = [row["n"] for row in simulated.requests() if row["method"] == "GET" or row["effect_key"] != KEY]
    return any(sent[0] < n < sent[-1] for n in reads)


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503", "commit_then_timeout"])
def test_an_unknown_outcome_is_read_back_and_adopted(
    subject: Subject, simulated: Simulated, fault: str, settings: Any
) -> None:
    seconds: dict[str, Any] = {"seconds": SILENCE} if fault == "commit_then_timeout" else {}
    settings.OUTBOUND_TIMEOUT_SECONDS = SILENCE / 2 if seconds else 5
    transport.close_all()
    simulated.fault(fault, subject.path, system=subject.system, **seconds)

    done = subject.carry()

    assert (done, subject.outcomes) == (True, ["Unanswered"])
    assert len(simulated.effects(KEY)) == 1
    assert len([row for row in writes(simulated) if row["committed"]]) == 1


def test_where_nothing_was_sent_it_is_sent_again_without_looking(
    subject: Subject, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = transport._Checked.handle_request, list[str]()

    def refuse(self: Any, request: httpx.Request) -> httpx.Response:
        if request.headers.get("x-effect-key") == KEY and not failed:
            failed.append(str(request.url))
            raise httpx.ConnectError("refused")
        return real(self, request)

    monkeypatch.setattr(transport._Checked, "handle_request", refuse)

    done = subject.carry()

    assert (done, subject.outcomes) == (True, [Unreachable.__name__])
    assert len(failed) == len(simulated.effects(KEY)) == 1


def test_credentials_that_are_not_accepted_are_left_to_a_person(subject: Subject, simulated: Simulated) -> None:
    simulated.fault("401", subject.path, system=subject.system, count=20)

    assert not subject.carry()
    assert subject.outcomes == [Unauthorized.__name__]
    assert simulated.effects(KEY) == []
    assert len(writes(simulated)) <= 2, "once more with a fresh token, then never again"


# --- Retry-After, for all workers ------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_no_worker_asks_before_the_pause_is_over(subject: Subject, simulated: Simulated) -> None:
    simulated.fault("429", subject.path, system=subject.system, seconds=60)
    with pytest.raises(RateLimited) as limited:
        subject.send()
    arrived = len(simulated.requests())
    row = simulated.requests()[-1]

    outcomes = side_by_side(2, subject.send) + side_by_side(2, subject.found)

    assert outcomes == ["not_before"] * 4
    assert len(simulated.requests()) == arrived, "no request inside the window"
    assert row["retry_after"] in (60, None)
    assert limited.value.retry_after == 60
    Connection.objects.update(not_before=db_now() - timedelta(seconds=1))
    assert subject.carry()
    assert len(simulated.effects(KEY)) == 1


# --- someone else was there -------------------------------------------------------------------------------
def test_a_record_that_a_person_changed_meanwhile_is_not_overwritten(subject: Subject, simulated: Simulated) -> None:
    if subject.edit is None:
        # What is made new has no version that somebody could have changed; its key alone makes it one.
        subject.send()
        with_key = simulated.effects(KEY)
        assert len(with_key) == 1
        assert subject.found()
        return
    seen = gateway.observe(subject.connection, subject.operation, subject.arguments, actor="test")[0]
    entity, key, change = subject.edit
    simulated.edit(subject.system, entity, key, **change)

    with pytest.raises(VersionConflict) as conflict:
        subject.send(version=seen.version)

    assert retry.decide(conflict.value, wrote=True, attempt=1).park
    assert simulated.effects(KEY) == []
    now = gateway.observe(subject.connection, subject.operation, subject.arguments, actor="test")[0]
    assert now.version != seen.version


# --- tokens that end in between ----------------------------------------------------------------------------
def test_a_token_that_ended_is_renewed_once_and_the_write_is_done_once(subject: Subject, simulated: Simulated) -> None:
    if subject.system == "sap":
        # Its sign-in has no end; what ends is the CSRF token that goes with the session, once there is one.
        before = {"order": SAP_ORDER, "block": "02"}
        gateway.call(subject.connection, "order.set_billing_block", before, actor="test", effect_key="e" * 40)
        expired = simulated.client.post("/control/sap", json={"expire_csrf": True}).raise_for_status().json()
        assert expired["expired"] >= 1
    else:
        simulated.client.post("/control/tokens/expire", json={"system": subject.system}).raise_for_status()

    subject.send()

    assert len(simulated.effects(KEY)) == 1
    refused = [row["status"] for row in writes(simulated) if row["status"] in (401, 403)]
    assert len(refused) <= 1
    assert len([row for row in writes(simulated) if row["committed"]]) == 1


def test_an_unknown_outcome_is_an_error_that_says_so(subject: Subject, simulated: Simulated) -> None:
    simulated.fault("commit_then_reset", subject.path, system=subject.system)

    with pytest.raises(Unanswered) as lost:
        subject.send()

    then = retry.decide(lost.value, wrote=True, attempt=1)
    assert (lost.value.effect_possible, then.read_back, then.park) == (True, True, False)
    assert "Look in the target" in then.guidance
