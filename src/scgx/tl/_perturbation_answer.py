"""Predicted changes of conditions, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgx.estimators import Conditions, MeanDelta
from scgx.selection import (
    AutoResponse,
    MeasuredResponses,
    ResponseChoice,
    conformal_half_width,
    held_out_coverage,
    perturbation_novelty,
    question_of,
)


@dataclass(frozen=True)
class Answer:
    """Predicted changes of k conditions.

    Attributes
    ----------
    change
        k × genes of the reference, float32.
    mean_change
        Mean change of the measured conditions, in the same context where it is known: the baseline of each; as ``change``.
    questions
        What was new in each, k; see :func:`scgx.selection.question_of`.
    novelty, novelty_unit
        Distance of each to what was measured, k; see :func:`scgx.selection.perturbation_novelty`.
    """

    change: np.ndarray
    mean_change: np.ndarray
    questions: np.ndarray
    novelty: np.ndarray
    novelty_unit: str


def questions_of(asked: Conditions, known: Conditions) -> np.ndarray:
    """What is new in each condition, k."""
    doses = [None] * len(asked) if asked.log_dose is None else asked.log_dose.tolist()
    rows = zip(asked.perturbations, asked.context, doses, strict=True)
    return np.array([question_of(names, str(context), dose, known) for names, context, dose in rows])


def answer(
    asked: Conditions, questions: np.ndarray, measured: MeasuredResponses, fitted: dict[str, AutoResponse]
) -> Answer:
    """Predict each condition with what was chosen for its question."""
    change = np.empty((len(asked), measured.mean.shape[1]))
    for question in np.unique(questions):
        rows = np.flatnonzero(questions == question)
        part = asked.take(rows)
        change[rows] = _measured_change(part, measured) if question == "measured" else fitted[question].predict(part)
    novelty, unit = perturbation_novelty(asked, measured.conditions)
    mean = MeanDelta().fit(measured.conditions, measured.delta).predict(asked)
    return Answer(change.astype(np.float32), mean.astype(np.float32), questions, novelty, unit)


def _measured_change(asked: Conditions, measured: MeasuredResponses) -> np.ndarray:
    """Mean over plates of the change that was measured in the same context at the same dose."""
    known, delta = measured.conditions, measured.delta
    change = []
    for row, names in enumerate(asked.perturbations):
        same = np.array([one == names for one in known.perturbations]) & (known.context == asked.context[row])
        if known.log_dose is not None and asked.log_dose is not None:
            same &= np.isclose(known.log_dose, asked.log_dose[row], atol=1e-6)
        change.append(delta[same].mean(axis=0))
    return np.stack(change)


def choice_report(choices: dict[str, ResponseChoice], questions: np.ndarray, level: float) -> dict[str, Any]:
    """Method, signal and interval of each condition; scores, split and verdict of each question."""
    asked = [str(question) for question in np.unique(questions)]
    width = {question: conformal_half_width(choices[question].residuals, level) for question in asked}
    return {
        "method": np.array([choices[question].method for question in questions]),
        "signal": np.array([choices[question].signal for question in questions]),
        "half_width": np.stack([width[question] for question in questions]),
        "verdict": {question: choices[question].verdict for question in asked},
        "split": {question: choices[question].split for question in asked},
        "weights": {question: dict(choices[question].weights) for question in asked},
        "scores": {question: dict(choices[question].scores) for question in asked},
        "coverage": {
            question: held_out_coverage(choices[question].residuals, choices[question].fold, level)
            for question in asked
        },
    }


def score_table(choices: dict[str, ResponseChoice]) -> pd.DataFrame:
    """Scores of every method by question, best first."""
    tables = [pd.DataFrame({"question": name, **choice.scores}) for name, choice in choices.items() if choice.scores]
    if not tables:
        return pd.DataFrame(columns=["question", "method", "role", "pearson_delta", "skill"])
    return pd.concat(tables).sort_values(["question", "skill"], ascending=[True, False], ignore_index=True)
