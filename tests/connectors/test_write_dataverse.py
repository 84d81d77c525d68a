"""Every write of Dataverse against the simulator: predicted, sent once, read back as predicted, undone."""

from typing import Any

import pytest

from connectors.base import Blocked, ConnectorError, Locked, RateLimited, Refused, Unanswered, VersionConflict
from connectors.models import Call, Connection
from tests.connectors.business import plant_crm
from tests.connectors.conftest import Simulated
from tests.connectors.crm_uses import BACK, KEY, PATHS, USES, asked, looked_for, observed, send, values, write_of


@pytest.fixture
def ids(simulated: Simulated) -> dict[str, str]:
    return plant_crm(simulated)


@pytest.mark.parametrize("use", USES)
def test_a_write_does_exactly_what_was_predicted_and_its_undo_puts_it_back(
    dv: Connection, simulated: Simulated, ids: dict[str, str], use: str
) -> None:
    name, arguments = asked(use, ids)
    write = write_of(dv, name)
    args = write.arguments.model_validate(arguments)
    before = observed(dv, name, arguments)
    predicted, undo = write.predict(args, before), write.undo(args, before, KEY)
    assert undo is not None

    send(dv, name, arguments, version=before[0].version)
    after = values(observed(dv, name, arguments))
    send(dv, undo.operation, undo.arguments, BACK, observed(dv, undo.operation, undo.arguments)[0].version)
    restored = values(observed(dv, name, arguments))

    assert predicted
    assert {c.field: after[c.entity, c.key, c.field] for c in predicted} == {c.field: c.after for c in predicted}
    assert {c.field: restored.get((c.entity, c.key, c.field)) for c in predicted} == {
        c.field: c.before for c in predicted
    }
    assert len(simulated.effects(KEY)) == len(simulated.effects(BACK)) == (2 if use == "together" else 1)


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
@pytest.mark.parametrize("use", USES)
def test_a_lost_answer_is_found_again_and_a_repeat_is_no_second_effect(
    dv: Connection, simulated: Simulated, ids: dict[str, str], use: str, fault: str
) -> None:
    name, arguments = asked(use, ids)
    assert looked_for(dv, name, arguments) is None
    simulated.fault(fault, PATHS[use], system="dv")

    with pytest.raises(Unanswered) as lost:
        send(dv, name, arguments)

    assert lost.value.effect_possible
    assert looked_for(dv, name, arguments) is not None
    assert len(simulated.effects(KEY)) == (2 if use == "together" else 1)


@pytest.mark.parametrize("fault", ["fail_before", "reset_before", "html", "500", "504"])
@pytest.mark.parametrize("use", USES)
def test_an_unanswered_write_that_was_not_committed_is_not_found(
    dv: Connection, simulated: Simulated, ids: dict[str, str], use: str, fault: str
) -> None:
    name, arguments = asked(use, ids)
    simulated.fault(fault, PATHS[use], system="dv")

    with pytest.raises(Unanswered):
        send(dv, name, arguments)

    assert looked_for(dv, name, arguments) is None
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize("fault", ["commit_then_timeout", "slow"])
def test_silence_ends_at_the_time_limit_and_what_was_committed_is_found(
    dv: Connection, simulated: Simulated, ids: dict[str, str], settings: Any, fault: str
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    name, arguments = asked("columns", ids)
    simulated.fault(fault, PATHS["columns"], system="dv", seconds=0.6)

    with pytest.raises(Unanswered, match="did not answer in time"):
        send(dv, name, arguments)

    settings.OUTBOUND_TIMEOUT_SECONDS = 10
    while fault == "slow" and not simulated.effects(KEY):
        pass  # it commits after its delay, whoever listens
    assert looked_for(dv, name, arguments) is not None


FAILURES: dict[str, type[ConnectorError]] = {
    "412": VersionConflict, "lock": Locked, "429": RateLimited, "403": Refused,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAILURES)
@pytest.mark.parametrize("use", USES)
def test_each_answer_becomes_its_exact_failure_and_nothing_is_done(
    dv: Connection, simulated: Simulated, ids: dict[str, str], use: str, fault: str
) -> None:
    error = FAILURES[fault]
    name, arguments = asked(use, ids)
    simulated.fault(fault, PATHS[use], system="dv")

    with pytest.raises(error):
        send(dv, name, arguments)

    assert Call.objects.filter(operation=name).latest("id").outcome == error.__name__.lower()
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize("use", ["columns", "together", "lookup", "action"])
def test_a_record_that_somebody_changed_is_not_overwritten(
    dv: Connection, simulated: Simulated, ids: dict[str, str], use: str
) -> None:
    name, arguments = asked(use, ids)
    first = observed(dv, name, arguments)[0]
    column = {"account": {"name": "Lamps & Co"}, "salesorder": {"name": "More lamps"}}[first.entity]
    simulated.edit("dv", first.entity, first.key, **column)

    with pytest.raises(VersionConflict):
        send(dv, name, arguments, version=first.version)

    assert simulated.effects(KEY) == []


def test_a_stale_read_is_held_against_the_version_when_it_is_written(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    name, arguments = asked("columns", ids)
    simulated.edit("dv", "account", ids["account"], name="Lamps & Co")
    simulated.fault("stale", "GET .*accounts", system="dv")
    stale = observed(dv, name, arguments)[0]

    with pytest.raises(VersionConflict):
        send(dv, name, arguments, version=stale.version)

    assert stale.fields["name"] == "Lamp House"


def test_a_token_that_ended_is_renewed_once_and_the_write_goes_out_under_the_same_key(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    name, arguments = asked("columns", ids)
    observed(dv, name, arguments)
    simulated.client.post("/control/tokens/expire", json={"system": "dv"}).raise_for_status()

    send(dv, name, arguments)

    patches = [row for row in simulated.requests() if row["method"] == "PATCH"]
    assert [(row["status"], row["effect_key"]) for row in patches] == [(401, KEY), (204, KEY)]
    assert len(simulated.effects(KEY)) == 1


def test_no_worker_asks_while_the_limit_lasts(dv: Connection, simulated: Simulated, ids: dict[str, str]) -> None:
    name, arguments = asked("columns", ids)
    older = Connection.objects.get(pk=dv.pk)
    simulated.fault("429", PATHS["columns"], system="dv", seconds=60)
    with pytest.raises(RateLimited):
        send(dv, name, arguments)
    arrived = len(simulated.requests())

    for connection in (dv, older):
        with pytest.raises(Blocked) as waits:
            send(connection, name, arguments)
        assert waits.value.code == "not_before"
        assert 50 < (waits.value.retry_after or 0) <= 60

    assert len(simulated.requests()) == arrived
    assert simulated.requests()[-1]["retry_after"] == 60
