from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import GeneMatch, by_rows, check_source, dense_rows, layer_or_x, match_genes, require_key
from scgx.tl._calibrate import calibrated
from scgx.tl._fit import fitted_to
from scgx.tl._fitted import Fitted
from scgx.tl._report import report_of
from scgx.tl._saved_translator import load_translator, save_translator
from scgx.tl._write_translation import write_translation

if TYPE_CHECKING:
    from mudata import MuData

    from scgx.selection._candidates import Method
    from scgx.selection._training_rows import TrainingMode

_BLOCK_ROWS = 1024


class Translator:
    """Learn to translate one panel of genes into another; the object behind :func:`scgx.tl.translate`.

    Parameters
    ----------
    method
        ``"auto"`` cross-validates mean, same-gene, ridge, kernel ridge (plain, and on the residual of same-gene),
        partial least squares and sample attention, stacks them with non-negative weights and keeps what predicts
        held-out groups best. Or one of the names in :data:`scgx.selection.METHODS`, a list of them (chosen from in the same
        way), or any scikit-learn regressor.
    target_key
        Key given to :func:`scgx.pp.add_target`.
    layer
        Layer of the source to use; ``None`` means ``.X``.
    group_key
        ``.obs`` column that must not be split between training and testing (compound, donor, cell line).
        Without it the split is random, and optimistic where rows are related.
    tissue_key
        ``.obs`` column with the tissue: interval widths are then given per tissue, and sample attention learns from it.
    training
        Which rows teach, after Cong et al. (2026). ``"mixed"``: those of all tissues, one model. ``"single"``: a model a
        tissue; a tissue with fewer than 10 rows or 4 groups, or never seen, is predicted by a model of all rows.
        ``"cross"``: the rows of ``target_tissue`` are left out, and what the others teach is tested on them.
        ``"cross*"``: as before, but ``n_target_samples`` rows of ``target_tissue`` are learned from too, replicated
        until they weigh as much as all other tissues. All but ``"mixed"`` need ``tissue_key``.
    target_tissue
        The tissue that ``"cross"`` and ``"cross*"`` predict.
    n_target_samples
        Rows of it that ``"cross*"`` draws. Other rows of their groups are not tested on.
    interval
        Probability with which the interval holds a new measurement.
    seed
        Seed of folds and methods.

    Examples
    --------
    >>> import scgx
    >>> translator = scgx.tl.Translator(group_key="compound").fit(paired)  # doctest: +SKIP
    >>> translator.translate(legacy)  # doctest: +SKIP
    """

    def __init__(
        self,
        method: Method = "auto",
        *,
        target_key: str = "target",
        layer: str | None = None,
        group_key: str | None = None,
        tissue_key: str | None = None,
        training: TrainingMode = "mixed",
        target_tissue: str | None = None,
        n_target_samples: int = 1,
        interval: float = 0.9,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.target_key = target_key
        self.layer = layer
        self.group_key = group_key
        self.tissue_key = tissue_key
        self.training = training
        self.target_tissue = target_tissue
        self.n_target_samples = n_target_samples
        self.interval = interval
        self.seed = seed
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What was learned; an error before :meth:`fit`."""
        if self._fitted is None:
            raise ValueError("this Translator is not fitted; call `.fit(data)` or `Translator.load(directory)` first.")
        return self._fitted

    def fit(self, data: AnnData | MuData) -> Self:
        """Learn from the rows whose target was measured. ``data`` is not changed.

        Parameters
        ----------
        data
            AnnData after :func:`scgx.pp.add_target`, or MuData of :func:`scgx.pp.pair`.

        Returns
        -------
        The fitted translator itself.

        Raises
        ------
        KeyError
            If a key is missing.
        ValueError
            If names are doubled, values infinite, rows or groups too few, modalities not in the same order,
            ``method`` or ``training`` unknown, or ``target_tissue`` not there.
        """
        self._fitted = fitted_to(self, data)
        return self

    def predict(self, adata: AnnData, *, layer: str | None = None) -> tuple[np.ndarray, float]:
        """Translated values, n_obs × m float32, and the share of the training genes that ``adata`` has.

        Genes are found by name; extra genes are ignored, missing ones count as their training mean. Rows are read
        in blocks, so ``adata`` may be backed.

        Raises
        ------
        ValueError
            If less than half of the genes are found, names are doubled, or a row is empty or infinite.
        """
        fitted = self.fitted
        match, tissue = self._match(adata), self._labels(adata, self.tissue_key, "tissue_key")
        translated = np.empty((adata.n_obs, len(fitted.target_genes)), dtype=np.float32)
        for rows, X in self._blocks(adata, match, layer):
            predicted = fitted.estimator.predict(fitted.adapted(X), tissue=None if tissue is None else tissue[rows])
            translated[rows] = predicted + fitted.target_offset
        return translated, match.overlap

    def _match(self, adata: AnnData) -> GeneMatch:
        return match_genes(adata.var_names, pd.Index(self.fitted.source_genes), what="`adata.var_names`")

    @staticmethod
    def _labels(adata: AnnData, key: str | None, argument: str) -> np.ndarray | None:
        if key is None:
            return None
        require_key(adata.obs.columns, key, ".obs", argument)
        return adata.obs[key].astype(str).to_numpy(dtype=str)

    def _blocks(self, adata: AnnData, match: GeneMatch, layer: str | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows and their source values, genes as in training, NaN for a missing gene."""
        values = by_rows(layer_or_x(adata, self.layer if layer is None else layer))
        for start in range(0, adata.n_obs, _BLOCK_ROWS):
            rows = np.arange(start, min(start + _BLOCK_ROWS, adata.n_obs))
            block = np.full((len(rows), len(self.fitted.source_genes)), np.nan, dtype=np.float32)
            block[:, match.found] = dense_rows(values, rows, match.position)
            check_source(block, rows)
            yield rows, block

    def calibrate(self, adata: AnnData, *, layer: str | None = None) -> Self:
        """Adapt to a new study: by a few pairs of it where there are some, else by its source values alone.

        Each gene of a new study may sit higher or lower than in the training study, and respond more or less. Without
        pairs, the shift and the relative scale of each source gene are estimated, shrunk
        (:func:`scgx.selection.study_shift`, :func:`scgx.selection.study_scale`), and taken out before predicting; the
        scale that genes have in common stays, as stronger treatments look the same. With pairs (rows with a measured
        target under ``target_key``), eight ways are compared by leaving one group out: as it is, source shift, source
        shift and relative scale, source shift and whole scale, each with and without an offset a target gene
        (:func:`scgx.selection.shrunk_mean` of the residuals). Groups are those of ``group_key``; without it each row is
        one.

        Parameters
        ----------
        adata
            The new study; at least two rows.
        layer
            Layer to use instead of the one fitted on.

        Returns
        -------
        A calibrated copy; this translator stays as it is. Its ``report()["calibration"]`` says what was done. Interval
        widths stay those of the training study.

        Raises
        ------
        ValueError
            If genes do not match, there are fewer than two rows, or the registered target has other genes.

        Notes
        -----
        Without pairs nothing tells a technical shift from a real one: a study of other tissues or stronger treatments
        than the training study's loses that difference. Take pairs from several groups (compounds, donors): one group
        cannot tell its own effect from an offset, and then none is added.
        """
        X = np.concatenate([block for _, block in self._blocks(adata, self._match(adata), layer)])
        out = copy.copy(self)
        tissue = self._labels(adata, self.tissue_key, "tissue_key")
        groups = self._labels(adata, self.group_key, "group_key")
        out._fitted = calibrated(self.fitted, adata, X, tissue, groups, self.target_key)
        return out

    def translate(
        self, adata: AnnData, *, layer: str | None = None, key_added: str = "translated", copy: bool = False
    ) -> AnnData | None:
        """Translate every row of ``adata`` and write what :func:`scgx.tl.translate` writes.

        Rows that were fitted are predicted as any other, by a model that has seen them: comparing those with their
        measurement flatters. :func:`scgx.tl.translate` without ``model`` gives out-of-fold predictions there.

        Parameters
        ----------
        adata
            Source platform, any number of rows, genes in any order.
        layer
            Layer to use instead of the one fitted on.
        key_added, copy
            See :func:`scgx.tl.translate`.

        Returns
        -------
        ``None``, or the changed copy.
        """
        values, overlap = self.predict(adata, layer=layer)
        return write_translation(
            adata,
            values,
            self.report() | {"overlap": overlap, "fitted_rows": "as any other row"},
            self.fitted,
            key_added=key_added,
            copy=copy,
        )

    def report(self) -> dict[str, Any]:
        """How good the translation is, as plain values that h5ad and zarr can hold."""
        return report_of(self, self.fitted)

    def scores(self) -> pd.DataFrame:
        """Cross-validated scores of every candidate and baseline, best first."""
        return (
            pd.DataFrame(self.fitted.estimator.scores_)
            .round(6)
            .sort_values("skill", ascending=False, ignore_index=True)
        )

    def save(self, directory: str | Path) -> None:
        """Write the fitted translator as ``translator.json`` and ``translator.safetensors``.

        Raises
        ------
        ValueError
            If a method cannot be saved (forests and foreign scikit-learn objects, which only a pickle could hold).
        """
        settings = {name: value for name, value in vars(self).items() if name not in ("method", "_fitted")}
        save_translator(settings, self.fitted, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a translator that :meth:`save` wrote, to predict with. Runs no code from the files.

        Raises
        ------
        ValueError
            If files are missing, damaged, of another version or not a translator.
        """
        settings, fitted = load_translator(Path(directory))
        translator = cls(**settings)
        translator._fitted = fitted
        return translator
