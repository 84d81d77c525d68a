"""Costly set-ups once: what one leaves in the database is put back as rows where another test asks for the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models

from tests import emptying

Model = type[models.Model]
Rows = dict[Any, dict[str, Any]]
AT_ONCE = 200  # rows


@dataclass(frozen=True)
class _Left:
    """What a set-up left: new rows, and those that it changed, on a database of so many rows."""

    counts: dict[Model, int]
    made: list[tuple[Model, list[models.Model]]]
    changed: list[tuple[Model, Any, dict[str, Any]]]

    def put_back(self) -> None:
        for model, rows in self.made:
            _all(model).bulk_create(rows, batch_size=AT_ONCE)
        for model, pk, values in self.changed:
            _all(model).filter(pk=pk).update(**values)


_LEFT: dict[tuple[str, ...], _Left] = {}


def once(key: tuple[str, ...], make: Callable[[], Any]) -> None:
    """Do ``make``, or put back the rows that it left when ``key`` was first asked for, on as many rows as now.

    Raises ``AssertionError`` where ``make`` takes rows away: that could not be done again.
    """
    counts = {model: _all(model).count() for model in _filled()}
    known = _LEFT.get(key)
    if known is not None and known.counts == counts:
        known.put_back()
        return
    before = {model: _rows(model) for model in counts}
    make()
    after = {model: _rows(model) for model in _filled()}
    assert all(rows.keys() <= after.get(model, {}).keys() for model, rows in before.items()), f"{key} takes rows away"
    changed = [
        (model, pk, after[model][pk]) for model, rows in before.items() for pk in rows if after[model][pk] != rows[pk]
    ]
    made = [(model, list(_all(model).exclude(pk__in=before.get(model, ())))) for model in after]
    _LEFT[key] = _Left(counts, [(model, rows) for model, rows in made if rows], changed)


def _rows(model: Model) -> Rows:
    return {row[model._meta.pk.attname]: row for row in _all(model).values()}


def _all(model: Model) -> models.QuerySet[Any]:
    # The model's own manager may show less, or refuse to write.
    return models.QuerySet(model=model).order_by("pk")


def _filled() -> list[Model]:
    from django.db import connection

    tables = set(emptying.filled(connection))
    known = apps.get_models(include_auto_created=True)
    return [model for model in known if model._meta.managed and model._meta.db_table in tables]
