"""Text that people wrote elsewhere: decoded, without what deceives the eye, HTML as what it shows; in linear time."""

import codecs
import html
import unicodedata

# Codecs that are no charsets of text, or that take ever longer with the length of what they decode.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7", "mbcs", "oem"}
)
# Elements whose content nobody sees.
_UNSEEN = frozenset({"head", "script", "style", "title", "template", "noscript", "svg", "math", "object", "textarea"})
_BREAKS = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "footer", "form", "h1"}
    | {"h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td"}
    | {"th", "tr", "ul"}
)
_LONGEST_NAME = 20


def decoded(raw: bytes, charset: str) -> str:
    """Return bytes as text; a charset that is unknown or none of text is taken for UTF-8."""
    try:
        codec = codecs.lookup(charset[:40]).name.replace("_", "-")
        if codec in _NO_CHARSETS:
            codec = "utf-8"
        return raw.decode(codec, "replace")
    except (LookupError, ValueError, UnicodeError):
        return raw.decode("utf-8", "replace")


def cleaned(text: str) -> str:
    """Return text without control letters, marks of direction and invisible letters; lines end in one way."""
    if text.isascii() and text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(map(_letter, lines))


def _letter(letter: str) -> str:
    if letter in "\n\t":
        return letter
    category = unicodedata.category(letter)
    if category == "Cs":
        return "\ufffd"
    # Cc controls, Cf marks of direction and joiners, Co letters of nobody knows what.
    return "" if category in ("Cc", "Cf", "Co", "Cn") else letter


def line(text: str, most: int) -> str:
    """Return text as one clean line of at most ``most`` letters."""
    return " ".join(cleaned(text[: most * 4]).split())[:most]


def shown(source: str) -> str:
    """Return the text that HTML shows. Nothing of it is fetched, followed or kept: no link, no picture, no script."""
    pieces: list[str] = []
    small, place = source.lower(), 0
    # Where lower case has another length (İ), places would not agree.
    if len(small) != len(source):
        source = small
    while (opening := source.find("<", place)) >= 0:
        pieces.append(source[place:opening])
        place = _behind(small, opening, pieces)
        if place < 0:
            break
    else:
        pieces.append(source[place:])
    return _tidy(html.unescape("".join(pieces)))


def _behind(small: str, opening: int, pieces: list[str]) -> int:
    """Return where text goes on behind what opens there; -1: it never ends, so nothing more is shown."""
    if small.startswith("<!--", opening):
        end = small.find("-->", opening + 4)
        return end + 3 if end >= 0 else -1
    following = small[opening + 1 : opening + 2]
    if not (following.isalpha() or following in ("/", "!", "?")) or not following:
        pieces.append("<")
        return opening + 1
    end = small.find(">", opening)
    if end < 0:
        return -1
    name = _name(small[opening + 1 : min(end, opening + 2 + _LONGEST_NAME)])
    if name.lstrip("/") in _BREAKS:
        pieces.append("\n")
    if name in _UNSEEN and small[end - 1] != "/":
        closing = small.find(f"</{name}", end)
        return closing if closing >= 0 else -1
    return end + 1


def _name(tag: str) -> str:
    length = 1 if tag.startswith("/") else 0
    while length < len(tag) and tag[length].isalnum():
        length += 1
    return tag[:length]


def _tidy(text: str) -> str:
    """Join blanks, and leave one empty line where there were many."""
    lines = [" ".join(part.split()) for part in text.split("\n")]
    kept = [part for number, part in enumerate(lines) if part or (number and lines[number - 1])]
    return "\n".join(kept).strip()
