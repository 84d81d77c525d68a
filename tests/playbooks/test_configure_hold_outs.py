"""Hold-outs are begun, changed and ended: by their terms, by `manage.py apply` and in the admin."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from audit.clock import db_now
from audit.errors import Invalid
from audit.models import Entry
from playbooks import holdout_actions, holdouts, tasks
from playbooks.holdout_actions import Terms, configure
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.manifests import installer
from playbooks.models import Playbook
from tests.factories import make_user
from tests.playbooks.cases import make_freight, make_mend
from tests.playbooks.trials import PURPOSE, begin

DOCUMENT = """\
kind: hold_out
playbook: mend
share: {share}
purpose: {purpose}
days: {days}
"""


@pytest.fixture
def playbook(db) -> Playbook:
    return make_mend().playbook


@pytest.fixture
def keeper(client, db):
    user = make_user("keeper", role="automation_admin")
    client.force_login(user)
    return user


@pytest.fixture
def operator(db):
    return make_user("operator", role="operator")


def verbs() -> list[str]:
    return list(Entry.objects.filter(verb__startswith="hold_out").order_by("n").values_list("verb", flat=True))


def over(trial: HoldOut) -> None:
    """Let the time of a trial run out."""
    begun = trial.begun_at - timedelta(days=trial.days + 1)
    HoldOut.objects.filter(pk=trial.pk).update(begun_at=begun, ends_at=begun + timedelta(days=trial.days))


# --- terms -----------------------------------------------------------------------------------------


def test_a_trial_begins_with_a_key_of_its_own_that_nobody_is_told(playbook):
    first = begin(playbook)
    second = begin(playbook, share=30)

    assert (first.number, second.number) == (1, 2)
    assert first.secret_seed != second.secret_seed
    assert (first.ends_at - first.begun_at).days == first.days
    said = str(list(Entry.objects.values_list("body", flat=True)))
    assert second.secret_seed not in said
    assert not hasattr(second.history.first(), "secret_seed")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"share": 51}, "share"),
        ({"share": -1}, "share"),
        ({"purpose": "  "}, "purpose"),
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"max_severity": "grave"}, "max_severity"),
        ({"max_amount": Decimal(5)}, "currency"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_terms_that_cannot_be_meant_are_refused(playbook, terms, field):
    given: dict[str, Any] = {"share": 10, "purpose": PURPOSE, **terms}

    with pytest.raises(Invalid) as refused:
        configure(playbook, Terms(**given), actor="keeper")

    assert list(refused.value.errors) == [field]
    assert not HoldOut.objects.exists()


def test_a_playbook_that_never_acts_alone_has_nothing_to_hold_out(db):
    with pytest.raises(Invalid) as refused:
        configure(make_mend(autonomy=None).playbook, Terms(10, PURPOSE), actor="keeper")

    assert "never acts alone" in refused.value.errors["playbook"][0]


def test_the_same_terms_again_change_nothing(playbook):
    trial = begin(playbook)

    assert configure(playbook, holdout_actions.terms_of(trial), actor="keeper") is None
    assert verbs() == ["hold_out.begun"]


def test_another_purpose_or_other_days_change_the_trial_and_draw_no_new_lots(playbook):
    trial = begin(playbook)

    changed = configure(playbook, Terms(20, "Does it save money?", 60), actor="keeper", reason="Too short.")

    assert changed is not None
    assert (changed.pk, changed.secret_seed, changed.purpose) == (trial.pk, trial.secret_seed, "Does it save money?")
    assert (changed.ends_at - changed.begun_at).days == 60
    assert verbs() == ["hold_out.begun", "hold_out.changed"]
    assert changed.history.first().history_change_reason == "Too short."


@pytest.mark.parametrize(
    "terms", [{"share": 30}, {"max_severity": "low"}, {"max_amount": Decimal(50), "currency": "EUR"}]
)
def test_what_decides_who_is_drawn_is_never_changed_under_way(playbook, terms):
    trial = begin(playbook)

    fresh = begin(playbook, **{"share": 20, **terms})

    trial.refresh_from_db()
    assert trial.ended_at is not None
    assert (fresh.number, fresh.ended_at) == (2, None)
    assert verbs() == ["hold_out.begun", "hold_out.ended", "hold_out.begun"]


def test_a_share_of_nought_ends_it_and_a_second_time_does_nothing(playbook):
    begin(playbook)

    ended = configure(playbook, Terms(0), actor="keeper")

    assert ended is not None
    assert ended.ended_at is not None
    assert holdouts.running(playbook) is None
    assert configure(playbook, Terms(0), actor="keeper") is None


def test_days_that_are_over_already_are_refused(playbook):
    trial = begin(playbook, days=30)
    begun = db_now() - timedelta(days=10)
    HoldOut.objects.filter(pk=trial.pk).update(begun_at=begun, ends_at=begun + timedelta(days=30))

    with pytest.raises(Invalid) as refused:
        configure(playbook, Terms(20, PURPOSE, 5), actor="keeper")

    assert list(refused.value.errors) == ["days"]


@pytest.mark.django_db(transaction=True)
def test_the_sweep_ends_what_is_over_once(playbook):
    trial = begin(playbook)
    over(trial)
    begin(make_mend(slug="other").playbook)

    assert (holdout_actions.end_due(), holdout_actions.end_due()) == (1, 0)

    trial.refresh_from_db()
    assert trial.ended_at == trial.ends_at
    assert Entry.objects.get(verb="hold_out.ended").reason == "Its time is over."


def test_the_sweep_takes_one_turn(playbook):
    over(begin(playbook))

    assert (tasks.end_hold_outs(), tasks.end_hold_outs()) == (1, 0)


# --- as code -----------------------------------------------------------------------------------------


def applied(folder: Path, *, plan: bool = False, **terms: Any) -> installer.Report:
    file = folder / "hold-out.yaml"
    file.write_text(DOCUMENT.format(**{"share": 10, "purpose": PURPOSE, "days": 30, **terms}))
    return installer.run([file], actor="keeper", plan_only=plan)


def words(report: installer.Report) -> list[str]:
    assert report.exit_code == 0, [*report.problems, *report.conflicts]
    return [outcome.word for outcome in report.outcomes]


def test_a_document_begins_a_trial_and_again_does_nothing(playbook, tmp_path):
    planned = words(applied(tmp_path, plan=True))
    assert not HoldOut.objects.exists()

    assert planned == words(applied(tmp_path)) == ["created"]

    trial = HoldOut.objects.get()
    assert (trial.share, trial.purpose, trial.author) == (10, PURPOSE, "keeper")
    assert words(applied(tmp_path)) == ["unchanged"]
    assert verbs() == ["hold_out.begun"]


def test_two_playbooks_have_a_document_each_and_one_playbook_only_one(playbook, tmp_path):
    make_mend(slug="other")
    both = [DOCUMENT.format(share=10, purpose=PURPOSE, days=30), DOCUMENT.format(share=5, purpose=PURPOSE, days=9)]
    (tmp_path / "two.yaml").write_text("---\n".join([both[0], both[1].replace("mend", "other")]))
    (tmp_path / "twice.yaml").write_text("---\n".join(both))

    assert words(installer.run([tmp_path / "two.yaml"], actor="keeper")) == ["created", "created"]
    assert "stands at" in str(installer.run([tmp_path / "twice.yaml"], actor="keeper").problems)


def test_a_trial_whose_time_is_over_is_not_begun_again_by_the_same_document(playbook, tmp_path):
    applied(tmp_path)
    over(HoldOut.objects.get())

    assert words(applied(tmp_path)) == ["unchanged"]
    assert words(applied(tmp_path, purpose="Once more, in winter.")) == ["changed"]
    assert HoldOut.objects.filter(ended_at=None).get().number == 2


def test_nought_in_the_document_ends_it_and_a_share_begins_anew(playbook, tmp_path):
    applied(tmp_path)

    assert words(applied(tmp_path, share=0)) == ["changed"]
    assert words(applied(tmp_path, share=0)) == ["unchanged"]
    assert words(applied(tmp_path)) == ["created"]

    assert HoldOut.objects.filter(ended_at=None).get().number == 2


@pytest.mark.parametrize("terms", [{"share": 60}, {"days": 0}, {"purpose": '""'}])
def test_a_document_with_impossible_terms_is_refused(playbook, tmp_path, terms):
    report = applied(tmp_path, **terms)

    assert report.exit_code > 0
    assert not HoldOut.objects.exists()


def test_a_document_about_no_playbook_is_refused_where_it_stands(db, tmp_path):
    report = applied(tmp_path)

    assert report.exit_code > 0
    assert "no playbook" in str([*report.problems, *report.conflicts])


# --- in the admin --------------------------------------------------------------------------------------


def form(playbook: Playbook, **changes: Any) -> dict[str, Any]:
    values = {"playbook": playbook.pk, "share": 10, "purpose": PURPOSE, "days": 30, "max_severity": "medium"}
    return {**values, "max_amount": "", "currency": "", "change_reason": "asked by finance", **changes}


def test_an_owner_begins_changes_and_ends_it_in_the_admin(client, keeper, playbook):
    added = client.post(reverse("admin:playbooks_holdout_add"), form(playbook))
    trial = HoldOut.objects.get()
    page = reverse("admin:playbooks_holdout_change", args=[trial.pk])
    changed = client.post(page, form(playbook, days=60, change_reason="longer"))
    action = {"action": "end_now", "_selected_action": [trial.pk]}
    ended = client.post(reverse("admin:playbooks_holdout_changelist"), action)

    assert [one.status_code for one in (added, changed, ended)] == [302, 302, 302]
    trial.refresh_from_db()
    assert (trial.days, trial.author) == (60, "keeper")
    assert trial.ended_at is not None
    entries = Entry.objects.filter(verb__startswith="hold_out").order_by("n")
    assert [(one.verb, one.actor) for one in entries] == [
        ("hold_out.begun", "keeper"),
        ("hold_out.changed", "keeper"),
        ("hold_out.ended", "keeper"),
    ]
    assert [one.reason for one in entries][:2] == ["asked by finance", "longer"]
    assert not Entry.objects.filter(verb__startswith="holdout.").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"share": 51}, "between 0 and 50"),
        ({"share": 0}, "Ensure"),
        ({"purpose": ""}, "required"),
        ({"max_amount": "10.00"}, "belong together"),
    ],
)
def test_the_form_says_what_is_wrong(client, keeper, playbook, changes, said):
    answer = client.post(reverse("admin:playbooks_holdout_add"), form(playbook, **changes))

    assert answer.status_code == 200
    assert said.lower() in str(answer.context["errors"]).lower() or "share" in str(answer.context["errors"]).lower()
    assert not HoldOut.objects.exists()


def test_a_second_trial_beside_one_that_runs_is_refused(client, keeper, playbook):
    begin(playbook)

    answer = client.post(reverse("admin:playbooks_holdout_add"), form(playbook))

    assert "runs already" in str(answer.context["errors"])
    assert HoldOut.objects.count() == 1


def test_another_share_in_the_admin_is_the_next_trial(client, keeper, playbook):
    trial = begin(playbook, share=10)

    client.post(reverse("admin:playbooks_holdout_change", args=[trial.pk]), form(playbook, share=20))

    assert list(HoldOut.objects.values_list("number", "share")) == [(2, 20), (1, 10)]
    assert HoldOut.objects.filter(ended_at=None).get().number == 2


def test_the_admin_never_shows_the_key(client, keeper, playbook):
    trial = begin(playbook)
    HoldOutDraw.objects.create(
        hold_out=trial, incident=make_freight(), playbook_version=playbook.versions.get(), held_out=True,
        record="r", drawn_at=db_now(),
    )  # fmt: skip
    pages = [
        reverse("admin:playbooks_holdout_changelist"),
        reverse("admin:playbooks_holdout_change", args=[trial.pk]),
        reverse("admin:playbooks_holdout_history", args=[trial.pk]),
        reverse("admin:playbooks_holdoutdraw_changelist"),
    ]

    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert trial.secret_seed not in answer.content.decode()


@pytest.mark.parametrize(("role", "status"), [("compliance", 403), ("auditor", 403), ("operator", 302)])
def test_only_who_configures_begins_one(client, playbook, role, status):
    client.force_login(make_user("other", role=role))

    answer = client.post(reverse("admin:playbooks_holdout_add"), form(playbook))

    assert answer.status_code == status
    assert not HoldOut.objects.exists()
