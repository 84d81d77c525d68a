"""Free questions in FetchXML: read by a parser that takes no DTD, held against a list of what may stand in one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field, field_validator

from connectors.base import Read
from connectors.freely import FreeQuery, QueryLanguage
from connectors.kit.queries import BEGINNING, WATERMARK, BadQuery

# What may stand in a question: element → its attributes. Aggregates have no records, hints are not for strangers.
GRAMMAR: dict[str, frozenset[str]] = {
    "fetch": frozenset({"version", "mapping", "output-format", "distinct", "no-lock", "top", "count"}),
    "entity": frozenset({"name"}),
    "attribute": frozenset({"name", "alias"}),
    "all-attributes": frozenset(),
    "order": frozenset({"attribute", "descending", "entityname"}),
    "filter": frozenset({"type"}),
    "condition": frozenset({"attribute", "operator", "value", "entityname", "uiname", "uitype"}),
    "value": frozenset({"uiname", "uitype"}),
    "link-entity": frozenset({"name", "from", "to", "alias", "link-type", "intersect", "visible"}),
}  # fmt: skip
PARENTS: dict[str, frozenset[str]] = {
    "entity": frozenset({"fetch"}),
    "attribute": frozenset({"entity", "link-entity"}),
    "all-attributes": frozenset({"entity", "link-entity"}),
    "order": frozenset({"entity", "link-entity"}),
    "filter": frozenset({"entity", "link-entity", "filter"}),
    "condition": frozenset({"filter"}),
    "value": frozenset({"condition"}),
    "link-entity": frozenset({"entity", "link-entity", "filter"}),
}
_NAMED = {"name", "attribute", "alias", "from", "to", "entityname"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9.-]{1,40}\Z", re.ASCII)
_COOKIE = re.compile(r'pagingcookie="([^"]{0,8000})"')
MOST_LINKS = 15
MOST_ELEMENTS = 500
DEEPEST = 12
LONGEST = 8000


@dataclass(frozen=True)
class Page:
    """Where a list continues: the number of the next page and the server's own mark of its place."""

    number: int
    cookie: str = ""


def parse(text: str) -> Element:
    """Read a question. Raises ``BadQuery`` for whatever is not in the grammar."""
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        raise BadQuery("A DTD or an entity has no place in a question.") from None
    except (ParseError, ValueError, LookupError):
        raise BadQuery("This is no XML. Write <fetch><entity name='account'>…</entity></fetch>.") from None
    if root.tag != "fetch":
        raise BadQuery("A question begins with <fetch>.")
    count = [0, 0]
    _check(root, 1, count)
    if len(list(root)) != 1:
        raise BadQuery("One <entity> stands in <fetch>, and nothing else.")
    return root


def _check(element: Element, depth: int, count: list[int]) -> None:
    count[0] += 1
    count[1] += element.tag == "link-entity"
    if depth > DEEPEST or count[0] > MOST_ELEMENTS or count[1] > MOST_LINKS:
        raise BadQuery(
            f"More than {DEEPEST} levels, {MOST_ELEMENTS} elements or {MOST_LINKS} joined tables; ask for less at once."
        )
    _check_attributes(element)
    inside = (element.text or "").strip()
    if inside and element.tag != "value":
        raise BadQuery(f"“{inside[:40]}” cannot stand in <{element.tag}>.")
    for child in element:
        if (child.tail or "").strip():
            raise BadQuery(f"“{(child.tail or '').strip()[:40]}” cannot stand between elements.")
        if element.tag not in PARENTS.get(str(child.tag), frozenset()):
            raise BadQuery(f"<{str(child.tag)[:40]}> cannot stand in <{element.tag}>.")
        _check(child, depth + 1, count)


