"""`manage.py apply`: plan, apply, apply again; refuse all or nothing; and say why."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import BusinessUnit, Entry
from connectors.models import Connection
from incidents.models import ExceptionKind
from playbooks.models import Playbook, PlaybookVersion, Policy, PolicyVersion
from playbooks.pack_models import Pack

pytestmark = pytest.mark.django_db

POLICY = """\
kind: policy
slug: no-large-credit
label: No large credit
operations: [fo:invoice.credit]
when: amount > 5000
verdict: block
message: Too much.
"""


@pytest.fixture(autouse=True)
def demo_environment(monkeypatch):
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_FO_URL", "http://127.0.0.1:9/fo")
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_CRM_URL", "http://127.0.0.1:9/sf")
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_SECRET", "simulator")
    monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", "a-hook-secret-of-some-length")
    monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")


def apply(*args, **options):
    """Run the command; return its exit code, what it said, and what it complained of."""
    said, complained = io.StringIO(), io.StringIO()
    try:
        call_command("apply", *map(str, args), stdout=said, stderr=complained, **options)
    except SystemExit as left:
        return left.code, said.getvalue(), complained.getvalue()
    return 0, said.getvalue(), complained.getvalue()


def install_everything():
    return apply("--pack", "demo", "--pack", "o2c")


@pytest.fixture
def policy_file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def test_the_packs_install_and_installing_them_again_changes_nothing():
    code, said, complained = install_everything()
    before = Entry.objects.count()

    again = install_everything()

    assert (code, complained) == (0, "")
    assert "0 changed, 0 unchanged" in said
    assert again[0] == 0
    assert "Applied: 0 created, 0 changed," in again[1]
    assert Entry.objects.count() == before


def test_a_plan_shows_everything_and_changes_nothing():
    code, said, complained = apply("--pack", "demo", "--pack", "o2c", "--plan")

    assert (code, complained) == (0, "")
    assert "+ playbook credit-duplicate-invoice created" in said
    assert said.rstrip().endswith("Nothing was changed.")
    assert not Playbook.objects.exists()
    assert not Connection.objects.exists()
    assert not Entry.objects.exists()


def test_a_change_is_shown_field_by_field_and_becomes_a_new_version(policy_file):
    apply(policy_file)
    policy_file.write_text(POLICY.replace("5000", "4000"))

    planned = apply(policy_file, "--plan")
    applied = apply(policy_file)

    assert "~ policy no-large-credit changed\n    when: amount > 5000 → amount > 4000" in planned[1].replace(
        "condition:", "when:"
    )
    assert "Applied: 0 created, 1 changed, 0 unchanged." in applied[1]
    versions = PolicyVersion.objects.order_by("number").values_list("number", "condition", "active")
    assert list(versions) == [(1, "amount > 5000", False), (2, "amount > 4000", True)]


def test_a_new_label_is_no_new_version(policy_file):
    apply(policy_file)
    policy_file.write_text(POLICY.replace("label: No large credit", "label: No credit that large"))

    apply(policy_file)

    assert Policy.objects.get().label == "No credit that large"
    assert PolicyVersion.objects.count() == 1


def test_what_was_applied_stands_in_the_ledger_with_who_and_through_what(policy_file, automation):
    apply(policy_file, "--actor", "automation")

    entries = Entry.objects.filter(verb__startswith="policy.").values_list("verb", "actor", "channel")
    assert list(entries) == [("policy.created", "automation", "command"), ("policy.activated", "automation", "command")]
    assert PolicyVersion.objects.get().author == "automation"


def test_an_actor_must_be_somebody(policy_file):
    with pytest.raises(CommandError, match="no active user “ghost”"):
        apply(policy_file, "--actor", "ghost")


def test_an_invalid_file_stops_everything_and_every_mistake_is_told(policy_file, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: unit\nslug: EU\nname: [Europe]\ncolour: blue\n")

    code, said, complained = apply(policy_file, broken)

    assert (code, said) == (1, "")
    assert f"{broken}:3:7: name: " in complained
    assert f"{broken}:4:1: colour: This name is not known here." in complained
    assert "Nothing was applied: 2 problem(s)." in complained
    assert not Policy.objects.exists()


def test_what_the_database_refuses_takes_everything_back(policy_file, tmp_path):
    unit = tmp_path / "unit.yaml"
    unit.write_text("kind: unit\nslug: EU\nname: Europe\n")
    policy_file.write_text(POLICY.replace("label:", "owner: nobody-here\nlabel:"))

    code, _, complained = apply(unit, policy_file)

    assert code == 1
    assert f"{policy_file}:3:8: owner: There is no user “nobody-here”." in complained
    assert not BusinessUnit.objects.exists()
    assert not Entry.objects.exists()


def test_a_conflict_has_an_exit_code_of_its_own(policy_file, monkeypatch):
    from audit.errors import LostRace
    from playbooks import pack_actions

    def lose(*args, **kwargs):
        raise LostRace("Somebody else changed it first.")

    monkeypatch.setattr(pack_actions, "save_policy", lose)

    code, _, complained = apply(policy_file)

    assert code == 2
    assert f"{policy_file}:1:1: policy no-large-credit: Somebody else changed it first." in complained


@pytest.mark.parametrize("arguments", [[], ["--pack", "nothing"]])
def test_nothing_to_apply_is_an_error(arguments):
    with pytest.raises(CommandError):
        apply(*arguments)


def test_documents_may_come_in_any_order(tmp_path):
    path = tmp_path / "all.yaml"
    sla = "kind: sla_policy\nslug: all\nlabel: All\ncalendar: office\ntargets: {low: {acknowledge: 60, resolve: 480}}\n"
    calendar = 'kind: calendar\nslug: office\nlabel: Office\ntime_zone: UTC\nhours: {mon: [["08:00", "18:00"]]}\n'
    path.write_text(f"{sla}---\n{calendar}")

    code, said, complained = apply(path)

    assert (code, complained) == (0, "")
    assert said.index("calendar office") < said.index("sla_policy all")


def test_the_pack_notes_what_its_files_were():
    install_everything()

    pack = Pack.objects.get(slug="o2c")

    assert (pack.label, pack.version, pack.installed_by) == ("Order to cash", "1.0", "system:apply")
    assert len(pack.digest) == 64


def test_a_pack_is_told_by_its_own_files_however_many_came_with_it():
    install_everything()
    together = dict(Pack.objects.values_list("slug", "digest"))

    assert len(set(together.values())) == len(together) > 1
    apply("--pack", "o2c")
    assert dict(Pack.objects.values_list("slug", "digest")) == together


# --- no playbook without a guard and an undo -----------------------------------------------------
PLAYBOOK = """\
kind: playbook
slug: mine
label: Mine
mends: credit_hold
definition:
  rationale: Because.
  steps:
    - name: release
      title: Release it
      connection: fo
      operation: hold.release
      arguments: {company: order.dataAreaId, order: order.SalesOrderNumber}
