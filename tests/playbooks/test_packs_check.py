"""Holding documents against their schemas: every mistake is told, each with its line and column."""

import pytest

from playbooks.manifests.checking import Checked, check, path_of, repeated
from playbooks.manifests.installer import PACKS, document_types, pack_files, read


def problems_of(text):
    return [str(problem) for problem in check(text, "file.yaml", document_types())[1]]


POLICY = """\
kind: policy
slug: no-large-credit
label: No large credit
operations: [fo:invoice.credit]
when: amount > 5000
verdict: block
message: Too much.
"""
PLAYBOOK = """\
kind: playbook
slug: credit-it
label: Credit it
mends: duplicate_invoice
definition:
  causes: [edi_resend]
  rationale: It was invoiced twice.
  steps:
    - name: credit
      title: Credit it
      connection: fo
      operation: invoice.credit
      arguments:
        company: "'demf'"
        invoice: incident.entity_key
        reason: "'EDI_RESEND'"
"""
KIND = """\
kind: exception_kind
code: late_thing
label: A late thing
domain: billing
entity_type: order
definition:
  title: Order {incident.entity_key} is late
  evidence:
    - as: order
      connection: fo
      operation: order.find
      arguments: {order: incident.entity_key}
      one: true
  causes:
    - id: late
      label: It is late
      statements:
        - text: It is late.
          checks:
            - check: order != null
              cites: [order]
"""


@pytest.mark.parametrize("text", [POLICY, PLAYBOOK, KIND])
def test_the_samples_that_are_broken_below_are_right(text):
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (POLICY, "kind: policy", "kind: polizy", "file.yaml:1:7: kind: There is no document of kind “polizy”."),
        (POLICY, "kind: policy", "sort: policy", "file.yaml:1:1: kind: `kind:` is missing."),
        (POLICY, "verdict: block", "verdict: stop", "file.yaml:6:10: verdict: Input should be 'allow', 'block'"),
        (POLICY, "verdict: block", "verdikt: block", "file.yaml:6:1: verdikt: This name is not known here."),
        (POLICY, "message: Too much.\n", "", "file.yaml:1:1: message: This is missing."),
        (POLICY, "amount > 5000", "amount > > 5000", "file.yaml:5:16: when: "),
        (POLICY, "amount > 5000", '"amount > > 5000"', "file.yaml:5:17: when: "),
        (POLICY, "amount > 5000", "|\n  amount >\n  > 5000", "file.yaml:7:7: when: "),
        (POLICY, "amount > 5000", "amont > 5000", "file.yaml:5:7: when: “amont” is not known to policies"),
        (POLICY, "[fo:invoice.credit]", "[fo:invoice.credit, credit]", "file.yaml:4:33: operations[1]: "),
        (POLICY, "slug: no-large-credit", "slug: No Large", "file.yaml:2:7: slug: "),
        (
            POLICY,
            "verdict: block",
            "verdict: block\ncorrections: {a: '1'}",
            "file.yaml:7:14: corrections: Only the verdict",
        ),
        (PLAYBOOK, "causes: [edi_resend]", "causes: edi_resend", "file.yaml:6:11: definition.causes: "),
        (
            PLAYBOOK,
            "      operation: invoice.credit\n",
            "",
            "file.yaml:9:7: definition.steps[0].operation: This is missing.",
        ),
        (
            PLAYBOOK,
            "title: Credit it\n      conn",
            "titel: Credit it\n      conn",
            "file.yaml:10:7: definition.steps[0].titel: ",
        ),
        (PLAYBOOK, "incident.entity_key", "incident.entity_key +", "file.yaml:15:"),
        (
            PLAYBOOK,
            "incident.entity_key",
            "slots.which",
            "file.yaml:6:3: definition: steps[0].arguments.invoice uses slots.which",
        ),
        (
            KIND,
            "check: order != null",
            "check: ordr != null",
            "file.yaml:20:22: definition.causes[0].statements[0].checks[0].check: ",
        ),
        (KIND, "order: incident.entity_key}", "order: incident.entity_key ==}", "file.yaml:12:"),
        (KIND, "cites: [order]", "cites: []", "file.yaml:21:22: definition.causes[0].statements[0].checks[0].cites: "),
        (KIND, "code: late_thing", "code: [late]", "file.yaml:2:7: code: "),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(text, old, new, expected):
    assert old in text

    found = problems_of(text.replace(old, new))

    assert any(problem.startswith(expected) for problem in found), found


