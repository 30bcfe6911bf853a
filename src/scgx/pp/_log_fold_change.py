from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from scgx._core import LogFoldChangeKeys, by_rows, examples, layer_or_x, output_object, require_key

from ._controls import blocks, controls, log1p_base, log_mean
from ._scale import InputScale, Scale


def log_fold_change(
    adata: AnnData,
    *,
    condition_key: str,
    control: str | float | bool,
    groupby: str | Sequence[str] = (),
    input_scale: InputScale | None = None,
    base: float = 10,
    layer: str | None = None,
    key_added: str = "log_fc",
    copy: bool = False,
) -> AnnData | None:
    r"""Log fold change of every row over the mean of its controls.

    With :math:`x_{ig}` the value of gene :math:`g` in row :math:`i`, :math:`C(i)` the controls that equal row
    :math:`i` in all ``groupby`` columns, and :math:`b` the ``base``:

    ========================= ==================================================================================
    ``input_scale``           log fold change
    ========================= ==================================================================================
    ``"log2"``, ``"log10"``   :math:`\log_b 2\,(x_{ig} - \operatorname{mean}_{c \in C(i)} x_{cg})` (or
                              :math:`\log_b 10`): the reference is the geometric mean of the controls
    ``"linear"``              :math:`\log_b x_{ig} - \log_b \operatorname{mean}_{c \in C(i)} x_{cg}`: the arithmetic
                              mean, no pseudocount, so values must be positive
    ``"log1p"``               :math:`\log_b (y_{ig} + 1) - \log_b (\operatorname{mean}_{c \in C(i)} y_{cg} + 1)` with
                              :math:`y = e^x - 1`: the arithmetic mean on the linear scale, pseudocount 1
    ========================= ==================================================================================

    Parameters
    ----------
    adata
        Expression, treated and control rows together, n_obs × n_vars.
    condition_key
        ``.obs`` column that tells treated from control.
    control
        Its value for the controls.
    groupby
        ``.obs`` columns in which a control must equal the treated row, for example tissue, plate, vehicle.
    input_scale
        Scale of the values; must be said. ``"log1p"`` is what :func:`scanpy.pp.log1p` makes; the base that it records
        in ``.uns["log1p"]`` is used.
    base
        Base of the result.
    layer
        Layer to take; ``None`` means ``.X``.
    key_added
        Name of the result.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets

    ``.layers["log_fc"]``
        float32 array, n_obs × n_vars, in units of log ``base``. Control rows hold their own deviation from the mean of
        the controls. NaN where a value is missing or all its controls are; single missing controls are left out of the
        mean.
    ``.uns["log_fc"]``
        ``base``, ``control``, ``condition_key``, ``groupby``, ``input_scale``.

    Raises
    ------
    KeyError
        If ``condition_key``, ``groupby`` or ``layer`` is missing.
    ValueError
        If ``input_scale`` is not said or does not fit the values, a group has no control, or values are infinite.

    Examples
    --------
    >>> import scgx
    >>> scgx.pp.log_fold_change(
    ...     adata, condition_key="compound", control="vehicle", groupby=["tissue", "plate"], input_scale="log2"
    ... )  # doctest: +SKIP
    """
    scale = Scale(input_scale, base, log1p_base(adata))  # type: ignore[arg-type]  # None raises there
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    is_control = controls(adata, condition_key, control)
    groups = _groups(adata, columns, is_control)
    X, what = by_rows(layer_or_x(adata, layer)), "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    log_fc = np.empty(adata.shape, dtype=np.float32)
    for rows in groups:
        reference = log_mean(X, rows[is_control[rows]], scale, what)
        for block_rows, block in blocks(X, rows, scale, what):
            log_fc[block_rows] = scale.log(block) - reference

    keys = LogFoldChangeKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.layers[keys.layer] = log_fc
    out.uns[keys.uns] = {
        "base": base,
        "control": control,
        "condition_key": condition_key,
        "groupby": columns,
        "input_scale": scale.name,
    }
    return out if copy else None


def _groups(adata: AnnData, columns: list[str], is_control: np.ndarray) -> list[np.ndarray]:
    """Return the row numbers of each group of equal ``columns``."""
    if not columns:
        return [np.arange(adata.n_obs)]
    for column in columns:
        require_key(adata.obs, column, ".obs", "groupby")
        n_missing = int(adata.obs[column].isna().sum())
        if n_missing:
            raise ValueError(
                f".obs[{column!r}] in groupby has {n_missing} missing values, which match no control; "
                "fill them or drop these rows"
            )
    groups = adata.obs.groupby(columns, observed=True).indices
    alone = [name for name, rows in groups.items() if not is_control[rows].any()]
    if alone:
        raise ValueError(
            f"{len(alone)} of {len(groups)} groups of {columns} have no control: {examples(alone)}; "
            "drop them or group by fewer columns"
        )
    return list(groups.values())