"""


@pytest.fixture
def playbook_file(tmp_path):
    install_everything()
    path = tmp_path / "playbook.yaml"
    path.write_text(PLAYBOOK)
    return path


def test_a_guarded_and_undoable_playbook_is_activated(playbook_file):
    code, _, complained = apply(playbook_file)

    assert (code, complained) == (0, "")
    assert PlaybookVersion.objects.get(playbook__slug="mine").active


def test_the_same_text_is_the_same_version_and_another_text_the_next(playbook_file):
    apply(playbook_file)
    apply(playbook_file)
    playbook_file.write_text(PLAYBOOK.replace("Because.", "Because they paid."))
    apply(playbook_file)
    playbook_file.write_text(PLAYBOOK)
    apply(playbook_file)

    versions = PlaybookVersion.objects.filter(playbook__slug="mine").order_by("number")
    assert [(version.number, version.active) for version in versions] == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("connection: fo", "connection: erp", "10:19: definition.steps[0].connection: There is no connection “erp”."),
        (
            "operation: hold.release",
            "operation: order.get",
            "11:18: definition.steps[0].operation: “order.get” is not a",
        ),
        (
            "operation: hold.release",
            "operation: hold.lift",
            "11:18: definition.steps[0].operation: “hold.lift” is not a",
        ),
        ("company: order.dataAreaId, ", "", "12:18: definition.steps[0].arguments: “hold.release” also needs company."),
        (
            "{company:",
            "{colour: order.Region, company:",
            "12:27: definition.steps[0].arguments.colour: “hold.release” has no",
        ),
        (
            "order.SalesOrderNumber",
            "invoice.SalesOrderNumber",
            "12:53: definition.steps[0].arguments.order: “invoice” is no",
        ),
        ("mends: credit_hold", "mends: no_such_kind", "4:8: mends: There is no exception kind “no_such_kind”."),
    ],
)
def test_a_playbook_that_could_not_work_is_refused_at_its_place(playbook_file, old, new, expected):
    playbook_file.write_text(PLAYBOOK.replace(old, new))

    code, _, complained = apply(playbook_file)

    assert code == 1
    assert f"{playbook_file}:{expected}" in complained
    assert not Playbook.objects.filter(slug="mine").exists()


def test_without_an_active_policy_over_its_operation_a_playbook_is_refused(playbook_file):
    PolicyVersion.objects.filter(operations=["fo:hold.release"]).update(active=False)

    code, _, complained = apply(playbook_file)

    assert code == 1
    assert "11:18: definition.steps[0].operation: No active policy covers “fo:hold.release”" in complained


def test_a_policy_that_is_switched_off_guards_nothing(playbook_file):
    Policy.objects.filter(versions__operations=["fo:hold.release"]).update(enabled=False)

    assert apply(playbook_file)[0] == 1


def test_a_policy_over_every_change_guards_every_operation(playbook_file, tmp_path):
    PolicyVersion.objects.filter(operations=["fo:hold.release"]).update(active=False)
    general = tmp_path / "general.yaml"
    general.write_text(POLICY.replace("operations: [fo:invoice.credit]\n", ""))

    assert apply(playbook_file, general)[0] == 0


def test_what_cannot_be_undone_must_be_accepted_in_writing(playbook_file, monkeypatch):
    import dataclasses

    from connectors import registry
    from connectors.base import Reversible

    real: Any = registry.operation_of
    monkeypatch.setattr(
        registry,
        "operation_of",
        lambda connection, name: dataclasses.replace(real(connection, name), reversible=Reversible.NO),
    )

    refused = apply(playbook_file)
    playbook_file.write_text(PLAYBOOK.replace("definition:", "irreversible_accepted: true\ndefinition:"))
    accepted = apply(playbook_file)

    assert refused[0] == 1
    assert "“hold.release” cannot be undone; say `irreversible_accepted: true`" in refused[2]
    assert accepted[0] == 0


def test_a_playbook_that_is_switched_off_may_wait_for_its_connection(playbook_file):
    playbook_file.write_text(
        PLAYBOOK.replace("connection: fo", "connection: erp").replace("definition:", "enabled: false\ndefinition:")
    )

    assert apply(playbook_file)[0] == 0
    assert not Playbook.objects.get(slug="mine").enabled


# --- schedules -----------------------------------------------------------------------------------
SCHEDULE = "kind: schedule\nname: sweep\ntask: playbooks.sweep\nevery_seconds: 15\n"


def test_a_schedule_becomes_a_turn_of_beat(tmp_path):
    from django_celery_beat.models import PeriodicTask

    path = tmp_path / "schedule.yaml"
    path.write_text(SCHEDULE)
    first, second = apply(path), apply(path)
    path.write_text(SCHEDULE.replace("15", "30"))
    changed = apply(path)

    task = PeriodicTask.objects.get(name="sweep")
    assert [result[0] for result in (first, second, changed)] == [0, 0, 0]
    assert "1 unchanged" in second[1]
    assert "every_seconds: 15 → 30" in changed[1]
    assert (task.task, task.interval.every) == ("playbooks.sweep", 30)


@pytest.mark.parametrize(
    "task", ["os.system", "playbooks.nothing", "playbooks.actions.replan", "celery.backend_cleanup"]
)
def test_only_a_task_can_be_scheduled(tmp_path, task):
    path = tmp_path / "schedule.yaml"
    path.write_text(SCHEDULE.replace("playbooks.sweep", task))

    code, _, complained = apply(path)

    assert code == 1
    assert f"{path}:3:7: task: " in complained


def test_a_secret_is_never_shown():
    _, said, _ = apply("--pack", "demo", "--plan", verbosity=2)

    assert "correct horse" not in said
    assert "a-hook-secret" not in said
    assert "password" in said


def test_kinds_of_the_pack_are_installed_with_their_definitions():
    install_everything()

    kind = ExceptionKind.objects.get(code="freight_misrate")

    assert kind.domain == "billing"
    assert kind.definition["derived"]["tolerance"]
