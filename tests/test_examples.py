"""Tutorials and code in the documentation against the package as it is."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scgx

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(ROOT.glob("tutorials/*.ipynb"))
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|opt|usr|work|Users)/\w")


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def python_of(path: Path) -> Iterator[str]:
    if path.suffix == ".ipynb":
        for cell in code_cells(path):
            yield re.sub(r"^[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)
    else:
        yield from re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)


def chain(node: ast.expr) -> list[str]:
    """Names of ``a.b.c``; empty for what is no such chain."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*before, node.attr] if (before := chain(node.value)) else []
    return []


def resolved(names: list[str]) -> Any:
    """What the chain names in scgx; the result of a call is not followed."""
    found: Any = scgx
    for name in names:
        found = getattr(found, name)
    return found


def aliases(tree: ast.AST) -> dict[str, list[str]]:
    """Short names for parts of scgx, as in ``UGE = scgx.model.UGE``."""
    assigned = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    return {node.targets[0].id: chain(node.value)[1:] for node in assigned if chain(node.value)[:1] == ["scgx"]}  # type: ignore[attr-defined]


def wrong_names(code: str) -> Iterator[str]:
    tree = ast.parse(code)
    known = {"scgx": []} | aliases(tree)
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call)
        names = chain(node.func if called else node) if isinstance(node, ast.Call | ast.Attribute) else []
        if not names or names[0] not in known:
            continue
        try:
            found = resolved([*known[names[0]], *names[1:]])
        except AttributeError:
            yield ".".join(names)
            continue
        if called:
            allowed = inspect.signature(found).parameters
            if not any(one.kind is one.VAR_KEYWORD for one in allowed.values()):
                yield from (
                    f"{'.'.join(names)}({word.arg}=)" for word in node.keywords if word.arg and word.arg not in allowed
                )


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_examples_use_names_and_arguments_that_exist(path):
    assert not [wrong for code in python_of(path) for wrong in wrong_names(code)]


def test_a_wrong_name_and_a_wrong_argument_would_be_found():
    code = (
        "T = scgx.tl\nscgx.tl.translated(a)\nT.translate(a, methd='auto')\nscgx.tl.translate(a, method='auto', seed=0)"
    )
    assert sorted(wrong_names(code)) == ["T.translate(methd=)", "scgx.tl.translated", "scgx.tl.translated"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_were_executed_from_top_to_bottom_without_errors(notebook):
    """``make notebooks`` does so, and keeps no progress bars and no warnings."""
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [out for cell in cells for out in cell["outputs"]]
    assert not [out for out in outputs if out["output_type"] == "error" or out.get("name") == "stderr"]


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_no_path_of_one_machine(path):
    text = path.read_text()
    if path.suffix == ".ipynb":  # without figures, whose base64 may hold anything
        cells = json.loads(text)["cells"]
        shown = [
            out.get("text", out.get("data", {}).get("text/plain", ""))
            for cell in cells
            for out in cell.get("outputs", [])
        ]
        text = json.dumps([cell["source"] for cell in cells] + shown)
    assert not MACHINE_PATH.findall(text)
