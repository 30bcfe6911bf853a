from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core.drug_pairs import DrugPairs, drug_molecules, read_lines, read_pairs, read_target
from scgx.estimators import BaseSynergy, tanimoto
from scgx.selection import ONE_HOT, SYNERGIES, AutoSynergy, synergy_names, synergy_questions
from scgx.tl._report import score_columns
from scgx.tl._saved_synergy import MeasuredPairs, load_synergy, save_synergy


class SynergyPredictor:
    """Learn from measured drug pairs; the object behind :func:`scgx.tl.predict_synergy`.

    What is new in a pair (the pair, one drug, both, the line) decides how methods are tested; the test is made when a
    pair first asks for it.

    Parameters
    ----------
    method
        See :func:`scgx.tl.predict_synergy`.
    n_folds
        Folds of each test.
    layer
        Layer of an AnnData with expression; ``None`` for ``.X``.
    seed
        Seed of folds and methods.

    Examples
    --------
    >>> import scgx
    >>> predictor = scgx.tl.SynergyPredictor().fit(measured, expression=lines)  # doctest: +SKIP
    >>> predicted = predictor.predict(pairs)  # doctest: +SKIP
    """

    def __init__(
        self, method: str | Sequence[str] = "auto", *, n_folds: int = 5, layer: str | None = None, seed: int = 0
    ) -> None:
        self.names = synergy_names(method)
        self.n_folds = n_folds
        self.layer = layer
        self.seed = seed
        self._known: MeasuredPairs | None = None
        self._fitted: dict[str, AutoSynergy] = {}
        self._one_hot: BaseSynergy | None = None

    @property
    def _measured(self) -> MeasuredPairs:
        if self._known is None:
            raise ValueError(
                "this SynergyPredictor is not fitted; call `.fit(train_pairs, expression=…)` or `.load(directory)` first."
            )
        return self._known

    def fit(self, train_pairs: pd.DataFrame, *, expression: AnnData | pd.DataFrame) -> Self:
        """Learn from measured pairs.

        Parameters
        ----------
        train_pairs
            Columns ``drug_a``, ``drug_b``, ``smiles_a``, ``smiles_b``, ``cell_line``, and ``label`` (0 or 1) or, without
            it, ``score``.
        expression
            Cell lines × genes, log-normalised.

        Raises
        ------
        KeyError
            If a column is missing or a cell line has no expression.
        ValueError
            If a SMILES cannot be read, a name has two molecules, or there is one label only.
        """
        lines = read_lines(expression, layer=self.layer)
        pairs = read_pairs(train_pairs, lines, argument="train_pairs")
        y, column = read_target(train_pairs, argument="train_pairs")
        molecules = drug_molecules(train_pairs, argument="train_pairs")
        self._known = MeasuredPairs(pairs, y, column, molecules, lines)
        self._fitted, self._one_hot = {}, None
        return self

    def predict(self, pairs: pd.DataFrame, *, expression: AnnData | pd.DataFrame | None = None) -> pd.DataFrame:
        """A copy of ``pairs`` with predictions. See :func:`scgx.tl.predict_synergy`.

        ``expression``: cell lines with all genes of the training lines; ``None`` for the matrix of :meth:`fit`.
        """
        known = self._measured
        genes = known.lines.columns
        lines = known.lines if expression is None else read_lines(expression, genes=genes, layer=self.layer)
        asked = read_pairs(pairs, lines, argument="pairs", known=known.molecules)
        question = synergy_questions(asked, known.pairs)
        predicted, method = np.empty(len(asked)), np.empty(len(asked), dtype=object)
        for name in map(str, np.unique(question)):
            rows = np.flatnonzero(question == name)
            auto = self._auto(name)
            predicted[rows], method[rows] = auto.predict(asked.take(rows)), auto.chosen_
        out = pairs.copy()
        what = "probability" if known.column == "label" else "score"
        out[what] = predicted
        out[f"{ONE_HOT}_{what}"] = self._baseline().predict(asked)
        similar = 1 - tanimoto(asked.fingerprint, known.pairs.fingerprint).max(axis=1)
        similar[np.isin(asked.smiles, known.pairs.smiles)] = 0
        out["novelty_a"], out["novelty_b"] = similar[asked.a], similar[asked.b]
        out["novel"] = _in_words(asked, question)
        out["method"] = method
        out.attrs["predict_synergy"] = self._record(question)
        return out

    def scores(self) -> pd.DataFrame:
        """Held-out scores of every method for each question asked so far, one row a question and method, best first."""
        rows = [
            {"question": question, "split": auto.split_, "method": name, "chosen": name == auto.chosen_, **scores}
            for question, auto in self._fitted.items()
            for name, scores in auto.scores_.items()
        ]
        table = pd.DataFrame(rows)
        if table.empty:
            return table
        return table.sort_values(["question", table.columns[4]], ascending=[True, False], ignore_index=True)

    def save(self, directory: str | Path) -> None:
        """Write the fitted predictor as ``synergy_predictor.json`` and ``.safetensors``.

        The training pairs with their measurements, the expression of all lines, what was chosen for each question, and
        what was fitted for it. Trees and logistic regression are left out, as only a pickle could hold them: they are
        fitted again when a pair first asks for them after loading, with the same seed.
        """
        settings = {"method": self.names, "n_folds": self.n_folds, "layer": self.layer, "seed": self.seed}
        save_synergy(settings, self._measured, self._fitted, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a predictor that :meth:`save` wrote. Runs no code from the files.

        Raises
        ------
        ValueError
            If files are missing, damaged, of another version or not a predictor of synergy.
        """
        settings, measured, fitted = load_synergy(Path(directory))
        predictor = cls(**settings)
        predictor._known, predictor._fitted = measured, fitted
        return predictor

    def _auto(self, question: str) -> AutoSynergy:
        """The method for a question, chosen when it is first asked."""
        known = self._measured
        if question not in self._fitted:
            auto = AutoSynergy(self.names, question, n_folds=self.n_folds, seed=self.seed, progress=True)
            self._fitted[question] = auto.fit(known.pairs, known.y)
        return self._fitted[question].fit_chosen(known.pairs, known.y)  # after loading: what no file holds

    def _baseline(self) -> BaseSynergy:
        if self._one_hot is None:
            self._one_hot = SYNERGIES[ONE_HOT](self.seed).fit(self._measured.pairs, self._measured.y)
        return self._one_hot

    def _record(self, question: np.ndarray) -> dict[str, Any]:
        asked = {
            name: {
                "n_pairs": int((question == name).sum()),
                "split": self._fitted[name].split_,
                "method": self._fitted[name].chosen_,
                "weights": dict(self._fitted[name].weights_),
                "scores": _columns(self._fitted[name].scores_),
            }
            for name in map(str, np.unique(question))
        }
        return {
            "questions": asked,
            "novelty_unit": "1 - largest Tanimoto similarity to a training drug",
            "n_train": len(self._measured.pairs),
            "seed": self.seed,
        }


def _columns(scores: dict[str, dict[str, float]]) -> dict[str, list[Any]]:
    """One list a column, one row a method: of arrays in ``.attrs`` pandas cannot tell whether they are equal."""
    columns = score_columns([{"method": method, **row} for method, row in scores.items()])
    return {column: values.tolist() for column, values in columns.items()}


def _in_words(asked: DrugPairs, question: np.ndarray) -> np.ndarray:
    """What is new: "", "pair", "one drug", "both drugs", "line" and so on; a drug with itself is said first."""
    words = np.char.replace(question, "_", " ")
    words = np.where(np.isin(question, ("measured", "random")), "", words)
    return np.where(asked.a == asked.b, np.char.rstrip(np.char.add("same drug twice, ", words), ", "), words)
