"""Budgets as documents: each is that of its connection or team, and several stand in one file."""

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from connectors.door.models import Budget
from tests.connectors.factories import make_crm, make_fo

pytestmark = pytest.mark.django_db

BUDGETS = """\
kind: budget
connection: {fo}
calls: 500
---
kind: budget
connection: {crm}
calls: 900
---
kind: budget
team: finance
tokens: 1000
time_zone: Europe/Berlin
"""


def apply(file: Path) -> tuple[int, list[str]]:
    """Run the command; return its exit code and what it said or complained of, line by line."""
    said = io.StringIO()
    try:
        call_command("apply", str(file), stdout=said, stderr=said)
    except SystemExit as left:
        return int(str(left.code)), said.getvalue().splitlines()
    return 0, said.getvalue().splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.yaml"
    path.write_text(BUDGETS.format(fo=make_fo().slug, crm=make_crm().slug))
    return path


def test_several_budgets_stand_in_one_file_and_each_is_told_by_its_name(file: Path) -> None:
    code, said = apply(file)

    assert code == 0
    assert said[:3] == ["+ budget fo created", "+ budget crm created", "+ budget team finance created"]
    assert said[-1] == "Applied: 3 created, 0 changed, 0 unchanged."
    assert Budget.objects.count() == 3
    assert apply(file)[1][-1] == "Applied: 0 created, 0 changed, 3 unchanged."


def test_a_changed_budget_says_what_changed(file: Path) -> None:
    apply(file)
    file.write_text(file.read_text().replace("calls: 900", "calls: 1200"))

    assert apply(file)[1][:2] == ["~ budget crm changed", "    calls: 900 → 1200"]


def test_the_same_budget_twice_is_still_refused(file: Path) -> None:
    file.write_text(f"{file.read_text()}---\nkind: budget\nteam: finance\ncalls: 1\n")

    code, said = apply(file)

    assert code == 1
    assert "budget team finance stands at" in "\n".join(said)
    assert not Budget.objects.exists()
