from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import PerturbationKeys
from scgx._core.control_cells import ControlCells, read_controls
from scgx._core.perturbation_cells import PerturbationColumns
from scgx._core.predicted_cells import asked_table, context_record, predicted_cells, prediction_record
from scgx.estimators import BaseResponse, Conditions
from scgx.selection import (
    RESPONSE_BASELINES,
    AutoResponse,
    ResponseChoice,
    make_responses,
    measured_choice,
    possible_responses,
)
from scgx.tl._perturbation_answer import Answer, answer, choice_report, questions_of, score_table
from scgx.tl._perturbation_conditions import to_conditions
from scgx.tl._perturbation_reference import Reference, read_reference
from scgx.tl._saved_perturbation import load_perturbation, save_perturbation


class PerturbationPredictor:
    """Learn what perturbations change, to predict it elsewhere; the object behind :func:`scgx.tl.predict_perturbation`.

    What is new in a condition decides how responses are tested: whole perturbations are held out for one never measured,
    contexts for one measured in other contexts, combinations for one whose parts were measured. The test is made when a
    condition first asks for it. A condition that was measured in its context gets the measured change.

    Parameters
    ----------
    method
        ``"auto"``: all in :data:`scgx.selection.RESPONSES` that the data allow, and their stack, see
        :class:`scgx.selection.AutoResponse`. Or one of these names, or a list of them and of responses of your own
        (:class:`scgx.estimators.BaseResponse`), which are called by their class; a mapping gives other names. The baselines
        are scored in any case. A single one predicts in any case, one of several if it beats the best baseline, which
        predicts otherwise.
    perturbation_key, control
        ``.obs`` column that names what was applied, and its value for control cells.
    context_key
        ``.obs`` column with cell type, line or tissue. Controls are matched by it.
    dose_key
        ``.obs`` column with positive doses.
    smiles_key
        ``.obs`` column with SMILES; their Morgan fingerprints are the ``features`` if there are no others. Needs rdkit.
    design_keys
        ``.obs`` columns of the reference's design: plate, vehicle, time. Its controls are matched by them.
    separator
        What stands between names applied together, such as ``"+"``; ``None``: a name is a name.
    features
        What is known of each perturbation: one row a name × f. Those of a combination are averaged. Names that were never
        measured can be predicted if they are in it.
    interval
        Probability with which the interval of a change holds a new measurement.
    layer
        Layer with log-normalised expression; ``None`` for ``.X``.
    seed
        Seed of folds, halves and methods.

    Examples
    --------
    >>> import scgx
    >>> predictor = scgx.tl.PerturbationPredictor(perturbation_key="gene", control="control", separator="+")
    >>> predicted = predictor.fit(screen).predict(screen, ["KLF1+MAPK1", "KLF1+SGK1"])  # doctest: +SKIP
    """

    def __init__(
        self,
        method: str | Sequence[str | BaseResponse] | Mapping[str, str | BaseResponse] = "auto",
        *,
        perturbation_key: str,
        control: str,
        context_key: str | None = None,
        dose_key: str | None = None,
        smiles_key: str | None = None,
        design_keys: Sequence[str] = (),
        separator: str | None = None,
        features: pd.DataFrame | None = None,
        interval: float = 0.9,
        layer: str | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 < interval < 1:
            raise ValueError(f"`interval` must lie between 0 and 1, for example 0.9; found {interval!r}.")
        self.method = method
        self.columns = PerturbationColumns(
            perturbation_key,
            control,
            separator,
            context=context_key,
            dose=dose_key,
            smiles=smiles_key,
            design=tuple(design_keys),
        )
        self.features = features
        self.interval = interval
        self.layer = layer
        self.seed = seed
        self._reference: Reference | None = None
        self._fitted: dict[str, AutoResponse] = {}
        self._choices: dict[str, ResponseChoice] = {}

    @property
    def reference(self) -> Reference:
        """What was learned from; an error before :meth:`fit`."""
        if self._reference is None:
            raise ValueError(
                "this PerturbationPredictor is not fitted; call `.fit(reference)` or `.load(directory)` first."
            )
        return self._reference

    def fit(self, reference: AnnData) -> Self:
        """Learn from perturbed and control cells. ``reference`` is not changed.

        Raises
        ------
        KeyError
            If a key is missing.
        ValueError
            If there are no controls (in a context), ``method`` cannot be run on these conditions, names are doubled, or
            values, doses, features or SMILES are not what they should be.
        """
        learned = read_reference(reference, self.columns, features=self.features, layer=self.layer, seed=self.seed)
        asked = self._candidates(learned.measured.conditions)
        taken = [name for name in asked if name in ("stack", "split_half", "measured")]
        if taken or not asked:
            raise ValueError(f"`method` must give responses of your own names that are not taken; found {taken}.")
        self._reference, self._fitted, self._choices = learned, {}, {}
        return self

    def predict(self, query: AnnData, conditions: pd.DataFrame | Sequence[str]) -> AnnData:
        """Control cells of ``query`` under each condition, the control cells themselves among them.

        Parameters
        ----------
        query
            Cells in the unit of the reference. Its control cells are those with ``control`` in the column of
            perturbations, all where there is no such column; others are left out.
        conditions
            Perturbations, or a frame with a column of them named like ``perturbation_key``, with columns named like
            ``context_key`` (else each is predicted in every context of the control cells), ``dose_key`` (needed where the
            predictor has one) and ``smiles_key`` (for drugs that were not measured).

        Returns
        -------
        Cells × genes of ``query`` in its order, float32: its control cells, then for each condition the control cells of
        the context with the predicted change. ``.obs`` has the columns of the predictor's keys, so that ``cell-eval``
        takes it as it is, and ``control_cell``, the cell that each started from. Genes that the reference did not measure
        are left out and named in ``.uns["perturbation_predicted"]["genes_left_out"]``, for neither the control's value
        nor NaN would be a prediction. That record is the one of :func:`scgx.tl.predict_perturbation`, one row a condition
        and context.

        Raises
        ------
        KeyError
            If a column is missing, a context has no control cells, or a perturbation was never measured and nothing else
            is known of it.
        ValueError
            If less than half of the reference's genes are found, there are no control cells, or a condition is the
            control, doubled, or has a dose or SMILES that cannot be read.
        """
        controls = self.controls_of(query)
        table = asked_table(conditions, self.columns, list(controls.rows))
        found = self.answer(table, controls)
        out = predicted_cells(query, controls, table, found.change[:, controls.found], self.columns)
        out.uns[PerturbationKeys().uns] = self.report(table, controls, found, query)
        return out

    def controls_of(self, query: AnnData, *, layer: str | None = None) -> ControlCells:
        """Control cells of a query, its genes matched by name with those of the reference."""
        usual = self.reference.measured.conditions.control.mean(axis=0)
        return read_controls(query, self.columns, self.reference.genes, usual, layer or self.layer)

    def answer(self, table: pd.DataFrame, controls: ControlCells) -> Answer:
        """Changes of conditions as :func:`asked_table` gives them; tests responses for what was not asked before."""
        measured = self.reference.measured
        asked = to_conditions(table, self.columns, self.reference, controls, self.features)
        questions = questions_of(asked, measured.conditions)
        for question in map(str, np.unique(questions)):
            self._prepare(question)
        return answer(asked, questions, measured, self._fitted)

    def _prepare(self, question: str) -> None:
        """Choose a response for a question, or fit the one chosen before saving."""
        measured = self.reference.measured
        if question == "measured":
            self._choices.setdefault(question, measured_choice(measured))
        elif question not in self._fitted:
            auto = self._auto(question)
            known = self._choices.get(question)
            self._fitted[question] = auto.fit(measured) if known is None else auto.fit_chosen(known, measured)
            self._choices[question] = self._fitted[question].choice_

    def _auto(self, question: str) -> AutoResponse:
        conditions = self.reference.measured.conditions
        possible = possible_responses(conditions)
        baselines = make_responses([n for n in possible if n in RESPONSE_BASELINES], conditions, seed=self.seed)
        candidates = self._candidates(conditions)
        return AutoResponse(candidates, question=question, baselines=baselines, seed=self.seed, progress=True)

    def _candidates(self, conditions: Conditions) -> dict[str, BaseResponse]:
        asked = self.method
        if isinstance(asked, str) and asked == "auto":  # the plates of the reference are not those of the query
            asked = [name for name in possible_responses(conditions) if name != "design_mean"]
        return make_responses(asked, conditions, seed=self.seed)

    def report(self, table: pd.DataFrame, controls: ControlCells, found: Answer, query: AnnData) -> dict[str, Any]:
        """How conditions were predicted and how well, as plain values that h5ad and zarr can hold."""
        report = choice_report(self._choices, found.questions, self.interval)
        return {
            **prediction_record(query, controls, table, self.columns, self.layer),
            **context_record(table, self.columns),
            "question": found.questions,
            **report,
            "change": found.change[:, controls.found],
            "mean_change": found.mean_change[:, controls.found],
            "half_width": report["half_width"][:, controls.found],
            "interval": self.interval,
            "novelty": found.novelty,
            "novelty_unit": found.novelty_unit,
            "n_conditions": len(self.reference.measured.conditions),
            "seed": self.seed,
        }

    def scores(self) -> pd.DataFrame:
        """Held-out scores of every candidate and baseline, for each question that was asked so far, best first."""
        return score_table(self._choices)

    def save(self, directory: str | Path) -> None:
        """Write the fitted predictor as ``perturbation_predictor.json`` and ``.safetensors``.

        Mean profiles of the conditions are written, no cells. What was chosen is kept, and fitted again on them after
        loading.

        Raises
        ------
        ValueError
            If ``method`` has responses of your own, which only a pickle could hold.
        """
        save_perturbation(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a predictor that :meth:`save` wrote. Runs no code from the files.

        Raises
        ------
        ValueError
            If files are missing, damaged, of another version or not a predictor.
        """
        settings, learned, choices = load_perturbation(Path(directory))
        predictor = cls(**settings)
        predictor._reference, predictor._choices = learned, choices
        return predictor
