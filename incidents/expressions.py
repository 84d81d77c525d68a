"""The one small language (CEL) of kinds, playbooks and policies: compiled once, guarded, the same on every machine."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise
from typing import Any

MAX_SOURCE = 2_000
MAX_MACROS = 2
MAX_NESTING = 40
MAX_LIST = 1_000
MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter", "optMap", "optFlatMap"})
CONVERSIONS = frozenset({"int", "uint", "double", "string", "bytes", "timestamp", "duration", "type", "dyn"})
_PARTS = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds")
NATIVE = (
    frozenset({"size", "has", "contains", "startsWith", "endsWith", "matches"})
    | CONVERSIONS
    | frozenset(f"get{part}" for part in _PARTS)
)
_TYPES = frozenset({"int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type"})
_TOKEN = re.compile(
    r"""(?P<text>[bB]?[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\n]*"|'[^'\n]*')"""
    r"""|[bB]?(?:\"\"\"(?:\\[\s\S]|[^\\])*?\"\"\"|'''(?:\\[\s\S]|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))"""
    r"""|(?P<remark>//[^\n]*)|(?P<number>0[xX][0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+|\d+[eE][+-]?\d+|\d+[uU]?)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<other>\S)"""
)
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")
_SLOT = re.compile(r"\{([A-Za-z_][\w.]*)\}")


class BadExpression(ValueError):
    """The text is no expression that may run; ``line`` and ``column`` (from 1) say where."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message, self.line, self.column = message, line, column


class ExpressionFailed(Exception):
    """The expression could not be evaluated over these values: a missing field, a null, a mixture of types."""


def _round(value: float, places: float = 0) -> float:
    return float(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP))


def _numbers(values: tuple[Any, ...]) -> list[float]:
    listed = list(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in listed):
        raise TypeError("only numbers can be added up or compared here")
    return listed


def _distinct(values: list[Any]) -> list[Any]:
    kept: list[Any] = []
    kept.extend(value for value in values if value not in kept)
    return kept


# What CEL's core lacks. Each stays linear in its input: an expression must not be able to grow text without end.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda value: float(abs(value)),
    "round": _round,
    "min": lambda *values: float(min(_numbers(values))),
    "max": lambda *values: float(max(_numbers(values))),
    "sum": lambda *values: float(sum(Decimal(repr(float(value))) for value in _numbers(values))),
    "distinct": _distinct,
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "substring": lambda text, start, end=None: text[int(start) : None if end is None else int(end)],
    "split": lambda text, separator: text.split(separator),
}


def _divisor(value: Any) -> Any:
    if value == 0:
        raise ArithmeticError("it divides by zero")
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ArithmeticError("a number in it is not finite")
    return value


# Doubles divide by zero without a word, and a text may say “inf”: what is written through these says so instead.
_CHECKS: dict[str, Callable[..., Any]] = {"_divisor": _divisor, "_finite": _finite}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


@dataclass(frozen=True)
class Expression:
    """A compiled expression. Where it calculates, whole numbers count as doubles, so 3 / 2 is 1.5 whatever was sent."""

    source: str
    names: frozenset[str]
    calculates: bool
    _programs: tuple[Any, ...]
    _functions: Mapping[str, Callable[..., Any]]

    def references(self) -> frozenset[str]:
        """Return the outer names that it reads; names that a macro binds (``map``, ``all`` …) are not among them."""
        return self.names

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Return the value over ``variables``. Raises ``ExpressionFailed``; never guesses."""
        import cel

        missing = sorted(self.names - variables.keys())
        if missing:
            raise ExpressionFailed(f"{missing[0]} is not known here")
        values = {name: as_value(variables[name], self.calculates) for name in self.names}
        for last, program in enumerate(self._programs, start=1 - len(self._programs)):
            try:
                return _all_finite(program.execute(cel.Context(values, dict(self._functions))))
            except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
                # Whole numbers that CEL itself makes, such as size(), meet whole literals in the second program.
                if last == 0 or not isinstance(error, TypeError):
                    raise ExpressionFailed(_reason(error)) from error
        raise ExpressionFailed("there is nothing to evaluate")

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Return a yes or no. Anything but true and false is an ``ExpressionFailed``."""
        value = self.evaluate(variables)
        if not isinstance(value, bool):
            raise ExpressionFailed("this is neither true nor false")
        return value


def compiled(source: str) -> str:
    """Return ``source`` as it is, once it has been compiled. Raises ``BadExpression``."""
    compile_expression(source)
    return source


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Compile ``source``. Raises ``BadExpression`` with the place: syntax, size, macros, unknown functions."""
    import cel

    if not source.strip():
        raise BadExpression("An expression is needed here.")
    if len(source) > MAX_SOURCE:
        raise BadExpression(f"An expression has at most {MAX_SOURCE} characters; this one has {len(source)}.")
    tokens = _tokens(source)
    bound = _guard(source, tokens)
    program = _compile(cel, source)
    calls = _calls(tokens)
    for token in calls:
        if token.text not in NATIVE and token.text not in FUNCTIONS and token.text not in MACROS:
            raise BadExpression(f"There is no function {token.text}.", *_place(source, token.start))
    names = frozenset(program.variables()) - bound - _TYPES
    calculates = any(token.kind == "other" and token.text in "+-*/" for token in tokens)
    checked = _checked(source, tokens)
    doubled = _as_doubles(checked, _tokens(checked)) if calculates else checked
    programs = tuple(_compile(cel, text) for text in dict.fromkeys((doubled, checked)))
    functions = {token.text: FUNCTIONS[token.text] for token in calls if token.text in FUNCTIONS}
    functions |= {name: check for name, check in _CHECKS.items() if name in checked}
    return Expression(source, names, calculates, programs, functions)


