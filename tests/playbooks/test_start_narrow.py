"""One process first: a second before the first verified mend needs a reason, on every way in."""

import io
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command

from audit.errors import Invalid
from audit.models import Entry
from connectors.models import Connection
from playbooks import breadth
from playbooks.manifests import installer
from playbooks.models import Execution, Playbook
from playbooks.pack_models import Pack
from tests.factories import make_user
from tests.playbooks import scenes

pytestmark = pytest.mark.django_db

KIND = """\
kind: exception_kind
code: late_payment
label: Late payment
domain: payables
entity_type: invoice
definition:
  title: Invoice {{incident.entity_key}} is paid late
  {process}
  evidence:
    - as: invoice
      connection: fo
      operation: invoice.find
      arguments: {{invoice: incident.entity_key}}
      one: true
  causes:
    - id: held
      label: It is held
      statements:
        - text: It is there.
          checks: [{{check: invoice != null, cites: [invoice.InvoiceNumber]}}]
"""
PLAYBOOK = """\
---
kind: policy
slug: any-credit
label: Any credit is looked at
when: "false"
verdict: needs_approval
message: Look at it.
---
kind: playbook
slug: credit-late
label: Credit it
mends: late_payment
enabled: ENABLED
definition:
  causes: [held]
  rationale: It is late.
  steps:
    - name: credit
      title: Credit it
      connection: fo
      operation: invoice.credit
      arguments: {company: invoice.dataAreaId, invoice: invoice.InvoiceNumber, reason: "'late'"}
---
kind: pack
slug: p2p
label: Purchase to pay
version: "1.0"
"""


@pytest.fixture(autouse=True)
def demo_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_SECRET", "simulator")
    monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", "a-hook-secret-of-some-length")
    monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")


def apply(*args: Any) -> tuple[int, str, str]:
    said, complained = io.StringIO(), io.StringIO()
    try:
        call_command("apply", *map(str, args), stdout=said, stderr=complained)
    except SystemExit as left:
        return int(left.code or 0), said.getvalue(), complained.getvalue()
    return 0, said.getvalue(), complained.getvalue()


@pytest.fixture
def one_process() -> None:
    """What a new installation has after the demonstration's packs."""
    assert apply("--pack", "demo", "--pack", "o2c")[0] == 0


def second(tmp_path: Any, *, process: str = "process: purchase-to-pay", enabled: bool = True, more: str = "") -> Any:
    """A pack of another process."""
    folder = tmp_path / "p2p"
    folder.mkdir(exist_ok=True)
    text = KIND.format(process=process) + PLAYBOOK.replace("ENABLED", str(enabled).lower()) + more
    path = folder / "p2p.yaml"
    path.write_text(text)
    return path


def mended() -> None:
    """Something has been mended and read back."""
    scenes.resolved()
    assert breadth.mended()


def test_the_packs_of_the_demonstration_are_one_process_and_need_nobody(one_process):
    assert breadth.active_processes() == {"order-to-cash"}
    assert not Entry.objects.filter(verb="breadth.confirmed").exists()


def test_a_second_process_before_the_first_mend_is_refused_with_why_and_what_is_missing(one_process, tmp_path):
    code, _, complained = apply(second(tmp_path))

    assert code == 2
    assert "switches on purchase-to-pay beside order-to-cash before anything has been mended" in complained
    assert "approve the first mend (/approvals/)" in complained
    assert "--confirm-breadth" in complained
    assert not Playbook.objects.filter(slug="credit-late").exists()
    assert not Pack.objects.filter(slug="p2p").exists()


def test_a_plan_warns_and_changes_nothing(one_process, tmp_path):
    code, said, complained = apply(second(tmp_path), "--plan")

    assert code == 0
    assert "Warning: This switches on purchase-to-pay" in complained
    assert "Nothing was changed" in said


def test_with_a_reason_it_passes_and_the_ledger_keeps_the_reason(one_process, tmp_path):
    code, _, complained = apply(second(tmp_path), "--confirm-breadth", "A pilot of both, agreed with finance.")

    assert (code, "Warning" in complained) == (0, True)
    entry = Entry.objects.get(verb="breadth.confirmed")
    assert entry.reason == "A pilot of both, agreed with finance."
    assert "purchase-to-pay" in entry.body
    assert Playbook.objects.get(slug="credit-late").enabled


def test_the_reason_may_stand_in_the_packs_header(one_process, tmp_path):
    code, _, _ = apply(second(tmp_path, more="confirm_breadth: Both are piloted.\n"))

    assert code == 0
    assert Entry.objects.get(verb="breadth.confirmed").reason == "Both are piloted."


def test_a_blank_reason_is_none(one_process, tmp_path):
    assert apply(second(tmp_path), "--confirm-breadth", "  ")[0] == 2


