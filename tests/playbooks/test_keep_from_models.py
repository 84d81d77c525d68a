"""“No external AI”: nothing is sent to a model, whoever configures what. And what is sent tells of no person."""

import json
from typing import Any

import httpx2
import pytest

from connectors import actions as connections
from connectors import gateway
from connectors.base import Blocked
from connectors.door.models import Budget, Notice
from connectors.models import Call, Connection
from connectors.wire import model as modelwire
from connectors.wire import modelhosts
from incidents.evidence import facts
from incidents.states import Status
from playbooks import chooser
from playbooks.masking import mask_of
from tests.connectors.factories import make_model
from tests.playbooks.cases import STEP, make_cause, make_freight, make_mend
from tests.playbooks.driving import drive
from tests.playbooks.test_choose_playbooks import (  # noqa: F401 - a fixture
    Model,
    answer,
    called,
    model,
    offered_case,
    say,
)
from tests.playbooks.world import make_playbook

pytestmark = pytest.mark.django_db
HOST = "models.test"
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
IBAN = "DE89 3704 0044 0532 0130 00"


def ask(connection: Connection) -> Any:
    return gateway.call(connection, "chat.complete", ASKED, actor="system:loop")


# --- no external AI -------------------------------------------------------------------------------


def test_with_no_host_named_no_incident_reaches_a_model_and_the_loop_goes_on(world, model: Model, settings):  # noqa: F811
    settings.AI_HOSTS = []
    make_mend()
    incident = make_freight()

    drive(incident)

    assert model.requests == []
    assert incident.status == Status.RESOLVED
    plan = incident.plans.get()
    assert plan.author == chooser.BUILT_IN
    assert "No external AI" in plan.proposal["refused"]
    assert not Call.objects.filter(connection__slug="ai").exists()


@pytest.mark.parametrize("hosts", [[], [""], ["other.test"], [f"{HOST}:8443"], [f"x.{HOST}"], ["models"]])
def test_the_door_refuses_whoever_asks(model: Model, settings, hosts):  # noqa: F811
    settings.AI_HOSTS = hosts
    ai = Connection.objects.get(slug="ai")

    with pytest.raises(Blocked, match="AI_HOSTS") as refused:
        ask(ai)

    assert refused.value.code == "class"
    assert model.requests == []
    assert Notice.objects.get().code == "class"
    assert Call.objects.get().outcome == "blocked"


def test_not_even_a_test_of_the_connection_goes_out(model: Model, settings):  # noqa: F811
    settings.AI_HOSTS = []

    health = connections.test_connection(Connection.objects.get(slug="ai"), actor="x")

    assert not health.ok
    assert "No external AI" in health.message
    assert model.requests == []


@pytest.mark.parametrize("hosts", [["*"], [HOST], [f"{HOST}:443"], ["MODELS.test"], ["other.test", HOST]])
def test_a_host_that_is_named_is_asked(model: Model, settings, hosts):  # noqa: F811
    settings.AI_HOSTS = hosts
    ask(Connection.objects.get(slug="ai"))

    assert len(model.requests) == 1


def test_an_address_that_was_changed_is_held_against_the_hosts_again(model: Model, settings):  # noqa: F811
    settings.AI_HOSTS = [HOST]
    ai = Connection.objects.get(slug="ai")
    Connection.objects.update(config={**ai.config, "base_url": "https://elsewhere.test/v1"})

    with pytest.raises(Blocked, match=r"elsewhere\.test is not among"):
        ask(ai)

    assert model.requests == []


@pytest.mark.parametrize("config", [{}, {"base_url": ""}, {"base_url": "https://[broken"}, {"base_url": None}])
def test_an_address_that_cannot_be_read_is_nowhere_that_was_named(settings, config):
    settings.AI_HOSTS = [HOST]

    assert modelhosts.objection("ai", config)


def test_the_line_itself_refuses_what_came_past_the_door(settings):
    settings.AI_HOSTS = []
    line = modelwire.client("ai", 5.0)

    with pytest.raises(Blocked, match="No external AI"):
        line.post("https://models.test/v1/chat/completions", json={})
    modelwire.close_all()


def test_other_systems_are_called_as_before(world, settings):
    settings.AI_HOSTS = []

    read = {"company": "demf", "order": "SO-1"}
    assert gateway.call(world.connections["fo"], "order.get", read, actor="x").records


