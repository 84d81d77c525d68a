"""The house's shape, held by tests: floors, sizes, folders, templates, and words that do not belong here."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import Field, ForeignObject, ManyToManyField

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"audit": 1, "connectors": 2, "incidents": 3, "approvals": 3, "playbooks": 4, "insights": 5, "config": 6}
# Third-party models that any floor may point at: people, content types and object grants.
FOUNDATION = {"auth", "contenttypes", "guardian"}
FOLDERS = {*FLOORS, "templates", "static", "tests", "docs", "changelog.d", ".ci"}
FILE_LINES = 400
FUNCTION_LINES = 50
TEMPLATE_LINES = 60
TEXT = {".py", ".md", ".html", ".css", ".js", ".toml", ".yaml", ".yml", ".txt", ".in", ".sh", ".service", ".timer", ""}
# Paths of one person's machine, unfinished business, and where packages happened to come from.
FOREIGN = re.compile(
    r"(?<![\w.}])/(?:root|home|work|farm|Users|mnt)/|\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b|(?:extra-)?index-(?:url)"
    r"|\b(?:sub)agents?\b|before-(?:stop)"
)


def files() -> list[Path]:
    """Every file that belongs to the project: what git tracks or would track, else what lies on disk."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        hidden = {".git", ".venv", ".data", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
        listed = [
            str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not hidden & set(path.relative_to(ROOT).parts)
        ]
    return [path for name in listed if (path := ROOT / name).is_file() and "vendor" not in path.parts]


FILES = files()
PYTHON = [path for path in FILES if path.suffix == ".py" and "migrations" not in path.parts]
TEMPLATES = [path for path in FILES if path.suffix == ".html" and path.relative_to(ROOT).parts[0] == "templates"]


def lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def floor(app_label: str) -> int | None:
    """The floor of an app of ours; None for third-party apps."""
    return FLOORS.get(app_label)


def relations() -> Iterator[tuple[str, str, str]]:
    """(field, app it stands in, app it points at) of every relation between models of ours and anything."""
    for model in apps.get_models(include_auto_created=True):
        label = model._meta.app_label
        if floor(label) is None:
            continue
        for field in model._meta.get_fields():
            if isinstance(field, ForeignObject | ManyToManyField) and isinstance(field, Field):
                target = field.remote_field.model._meta.app_label
                yield f"{model._meta.label}.{field.name}", label, target


def test_there_is_something_to_hold() -> None:
    assert len(PYTHON) > 10
    assert any(label == "incidents" for _, label, _ in relations())


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {name(path): lines(path) for path in PYTHON if lines(path) > FILE_LINES}

    assert long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name(path)}:{node.lineno} {node.name}": size
        for path in PYTHON
        for node in functions(path)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }

    assert long == {}


def test_relations_between_models_run_down_the_floors() -> None:
    upward = [
        f"{field} points at {target}"
        for field, label, target in relations()
        if target != label and target not in FOUNDATION and (floor(target) is None or FLOORS[target] >= FLOORS[label])
    ]

    assert upward == []


def test_imports_inside_functions_run_down_the_floors_too() -> None:
    upward = [
        f"{name(path)}: imports {module}"
        for path in PYTHON
        if (own := floor(path.relative_to(ROOT).parts[0])) is not None
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for module in imported(node)
        if module.split(".")[0] != path.relative_to(ROOT).parts[0] and FLOORS.get(module.split(".")[0], 0) >= own
    ]

    assert upward == []


def imported(node: ast.AST) -> list[str]:
    """The modules that one statement imports; relative imports stay inside an app and count as none."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return [node.module]
    return []


def test_no_folder_stands_beside_those_of_the_design() -> None:
    others = {path.relative_to(ROOT).parts[0] for path in FILES if len(path.relative_to(ROOT).parts) > 1} - FOLDERS

    assert others == set()


@pytest.mark.parametrize("word", ["utils", "common", "helpers", "misc"])
def test_no_module_is_a_drawer_for_everything(word: str) -> None:
    drawers = [name(path) for path in PYTHON if word in {path.stem, *path.relative_to(ROOT).parts}]

    assert drawers == []


def test_no_file_speaks_of_what_is_no_part_of_the_project() -> None:
    foreign = [
        f"{name(path)}: {found.group()}"
        for path in FILES
        if path.suffix in TEXT and path.name != "LICENSE"
        for found in FOREIGN.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]

    assert foreign == []


def test_each_template_answers_one_question_in_sixty_lines() -> None:
    long = {name(path): lines(path) for path in TEMPLATES if lines(path) > TEMPLATE_LINES}

    assert long == {}


# `<script src=…>` and `<script type="application/json">` are no code in the page; whatever else stands in one is.
@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an inline script", r"<script(?![^>]*\bsrc=)(?![^>]*application/(?:ld\+)?json)"),
        ("an inline style sheet", r"<style\b"),
        ("an inline style", r"<[^>]*\sstyle="),
        ("an inline event handler", r"<[a-z][^>]*\son[a-z]+="),
        ("text that escapes escaping", r"\|\s*safe\b|\{%\s*autoescape\s+off"),
        ("a script address", r"javascript:"),
        ("an unquoted link", r"\b(?:href|src|action)=\{"),
    ],
)
def test_no_template_holds(what: str, pattern: str) -> None:
    holding = [name(path) for path in TEMPLATES if re.search(pattern, path.read_text(encoding="utf-8"), re.IGNORECASE)]

    assert holding == [], f"holds {what}"


def test_the_locks_pin_every_package_with_its_hashes() -> None:
    for lock in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "")
        pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

        assert pins
        assert [pin.split()[0] for pin in pins if not re.match(r"[\w.\[\]-]+==\S+.*--hash=sha256:", pin)] == []