def test_after_the_first_verified_mend_nobody_is_asked(tmp_path):
    mended()
    assert apply("--pack", "demo", "--pack", "o2c")[0] == 0

    code, _, complained = apply(second(tmp_path))

    assert (code, complained) == (0, "")


def test_more_of_the_same_process_is_no_second_one(one_process, tmp_path):
    assert apply(second(tmp_path, process="process: order-to-cash"))[0] == 0


def test_a_kind_without_a_process_counts_as_another(one_process, tmp_path):
    code, _, complained = apply(second(tmp_path, process=""))

    assert code == 2
    assert "a process without a name" in complained


def test_a_playbook_that_is_off_starts_no_process(one_process, tmp_path):
    assert apply(second(tmp_path, enabled=False))[0] == 0


def test_two_processes_at_once_in_an_empty_installation_are_asked_about_too(tmp_path):
    code, _, complained = apply("--pack", "demo", "--pack", "o2c", second(tmp_path))

    assert code == 2
    assert "switches on order-to-cash, purchase-to-pay before" in complained


def test_a_second_apply_of_what_was_confirmed_asks_nothing(one_process, tmp_path):
    path = second(tmp_path)
    apply(path, "--confirm-breadth", "Agreed.")

    assert apply(path) == (0, "Applied: 0 created, 0 changed, 4 unchanged.\n", "")


def test_entering_a_confirmation_takes_a_reason():
    with pytest.raises(Invalid):
        breadth.confirm(breadth.Widening(("a",), ("b",), ()), reason=" ", actor="x")


# --- the admin ---------------------------------------------------------------------------------------


@pytest.fixture
def keeper(client: Any, admin: Any) -> Any:
    client.force_login(admin)
    return client


def test_the_admin_asks_why_before_it_installs_a_second_process(one_process, keeper, tmp_path, monkeypatch):
    second(tmp_path)
    monkeypatch.setattr(installer, "PACKS", tmp_path)
    url = "/admin/playbooks/pack/install/p2p/"

    shown = keeper.get(url).content.decode()
    asked = keeper.post(url)
    done = keeper.post(url, {"confirm_breadth": "Agreed with finance."})

    assert "More than one process before the first verified mend" in shown
    assert 'href="/approvals/"' in shown
    assert (asked.status_code, "say why" in asked.content.decode()) == (200, True)
    assert done.status_code == 302
    assert Entry.objects.get(verb="breadth.confirmed").reason == "Agreed with finance."


def test_switching_a_playbook_of_a_second_process_on_asks_why(one_process, keeper, tmp_path):
    apply(second(tmp_path, enabled=False))
    playbook = Playbook.objects.get(slug="credit-late")
    page = f"/admin/playbooks/playbook/{playbook.pk}/change/"
    form = keeper.get(page).context["adminform"].form
    sent = {name: value for name, value in form.initial.items() if value is not None}
    inlines = {f"versions-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    sent = {**sent, **inlines, "enabled": "on"}

    asked = keeper.post(page, sent)
    playbook.refresh_from_db()
    assert (asked.status_code, playbook.enabled) == (200, False)
    assert "Still missing" in asked.content.decode()

    keeper.post(page, {**sent, "confirm_breadth": "Agreed."})
    playbook.refresh_from_db()
    assert playbook.enabled
    assert Entry.objects.get(verb="breadth.confirmed").reason == "Agreed."


# --- first steps -------------------------------------------------------------------------------------


def test_an_empty_installation_shows_the_first_steps_with_their_links(keeper):
    page = keeper.get("/").content.decode()

    assert "First steps" in page
    assert "0 of 4 done" in page
    assert 'href="/admin/connectors/connection/"' in page


def test_each_step_is_computed_from_rows(one_process):
    assert [step.done for step in breadth.first_steps()] == [True, True, False, False]

    Connection.objects.all().update(enabled=False)
    assert [step.done for step in breadth.first_steps()] == [False, True, False, False]


def test_who_does_not_configure_is_given_no_link_to_the_admin(client, operator):
    client.force_login(operator)

    page = client.get("/").content.decode()

    assert "First steps" in page
    assert 'href="/admin/connectors' not in page


def test_a_person_without_a_role_is_told_nothing(client, nobody):
    client.force_login(nobody)

    assert "First steps" not in client.get("/").content.decode()


def test_the_panel_is_gone_with_the_first_mend_and_asks_nothing_any_more(keeper, django_assert_num_queries):
    from playbooks.templatetags.beginning import first_steps

    mended()
    assert "First steps" not in keeper.get("/").content.decode()

    request = type("Request", (), {"user": make_user("other", role="operator")})()
    request.user.groups.all()
    assert cache.get("first_steps_done")
    with django_assert_num_queries(0):
        assert first_steps({"request": request}) == {"steps": []}
    assert Execution.objects.exists()