def test_the_page_of_the_connections_says_so(client, operator, settings):
    make_model()
    client.force_login(operator)
    settings.AI_HOSTS = []
    closed = client.get("/connections/").content.decode()
    settings.AI_HOSTS = [HOST]
    named = client.get("/connections/").content.decode()
    settings.AI_HOSTS = ["*"]

    assert "No external AI: no model is asked." in closed
    assert f"Models are asked at {HOST} only." in named
    assert "AI_HOSTS" not in client.get("/connections/").content.decode()


def test_a_model_whose_budget_is_spent_is_not_asked_and_the_rules_decide(model: Model):  # noqa: F811
    Budget.objects.create(connection=Connection.objects.get(slug="ai"), calls=1)
    case = offered_case()
    first = chooser.choose(*case, facts(case[0]))

    second = chooser.choose(*case, facts(case[0]))

    assert (first.author, second.author) == ("model small-2026", chooser.BUILT_IN)
    assert "budget of ai is spent" in second.proposal["refused"]
    assert len(model.requests) == 1


# --- what is sent tells of no person -----------------------------------------------------------------

PEOPLE = {"ContactName": "Ada Lovelace", "Email": "ada@analytical.example", "Phone": "+44 20 7946 0000", "IBAN": IBAN}


def sent(played: Model) -> str:
    return json.dumps(played.requests, ensure_ascii=False)


def test_no_value_of_a_personal_field_reaches_a_model(model: Model):  # noqa: F811
    incident, cause, versions = offered_case()
    text = f"Ada Lovelace (ada@analytical.example, +44 20 7946 0000, {IBAN}) was charged 112.00."
    say(cause, text)

    chooser.choose(incident, cause, versions, {**facts(incident), "contact": PEOPLE, "list": [{"deep": [PEOPLE]}]})

    assert "was charged 112.00" in sent(model)
    for value in PEOPLE.values():
        assert value not in sent(model)


def test_mail_addresses_and_accounts_are_hidden_wherever_they_come_from(model: Model):  # noqa: F811
    incident, cause, versions = offered_case()
    say(cause, f"bob.b+x@mail.example wrote of {IBAN} and DE89370400440532013000.")

    chooser.choose(incident, cause, versions, facts(incident))

    assert "wrote of" in sent(model)
    for hidden in ("bob.b", "mail.example", IBAN, "DE89370400440532013000"):
        assert hidden not in sent(model)


@pytest.mark.parametrize("text", ["SO-000697", "DE89 3704 0044 0532 0130 01", "112.00 EUR", "INV-2026-000123", "DEMF"])
def test_business_numbers_stay(text):
    assert mask_of({}).text(text) == text


def test_a_personal_value_is_hidden_as_a_word_and_tears_no_other_apart():
    mask = mask_of({"contact": {"ContactName": "Ann", "Email": None, "Phone": True}})

    assert mask.text("Ann annuls; ANN’s True") == "••• annuls; •••’s True"


def test_a_choice_that_would_tell_of_a_person_is_not_offered_and_keeps_its_default(model: Model):  # noqa: F811
    slots = {"to": {"from": "[contact.Email]", "default": "contact.Email"}, "line": {"values": [1, 2], "default": "1"}}
    incident = make_freight(status=Status.DIAGNOSED)
    version = make_playbook([STEP], slug="tell", slots=slots)
    model.answer = answer(called("tell", {"line": 2}))

    choice = chooser.choose(incident, make_cause(incident), [version], {**facts(incident), "contact": PEOPLE})

    assert choice.slots == {"to": "ada@analytical.example", "line": 2}
    assert "ada@" not in sent(model)
    assert "to" not in model.requests[0]["tools"][0]["function"]["parameters"]["properties"]


def test_a_model_cannot_answer_for_what_it_was_not_offered(model: Model):  # noqa: F811
    slots = {"to": {"from": "[contact.Email, 'x@evil.example']", "default": "contact.Email"}}
    incident = make_freight(status=Status.DIAGNOSED)
    version = make_playbook([STEP], slug="tell", slots=slots)
    model.answer = answer(called("tell", {"to": "x@evil.example"}))

    choice = chooser.choose(incident, make_cause(incident), [version], {**facts(incident), "contact": PEOPLE})

    assert choice.author == chooser.BUILT_IN
    assert choice.slots == {"to": "ada@analytical.example"}


def test_a_service_that_says_it_back_finds_nothing_to_say(model: Model):  # noqa: F811
    incident, cause, versions = offered_case()
    say(cause, "Ada Lovelace was charged.")
    model.answer = lambda body: httpx2.Response(400, json={"error": {"message": json.dumps(body)}})

    choice = chooser.choose(incident, cause, versions, {**facts(incident), "contact": PEOPLE})

    assert "Ada" not in str(choice.proposal)
    assert "Ada" not in str(list(Call.objects.values()))
