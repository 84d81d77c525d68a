"""Conformance: declared paths and BPMN models, and where cases leave them."""

import pytest

from audit.errors import Invalid
from audit.models import Entry
from insights.eventlog.templates import templates
from insights.mining.actions import give_reference
from insights.mining.bpmn import read_bpmn
from insights.mining.conformance import check, conformance, reference_for
from insights.mining.leakage import leakage
from insights.mining.references import from_paths
from tests.insights.factories import make_log, path

pytestmark = pytest.mark.django_db
HEAD = '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL">'


def bpmn(*elements, flows=""):
    """A model of ``elements`` such as ``userTask:Check`` with flows such as ``start>Check Check>end``."""
    told = []
    for element in elements:
        kind, _, name = element.partition(":")
        told.append(f'<{kind} id="{name}" name="{name}"/>')
    for index, flow in enumerate(flows.split()):
        source, _, target = flow.partition(">")
        told.append(f'<sequenceFlow id="f{index}" sourceRef="{source}" targetRef="{target}"/>')
    return f"{HEAD}<process>{''.join(told)}</process></definitions>".encode()


SEQUENCE = bpmn("startEvent:s", "userTask:A", "task:B", "endEvent:e", flows="s>A A>B B>e")
MODEL = from_paths([["Create", "Check", "Ship"], ["Create", "Ship"]], name="Orders")


def test_declared_paths_become_what_may_follow_what():
    assert (MODEL.starts, MODEL.ends, MODEL.required) == (("Create",), ("Ship",), ("Create", "Ship"))
    assert MODEL.follows == (("Check", "Ship"), ("Create", "Check"), ("Create", "Ship"))


@pytest.mark.parametrize(
    ("steps", "told", "fitness"),
    [
        (["Create", "Check", "Ship"], [], 1),
        (["Create", "Ship"], [], 1),
        (["Check", "Ship"], ["begins with Check", "Create is missing"], 1 - 2 / 7),
        (["Create", "Check"], ["ends with Check", "Ship is missing"], 1 - 2 / 7),
        (["Create", "Ship", "Check", "Ship"], ["Ship is followed by Check"], 1 - 1 / 11),
        (["Create", "Call", "Ship"], ["Call is not in the model"], 1 - 1 / 8),
        (["Call"], ["Call is not in the model", "Create is missing", "Ship is missing"], 0),
    ],
)
def test_each_way_of_leaving_the_model_is_told(steps, told, fitness):
    found = check(steps, MODEL)

    assert [one.words for one in found[1]] == told
    assert found[0] == pytest.approx(fitness)


def test_cases_are_held_against_the_model():
    log = make_log(
        [*path("1", "Create", "Ship"), *path("2", "Create", "Ship"), *path("3", "Create", "Call", "Call", "Ship")]
    )

    found = conformance(log, reference=MODEL)

    assert (found.cases, found.fitting, found.deviating_variants) == (3, 2, 1)
    assert found.fitness == pytest.approx((2 + (1 - 2 / 9)) / 3)
    assert [(one.words, one.count, one.cases) for one in found.deviations] == [("Call is not in the model", 2, 1)]
    assert [(one.variant, one.cases) for one in found.variants] == [(2, 1)]


def test_without_a_model_cases_are_held_against_what_most_of_them_do():
    told = [event for case in range(8) for event in path(str(case), "a", "b")]
    log = make_log([*told, *path("8", "b"), *path("9", "c")])

    found = conformance(log)

    assert (found.source, found.reference) == ("usual", "what 80% of the cases do")
    assert (found.cases, found.fitting) == (10, 8)


def test_a_log_that_follows_a_template_is_held_against_it_in_its_own_names():
    template = next(one for one in templates() if len(one.reference.paths) > 0)
    alias = {one.name: (one.aliases or (one.name,))[0] for one in template.activities}
    steps = [alias[name] for name in template.reference.paths[0]]
    log = make_log(path("1", *steps), process=template.process)

    found = conformance(log)

    assert (found.source, found.fitting) == ("template", 1)
    assert leakage(log).target_seconds == template.targets.throughput_hours * 3600


def test_the_newest_model_that_was_given_counts(operator):
    log = make_log(path("1", "a", "b"))
    first = give_reference(log, name="First", by=operator, paths=[["a"]])
    give_reference(log, name="Second", by=operator, paths=[["a", "b"]], duties=[["b", "a"]])

    assert reference_for(log).name == "Second"
    assert reference_for(log).duties == (("a", "b"),)
    assert reference_for(log, first.pk).name == "First"
    assert Entry.objects.filter(verb="event_log.reference_given").count() == 2


