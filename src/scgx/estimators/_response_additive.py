from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_mean import MeanDelta

_PENALTIES = np.logspace(-2, 1, 7)


class Additive(BaseResponse):
    """Sum of the changes that the parts of a combination make alone.

    A part is looked up in the same context, else averaged over the others; one never measured alone adds nothing. A
    combination of which no part was measured alone gets the mean change (:class:`MeanDelta`).
    """

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Average the single perturbations. See :meth:`BaseResponse.fit`."""
        rows: dict[tuple[str, ...], list[int]] = {}
        for row, names in enumerate(conditions.perturbations):
            if len(names) == 1:
                rows.setdefault(names, []).append(row)
                rows.setdefault((*names, str(conditions.context[row])), []).append(row)
        self.singles_ = {key: delta[members].mean(axis=0) for key, members in rows.items()}
        self.mean_ = MeanDelta().fit(conditions, delta)
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Sum of singles, conditions × genes."""
        predicted = self.mean_.predict(conditions)
        for row, names in enumerate(conditions.perturbations):
            keys = [((name, str(conditions.context[row])), (name,)) for name in names]
            parts = [self.singles_.get(here, self.singles_.get(anywhere)) for here, anywhere in keys]
            seen = [part for part in parts if part is not None]
            if seen:
                predicted[row] = np.sum(seen, axis=0)
        return predicted


class LinearCombination(BaseResponse):
    r"""Best linear model of names: :math:`d = \sum_{i \in \text{names}} w_i`, the effects :math:`w` by ridge regression.

    Unlike :class:`Additive` it learns the effect of a part from combinations too. There is no intercept: no
    perturbation, no change, and a name never seen adds nothing. The penalty is chosen by leave-one-out.
    """

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Fit the effect of each name. See :meth:`BaseResponse.fit`."""
        from sklearn.linear_model import RidgeCV
        from sklearn.preprocessing import MultiLabelBinarizer

        self.names_ = MultiLabelBinarizer().fit(conditions.perturbations)
        self.ridge_ = RidgeCV(_PENALTIES, fit_intercept=False).fit(
            self.names_.transform(conditions.perturbations), delta
        )
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Sum of effects, conditions × genes."""
        known = set(self.names_.classes_)
        seen = [tuple(name for name in names if name in known) for names in conditions.perturbations]
        return self.ridge_.predict(self.names_.transform(seen)).reshape(len(conditions), -1)
