"""Free questions in OData, as far as F&O understands it: conditions, columns and an order on one entity."""

import re
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from connectors.base import Read, Refused
from connectors.freely import QueryLanguage
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS, literal
from connectors.kit.odataquery import Comparisons, ODataFreeQuery
from connectors.kit.queries import BEGINNING, DAY, MOMENT, NUMBER, WATERMARK, Word

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


class _Filter(Comparisons):
    """F&O compares a field with a value; it knows neither ``in`` nor ``has``, and contains is a wildcard inside eq."""

    values = ("enum", "text", "guid", "moment", "number", "watermark")
    no_functions = "Functions are not known to F&O: to search inside a text, write Field eq '*part*'."
    spelling = "Texts stand in single quotes, times as 2026-01-31T08:00:00Z."


class ODataQuery(ODataFreeQuery):
    """Records of one entity, in every company, that fit an OData filter."""

    words: ClassVar[re.Pattern[str]] = _WORDS
    grammar: ClassVar[type[Comparisons]] = _Filter

    entity: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]

    def key(self) -> tuple[str, ...]:
        """Return the columns of the entity's key with the company before them."""
        return (COMPANY, *KEYS[self.entity]) if self.entity in KEYS else ()

    def options(self) -> dict[str, str]:
        """Return the query options to send. Raises ``Refused`` for a watermark that F&O would misread."""
        return {**self.asked(self._filled), "$top": str(self.rows)}

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
