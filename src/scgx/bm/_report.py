from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scgx._core import require_key
from scgx.bm._compare import compare
from scgx.bm._report_flags import red_flags
from scgx.bm._summary import summary
from scgx.selection import PairedDifference

_COLUMNS = ("dataset", "split", "fold", "group", "method", "role", "metric", "value")
#: what methods are ranked by: the first that the frame has
_HEADLINES = ("skill", "balanced_accuracy")
#: the figure ends here, so that one bad method does not press all others together
_LOWEST = -0.5


def report(frame: pd.DataFrame, path: str | Path, *, title: str = "Benchmark") -> None:
    """Write one HTML page that shows a benchmark, and what in it should be doubted.

    For each data set and split: how the split was made, red flags, a figure (a dot a fold, a bar at the method's score),
    and a table of methods × metrics, baselines and ceilings marked. The page holds everything it needs; it loads nothing.

    Red flags are raised by the page itself: an optimistic split (random, or control cells shared by truth and prediction);
    skill above 0.02 of a method trained on shuffled pairs (a leak); a raw correlation above 0.8 without signal in ``pearson_delta`` or
    ``skill``, which a copy of the control has too; a skill of 0 or less, as of permuted predictions; a best method that
    cannot be told from the best baseline. None raised is no proof: what the frame does not hold cannot be seen, for
    example a ``group_key`` that leaves replicates of a compound in different groups.

    Parameters
    ----------
    frame
        Result of :func:`scgx.bm.translate`, :func:`scgx.bm.perturb` or :func:`scgx.bm.biomarker`, or several of one kind
        concatenated.
    path
        File to write; an existing one is replaced.
    title
        Heading of the page.

    Raises
    ------
    KeyError
        If ``frame`` lacks a column.
    ValueError
        If ``frame`` has no rows, or none of the metrics that methods are ranked by.

    Notes
    -----
    Methods are ranked by skill (pooled over folds), those of ``bm.biomarker`` by balanced accuracy (mean over folds). The
    best baseline is chosen by the same number, shuffled pairs excepted. Differences to it are those of :func:`compare`,
    which needs errors by group; ``bm.biomarker`` gives none. Raw ``pearson`` is shown beside ``pearson_delta`` only.

    Examples
    --------
    >>> import scgx
    >>> source, target, _ = scgx.datasets.pbmc_panels()
    >>> scgx.pp.add_target(source, target)
    >>> frame = scgx.bm.translate(source, methods=["ridge"], group_key="bulk_labels")
    >>> scgx.bm.report(frame, "benchmark.html")  # doctest: +SKIP
    """
    from jinja2 import Environment, StrictUndefined

    for column in _COLUMNS:
        require_key(frame.columns, column, "frame", "column")
    if frame.empty:
        raise ValueError("`frame` has no rows; give the result of a benchmark.")
    # what biomarker calls a baseline is its upper end
    frame = frame.assign(role=frame["role"].mask(frame["method"] == "all_measured", "ceiling"))
    sections = [_section(part) for _, part in frame.groupby(["dataset", "split"], sort=False)]
    template = files("scgx.bm").joinpath("_report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template).render(title=title, sections=sections)
    Path(path).write_text(page, encoding="utf-8")


def _section(part: pd.DataFrame) -> dict[str, Any]:
    """What the template shows of one data set and split."""
    headline = next((name for name in _HEADLINES if (part["metric"] == name).any()), None)
    if headline is None:
        raise ValueError(f"`frame` holds none of the metrics {_HEADLINES} for {part['dataset'].iloc[0]!r}.")
    table = _table(part, headline)
    real = table[(table["role"] == "baseline") & (table.index != "shuffled_pairs")]
    baseline = None if real.empty else str(real[headline].idxmax())
    paired = dict(_differences(part, table, baseline))
    split = part["split"].iloc[0]
    return {
        "dataset": part["dataset"].iloc[0],
        "split": split,
        "how": _how(split),
        "optimistic": "optimistic" in split,
        "flags": red_flags(part, table, headline, baseline, paired),
        "headline": headline,
        "baseline": baseline,
        "paired": bool(paired),
        "figure": _figure(part, table, headline),
        "columns": list(table.columns.drop("role")),
        "rows": [_row(str(name), row, paired, baseline) for name, row in table.iterrows()],
    }


def _table(part: pd.DataFrame, headline: str) -> pd.DataFrame:
    """One row a method, best first: role and metrics, raw correlation right of its honest twin."""
    table = summary(part).set_index("method").drop(columns=["dataset", "split"])
    first = ["role", headline, *(name for name in ("pearson_delta", "pearson") if "pearson_delta" in table)]
    rest = [name for name in table if name not in (*first, "pearson", "seconds")]
    order = [name for name in (*first, *rest, "seconds") if name in table]
    return table[order].sort_values(headline, ascending=False)


def _differences(
    part: pd.DataFrame, table: pd.DataFrame, baseline: str | None
) -> Iterator[tuple[str, PairedDifference]]:
    groups = part.loc[part["group"] != "", "group"]
    if baseline is None or groups.nunique() < 2:
        return
    for name in table.index[table["role"] == "candidate"]:
        yield name, compare(part, name, baseline)


def _how(split: str) -> str:
    """How the split was made, in a sentence."""
    kind = split.split(",")[0]
    if kind.startswith("random"):
        return "Rows were divided at random; nothing keeps what belongs together on one side."
    if kind.startswith("combinations"):
        return "One combination at a time was held out; the number tells how many of its parts were measured alone."
    if kind.startswith(("each", "leave one")):
        return "Each was held out once and predicted from the others. What else repeats was seen in training."
    return "Whole groups were held out: all rows of a group are either in training or in testing."


def _row(name: str, row: pd.Series, paired: dict[str, PairedDifference], baseline: str | None) -> dict[str, Any]:
    found = paired.get(name)
    difference = "" if found is None else f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    cells = ["–" if np.isnan(value) else f"{value:.3g}" for value in row.drop("role").astype(float)]
    role = "best baseline" if name == baseline else row["role"]
    return {"method": name, "role": role, "kind": row["role"], "difference": difference, "cells": cells}


def _figure(part: pd.DataFrame, table: pd.DataFrame, headline: str) -> dict[str, Any]:
    """Places of dots and bars, in per cent of the width, of the headline metric."""
    rows = part[(part["group"] == "") & (part["metric"] == headline)]
    values = np.append(rows["value"].to_numpy(dtype=float), table[headline].to_numpy(dtype=float))
    low, high = max(np.nanmin(values, initial=0.0), _LOWEST), np.nanmax(values, initial=0.0)

    def place(value: float) -> float:
        return round(100 * float((np.clip(value, low, high) - low) / ((high - low) or 1)), 2)

    lines = []
    for name, row in table.iterrows():
        of_method = rows.loc[rows["method"] == name, "value"].dropna()
        lines.append(
            {
                "method": name,
                "kind": row["role"],
                "dots": [place(value) for value in of_method],
                "bar": None if np.isnan(row[headline]) else place(row[headline]),
            }
        )
    return {"lines": lines, "zero": place(0.0), "low": f"{low:.2f}", "high": f"{high:.2f}", "cut": low == _LOWEST}
