"""Free questions in OData, as far as both versions of SAP Gateway understand them: conditions, columns, an order."""

import re
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from connectors.base import Read
from connectors.freely import QueryLanguage
from connectors.kinds.sap import odata
from connectors.kit.odataquery import Comparisons, ODataFreeQuery
from connectors.kit.queries import BEGINNING, WATERMARK, Word

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


EntitySet = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}(;v=\d{1,4})?/[A-Za-z_][A-Za-z0-9_]{0,99}$")
]


class _Filter(Comparisons):
    """A field is compared with a value; functions differ between the versions and are left out."""

    values = ("typed", "text", "moment", "number", "watermark")
    no_functions = "Functions are not part of a saved query."
    spelling = "Texts stand in single quotes, times of version 2 as datetimeoffset'2026-01-31T08:00:00Z'."


class ODataQuery(ODataFreeQuery):
    """Records of one entity set that fit an OData filter."""

    words: ClassVar[re.Pattern[str]] = _WORDS
    grammar: ClassVar[type[Comparisons]] = _Filter

    entity: EntitySet = Field(examples=["API_SALES_ORDER_SRV/A_SalesOrder"])

    def key(self) -> tuple[str, ...]:
        """Return the columns of the entity set's key."""
        return odata.KEYS.get(self.entity.rpartition("/")[2], ())

    def options(self, *, v4: bool) -> dict[str, str]:
        """Return the query options to send."""
        return self.asked(lambda word: self._filled(word, v4=v4))

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
