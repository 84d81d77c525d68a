"""Dead letters by cause: read, taken up again, or closed."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.errors import LostRace
from playbooks import actions
from playbooks.models import DeadLetter
from tests.factories import make_user
from tests.playbooks import scenes

pytestmark = pytest.mark.django_db


def read(client, user: User, query: str = "") -> str:
    client.force_login(user)
    return str(client.get(reverse("dead-letters") + query).content.decode())


def post(client, user: User, name: str, *args: int, **form: str) -> list[str]:
    client.force_login(user)
    answer = client.post(reverse(name, args=args), form, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_nothing_stuck_says_what_would_land_here(client, operator):
    page = read(client, operator)

    assert "Nothing is stuck" in page
    assert "No dead letters" in page


def test_letters_of_one_cause_stand_together_with_what_to_do(client, operator):
    scenes.stuck()
    scenes.stuck()

    page = read(client, operator)

    assert "1 cause holds work up" in page
    assert "2 letters" in page
    assert "Replay all" in page
    assert page.count("What to do") == 1


def test_the_cause_with_most_letters_comes_first(client, operator):
    scenes.stuck()
    for _ in range(2):
        _, _, letter = scenes.stuck()
        DeadLetter.objects.filter(pk=letter.pk).update(cause="fo: locked")

    page = read(client, operator)

    assert page.index("fo: locked") < page.index("INSUFFICIENT_ACCESS")


def test_whoever_may_not_mend_reads_only(client, viewer):
    scenes.stuck()

    page = read(client, viewer)

    assert "INSUFFICIENT_ACCESS" in page
    assert "Replay" not in page.replace("Replayed", "").replace("replay keeps", "")


def test_another_units_letters_are_not_shown(client):
    scenes.stuck(business_unit="US", region="US-EAST")

    assert "Nothing is stuck" in read(client, make_user("eu", role="operator", units=["EU"]))


def test_a_letter_is_replayed(client, operator, monkeypatch):
    _, _, letter = scenes.stuck()
    taken: list[int] = []
    monkeypatch.setattr(actions, "replay_by", lambda letter, by: taken.append(letter.pk))

    (said,) = post(client, operator, "dead-letter-replay", letter.pk)

    assert taken == [letter.pk]
    assert "nothing is done twice" in said


def test_a_letter_is_closed_with_what_was_done(client, operator):
    _, run, letter = scenes.stuck()

    post(client, operator, "dead-letter-resolve", letter.pk, resolution="Closed by hand in Salesforce.")

    letter.refresh_from_db()
    run.refresh_from_db()
    assert (letter.state, letter.closed_by) == ("resolved", "operator")
    assert letter.resolution == "Closed by hand in Salesforce."
    assert run.state == "cancelled"


def test_a_letter_is_not_closed_without_saying_how(client, operator):
    _, _, letter = scenes.stuck()

    (said,) = post(client, operator, "dead-letter-resolve", letter.pk, resolution=" ")

    letter.refresh_from_db()
    assert "Say how it was dealt with." in said
    assert letter.state == "waiting"


def test_a_whole_group_is_closed_at_once_and_no_other(client, operator):
    letters = [scenes.stuck()[2] for _ in range(3)]
    DeadLetter.objects.filter(pk=letters[0].pk).update(cause="fo: locked")
    form = {"cause": letters[1].cause, "act": "resolve", "resolution": "The right was given."}

    said = post(client, operator, "dead-letter-group", **form)

    assert said == ["2 letters closed."]
    assert DeadLetter.objects.filter(state="waiting").count() == 1


def test_one_refusal_in_a_group_does_not_stop_the_others(client, operator, monkeypatch):
    letters = [scenes.stuck()[2] for _ in range(2)]

    def replay(letter: DeadLetter, by: User) -> None:
        if letter.pk == letters[0].pk:
            raise LostRace("Somebody dealt with it.")

    monkeypatch.setattr(actions, "replay_by", replay)

    said = post(client, operator, "dead-letter-group", cause=letters[0].cause)

    assert said[0] == "1 letter taken up again."
    assert "Somebody dealt with it." in said[1]


def test_a_group_that_is_gone_says_so(client, operator):
    assert post(client, operator, "dead-letter-group", cause="fo: locked") == [
        "Nothing waits for that reason any more."
    ]


def test_a_viewer_closes_nothing(client, viewer):
    _, _, letter = scenes.stuck()

    (said,) = post(client, viewer, "dead-letter-resolve", letter.pk, resolution="x")

    letter.refresh_from_db()
    assert "Operators do this" in said
    assert letter.state == "waiting"


def test_what_was_dealt_with_can_be_read_again(client, operator):
    _, _, letter = scenes.stuck()
    actions.resolve(letter, by=operator, resolution="Closed by hand.")

    page = read(client, operator, "?state=closed")

    assert "Closed by hand." in page
    assert "operator" in page


def test_an_empty_archive_says_so(client, operator):
    assert "Nothing has been dealt with yet." in read(client, operator, "?state=closed")