def _tokens(source: str) -> list[_Token]:
    found = [_Token(str(part.lastgroup), part.group(), part.start()) for part in _TOKEN.finditer(source)]
    return [token for token in found if token.kind != "remark"]


def _compile(cel: Any, source: str) -> Any:
    try:
        return cel.compile(source)
    except (ValueError, RuntimeError) as error:
        found = _PLACE.search(str(error))
        if found is None:
            raise BadExpression("This cannot be read as an expression.") from error
        message = found[3].split(" expecting ")[0].removeprefix("Syntax error: ")
        raise BadExpression(f"Syntax error: {message}.", int(found[1]), int(found[2])) from error


def _guard(source: str, tokens: list[_Token]) -> frozenset[str]:
    """Refuse what could run for minutes (nested macros are exponential) and return the names that macros bind."""
    bound, macros, depth = set(), 0, 0
    for number, token in enumerate(tokens):
        depth += (token.text in "([{") - (token.text in ")]}") if token.kind == "other" else 0
        if depth > MAX_NESTING:
            raise BadExpression(f"Brackets are nested deeper than {MAX_NESTING}.", *_place(source, token.start))
        after = tokens[number + 1 : number + 3]
        if token.text in MACROS and number and tokens[number - 1].text == "." and after and after[0].text == "(":
            macros += 1
            if macros > MAX_MACROS:
                raise BadExpression(f"At most {MAX_MACROS} macros may be used.", *_place(source, token.start))
            if len(after) > 1:
                bound.add(after[1].text)
    return frozenset(bound)


def _calls(tokens: list[_Token]) -> list[_Token]:
    return [
        token for token, after in pairwise(tokens) if token.kind == "name" and after.text == "(" and token.text != "in"
    ]


def _checked(source: str, tokens: list[_Token]) -> str:
    """Write each divisor as ``_divisor(…)``, and each ``double(…)`` as ``_finite(double(…))``."""
    put: list[tuple[int, str]] = []
    for number, token in enumerate(tokens[:-1]):
        first = name = None
        if token.kind == "other" and token.text == "/":
            first, name = number + 1, "_divisor("
        elif token.text == "double" and token.kind == "name" and tokens[number + 1].text == "(":
            first, name = number, "_finite("
        if first is not None and name is not None:
            last = tokens[_operand_end(tokens, first)]
            put += [(tokens[first].start, name), (last.start + len(last.text), ")")]
    pieces, end = [], 0
    for at, text in sorted(put, key=lambda one: one[0]):
        pieces += [source[end:at], text]
        end = at
    return "".join(pieces) + source[end:]


