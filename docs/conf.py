"""Sphinx configuration; built by `make docs`, warnings are errors."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "scgx"
author = "scgx developers"
copyright = "2026, scgx developers"
version = release = installed_version("scgx-tools")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_autodoc_typehints",  # after napoleon: adds the signature's types to the sections that napoleon made
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "Thumbs.db"]
templates_path = ["_templates"]

html_theme = "sphinx_book_theme"
html_title = "scgx"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make notebooks` executes them
nb_output_stderr = "remove"  # progress and other packages' warnings

napoleon_google_docstring = False
napoleon_use_rtype = True
autosummary_generate = True
autosummary_ignore_module_all = False  # a package's `__all__` is its public interface
autodoc_member_order = "bysource"
autodoc_default_options = {
    # What scikit-learn adds to every estimator; its docstrings refer to labels of scikit-learn's own pages.
    "exclude-members": "set_fit_request, set_predict_request, set_score_request, set_split_request, set_transform_request",
}
typehints_defaults = "comma"
always_use_bars_union = True

# Every reference to scgx must resolve. References to other projects become links where their inventories can be
# reached, which only the hosted build relies on: a build without network is as strict about scgx itself.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!scgx\b).*")]
intersphinx_mapping = {
    "anndata": ("https://anndata.readthedocs.io/en/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
    "mudata": ("https://mudata.readthedocs.io/stable", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "python": ("https://docs.python.org/3", None),
    "scanpy": ("https://scanpy.readthedocs.io/en/stable", None),
    "scipy": ("https://docs.scipy.org/doc/scipy", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
}
if "READTHEDOCS" not in os.environ:
    intersphinx_mapping = {}


def resolve_public_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element) -> Element | None:
    """Lead a reference to ``scgx.tl._translator.Translator`` to the page of ``scgx.tl.Translator``.

    A type in a signature carries the private module that defines it. One that no package exports stays plain text.
    """
    target = node.get("reftarget", "")
    public = re.sub(r"\._\w+(?=\.)", "", target)
    if public == target or node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], public, node, contnode) or contnode


def list_constant(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Say what a constant holds, where autodoc takes the docstring of its type."""
    if what == "data":
        values = list(obj) if isinstance(obj, Collection) and not isinstance(obj, str) else [obj]
        lines[:] = [", ".join(f"``{value}``" for value in values)]


def returns_as_prose(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make one field of "Returns": types stand in the signature, and napoleon would read each line as a type."""
    headers = [i - 1 for i, line in enumerate(lines) if i and re.fullmatch(r"-{3,}", line)]
    start = next((i for i in headers if lines[i] == "Returns"), None)
    if start is None:
        return
    end = next((i for i in headers if i > start), len(lines))
    body = [f"    {line}".rstrip() for line in lines[start + 2 : end]]
    lines[start:end] = ["", "", ":returns:", *body, ""]  # two empty lines end napoleon's section


def copy_notebooks(app: Sphinx) -> None:
    """Bring the executed tutorials below docs/, outside of which Sphinx reads nothing."""
    source, copies = Path(app.confdir).parent / "tutorials", Path(app.srcdir) / "notebooks"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    for notebook in source.glob("*.ipynb"):
        shutil.copy2(notebook, copies)  # with its time: Sphinx reads again only what changed


def setup(app: Sphinx) -> None:
    """Register all; the resolver before intersphinx, which would not know a private name either."""
    app.connect("builder-inited", copy_notebooks)
    app.connect("autodoc-process-docstring", list_constant)
    app.connect("autodoc-process-docstring", returns_as_prose, priority=400)  # before napoleon
    app.connect("missing-reference", resolve_public_name, priority=400)