def test_a_model_of_another_log_is_none_of_this(operator):
    other = give_reference(make_log(path("1", "a")), name="Other", by=operator, paths=[["a"]])

    with pytest.raises(Invalid):
        reference_for(make_log(path("1", "a")), other.pk)


@pytest.mark.parametrize("duties", [[["a"]], [["a", "b", "c"]], ["ab"], [["a", ""]]])
def test_a_duty_is_a_pair_of_names(operator, duties):
    with pytest.raises(Invalid):
        give_reference(make_log(path("1", "a")), name="x", by=operator, paths=[["a"]], duties=duties)


@pytest.mark.parametrize("paths", [[], [[]], [["a"]] * 2001, [["a"] * 501]])
def test_paths_that_say_nothing_or_too_much_are_refused(operator, paths):
    with pytest.raises(Invalid):
        give_reference(make_log(path("1", "a")), name="x", by=operator, paths=paths)


def test_a_bpmn_sequence_is_read():
    found = read_bpmn(SEQUENCE, name="x")

    assert (found.starts, found.ends, found.follows) == (("A",), ("B",), (("A", "B"),))
    assert found.required == ("A", "B")


def test_an_exclusive_choice_makes_neither_branch_needed():
    body = bpmn(
        "startEvent:s", "task:A", "exclusiveGateway:x", "task:B", "task:C", "exclusiveGateway:y", "endEvent:e",
        flows="s>A A>x x>B x>C x>y B>y C>y y>e",
    )  # fmt: skip

    found = read_bpmn(body, name="x")

    assert (found.ends, found.follows) == (("A", "B", "C"), (("A", "B"), ("A", "C")))
    assert found.required == ("A",)


def test_parallel_branches_may_come_in_any_order_and_are_all_needed():
    body = bpmn(
        "startEvent:s", "parallelGateway:x", "task:A", "task:B", "task:C", "parallelGateway:y", "task:D", "endEvent:e",
        flows="s>x x>A A>B x>C B>y C>y y>D D>e",
    )  # fmt: skip

    found = read_bpmn(body, name="x")

    assert found.starts == ("A", "C")
    assert found.follows == (
        *(("A", "B"), ("A", "C"), ("B", "C"), ("B", "D"), ("C", "A")),
        *(("C", "B"), ("C", "D")),
    )
    assert found.required == ("A", "B", "C", "D")
    assert check(["A", "C", "B", "D"], found)[0] == 1
    assert [one.words for one in check(["A", "D"], found)[1]] == [
        *("A is followed by D", "B is missing", "C is missing"),
    ]


def test_a_loop_may_be_gone_through_again():
    body = bpmn(
        "startEvent:s", "exclusiveGateway:in", "task:A", "exclusiveGateway:out", "endEvent:e",
        flows="s>in in>A A>out out>in out>e",
    )  # fmt: skip

    assert read_bpmn(body, name="x").follows == (("A", "A"),)


DOCTYPE = b'<!DOCTYPE d [<!ENTITY x "y">]>' + SEQUENCE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "well-formed"),
        (b"<a", "well-formed"),
        (DOCTYPE, "DTD"),
        (b"<a/>", "0 processes"),
        (bpmn("startEvent:s", "task:A", "subProcess:P", "endEvent:e", flows="s>A A>e"), "sub-process"),
        (bpmn("startEvent:s", "task:A", "inclusiveGateway:P", "endEvent:e", flows="s>A A>e"), "inclusive"),
        (bpmn("startEvent:s", "task:A", "endEvent:e", flows="s>A A>gone"), "does not join"),
        (bpmn("task:A", "endEvent:e", flows="A>e"), "no start event"),
        (bpmn("startEvent:s", "task:A", "task:B", flows="s>A A>B B>A"), "No way leads"),
        (bpmn("startEvent:s", "task:A", "parallelGateway:p", "endEvent:e", flows="s>p p>A p>A A>e"), "join is missing"),
        (SEQUENCE.replace(b'name="A"', b""), "has no name"),
        (b" " * (2 * 1024 * 1024 + 1), "larger"),
    ],
)
def test_a_bpmn_model_that_cannot_be_used_is_refused_with_the_reason(body, reason):
    with pytest.raises(Invalid, match=reason):
        read_bpmn(body, name="x")


def test_a_model_with_too_many_states_is_refused():
    tasks = [f"task:T{index}" for index in range(20)]
    flows = " ".join(f"x>T{index} T{index}>y" for index in range(20))
    body = bpmn(
        "startEvent:s", "parallelGateway:x", *tasks, "parallelGateway:y", "endEvent:e", flows=f"s>x {flows} y>e"
    )

    with pytest.raises(Invalid, match="too many states"):
        read_bpmn(body, name="x")
