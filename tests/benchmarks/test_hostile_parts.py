"""The worst of several is told by its name, and what is refused is measured like what is not."""

import pytest

from tests.benchmarks import hostileside


def test_the_worst_of_a_family_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = iter([(0.5, 3.0), (0.1, 90.0), (0.2, 1.0)])
    monkeypatch.setattr(hostileside, "_cost", lambda _: next(costs))

    worst = hostileside.worst([("slow", lambda: None), ("large", lambda: None), ("small", lambda: None)])

    assert worst == {"count": 3, "seconds": 0.5, "slowest": "slow", "memory": 90.0, "largest": "large"}


def test_what_is_refused_costs_what_it_took_all_the_same() -> None:
    kept: list[bytes] = []

    def refuse() -> None:
        kept.append(b"x" * 3 * 1024**2)
        raise ValueError

    _, memory = hostileside._cost(refuse)

    assert 3 <= memory < 4
    assert len(kept) == 2


def test_a_fault_is_no_refusal() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hostileside.worst([("faulty", fail)])


def test_every_table_of_the_tests_is_measured() -> None:
    families = hostileside.families()

    assert {len(cases) for cases in families.values()} >= {22, 21, 20, 9, 6, 4}
    assert all(callable(act) for cases in families.values() for _, act in cases)
