"""Answers as programs read them: JSON by the contract's names, a schema for the OpenAPI document, a table for CSV."""

import csv
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from rest_framework import serializers
from rest_framework.renderers import BaseRenderer

from audit.exports import cell
from incidents.serializers import MoneyField

# An edge is told as the contract has it; in code these two words are taken.
_EDGE = {"source": "from", "target": "to"}
_PLAIN: dict[Any, type[serializers.Field[Any, Any, Any, Any]]] = {
    str: serializers.CharField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
    bool: serializers.BooleanField,
    datetime: serializers.DateTimeField,
}


@cache
def _renamed(form: type) -> tuple[tuple[str, str], ...]:
    named = [one.name for one in fields(form)]
    edge = _EDGE if set(_EDGE) <= set(named) else {}
    return tuple((name, edge.get(name, name)) for name in named)


def told(value: Any, currency: str = "") -> Any:
    """Return an answer as JSON can hold it. Money takes the currency that the answer names."""
    if is_dataclass(value) and not isinstance(value, type):
        currency = getattr(value, "currency", currency)
        return {
            name: _money(getattr(value, own), currency) if own == "money" else told(getattr(value, own), currency)
            for own, name in _renamed(type(value))
        }
    if isinstance(value, Mapping):
        return {str(key): told(one, currency) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [told(one, currency) for one in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _money(amount: float | None, currency: str) -> dict[str, str] | None:
    return None if amount is None else {"amount": f"{amount:.2f}", "currency": currency}


@cache
def form_of(form: type, name: str = "") -> type[serializers.Serializer[Any]]:
    """Return a serializer that describes what ``told`` makes of a dataclass; ``name`` where another has its name."""
    hints = get_type_hints(form)
    described = {other: _field(hints[own], own) for own, other in _renamed(form)}
    own_name = name or f"{form.__module__.rpartition('.')[2].title().replace('_', '')}{form.__name__}"
    return type(f"{own_name}Serializer", (serializers.Serializer,), {**described, "__doc__": form.__doc__})


def _field(hint: Any, name: str) -> Any:
    options = [one for one in get_args(hint) if one is not types.NoneType]
    empty = get_origin(hint) in (Union, types.UnionType) and len(options) < len(get_args(hint))
    inner = options[0] if empty else hint
    if name == "money":
        return MoneyField(allow_null=True)
    if is_dataclass(inner) and isinstance(inner, type):
        return form_of(inner)(allow_null=empty)
    origin = get_origin(inner)
    if origin is tuple:
        element = get_args(inner)[0]
        if is_dataclass(element) and isinstance(element, type):
            return form_of(element)(many=True)
        return serializers.ListField(child=_field(element, ""))
    if origin in (dict, Mapping) or origin is getattr(types, "MappingProxyType", None):
        element = get_args(inner)[1]
        return serializers.DictField(child=_PLAIN[element]()) if element in _PLAIN else serializers.DictField()
    return _PLAIN[inner](allow_null=empty)


class CsvRenderer(BaseRenderer):
    """A list as CSV in which no cell is a formula; the view says which list of its answer that is."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the lines; an error stays the problem document that it is."""
        response = (renderer_context or {}).get("response")
        if response is not None and response.exception:
            return json.dumps(data).encode()
        view: Any = (renderer_context or {})["view"]
        return "".join(lines(view.table(data))).encode()


class _Echo:
    """A file that hands each written line back."""

    def write(self, line: str) -> str:
        return line


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a CSV file with the columns of the first row; nested lists of texts become one cell."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.writer(_Echo())
    yield writer.writerow([cell(name) for name in columns])
    for row in flat:
        yield writer.writerow([cell(row.get(name)) for name in columns])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": one for key, one in value.items() if not isinstance(one, list | Mapping)}
        elif isinstance(value, list):
            found[name] = " → ".join(one if isinstance(one, str) else json.dumps(one) for one in value)
        else:
            found[name] = value
    return found
