"""``manage.py roi``: what a person may see, and how often the method would claim what is not there."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_user
from tests.insights import score


def told(*words: str) -> str:
    out = StringIO()
    call_command("roi", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("effect", ["0", "-0.3"])
def test_the_method_claims_and_covers_what_it_promises(effect):
    said = told("--simulate", f"true_effect={effect}", "--runs", "400")

    claimed, covered = (float(share) for share in re.findall(r"(?:effect|covered): ([\d.]+)%", said))
    assert covered >= 93
    assert (claimed <= 5) if effect == "0" else (claimed >= 50)


def test_thin_histories_are_refused():
    assert "refused: 50" in told("--simulate", "true_effect=-0.5", "--runs", "50", "--size", "19")


@pytest.mark.parametrize("words", [("--simulate", "luck=1"), ("--simulate", "true_effect=-2"), ("--user", "nobody")])
@pytest.mark.django_db
def test_nonsense_is_refused(words):
    with pytest.raises(CommandError):
        told(*words)


@pytest.mark.django_db
def test_a_person_is_told_what_they_may_see():
    score.make_mend(score.make_incident())
    make_user("american", role="viewer", units=["US"])

    said = told("--user", "american", "--days", "3000")

    assert "Time to a verified mend: not enough data, n = 0" in said
