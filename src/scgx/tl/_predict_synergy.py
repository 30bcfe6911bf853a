from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData

from scgx.tl._synergy_predictor import SynergyPredictor


def predict_synergy(
    pairs: pd.DataFrame,
    *,
    expression: AnnData | pd.DataFrame,
    train_pairs: pd.DataFrame | None = None,
    model: SynergyPredictor | None = None,
    method: str | Sequence[str] = "auto",
    layer: str | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict whether two drugs act in synergy in a cell line, the one-hot baseline beside it.

    Drugs are known by their molecule, salts taken off, so a drug may have several names; their order means nothing.

    Parameters
    ----------
    pairs
        Columns ``drug_a``, ``drug_b``, ``smiles_a``, ``smiles_b``, ``cell_line``; others are handed on.
    expression
        Cell lines (rows) × genes with all lines of both tables, log-normalised.
    train_pairs
        Measured pairs: the same columns, and ``label`` (0 or 1) or, without it, ``score`` (any number). Repeats are kept.
    model
        A fitted :class:`SynergyPredictor`: it only predicts. Excludes ``train_pairs``.
    method
        ``"line_mean"``, ``"pair_mean"``; on the identity of drugs and line alone ``"logistic"`` and ``"one_hot"``
        (gradient boosting); ``"random_vectors"`` (control: boosting with a random vector in place of each drug and line);
        ``"pair_kernel"`` (:class:`scgx.estimators.PairKernel`); on Morgan fingerprints and expression ``"boosting"``,
        ``"random_forest"``, ``"deepsynergy"``; ``"deepdds"`` (graph attention over the molecules); or several. ``"auto"``
        tries all but the control and the two networks. The best is chosen for each kind of new pair by AUROC (Spearman
        correlation for scores) on training pairs that are held out in the same way: new pairs, one new drug, both new,
        a new line. Equal ones go to the simplest; the non-negative combination of all is taken if it is better.
    layer
        Layer of an AnnData ``expression``; ``None`` for ``.X``. A ``model`` has its own.
    n_folds
        Folds of the held-out test.
    seed
        Seed of folds and methods.

    Returns
    -------
    A copy of ``pairs`` with the columns

    ``probability``
        Of label 1. ``score`` if it was trained on scores.
    ``one_hot_probability``
        That of gradient boosting on identities; ``one_hot_score``.
    ``novelty_a``, ``novelty_b``
        1 − the largest Tanimoto similarity to a training drug; 0 for a training drug.
    ``novel``
        What no training pair has: ``"pair"``, ``"one drug"``, ``"both drugs"``, ``"line"``, ``"pair + line"`` and so on;
        ``""`` if pair and line were measured, together or apart. ``"same drug twice"`` comes first where it is so.
    ``method``
        What predicted.

    ``.attrs["predict_synergy"]`` has for each kind of new pair what was held out, the method chosen, its weights, and the
    held-out ``scores``: one list a column, one row a method or baseline.

    Raises
    ------
    KeyError
        If a column is missing or a cell line has no expression.
    TypeError
        If an argument has the wrong type.
    ValueError
        If not exactly one of ``train_pairs`` and ``model`` is given, a SMILES cannot be read, a name has two molecules,
        values are missing, there is one label only, or ``method`` is unknown.

    References
    ----------
    Preuer et al. (2018), DeepSynergy; Wang et al. (2022), DeepDDS.

    Examples
    --------
    >>> import scgx
    >>> predicted = scgx.tl.predict_synergy(pairs, expression=lines, train_pairs=measured)  # doctest: +SKIP
    >>> predicted.attrs["predict_synergy"]["questions"]["pair"]["scores"]  # doctest: +SKIP
    """
    if model is None:
        if train_pairs is None:
            raise ValueError("give `train_pairs`, to learn from, or `model`, a fitted SynergyPredictor.")
        predictor = SynergyPredictor(method, n_folds=n_folds, layer=layer, seed=seed)
        return predictor.fit(train_pairs, expression=expression).predict(pairs)
    if not isinstance(model, SynergyPredictor):
        raise TypeError(f"`model` must be a SynergyPredictor; found {type(model).__name__}.")
    if train_pairs is not None or method != "auto":
        raise ValueError("`model` only predicts: leave out `train_pairs` and `method`, or leave out `model`.")
    return model.predict(pairs, expression=expression)
