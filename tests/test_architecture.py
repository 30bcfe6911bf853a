"""The arrows between the folders of scgx, held by reading every import, those inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import scgx

PACKAGE = Path(scgx.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
PUBLIC_FOLDERS = {"pp", "tl", "pl", "get", "bm", "datasets", "metrics", "model", "estimators", "selection"}

# verbs may also call the arrays-only science directly: all of it lies below them
VERBS = {"model", "selection", "datasets", "estimators", "metrics"}
ALLOWED = {
    "__init__": PUBLIC_FOLDERS,
    "pp": VERBS,
    "tl": VERBS,
    "pl": VERBS,
    "get": VERBS,
    "bm": VERBS,
    "model": {"module", "train", "selection"},
    "module": {"nn"},
    "train": set(),
    "selection": {"estimators", "metrics"},
    "estimators": {"nn"},
    "metrics": set(),
    "nn": set(),
    "datasets": set(),
    "_core": set(),
}
ARRAYS_ONLY = {"nn", "selection", "estimators", "metrics"}
LEARNED = {"model", "module", "nn", "train"}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(tree: ast.AST, package: str, *, at_import: bool = False) -> Iterator[str]:
    """Yield the dotted name of everything imported; `at_import` only what importing the module itself runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif at_import and is_type_checking(node):
            for branch in node.orelse:
                yield from imports(ast.Module([branch], []), package, at_import=True)
        else:
            yield from imports(node, package, at_import=at_import)


def imports_of(file: Path, *, at_import: bool = False) -> list[str]:
    package = ".".join(["scgx", *file.relative_to(PACKAGE).parent.parts])
    return list(imports(ast.parse(file.read_text()), package, at_import=at_import))


def folder_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def starts_with(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("import scgx.tl", ["scgx.tl"], id="absolute"),
        pytest.param("from scgx import tl", ["scgx.tl"], id="absolute-from"),
        pytest.param("from .. import tl", ["scgx.tl"], id="relative"),
        pytest.param("from ..tl._x import y", ["scgx.tl._x.y"], id="relative-module"),
        pytest.param("from ._x import y", ["scgx.pp._x.y"], id="same-folder"),
        pytest.param("def f():\n    if a:\n        import torch.nn as nn", ["torch.nn"], id="in-function"),
        pytest.param("if TYPE_CHECKING:\n    import torch", ["torch"], id="type-checking"),
    ],
)
def test_every_form_of_import_is_seen(source: str, expected: list[str]) -> None:
    assert list(imports(ast.parse(source), "scgx.pp")) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("try:\n    import torch\nexcept ImportError:\n    pass", ["torch"], id="try"),
        pytest.param("class A:\n    import torch", ["torch"], id="class-body"),
        pytest.param("def f():\n    import torch", [], id="in-function"),
        pytest.param("if TYPE_CHECKING:\n    import torch\nelse:\n    import numpy", ["numpy"], id="type-checking"),
    ],
)
def test_imports_run_at_import_are_told_from_the_rest(source: str, expected: list[str]) -> None:
    assert list(imports(ast.parse(source), "scgx.pp", at_import=True)) == expected


@each_file
def test_arrows_run_one_way(file: Path) -> None:
    folder = folder_of(file)
    assert folder in ALLOWED, f"{folder} has no row in the table of allowed imports"
    targets = {name.split(".")[1] for name in imports_of(file) if name.startswith("scgx.")}
    assert targets & ALLOWED.keys() <= ALLOWED[folder] | {folder, "_core"}


def test_no_row_of_the_table_lets_tl_or_bm_be_imported() -> None:
    assert not [folder for folder, targets in ALLOWED.items() if folder != "__init__" and targets & {"tl", "bm"}]


@each_file
def test_science_knows_arrays_only(file: Path) -> None:
    if folder_of(file) in ARRAYS_ONLY:
        assert not [n for n in imports_of(file) if starts_with(n, "anndata", "mudata", "scanpy", "scvi")]


@each_file
def test_only_the_public_surface_of_scvi_is_used(file: Path) -> None:
    names = [name for name in imports_of(file) if starts_with(name, "scvi")]
    private = [name for name in names if any(part.startswith("_") for part in name.split("."))]
    assert not private
    assert not [name for name in names if starts_with(name, "scvi.external", "scvi.hub")]


@each_file
def test_torch_and_scvi_are_imported_late(file: Path) -> None:
    if folder_of(file) not in LEARNED:
        early = imports_of(file, at_import=True)
        assert not [name for name in early if starts_with(name, "torch", "scvi", "lightning", "scgx.model")]


@each_file
def test_no_file_is_longer_than_300_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 300
