from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgx._core.perturbation_cells import set_means
from scgx.bm._perturb_folds import Fold
from scgx.bm._perturb_study import Study
from scgx.estimators import Conditions, MeanDelta
from scgx.metrics import e_distance, mse_top20_de, pearson, pearson_delta

_COMPONENTS = 50
#: genes that changed most
_TOP = 20

#: metric → one value a condition
Scores = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sides:
    """Measured and predicted conditions × genes, each with control cells of its own.

    Attributes
    ----------
    true
        Measured mean profiles.
    true_control, control
        Controls that the measured changes are taken against, and those that predictions start from.
    true_center, center
        Mean change of the training conditions against either.
    """

    true: np.ndarray
    true_control: np.ndarray
    control: np.ndarray
    true_center: np.ndarray
    center: np.ndarray


def make_sides(
    study: Study, fold: Fold, known: Conditions, asked: Conditions, true_control: np.ndarray, control: np.ndarray
) -> Sides:
    """The tested conditions of a fold; the mean change is that of its training conditions, per context."""
    true_center, center = (
        MeanDelta().fit(known, (study.mean - side)[fold.train]).predict(asked) for side in (true_control, control)
    )
    return Sides(study.mean[fold.test], true_control[fold.test], control[fold.test], true_center, center)


def score(sides: Sides, delta: np.ndarray) -> Scores:
    """Every metric of mean profiles for predicted changes ``delta`` (conditions × genes)."""
    predicted = sides.control + delta
    true_delta = sides.true - sides.true_control
    return {
        "pearson": pearson(sides.true, predicted),
        "pearson_delta": pearson_delta(sides.true, predicted, sides.true_control, sides.control),
        "pearson_delta_mean": pearson_delta(
            sides.true, predicted, sides.true_control + sides.true_center, sides.control + sides.center
        ),
        "mse_top20": mse_top20_de(true_delta, delta),
        "pearson_delta_top20": _pearson_top(true_delta, delta),
        "squared_error": ((true_delta - delta) ** 2).sum(axis=1),
        "reference_squared_error": ((true_delta - sides.center) ** 2).sum(axis=1),
    }


def _pearson_top(true_delta: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Correlation over the genes that changed most, one a condition; NaN where there are too few genes."""
    if true_delta.shape[1] < _TOP:
        return np.full(len(true_delta), np.nan)
    top = np.argsort(-np.abs(true_delta), axis=1, kind="stable")[:, :_TOP]
    return pearson(np.take_along_axis(true_delta, top, 1), np.take_along_axis(delta, top, 1))


class CellSpace:
    """Principal components of the cells that a fold may see, for distances between sets of cells."""

    def __init__(self, study: Study, test: np.ndarray, seed: int) -> None:
        from sklearn.decomposition import PCA

        seen = np.setdiff1d(np.arange(len(study.X)), np.concatenate([study.cells[row] for row in test]))
        pca = PCA(min(_COMPONENTS, len(seen) - 1, study.X.shape[1]), random_state=seed).fit(study.X[seen])
        self.cells, self.axes = pca.transform(study.X), pca.components_

    def distance(
        self, true: list[np.ndarray], predicted: list[np.ndarray], delta: np.ndarray | None = None
    ) -> np.ndarray:
        """Squared E-distance of measured cells to other cells, shifted by ``delta`` if given; one a condition."""
        shift = np.zeros(len(true)) if delta is None else delta @ self.axes.T
        return np.array(
            [
                e_distance(self.cells[rows], self.cells[start] + move, squared=True)
                for rows, start, move in zip(true, predicted, shift, strict=True)
            ]
        )


def split_half(study: Study, test: np.ndarray, sides: Sides, space: CellSpace | None, seed: int) -> Scores:
    """Ceiling: one half of a condition's cells predicts the other; NaN for conditions of a single cell."""
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(study.cells[row]), 2) for row in test]
    lone = np.array([len(second) == 0 for _, second in halves])
    first, second = ([half[side] if len(half[1]) else half[0] for half in halves] for side in (0, 1))
    halved = Sides(set_means(study.X, first), sides.true_control, sides.control, sides.true_center, sides.center)
    scores = score(halved, set_means(study.X, second) - sides.control)
    if space is not None:
        scores["e_distance"] = space.distance(first, second)
    return {metric: np.where(lone, np.nan, values) for metric, values in scores.items()}


def other_replicate(study: Study, test: np.ndarray, sides: Sides, space: CellSpace | None) -> Scores:
    """Ceiling: the change in the other replicates predicts that in one; mean over replicates, NaN for a single one.

    Each change is taken against the controls of its own replicate.
    """
    scores: Scores = {}
    for position, row in enumerate(test):
        treated, untreated = (
            _by_replicate(study, rows) for rows in (study.cells[row], study.controls[study.unit[row]])
        )
        names = sorted(treated.keys() & untreated.keys())
        profile, control = (set_means(study.X, [cells[name] for name in names]) for cells in (treated, untreated))
        center = sides.true_center[[position]], sides.center[[position]]
        for k, name in enumerate(names if len(names) > 1 else ()):
            rest = np.arange(len(names)) != k
            delta = (profile - control)[rest].mean(axis=0, keepdims=True)
            start = control[rest].mean(axis=0, keepdims=True)
            one = score(Sides(profile[[k]], control[[k]], start, *center), delta)
            if space is not None:
                others = np.concatenate([treated[other] for other in names if other != name])
                one["e_distance"] = space.distance([treated[name]], [others])
            for metric, value in one.items():
                values = scores.setdefault(metric, np.full(len(test), np.nan))
                values[position] = np.nansum([values[position], value[0] / len(names)])
    return scores


def _by_replicate(study: Study, rows: np.ndarray) -> dict[str, np.ndarray]:
    labels = study.replicate[rows]
    return {str(name): rows[labels == name] for name in np.unique(labels)}
