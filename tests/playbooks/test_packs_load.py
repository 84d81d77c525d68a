"""Reading YAML: what is allowed, what means what, and where each value stands."""

import pytest

from playbooks.manifests.loader import MAX_BYTES, Place, Unreadable, load


def read(text):
    return list(load(text, "file.yaml"))


def test_only_the_words_of_yaml_1_2_mean_something():
    (document,) = read("a: true\nb: NO\nc: yes\nd: null\ne: ~\nf:\ng: 'true'\nh: on\n")

    assert document.value == {
        "a": True,
        "b": "NO",
        "c": "yes",
        "d": None,
        "e": None,
        "f": None,
        "g": "true",
        "h": "on",
    }


def test_numbers_are_numbers_and_dates_and_long_digits_stay_texts():
    (document,) = read(
        "a: 12\nb: -1.50\nc: 1e3\nd: 2026-11-22\ne: 0x1f\nf: 1_000\ng: '12'\nh: 08:00\n"
        "i: 1234567890123456789012345678901\n"
    )

    assert document.value == {
        "a": 12,
        "b": -1.5,
        "c": 1000.0,
        "d": "2026-11-22",
        "e": "0x1f",
        "f": "1_000",
        "g": "12",
        "h": "08:00",
        "i": "1234567890123456789012345678901",
    }


def test_several_documents_follow_each_other_and_empty_ones_are_left_out():
    documents = read("---\na: 1\n---\n---\nb: [1, {c: 2}]\n")

    assert [document.value for document in documents] == [{"a": 1}, {"b": [1, {"c": 2}]}]


def test_every_value_and_key_knows_its_place():
    (document,) = read("kind: unit\nregions:\n  - DE\n  - name: NL\ntext: |\n  one\n  two\n")

    assert document.places[()] == Place(1, 1)
    assert document.places[("regions", 0)] == Place(3, 5)
    assert document.places[("regions", 1, "name")] == Place(4, 11)
    assert document.places[("text",)] == Place(5, 7, "|")
    assert document.keys[("regions", 1, "name")] == Place(4, 5)


def test_a_path_that_the_file_does_not_have_is_placed_at_what_it_has():
    (document,) = read("steps:\n  - name: one\n")

    problem = document.problem(("steps", 0, "function-wrap", "operation"), "This is missing.")

    assert str(problem) == "file.yaml:2:5: steps[0].function-wrap.operation: This is missing."


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "given before, in line 1"),
        ("a: &x 1\nb: *x\n", 1, 4, "Anchors and aliases"),
        ("a: 1\nb: *x\n", 2, 4, "Anchors and aliases"),
        ("a: !!python/name:os.system x\n", 1, 4, "tag tag:yaml.org,2002:python/name:os.system"),
        ("a: !thing {b: 1}\n", 1, 4, "tag !thing"),
        ("a: !!str 1\n", 1, 4, "tag tag:yaml.org,2002:str"),
        ("? [1, 2]\n: 3\n", 1, 3, "A key must be a plain word"),
        ("a: 1\n  b: 2\n", 2, 4, "not YAML"),
        ("a: [1, 2\n", 2, 1, "not YAML"),
        ("a: 1\nb: 1e999\n", 2, 4, "too large a number"),
        ("a: 1\nb: x\x07y\n", 2, 5, "control character"),
        ("a: 1\nb: '\x00'\n", 2, 5, "control character"),
        ("{" + "a: {" * 40 + "}" * 41, 1, 1, "not YAML|nested more than"),
        ("[" * 40 + "]" * 40, 1, 34, "nested more than 32 deep"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(text, line, column, says):
    with pytest.raises(Unreadable, match=says) as caught:
        read(text)

    problem = caught.value.problem
    assert (problem.file, problem.line) == ("file.yaml", line)
    assert says.count("|") or problem.column == column


def test_a_file_is_refused_before_it_costs_anything():
    with pytest.raises(Unreadable, match="larger than 1,000,000 bytes"):
        read("a: " + "x" * MAX_BYTES)


def test_a_file_has_a_limit_of_values():
    with pytest.raises(Unreadable, match="more than 50,000 values"):
        read("[" + "1," * 60_000 + "1]")


def test_what_was_read_before_the_mistake_is_kept():
    documents = load("a: 1\n---\nb: [\n", "file.yaml")

    assert next(documents).value == {"a": 1}
    with pytest.raises(Unreadable, match=r"file\.yaml:4:1: This is not YAML"):
        next(documents)
