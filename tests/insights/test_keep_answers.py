"""Answers are kept per log, generation, question and filter, within bounds, and never outlive what they are of."""

import shutil

import pytest

from insights import storage
from insights.engines import TableGone
from insights.engines.duck import DuckEngine
from insights.mining import answers
from insights.mining.answers import kept
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.process_map import process_map
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from insights.models import EventLog
from tests.insights.factories import make_log, path, write_tables

pytestmark = pytest.mark.django_db


@pytest.fixture
def log():
    return make_log(path("1", "a", "b"))


@pytest.fixture
def asked(monkeypatch):
    """How often the engine was asked."""
    seen = []
    ask = DuckEngine.ask

    def counted(self, tables, sql, parameters=()):
        seen.append(sql)
        return ask(self, tables, sql, parameters)

    monkeypatch.setattr(DuckEngine, "ask", counted)
    return seen


@pytest.mark.parametrize("question", [process_map, throughput, variants])
def test_the_same_question_is_answered_without_asking_again(log, asked, question):
    first = kept(question, log, EVERYTHING)
    asked.clear()

    assert kept(question, log, EVERYTHING) == first
    assert asked == []


def test_another_filter_parameter_or_question_is_another_answer(log):
    whole = kept(process_map, log, EVERYTHING)

    assert kept(process_map, log, Filter(ends=("a",))).cases == 0
    assert kept(process_map, log, EVERYTHING, activities=1) != whole
    assert kept(process_map, log, EVERYTHING) == whole


def test_a_new_generation_never_shows_the_old(log):
    assert kept(throughput, log, EVERYTHING).cases == 1
    log.generation = 2
    write_tables(log, [*path("1", "a", "b"), *path("2", "a", "b")])

    assert kept(throughput, log, EVERYTHING).cases == 2


def test_an_old_log_at_hand_is_looked_up_again_where_its_files_are_gone(log):
    late = EventLog.objects.get(pk=log.pk)
    log.generation = 2
    write_tables(log, [*path("1", "a", "b"), *path("2", "a", "b")])
    shutil.rmtree(storage.generation(log, 1))

    assert kept(throughput, late, EVERYTHING).cases == 2


def test_files_that_are_gone_for_good_are_said_to_be(log):
    shutil.rmtree(storage.generation(log))

    with pytest.raises(TableGone):
        kept(throughput, log, EVERYTHING)


def test_an_answer_that_was_cut_short_on_disk_is_asked_for_again(log, asked):
    kept(throughput, log, EVERYTHING)
    for path_of in (storage.generation(log) / "answers").iterdir():
        path_of.write_bytes(path_of.read_bytes()[:20])
    asked.clear()

    assert kept(throughput, log, EVERYTHING).cases == 1
    assert asked


def test_answers_that_nobody_asks_for_make_room(log, monkeypatch):
    monkeypatch.setattr(answers, "MOST_FILES", 3)

    for seconds in range(6):
        kept(throughput, log, Filter(min_seconds=float(seconds)))

    assert len(list((storage.generation(log) / "answers").iterdir())) == 3


def test_an_answer_too_large_to_keep_is_still_given(log, monkeypatch):
    monkeypatch.setattr(answers, "_LARGEST", 10)

    assert kept(throughput, log, EVERYTHING).cases == 1
    assert not (storage.generation(log) / "answers").exists()
