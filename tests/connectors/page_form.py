"""A form as a browser would send it: read from the page's HTML, filled in by name, with nothing that is not there."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any


class PageForm(HTMLParser):
    """The controls of one form and what they hold."""

    def __init__(self, html: str, form: str = "connection_form") -> None:
        super().__init__()
        self.form = form
        self.values: dict[str, list[str]] = {}
        self.choices: dict[str, list[str]] = {}
        self._inside = False
        self._text: str | None = None
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = told.get("id") == self.form
        if not self._inside:
            return
        name = told.get("name", "")
        if tag == "input" and name and told.get("type") not in ("submit", "file", "button"):
            self._input(name, told)
        elif tag == "textarea":
            self._text, self.values[name] = name, [""]
        elif tag == "select":
            self._select, self.choices[name] = name, []
        elif tag == "option" and self._select:
            self.choices[self._select].append(told.get("value", ""))
            if "selected" in told or len(self.choices[self._select]) == 1:
                self.values[self._select] = [told.get("value", "")]

    def _input(self, name: str, told: Mapping[str, str]) -> None:
        if told.get("type") not in ("checkbox", "radio"):
            self.values[name] = [told.get("value", "")]
            return
        self.choices.setdefault(name, []).append(told.get("value", "on"))
        if "checked" in told:
            self.values.setdefault(name, []).append(told.get("value", "on"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea":
            self._text = None
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            # A line break right after the tag belongs to the tag.
            began = not self.values[self._text][0]
            self.values[self._text][0] += data.removeprefix("\n") if began else data

    def tick(self, name: str, *values: str) -> "PageForm":
        """Tick boxes beside those that are."""
        for value in values or ("on",):
            assert value in self.choices.get(name, []), f"the page offers no {name} = {value}"
            if value not in self.values.setdefault(name, []):
                self.values[name].append(value)
        return self

    def choose(self, name: str, value: str) -> "PageForm":
        """Choose one of a list."""
        assert value in self.choices.get(name, []), f"the page offers no {name} = {value}: {self.choices.get(name)}"
        self.values[name] = [value]
        return self

    def write(self, name: str, value: str) -> "PageForm":
        """Write into a field."""
        assert name in self.values, f"the page has no field {name}"
        self.values[name] = [value]
        return self

    def sent(self, **more: Any) -> dict[str, Any]:
        """Return what is sent."""
        return {**{name: values for name, values in self.values.items() if values}, **more}
