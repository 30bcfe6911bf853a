from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from scgx._core import examples
from scgx.estimators import BalancedTissue, BaseTranslator, PerTissue, balanced_rows

TrainingMode: TypeAlias = Literal["mixed", "single", "cross", "cross*"]


@dataclass(frozen=True)
class TrainingRows:
    """Which rows to fit on, and which to test on.

    Attributes
    ----------
    fit
        Positions of the rows to fit on, each once, in order.
    drawn
        Those of them that are of the target tissue (``"cross*"``).
    held_out
        Rows of the target tissue to test on: none of them is in ``fit``, nor is their group by a drawn sample.
    """

    fit: np.ndarray
    drawn: np.ndarray
    held_out: np.ndarray

    def balanced(self, rows: np.ndarray) -> np.ndarray:
        """``rows`` with the drawn ones repeated until they are as many as the others."""
        return rows[balanced_rows(np.isin(rows, self.drawn))]


def training_rows(
    training: TrainingMode,
    n_rows: int,
    *,
    tissue: np.ndarray | None = None,
    target_tissue: str | None = None,
    groups: np.ndarray | None = None,
    n_target_samples: int = 1,
    seed: int = 0,
) -> TrainingRows:
    """Choose the rows that a training mode fits on.

    Parameters
    ----------
    training
        ``"mixed"`` and ``"single"``: all rows. ``"cross"``: all but those of ``target_tissue``. ``"cross*"``: those
        and ``n_target_samples`` rows of ``target_tissue``, drawn at random.
    n_rows
        Number of rows, n.
    tissue, groups
        One label a row (n); without ``groups`` each row is its own group.
    target_tissue
        The tissue to be predicted; for the two cross-tissue modes.
    n_target_samples
        Rows of it that ``"cross*"`` may see.
    seed
        Seed of the draw.

    Returns
    -------
    Rows to fit on, rows of the target tissue drawn for it, rows of it to test on.

    Raises
    ------
    ValueError
        If ``training`` is unknown or lacks what it needs, ``target_tissue`` has no row or is given to another mode, or
        ``n_target_samples`` is less than 1 or more than there are.

    References
    ----------
    Cong et al. (2026), TransPlatformer, BMC Bioinformatics, sections on training.
    """
    if training not in get_args(TrainingMode):
        raise ValueError(f"`training` must be one of {get_args(TrainingMode)}; found {training!r}.")
    cross = training in ("cross", "cross*")
    if training != "mixed" and tissue is None:
        raise ValueError(f"`training={training!r}` needs the tissue of each row: give `tissue_key`.")
    if target_tissue is not None and not cross:
        raise ValueError(f"`target_tissue` goes with training 'cross' and 'cross*'; `training` is {training!r}.")
    every = np.arange(n_rows)
    if not cross or tissue is None:
        return TrainingRows(fit=every, drawn=every[:0], held_out=every[:0])
    labels = np.asarray(tissue, dtype=str)
    of_target, drawn = _target_rows(labels, target_tissue), every[:0]
    if training == "cross*":
        if not 1 <= n_target_samples <= len(of_target):
            raise ValueError(
                f"`n_target_samples` must be 1 to {len(of_target)}, the measured rows of {target_tissue!r}; "
                f"found {n_target_samples}."
            )
        drawn = np.random.default_rng(seed).choice(of_target, n_target_samples, replace=False)
    fit = np.union1d(np.setdiff1d(every, of_target), drawn)
    groups = every if groups is None else np.asarray(groups)
    held_out = of_target[~np.isin(groups[of_target], groups[drawn])]
    return TrainingRows(fit=fit, drawn=drawn, held_out=held_out)


def _target_rows(tissue: np.ndarray, target_tissue: str | None) -> np.ndarray:
    rows = np.flatnonzero(tissue == target_tissue)
    names = np.unique(tissue).tolist()
    if not len(rows):
        raise ValueError(
            f"`target_tissue` must be a tissue with measured rows; found {target_tissue!r}, there is {examples(names)}."
        )
    if len(names) == 1:
        raise ValueError(f"all measured rows are of {target_tissue!r}: there is no other tissue to learn from.")
    return rows


def for_training(
    training: TrainingMode, candidates: Mapping[str, BaseTranslator], target_tissue: str | None = None
) -> dict[str, BaseTranslator]:
    """Candidates as a training mode fits them.

    Parameters
    ----------
    training
        ``"single"`` makes each one :class:`~scgx.estimators.PerTissue`, ``"cross*"``
        :class:`~scgx.estimators.BalancedTissue`; else they stay as they are.
    candidates
        Unfitted translators by name.
    target_tissue
        For ``"cross*"``.

    Returns
    -------
    Translators by name; a changed one is called ``"ridge per tissue"`` or ``"ridge balanced"``, so that no baseline of
    the same method is taken for it.
    """
    if training == "single":
        return {f"{name} per tissue": PerTissue(candidate) for name, candidate in candidates.items()}
    if training == "cross*":
        return {f"{name} balanced": BalancedTissue(c, str(target_tissue)) for name, c in candidates.items()}
    return dict(candidates)
