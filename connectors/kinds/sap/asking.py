"""Free questions in OData, as far as both versions of SAP Gateway understand them: conditions, columns, an order."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from connectors.base import Read
from connectors.freely import FreeQuery, QueryLanguage
from connectors.kinds.sap import odata
from connectors.odataquery import COMPARE, JOINS, columns_of, in_small_letters, orders_of
from connectors.queries import BEGINNING, WATERMARK, BadQuery, Conditions, Word, marked, rendered, words_of

_TYPED = r"[0-9A-Fa-f.:TZ+-]{1,40}|\{watermark\}"
_WORDS = re.compile(
    rf"\s*(?:(?P<typed>(?:datetimeoffset|datetime|guid)'(?:{_TYPED})')"
    r"|(?P<text>'(?:[^'\x00-\x1f\x7f]|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?(?![\w:.-]))"
    r"|(?P<number>-?\d{1,19}(?:\.\d{1,9})?[MmLl]?(?![\w.]))"
    r"|(?P<watermark>\{watermark\})"
    r"|(?P<word>[A-Za-z_]\w{0,127}(?![\w./]))|(?P<mark>[(),]))",
    re.ASCII,
)


class _Filter(Conditions):
    """A field is compared with a value; functions differ between the versions and are left out."""

    def comparison(self) -> None:
        name = self.next("word")
        if name.text.lower() in JOINS or self.peek("("):
            raise BadQuery(f"“{name.text}” is no field. Functions are not part of a saved query.")
        verb = self.next("word")
        if verb.text.upper() not in COMPARE:
            raise BadQuery(f"“{verb.text}” does not compare. Write eq, ne, gt, ge, lt or le after {name.text}.")
        value = self.next("typed", "text", "moment", "number", "watermark", "word")
        if value.sort == "word" and value.text not in ("true", "false", "null"):
            raise BadQuery(
                f"“{value.text[:60]}” is no value. Texts stand in single quotes, times of version 2 as"
                " datetimeoffset'2026-01-31T08:00:00Z'."
            )


def _filter_words(text: str) -> list[Word]:
    words = [in_small_letters(word) for word in words_of(text, _WORDS)]
    if words:
        reader = _Filter(words)
        reader.conditions()
        reader.end()
    return words


class ODataQuery(FreeQuery):
    """Records of one entity set that fit an OData filter."""

    entity: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}(;v=\d{1,4})?/[A-Za-z_][A-Za-z0-9_]{0,99}$")
    ] = Field(examples=["API_SALES_ORDER_SRV/A_SalesOrder"])
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
        """Return the one entity set: a filter has no way to another."""
        return frozenset({self.entity})

    def columns(self) -> tuple[str, ...]:
        """Return the chosen columns with those of the key, which are always read; none where all are."""
        chosen = columns_of(self.select)
        key = odata.KEYS.get(self.entity.rpartition("/")[2], ())
        return tuple(dict.fromkeys((*chosen, *key))) if chosen else ()

    def order(self) -> str:
        """Return the first column of the order, if it rises."""
        orders = orders_of(self.orderby)
        return orders[0][0] if orders and not orders[0][1] else ""

    def marked(self) -> bool:
        """Tell whether the filter holds the watermark."""
        return marked(_filter_words(self.filter))

    def options(self, *, v4: bool) -> dict[str, str]:
        """Return the query options to send, written anew from what was understood."""
        orders = ",".join(f"{name} {'desc' if down else 'asc'}" for name, down in orders_of(self.orderby))
        found = {
            "$filter": rendered(_filter_words(self.filter), lambda word: self._filled(word, v4=v4)),
            "$select": ",".join(self.columns()),
            "$orderby": orders,
        }
        return {name: value for name, value in found.items() if value}

    def _filled(self, word: Word, *, v4: bool) -> str:
        value = self.watermark or BEGINNING
        if word.sort == "text":
            return word.text.replace(WATERMARK, value.replace("'", "''"))
        if word.sort == "typed":
            kind = word.text.partition("'")[0]
            moment = odata.moment_of(value)
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else value.replace("'", "''")
            return f"{kind}'{stamp}{'Z' if moment and kind == 'datetimeoffset' else ''}'"
        return odata.watermark(value, v4=v4)


ASK = Read("odata.query", ODataQuery, "Free OData filter", query_language=QueryLanguage.ODATA)
