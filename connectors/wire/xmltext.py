"""XML that others send: read within bounds, and without anything that a document type could declare."""

from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

MOST_ELEMENTS = 20_000
DEEPEST = 30
# All of one element's are there before anything of it can be refused.
MOST_ATTRIBUTES = 100_000


class BadXml(ValueError):
    """The text is no XML that can be relied on; the message says why."""


class _Bounded(TreeBuilder):
    """Stops at the first element over the bounds: what is never built costs no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.depth = MOST_ELEMENTS, 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self.left, self.depth = self.left - 1, self.depth + 1
        if self.left < 0:
            raise BadXml(f"it has more than {MOST_ELEMENTS} elements")
        if self.depth > DEEPEST:
            raise BadXml(f"it is nested more than {DEEPEST} deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def parsed(body: bytes) -> Element:
    """Read XML. Raises ``BadXml`` for broken text, any DTD, too many elements or attributes, or too deep ones."""
    if body.count(b"=") > MOST_ATTRIBUTES:
        raise BadXml(f"it has more than {MOST_ATTRIBUTES} signs of equality")
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except BadXml:
        raise
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise BadXml("this is no XML, or it has a DTD") from None
    return root


def local(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def clean(text: str) -> str:
    """Return a text as databases store it."""
    return text.replace("\x00", "\ufffd")