def _operand_end(tokens: list[_Token], at: int) -> int:
    """Return where the operand ends that begins at ``at``: signs, a value, and the fields and calls that hang on it."""
    while tokens[at].text in ("-", "!") and at + 1 < len(tokens):
        at += 1
    at = _bracket_end(tokens, at) if tokens[at].text in ("(", "[", "{") else at
    while at + 1 < len(tokens) and tokens[at + 1].text in (".", "(", "["):
        at = min(at + 2, len(tokens) - 1) if tokens[at + 1].text == "." else _bracket_end(tokens, at + 1)
    return at


def _bracket_end(tokens: list[_Token], at: int) -> int:
    depth = 0
    for number in range(at, len(tokens)):
        if tokens[number].kind == "other":
            depth += (tokens[number].text in "([{") - (tokens[number].text in ")]}")
        if not depth:
            return number
    return len(tokens) - 1


def _as_doubles(source: str, tokens: list[_Token]) -> str:
    """Write whole literals as doubles, except in square brackets, where they are places in a list."""
    pieces, end, square = [], 0, 0
    for token in tokens:
        square += (token.text == "[") - (token.text == "]") if token.kind == "other" else 0
        if token.kind == "number" and token.text.isdigit() and not square:
            pieces.append(source[end : token.start] + token.text + ".0")
            end = token.start + len(token.text)
    return "".join(pieces) + source[end:]


def _place(source: str, at: int) -> tuple[int, int]:
    return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)


def as_value(value: Any, doubles: bool = False, depth: int = 0) -> Any:
    """Return ``value`` as CEL takes it: decimals as doubles, dates as text, lists of at most 1,000 entries."""
    if depth > MAX_NESTING:
        raise ExpressionFailed(f"a value is nested deeper than {MAX_NESTING}")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        # Beyond 2^53 a double is no longer exact: such a number is an id, not an amount.
        return float(value) if doubles and abs(value) < 2**53 else value
    if isinstance(value, float):
        return _given(value)
    if isinstance(value, Mapping):
        return {str(name): as_value(part, doubles, depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > MAX_LIST:
            raise ExpressionFailed(f"a list holds more than {MAX_LIST} entries")
        return [as_value(part, doubles, depth + 1) for part in value]
    return _scalar(value)


def _given(value: float) -> float:
    if not math.isfinite(value):
        raise ExpressionFailed("a number in it is not finite")
    return value


def _all_finite(value: Any) -> Any:
    """Return what came out. Raises ``ArithmeticError`` where a number in it is infinite or none at all."""
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _all_finite(part)
    return _finite(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _given(float(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return value.isoformat()
    raise ExpressionFailed(f"a value of type {type(value).__name__} cannot be used in an expression")


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, KeyError):
        return f"there is no field {text.strip(chr(34)).strip(chr(39))}"
    if isinstance(error, ZeroDivisionError):
        return "it divides by zero"
    found = re.search(r"ArithmeticError: ([^.]+)", text)
    if found is not None:
        return found[1]
    if text.startswith("No such overload"):
        return "an operation does not fit its values: a null, or a mixture of types"
    return re.split(r"\. (?:CEL|Check|Convert)", text)[0]


def render(template: str, variables: Mapping[str, Any]) -> str:
    """Fill ``{path.to.value}`` in a text for people: amounts with two decimals, ``?`` for what is not known."""
    return _SLOT.sub(lambda slot: shown(_reach(variables, slot[1].split("."))), template)


def slots(template: str) -> Iterator[str]:
    """Name the outermost variable of each ``{path}`` in ``template``."""
    return (found[1].split(".")[0] for found in _SLOT.finditer(template))


def _reach(value: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list | tuple) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def shown(value: Any) -> str:
    """Return a value as people read it."""
    if value is None or isinstance(value, Mapping):
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | Decimal):
        return f"{number(value)}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(part) for part in value)
    return str(value)


def number(value: Any) -> Decimal:
    """Return an amount in cents' precision, rounding half away from zero. Raises ``ExpressionFailed`` for no number."""
    if isinstance(value, bool):
        raise ExpressionFailed(f"{value!r} is no amount")
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
        if not amount.is_finite():
            raise ExpressionFailed(f"{value!r} is no amount")
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
    except (InvalidOperation, ValueError) as error:
        raise ExpressionFailed(f"{value!r} is no amount") from error
