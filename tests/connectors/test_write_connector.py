"""The how-to's own kind: one folder, one registry line, one test file, taken out of the page, installed and run.

Every check that all kinds pass is run over it too; what the page's test file tests stands here under its own names.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import tempfile
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import connectors.kinds
from connectors import registry
from connectors.base import Write
from tests.contracts import test_connector_kinds as kept
from tests.contracts import test_connector_nonsense as withstood

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-connector.md"
BLOCK = re.compile(r"\*\*`(?P<path>[^`]+)`\*\*\n\n```(?:python|text)\n(?P<code>.*?)```", re.DOTALL)
FOLDER, LINE, TEST = (
    "connectors/kinds/parcels/connector.py",
    "connectors/registry.py",
    "tests/connectors/test_move_parcels.py",
)
FILES = {found["path"]: found["code"] for found in BLOCK.finditer(PAGE.read_text())}
_HOME = tempfile.TemporaryDirectory(prefix="goldseam-parcels-")


def _installed() -> Any:
    """Put the page's folder where kinds lie; the registry is told of it only while a test here runs."""
    folder = Path(_HOME.name) / "parcels"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "connector.py").write_text(FILES[FOLDER])
    connectors.kinds.__path__.append(_HOME.name)
    try:
        return importlib.import_module("connectors.kinds.parcels.connector")
    finally:
        connectors.kinds.__path__.remove(_HOME.name)


def _tests_of_the_page() -> Any:
    path = Path(_HOME.name) / "test_move_parcels.py"
    path.write_text(FILES[TEST])
    spec = importlib.util.spec_from_file_location("parcels_of_the_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


PARCELS = _installed().Parcels
_PAGE_TESTS = {name: one for name, one in vars(_tests_of_the_page()).items() if name.startswith("test_")}
globals().update(vars(sys.modules["parcels_of_the_page"]) | {"__doc__": __doc__, "__file__": __file__})


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's one line."""
    path = ast.literal_eval(FILES[LINE].strip().rstrip(","))
    monkeypatch.setitem(registry.KINDS, PARCELS.slug, registry.loaded(path))


def _over_parcels(check: Any) -> Any:
    """Copy a check of all kinds, to be run over this kind alone."""
    copied = FunctionType(check.__code__, check.__globals__, check.__name__, check.__defaults__, check.__closure__)
    copied.__annotations__ = check.__annotations__
    marks = [mark for mark in getattr(check, "pytestmark", []) if "kind" not in _names(mark)]
    both = next((mark for mark in getattr(check, "pytestmark", []) if "operation" in _names(mark)), None)
    if both is None:
        mine = pytest.mark.parametrize("kind", [PARCELS], ids=["parcels"]).mark
    else:
        all_writes = all(isinstance(param.values[1], Write) for param in both.args[1])
        fitting = [one for one in PARCELS.operations if isinstance(one, Write) or not all_writes]
        mine = pytest.mark.parametrize(("kind", "operation"), [(PARCELS, one) for one in fitting]).mark
    copied.pytestmark = [*marks, mine]
    return copied


def _names(mark: Any) -> tuple[str, ...]:
    if mark.name != "parametrize":
        return ()
    named = mark.args[0]
    return tuple(part.strip() for part in named.split(",")) if isinstance(named, str) else tuple(named)


_CHECKS = {
    name: _over_parcels(check)
    for module in (kept, withstood)
    for name, check in vars(module).items()
    if name.startswith("test_") and "kind" in inspect.signature(check).parameters
}
globals().update({f"test_contract{name.removeprefix('test')}": check for name, check in _CHECKS.items()})
babble = withstood.babble


def test_the_page_holds_one_folder_one_line_and_one_test_file() -> None:
    assert list(FILES) == [FOLDER, LINE, TEST]
    assert len(FILES[LINE].strip().splitlines()) == 1
    assert FILES[LINE].strip() == f'"{PARCELS.__module__}.{PARCELS.__name__}",'
    assert registry.KINDS["parcels"] is PARCELS


def test_the_lines_of_the_registry_look_like_the_one_of_the_page() -> None:
    source = inspect.getsource(registry)

    for kind in registry.KINDS.values():
        if kind is not PARCELS:
            assert f'    "{kind.__module__}.{kind.__name__}",\n' in source
    with pytest.raises(TypeError, match="no kind"):
        registry.loaded("connectors.base.Arguments")
    with pytest.raises(ImportError):
        registry.loaded("connectors.kinds.nobody.connector.Nobody")


def test_all_that_every_kind_is_held_to_is_held_against_it_and_so_are_the_pages_own_tests() -> None:
    assert len(_CHECKS) >= 18
    assert {"read", "mend", "undo", "poll", "hook"} <= set("_".join(_PAGE_TESTS).replace("s_", "_").split("_"))


def test_what_the_page_says_of_formatting_types_and_length_holds() -> None:
    for path in (FOLDER, TEST):
        tree = ast.parse(FILES[path])
        lines = FILES[path].splitlines()

        assert len(lines) <= 400
        assert max(map(len, lines)) <= 120
        assert ast.get_docstring(tree)
        for one in ast.walk(tree):
            if isinstance(one, ast.FunctionDef):
                assert one.returns is not None, one.name