def _check_attributes(element: Element) -> None:
    for name, value in element.attrib.items():
        if name not in GRAMMAR[str(element.tag)]:
            raise BadQuery(f"“{name[:40]}” is not part of a saved query's <{element.tag}>.")
        if name in _NAMED and not _NAME.match(value):
            raise BadQuery(f"“{value[:40]}” is no name.")
        if name not in _NAMED and element.tag != "condition" and not _WORD.match(value):
            raise BadQuery(f"“{value[:40]}” is no value of {name}.")
    needed = {"entity": "name", "link-entity": "name", "attribute": "name", "condition": "attribute"}.get(
        str(element.tag)
    )
    if needed and needed not in element.attrib:
        raise BadQuery(f"<{element.tag}> needs {needed}.")


class FetchXmlQuery(FreeQuery):
    """Rows that one FetchXML question finds."""

    query: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="<fetch><entity name='account'>…</entity></fetch>",
        examples=["<fetch><entity name='account'><attribute name='name'/></entity></fetch>"],
    )

    @field_validator("query")
    @classmethod
    def _is_a_question(cls, text: str) -> str:
        parse(text)
        return text

    def entities(self) -> frozenset[str]:
        """Return the table and every joined one, those that only filter too."""
        return frozenset(element.attrib["name"] for element in _tables(parse(self.query)))

    def columns(self) -> tuple[str, ...]:
        """Return the columns that are named, joined ones as ``alias.column``; none where it asks for all."""
        found: list[str] = []
        for table in _tables(parse(self.query)):
            if table.find("all-attributes") is not None:
                return ()
            alias = "" if table.tag == "entity" else f"{table.attrib.get('alias') or table.attrib['name']}."
            found += [part.attrib.get("alias") or alias + part.attrib["name"] for part in table.findall("attribute")]
        return tuple(found)

    def order(self) -> str:
        """Return the first column of the order, if it rises."""
        order = parse(self.query)[0].find("order")
        if order is None or order.attrib.get("descending", "false").lower() in ("true", "1"):
            return ""
        return order.attrib.get("attribute", "") if "entityname" not in order.attrib else ""

    def marked(self) -> bool:
        """Tell whether a condition holds the watermark."""
        return any(WATERMARK in text for text in _values(parse(self.query)))

    def entity(self) -> str:
        """Return the table whose records are found."""
        return parse(self.query)[0].attrib["name"].lower()

    def paged(self) -> bool:
        """Tell whether its answer comes in pages: a question that says ``top`` has but one."""
        return "top" not in parse(self.query).attrib

    def xml(self, page: Page, size: int) -> str:
        """Return the question to send, written anew from what was understood."""
        root = parse(self.query)
        value = self.watermark or BEGINNING
        for element in root.iter():
            for name, text in element.attrib.items():
                element.attrib[name] = text.replace(WATERMARK, value) if name == "value" else text
            if element.tag == "value" and element.text:
                element.text = element.text.replace(WATERMARK, value)
        if self.paged():
            root.attrib |= {"count": str(size), "page": str(page.number)}
            root.attrib |= {"paging-cookie": page.cookie} if page.cookie else {}
        else:
            root.attrib["top"] = str(min(self.rows, _whole(root.attrib["top"])))
        return tostring(root, encoding="unicode")


def _tables(root: Element) -> Iterator[Element]:
    return (element for element in root.iter() if element.tag in ("entity", "link-entity"))


def _values(root: Element) -> Iterator[str]:
    for element in root.iter():
        yield element.attrib.get("value", "")
        if element.tag == "value":
            yield element.text or ""


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 6 else 5000


def next_page(page: Page, told: Any, *, more: Any) -> Page | None:
    """Return where the list continues by what the server said of it; ``None`` where it ends.

    The mark stands in the annotation as an attribute, encoded twice.
    """
    if more is not True:
        return None
    found = _COOKIE.search(told) if isinstance(told, str) else None
    return Page(page.number + 1, unquote(unquote(found[1])) if found else "")


ASK = Read("fetchxml.query", FetchXmlQuery, "Free FetchXML question", query_language=QueryLanguage.FETCHXML)
