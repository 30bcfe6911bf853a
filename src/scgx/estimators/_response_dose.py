from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import context_similarity, dose_similarity
from scgx.estimators._response_mean import MeanDelta

_PENALTIES = np.logspace(-2, 2, 9)


class DoseInterpolation(BaseResponse):
    r"""Changes of the same perturbation at other doses, interpolated in log dose and shrunk as far as they are noise.

    Kernel ridge regression of what departs from the mean change (:class:`MeanDelta`), on
    :math:`k = 2^{-|\Delta \log_{10} \text{dose}|} \cdot (1 \text{ in the same context, } \tfrac12 \text{ in another})` between
    conditions of the same perturbation, 0 between others. Under this kernel the two doses beside the one asked for decide:
    without a penalty it goes from one to the other, and beyond the last dose back to the mean change. The penalty is chosen
    by leave-one-out over the perturbations with several conditions; it is 1 where there are none.

    A perturbation that was not measured gets the mean change. Where doses are not given, all are equal.
    """

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Choose the penalty, solve for each perturbation. See :meth:`BaseResponse.fit`."""
        self.mean_ = MeanDelta().fit(conditions, delta)
        specific = delta - self.mean_.predict(conditions)
        blocks = _by_perturbation(conditions)
        several = [rows for rows in blocks.values() if len(rows) > 1]
        error = sum((_left_out_errors(conditions.take(rows), specific[rows]) for rows in several), np.zeros(1))
        self.penalty_ = float(_PENALTIES[error.argmin()]) if several else 1.0
        self.known_: dict[tuple[str, ...], tuple[Conditions, np.ndarray]] = {}
        for names, rows in blocks.items():
            known = conditions.take(rows)
            self.known_[names] = known, _inverse(known, self.penalty_) @ specific[rows]
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change and what other doses of the perturbation add, conditions × genes."""
        predicted = self.mean_.predict(conditions)
        for names, rows in _by_perturbation(conditions).items():
            if names in self.known_:
                known, weights = self.known_[names]
                predicted[rows] += _kernel(conditions.take(rows), known) @ weights
        return predicted


def _by_perturbation(conditions: Conditions) -> dict[tuple[str, ...], np.ndarray]:
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, names in enumerate(conditions.perturbations):
        rows.setdefault(names, []).append(row)
    return {names: np.array(members) for names, members in rows.items()}


def _kernel(a: Conditions, b: Conditions) -> np.ndarray:
    return dose_similarity(a, b) * context_similarity(a, b)


def _inverse(conditions: Conditions, penalty: float) -> np.ndarray:
    """(K + λ)⁻¹."""
    return np.linalg.inv(_kernel(conditions, conditions) + penalty * np.eye(len(conditions)))


def _left_out_errors(conditions: Conditions, specific: np.ndarray) -> np.ndarray:
    """Squared error of each condition predicted from the others, summed, for each penalty: (K + λ)⁻¹ y over its diagonal."""
    inverses = [_inverse(conditions, penalty) for penalty in _PENALTIES]
    return np.array([((inverse @ specific / np.diag(inverse)[:, None]) ** 2).sum() for inverse in inverses])
