"""Free questions in OData, as far as F&O understands it: conditions, columns and an order on one entity."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from connectors.base import Read, Refused
from connectors.freely import FreeQuery, QueryLanguage
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS, literal
from connectors.odataquery import COMPARE, JOINS, columns_of, in_small_letters, orders_of
from connectors.queries import (
    BEGINNING,
    DAY,
    MOMENT,
    NUMBER,
    WATERMARK,
    BadQuery,
    Conditions,
    Word,
    marked,
    rendered,
    words_of,
)

_WORDS = re.compile(
    r"\s*(?:(?P<enum>Microsoft\.Dynamics\.DataEntities\.\w{1,80}'[A-Za-z0-9_]{1,80}')"
    r"|(?P<text>'(?:[^'\x00-\x1f\x7f]|'')*')"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\w-]))"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?(?![\w:.-]))"
    r"|(?P<number>-?\d{1,19}(?:\.\d{1,9})?(?![\w.]))"
    r"|(?P<watermark>\{watermark\})"
    r"|(?P<word>[A-Za-z_]\w{0,127}(?![\w./]))|(?P<mark>[(),]))",
    re.ASCII,
)


class _Filter(Conditions):
    """F&O compares a field with a value; it knows neither ``in`` nor ``has``, and contains is a wildcard inside eq."""

    def comparison(self) -> None:
        name = self.next("word")
        if name.text.lower() in JOINS or self.peek("("):
            raise BadQuery(
                f"“{name.text}” is no field. Functions are not known to F&O: to search inside a text, write"
                " Field eq '*part*'."
            )
        verb = self.next("word")
        if verb.text.upper() not in COMPARE:
            raise BadQuery(f"“{verb.text}” does not compare. Write eq, ne, gt, ge, lt or le after {name.text}.")
        value = self.next("enum", "text", "guid", "moment", "number", "watermark", "word")
        if value.sort == "word" and value.text not in ("true", "false", "null"):
            raise BadQuery(
                f"“{value.text[:60]}” is no value. Texts stand in single quotes, times as 2026-01-31T08:00:00Z."
            )


def _filter_words(text: str) -> list[Word]:
    # The joining words stand in small letters in OData; nobody is corrected for that.
    words = [in_small_letters(word) for word in words_of(text, _WORDS)]
    if words:
        reader = _Filter(words)
        reader.conditions()
        reader.end()
    return words


class ODataQuery(FreeQuery):
    """Records of one entity, in every company, that fit an OData filter."""

    entity: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    filter: str = Field(default="", max_length=4000)
    select: str = Field(default="", max_length=4000, description="Columns separated by commas; blank: all.")
    orderby: str = Field(default="", max_length=500)

    @field_validator("filter")
    @classmethod
    def _is_a_filter(cls, text: str) -> str:
        _filter_words(text)
        return text

    @field_validator("select")
    @classmethod
    def _are_columns(cls, text: str) -> str:
        columns_of(text)
        return text

    @field_validator("orderby")
    @classmethod
    def _is_an_order(cls, text: str) -> str:
        orders_of(text)
        return text

    def entities(self) -> frozenset[str]:
        """Return the one entity: a filter has no way to another."""
        return frozenset({self.entity})

    def columns(self) -> tuple[str, ...]:
        """Return the chosen columns with those of the key, which are always read; none where all are."""
        chosen = columns_of(self.select)
        key = (COMPANY, *KEYS[self.entity]) if self.entity in KEYS else ()
        return tuple(dict.fromkeys((*chosen, *key))) if chosen else ()

    def order(self) -> str:
        """Return the first column of the order, if it rises."""
        orders = orders_of(self.orderby)
        return orders[0][0] if orders and not orders[0][1] else ""

    def marked(self) -> bool:
        """Tell whether the filter holds the watermark."""
        return marked(_filter_words(self.filter))

    def options(self) -> dict[str, str]:
        """Return the query options to send, written anew from what was understood. Raises ``Refused``."""
        orders = ",".join(f"{name} {'desc' if down else 'asc'}" for name, down in orders_of(self.orderby))
        found = {
            "$filter": rendered(_filter_words(self.filter), self._filled),
            "$select": ",".join(self.columns()),
            "$orderby": orders,
            "$top": str(self.rows),
        }
        return {name: value for name, value in found.items() if value}

    def _filled(self, word: Word) -> str:
        value = self.watermark or BEGINNING
        if word.sort == "text":
            if "*" in value:
                raise Refused("The watermark holds an asterisk: F&O would read it as a wildcard.", code="wildcard")
            return word.text.replace(WATERMARK, value.replace("'", "''"))
        if MOMENT.match(value):
            return re.sub(r"([+-]\d\d)(\d\d)\Z", r"\1:\2", value)
        return value if DAY.match(value) or NUMBER.match(value) else literal(value)


ASK = Read("odata.query", ODataQuery, "Free OData filter", query_language=QueryLanguage.ODATA)
