from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys

import pytest

PACKAGES = ["pp", "tl", "get", "pl", "bm", "datasets", "metrics", "estimators", "selection"]
# what scanpy does not load itself, and takes 10 ms to seconds
SLOW = {"torch", "scvi", "lightning", "mudata", "decoupler", "rdkit", "pooch", "jinja2"} | {
    f"sklearn.{name}"
    for name in ("metrics", "model_selection", "preprocessing", "linear_model", "ensemble", "neighbors")
}


def modules_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and return the modules that it loaded."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import scgx", "import scgx.estimators, scgx.selection"])
def test_import_loads_neither_torch_nor_scvi_nor_other_slow_modules(statement: str) -> None:
    assert modules_after(statement) & SLOW == set()


def test_the_verbs_are_there_after_import_scgx() -> None:
    loaded = modules_after("import scgx\nscgx.pp.add_target, scgx.tl.translate, scgx.get.translated, scgx.bm.translate")
    assert "scgx" in loaded


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_exports_exists_and_is_documented(package: str) -> None:
    module = importlib.import_module(f"scgx.{package}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []


def test_version_is_that_of_the_distribution() -> None:
    import scgx

    assert scgx.__version__ == importlib.metadata.version("scgx-tools")
