from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import PerturbationKeys, output_object
from scgx._core.control_cells import changed_cells
from scgx._core.predicted_cells import asked_table
from scgx.estimators import BaseResponse
from scgx.tl._perturbation_predictor import PerturbationPredictor


def predict_perturbation(
    query: AnnData,
    perturbation: str | tuple[str, ...],
    *,
    reference: AnnData | None = None,
    model: PerturbationPredictor | None = None,
    perturbation_key: str | None = None,
    control: str | None = None,
    context_key: str | None = None,
    dose: float | None = None,
    dose_key: str | None = None,
    smiles: str | None = None,
    smiles_key: str | None = None,
    features: pd.DataFrame | None = None,
    separator: str | None = None,
    method: str | Sequence[str | BaseResponse] | Mapping[str, str | BaseResponse] = "auto",
    interval: float = 0.9,
    layer: str | None = None,
    key_added: str = "perturbation_predicted",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Predict what a perturbation would do to the control cells of ``query``.

    Mean changes are learned from ``reference`` and added to the query's control cells of the same context. What is new in
    the question decides how the ways to predict are tested, and so which one predicts: see :class:`PerturbationPredictor`.
    Where nothing surely beats the mean change on what was held out, ``"signal"`` is False and ``"verdict"`` says so.

    Parameters
    ----------
    query
        Cells (or wells) in the unit of ``reference``: log-normalised expression. Those with ``control`` in
        ``.obs[perturbation_key]`` are control cells; all are where there is no such column.
    perturbation
        A name, or several: joined by ``separator``, or a tuple. For a drug that is in no table, a name for it beside
        ``smiles``.
    reference
        Perturbed and control cells to learn from.
    model
        A fitted :class:`PerturbationPredictor`: its settings hold. Exactly one of ``reference`` and ``model``.
    dose
        Dose of the perturbation, where there is a ``dose_key``.
    smiles
        SMILES of the perturbation, where there is a ``smiles_key``.
    perturbation_key, control, context_key, dose_key, smiles_key, features, separator, method, interval, seed
        See :class:`PerturbationPredictor`; with ``reference`` only, the first two are needed.
    layer
        Layer of both with log-normalised expression; ``None`` for ``.X``, or for the model's.
    key_added
        Name of the result; see Returns.
    copy
        Return a changed copy and leave ``query`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for the default ``key_added``,

    ``.layers["perturbation_predicted"]``
        float32, n_obs × n_vars: the control cells with the predicted change. NaN in other rows, and in genes that the
        reference did not measure. In data without negative values a decrease lowers each cell in proportion, so that the
        mean changes by what was predicted and nothing falls below 0.
    ``.uns["perturbation_predicted"]``
        One row a context of the control cells (k): ``perturbation``, ``context``, ``question`` (what was new:
        ``"measured"``, ``"dose"``, ``"pair"``, ``"context"``, ``"combination_2"``, ``"perturbation"``, see
        :func:`scgx.selection.question_of`), ``method`` chosen, ``signal``, ``novelty`` (0 if it was measured;
        ``novelty_unit`` says what else it is), ``change`` (k × g, perturbed − control), ``half_width`` (k × g) of its
        interval and ``mean_change`` (k × g, of all conditions of the reference, in this context where it is known), over
        ``genes`` (g). By question: ``verdict`` (the signal in words), ``split``, ``weights``, ``coverage``
        (held-out, each fold by the widths of the others), and ``scores``, one array a column, one row a method,
        baselines and ceiling among them: ``pearson_delta``, ``pearson_delta_mean`` (beyond the mean change), ``mae`` (of the
        change), ``skill`` (over the mean change), ``mse_top20``, ``seconds``; means over held-out conditions. Also
        ``genes_left_out``, ``overlap`` (share of the reference's genes found), ``interval``, ``n_conditions`` learned from,
        ``dose``, ``smiles``, ``cells``, the keys and ``seed``.

    Raises
    ------
    KeyError
        If a key is missing, or the perturbation was never measured and nothing else is known of it; the message has the
        nearest names.
    ValueError
        If not exactly one of ``reference`` and ``model`` is given, settings are given beside ``model``, there are no
        control cells, too few genes match, a SMILES or dose cannot be read, or ``query`` is backed.

    Notes
    -----
    Scores are those of conditions held out in two random divisions of the control cells: measured changes are taken
    against one half, what predicts sees the other, for the noise of shared control cells counts as agreement. A unit
    with a single control cell leaves no division; ``split`` then says ``"shared controls (optimistic)"``. The method is
    chosen by these scores, which flatters it a little. A half-width is infinite where fewer conditions were held out
    than the interval needs (9 for 0.9). It is the interval of a measured mean change, not of single cells.

    Examples
    --------
    >>> import numpy as np, scgx
    >>> from anndata import AnnData
    >>> rng = np.random.default_rng(0)
    >>> names = np.repeat(["none", "a", "b", "a+b"], 20)
    >>> effect = np.char.count(names, "a")[:, None] * rng.random(30) + np.char.count(names, "b")[:, None] * rng.random(30)
    >>> screen = AnnData(5 + effect + 0.1 * rng.normal(size=(80, 30)), obs={"gene": names})
    >>> query = AnnData(5 + 0.1 * rng.normal(size=(10, 30)))
    >>> keys = {"perturbation_key": "gene", "control": "none", "separator": "+"}
    >>> scgx.tl.predict_perturbation(query, "a+b", reference=screen, **keys)
    >>> query.uns["perturbation_predicted"]["question"].tolist()
    ['measured']
    """
    given = {
        "perturbation_key": perturbation_key,
        "control": control,
        "context_key": context_key,
        "dose_key": dose_key,
        "smiles_key": smiles_key,
        "features": features,
        "separator": separator,
    }
    predictor = _predictor(reference, model, given, method=method, interval=interval, layer=layer, seed=seed)
    if query.isbacked and not copy:
        raise ValueError("`query` is backed: its layers cannot be written to; pass `query.to_memory()` or `copy=True`.")
    columns = predictor.columns
    for argument, value, key in (("dose", dose, columns.dose), ("smiles", smiles, columns.smiles)):
        if value is not None and key is None:
            raise ValueError(f"`{argument}`={value!r} needs `{argument}_key`, to learn from; found None.")
    if columns.dose is not None and dose is None:
        raise ValueError(
            f"`dose` is None, but responses are learned by .obs[{columns.dose!r}]; give the dose to predict."
        )
    label = perturbation if isinstance(perturbation, str) else _joined(perturbation, columns.separator)
    row = {columns.perturbation: label, columns.dose: dose, columns.smiles: smiles}
    asked = pd.DataFrame({key: [value] for key, value in row.items() if key is not None})
    controls = predictor.controls_of(query, layer=layer)
    table = asked_table(asked, columns, list(controls.rows))
    found = predictor.answer(table, controls)
    report = predictor.report(table, controls, found, query)
    values = np.full(query.shape, np.nan, dtype=np.float32)
    for context, change in zip(table["context"], found.change[:, controls.found], strict=True):
        cells = changed_cells(controls.cells(context), change, non_negative=controls.non_negative)
        values[np.ix_(controls.rows[context], controls.position)] = cells
    keys = PerturbationKeys.from_key_added(key_added)
    out = output_object(query, copy=copy)
    out.layers[keys.layer] = values
    out.uns[keys.uns] = report | {"smiles": smiles or ""}
    return out if copy else None


def _predictor(
    reference: AnnData | None,
    model: PerturbationPredictor | None,
    given: Mapping[str, object],
    **options: object,
) -> PerturbationPredictor:
    if (reference is None) == (model is None):
        found = "none" if model is None else "both"
        raise ValueError(f"give exactly one of `reference` (to learn from) and `model` (fitted); found {found}.")
    if model is not None:
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise ValueError(f"`model` has settings of its own: leave out {extra}.")
        return model
    missing = [name for name in ("perturbation_key", "control") if given[name] is None]
    if missing or reference is None:
        raise ValueError(
            f"{missing} must be given with `reference`: which column names what was applied, which value is control."
        )
    return PerturbationPredictor(**options, **given).fit(reference)  # type: ignore[arg-type]


def _joined(names: Sequence[str], separator: str | None) -> str:
    if separator is None:
        raise ValueError(
            f"`perturbation`={tuple(names)!r} has several names; say what joins them in the data: `separator`."
        )
    return separator.join(names)
