"""The door's order: kill switch, allow-list, data class, budget, rate, pauses, breaker; nothing by default."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.clock import db_now
from audit.errors import Invalid
from audit.models import Entry
from connectors import actions, gateway
from connectors.base import Blocked
from connectors.door import rules as door
from connectors.door.models import Budget, Gate, Notice, Spent
from connectors.door.purposes import Purpose
from connectors.manifests import DOCUMENTS
from connectors.models import Call, Connection
from tests.connectors.at_door import (
    KEY,
    WRITTEN,
    change,
    open_fo,
    read,
    refused,
    release,
)
from tests.connectors.factories import Played, make_fo, make_model
from tests.connectors.modelled import Model


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    return open_fo(played)


# --- order -----------------------------------------------------------------------------------------
def test_each_rule_speaks_before_those_behind_it_and_those_are_left_untouched(fo: Connection, played: Played) -> None:
    read(fo)
    asked = len(played.requests)
    gate = Gate.objects.get()
    now = db_now()
    Gate.objects.filter(pk=gate.pk).update(failures=30, opened_at=now, probed_at=now, free_at=10**18)
    budget = Budget.objects.create(connection=fo, calls=1)
    Spent.objects.create(budget=budget, day=now.date(), calls=1)
    Spent.objects.create(budget=budget, day=now.date() + timedelta(days=1), calls=1)
    change(
        fo, data_class="blocked", operations=[], not_before=now + timedelta(minutes=5), rate_calls=1, rate_seconds=60
    )
    stop = actions.stop_everything(reason="Audit", actor="operator")

    lifted = {
        "stopped": lambda: actions.resume(reason="Done", actor="operator"),
        "operation": lambda: change(fo, operations=["hold.release"]),
        "class": lambda: change(fo, data_class="business"),
        "budget": budget.delete,
        "not_before": lambda: change(fo, not_before=None),
        "rate": lambda: change(fo, rate_calls=None, rate_seconds=None),
        "breaker": lambda: Gate.objects.update(opened_at=None, failures=0),
    }
    for code, lift in lifted.items():
        assert refused(fo, release).code == code
        assert (Gate.objects.get().probed_at, Gate.objects.get().free_at) == (now, 10**18)
        lift()

    assert stop.pk
    assert len(played.requests) == asked
    assert release(fo).call.outcome == "ok"


def test_what_a_later_rule_refuses_an_earlier_one_gives_back(fo: Connection) -> None:
    read(fo)
    Budget.objects.create(connection=fo, calls=5)
    change(fo, rate_calls=10, rate_seconds=60)
    now = db_now()
    Gate.objects.update(failures=30, opened_at=now, probed_at=now)

    assert refused(fo).code == "breaker"

    assert not Spent.objects.exists()
    assert Gate.objects.get().free_at == 0


def test_by_default_nothing_is_refused_and_nothing_is_kept(fo: Connection) -> None:
    for _ in range(3):
        read(fo)
    release(fo)

    assert not Spent.objects.exists()
    assert not Notice.objects.exists()
    assert Gate.objects.get().failures == 0
    assert not Entry.objects.filter(verb__in=("call.refused", "breaker.opened")).exists()


def test_a_connection_that_is_gone_is_said_to_be(fo: Connection) -> None:
    with pytest.raises(Connection.DoesNotExist):
        door.fresh(fo.pk + 1000)


# --- kill switch and allow-list ----------------------------------------------------------------------
def test_one_operation_is_stopped_and_the_others_go_on(fo: Connection) -> None:
    actions.stop_everything(reason="Wrong holds", actor="operator", connection=fo, operation="hold.release")

    assert refused(fo, release).code == "stopped"
    read(fo)
    assert gateway.observe(fo, "hold.release", WRITTEN, actor="system:loop")
    assert actions.stopped(fo) is None, "writing as such is not stopped"
    assert json.loads(Entry.objects.get(verb="stop.started").body)["data"]["operation"] == "hold.release"
    actions.resume(reason="Settled", actor="operator", connection=fo, operation="hold.release")
    release(fo)


def test_a_read_may_be_stopped_by_its_name(fo: Connection) -> None:
    actions.stop_everything(reason="Too slow", actor="operator", operation="order.get")

    assert refused(fo).code == "stopped"
    release(fo)


def test_an_operation_that_nobody_has_cannot_be_stopped(fo: Connection) -> None:
    with pytest.raises(Invalid, match="no operation"):
        actions.stop_everything(reason="x", actor="operator", connection=fo, operation="order.explode")


def test_reads_that_are_not_on_the_list_are_refused_and_told_of(fo: Connection, played: Played) -> None:
    change(fo, reads=["invoice.get"])

    assert refused(fo).code == "operation"
    assert played.requests == []
    assert json.loads(Entry.objects.get(verb="call.refused").body)["data"]["about"] == "order.get"
    assert gateway.observe(fo, "hold.release", WRITTEN, actor="system:loop"), "a write's own look is part of it"


# --- data class and labels ---------------------------------------------------------------------------
@pytest.mark.parametrize("data_class", ["blocked", "secret"])
def test_nothing_is_exchanged_with_a_blocked_system_but_what_settles_an_effect(
    fo: Connection, played: Played, data_class: str
) -> None:
    change(fo, data_class=data_class)

    for use in (read, release, lambda one: release(one, purpose=Purpose.UNDO)):
        assert refused(fo, use).code == "class"
    with pytest.raises(Blocked, match="data class"):
        gateway.poll(fo, None, actor="system:poll")
    assert played.requests == []
    gateway.find(fo, "hold.release", WRITTEN, effect_key=KEY, actor="system:loop")
    assert gateway.observe(fo, "hold.release", WRITTEN, actor="system:loop", purpose=Purpose.SETTLE)


def test_a_labelled_field_goes_only_to_a_system_that_is_cleared(fo: Connection, played: Played) -> None:
    change(fo, labels={"Reason": "personal"})

    said = refused(fo, release)

    assert said.code == "class"
    assert "“reason” is labelled personal" in str(said)
    assert not said.retryable
    assert played.requests == []
    release(fo, purpose=Purpose.UNDO)
    read(fo)
    change(fo, cleared=["personal"])
    release(fo)


def test_nested_names_are_looked_through_and_endless_ones_refused(db: None, model: Model) -> None:
    ai = make_model(labels={"content": "financial"})
    asked = {"messages": [{"role": "user", "content": "12,50"}], "max_tokens": 10}
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}

    with pytest.raises(Blocked, match="“content” is labelled financial"):
        gateway.call(ai, "chat.complete", asked, actor="system:loop")
    with pytest.raises(Blocked, match="too deeply"):
        gateway.call(ai, "chat.complete", {"messages": [{"role": "user"}], "tool_choice": deep}, actor="system:loop")
    assert model.requests == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data_class": "secret"}, "data_class"), ({"reads": ["nothing.get"]}, "reads"),
        ({"labels": {"A": "odd"}}, "labels"),
        ({"cleared": ["everything"]}, "cleared"), ({"team": "No Spaces"}, "team"), ({"rate_calls": 5}, "rate_calls"),
        ({"price_call": "0.1"}, "price_currency"), ({"price_call": "-1", "price_currency": "EUR"}, "price_call"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_meant_are_refused(db: None, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as wrong:
        make_fo(**changes)

    assert field in wrong.value.errors


def test_a_file_sets_the_rules_and_leaves_them_out_again(db: None) -> None:
    make_fo()
    kind = DOCUMENTS["connection"]
    config = Connection.objects.get().config
    body = {"kind": "connection", "slug": "fo", "connector": "dynamics_fo", "config": config}
    ruled = kind.schema.model_validate(
        {**body, "data_class": "non_business", "labels": {"Name": "personal"}, "price_call": "0.10",
         "price_currency": "EUR", "rate_calls": 6000, "rate_seconds": 300, "team": "finance",
         "reads": ["order.get"], "cleared": ["financial"]}
    )  # fmt: skip

    assert kind.apply(ruled, "automation")
    row = Connection.objects.get()
    assert (row.data_class, row.labels, row.team, row.rate_calls) == (
        "non_business",
        {"Name": "personal"},
        "finance",
        6000,
    )
    assert not kind.apply(ruled, "automation")
    assert kind.apply(kind.schema.model_validate(body), "automation")
    assert Connection.objects.get().data_class == "business"


# --- pages, admin, metrics -----------------------------------------------------------------------------
@pytest.fixture
def told(fo: Connection) -> Connection:
    read(fo)
    Gate.objects.update(failures=21, opened_at=db_now(), probed_at=db_now())
    change(fo, data_class="non_business", labels={"Name": "personal"}, cleared=["personal"])
    budget = Budget.objects.create(connection=fo, calls=500)
    Spent.objects.create(budget=budget, day=db_now().date(), calls=412)
    actions.stop_everything(reason="Wrong", actor="operator", connection=fo, operation="hold.release")
    refused(fo, release)
    return fo


def test_the_page_shows_class_budget_breaker_and_what_was_refused(
    client: Any, operator: User, told: Connection
) -> None:
    client.force_login(operator)

    page = client.get(reverse("connections")).content.decode()

    assert "breaker open" in page
    assert "412 of 500 calls" in page
    assert "Non-business" in page
    assert "hold.release stopped" in page
    assert "Emergency stop by operator: Wrong" in page


def test_the_admin_shows_them_too(client: Any, automation: User, told: Connection) -> None:
    client.force_login(automation)

    page = client.get(reverse("admin:connectors_connection_change", args=[told.pk])).content.decode()

    assert "after 21 failures" in page
    assert "fo: 412 of 500 calls" in page
    for name in ("budget", "spent", "notice"):
        assert client.get(reverse(f"admin:connectors_{name}_changelist")).status_code == 200


def test_the_admin_sets_the_rules(client: Any, automation: User, fo: Connection) -> None:
    client.force_login(automation)
    url = reverse("admin:connectors_connection_change", args=[fo.pk])
    form = client.get(url).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value not in (None, False) and name != "poll"}
    data |= {
        "labels": "CustomerName: Personal\nAmount: financial\n",
        "cleared": ["financial"],
        "data_class": "non_business",
    }

    answer = client.post(url, data)

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    fo.refresh_from_db()
    assert fo.labels == {"CustomerName": "personal", "Amount": "financial"}
    assert (fo.cleared, fo.data_class) == (["financial"], "non_business")
    wrong = client.post(url, {**data, "labels": "CustomerName: odd"})
    assert wrong.status_code == 200
    assert "labels" in wrong.context["adminform"].form.errors


def test_the_admin_sets_a_budget(client: Any, automation: User, fo: Connection) -> None:
    client.force_login(automation)
    add = reverse("admin:connectors_budget_add")

    both = client.post(add, {"connection": fo.pk, "team": "finance", "calls": 5, "time_zone": "UTC"})
    made = client.post(add, {"connection": fo.pk, "calls": 5, "time_zone": "Europe/Berlin"})

    assert "team" in both.context["adminform"].form.errors
    assert made.status_code == 302
    assert Budget.objects.get().calls == 5
    assert Entry.objects.filter(verb="budget.added").count() == 1


def test_the_metrics_count_them(client: Any, told: Connection) -> None:
    text = client.get("/metrics").content.decode()

    assert 'goldseam_breaker_open{connection="fo"} 1.0' in text
    assert 'goldseam_connection_data_class{connection="fo",data_class="non_business"} 1.0' in text
    assert 'goldseam_budget_used{budget="fo",unit="calls"} 412.0' in text
    assert 'goldseam_budget_limit{budget="fo",unit="calls"} 500.0' in text
    assert 'goldseam_door_notices{code="stopped"} 1.0' in text
    assert Call.objects.filter(outcome="blocked").count() == 1