def test_one_mistake_is_told_once():
    found = problems_of(KIND.replace("order: incident.entity_key}", "order: incident.entity_key ==}"))

    assert len(found) == 1


def test_all_mistakes_are_told_not_the_first():
    broken = (
        POLICY.replace("block", "stop").replace("message: Too much.\n", "")
        + "---\n"
        + PLAYBOOK.replace("kind:", "sort:")
    )

    found = problems_of(broken)

    assert [problem.split(": ")[1] for problem in found] == ["message", "verdict", "kind"] or len(found) == 3
    assert any(problem.startswith("file.yaml:8:1: kind:") for problem in found)


@pytest.mark.parametrize(
    ("text", "says"), [("- a\n- b\n", "A document is a mapping"), ("words\n", "A document is a mapping")]
)
def test_a_document_is_a_mapping(text, says):
    assert says in problems_of(text)[0]


def test_the_same_thing_twice_is_refused():
    checked, _ = check(POLICY + "---\n" + POLICY, "file.yaml", document_types())

    assert [str(problem) for problem in repeated(checked)] == [
        "file.yaml:9:1: policy no-large-credit stands at file.yaml:1 already."
    ]


def test_what_is_right_beside_what_is_wrong_is_still_checked():
    checked, problems = check(POLICY + "---\nkind: nothing\n", "file.yaml", document_types())

    assert [(part.kind, part.name) for part in checked] == [("policy", "no-large-credit")]
    assert len(problems) == 1


def test_a_path_is_read_back_from_its_text():
    assert path_of("definition.steps[2].arguments.amount") == ("definition", "steps", 2, "arguments", "amount")


def test_a_file_that_is_not_there_or_not_text_is_a_problem_with_its_name(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    _, problems = read([tmp_path / "missing.yaml", binary])

    assert [problem.file for problem in problems] == [str(tmp_path / "missing.yaml"), str(binary)]
    assert all("cannot be read" in problem.message for problem in problems)


@pytest.mark.parametrize(
    "slug", ["o2c", "p2p", "crosswise", "finance", "reorder", "reports", "demo", "demo_crosswise", "demo_trial"]
)
def test_every_shipped_file_is_valid(slug):
    checked, problems = read(pack_files(slug))

    assert problems == []
    assert checked


@pytest.mark.parametrize("slug", ["../o2c", "", "nothing", "o2c/..", "/etc"])
def test_a_pack_is_named_not_addressed(slug):
    assert pack_files(slug) == []


def test_the_pack_covers_the_process():
    checked, _ = read(pack_files("o2c"))
    names = {}
    for part in checked:
        names.setdefault(part.kind, set()).add(part.name)

    assert names["exception_kind"] >= {
        "duplicate_invoice",
        "freight_misrate",
        "credit_hold",
        "price_mismatch",
        "backorder",
        "wrong_invoice",
        "payment_returned",
    }
    assert {part.model.mends for part in checked if part.kind == "playbook"} == {
        "duplicate_invoice",
        "freight_misrate",
        "credit_hold",
        "price_mismatch",
        "backorder",
        "wrong_invoice",
        "payment_returned",
    }
    assert names["unit"] == {"EU", "US"}
    assert names["pack"] == {"o2c"}


def test_each_kind_of_document_says_in_which_order_it_comes():
    types = document_types()

    assert types["unit"].order < types["connection"].order < types["policy"].order < types["playbook"].order
    assert types["calendar"].order < types["sla_policy"].order
    assert types["exception_kind"].order < types["playbook"].order < types["pack"].order


def test_a_pack_is_a_folder_of_the_package():
    assert (PACKS / "o2c" / "pack.yaml").is_file()
    assert all(isinstance(part, Checked) for part in read(pack_files("o2c"))[0])


def test_one_name_about_two_subjects_is_no_repetition():
    assumed = "kind: assumption\nname: hourly_rate\nsubject: {}\nvalue: 55\ncurrency: EUR\nbecause: so\n"
    text = "---\n".join(assumed.format(subject) for subject in ("EU", "US", "EU"))

    checked, problems = check(text, "file.yaml", document_types())

    assert problems == []
    assert [problem.line for problem in repeated(checked)] == [15]
