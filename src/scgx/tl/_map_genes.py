from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from scgx._core import GeneMapKeys, ortholog_pairs, output_object, require_unique
from scgx.datasets._orthologs import read_orthologs
from scgx.estimators import map_weights, table_weights, top_genes, unrelated_spread
from scgx.selection import best_of_permuted, false_discovery, score_gene_map
from scgx.tl._gene_candidates import METHODS, Candidate, GeneEmbedder, Method, gene_candidates

_SCORES = ("recall_at_1", "recall_at_10", "recall_at_100", "mean_reciprocal_rank", "foscttm")


def map_genes(
    query: AnnData,
    reference: AnnData,
    *,
    method: Method = "reactome",
    orthologs: pd.DataFrame | str | None = None,
    k: int = 10,
    fdr: float = 1.0,
    n_permutations: int = 10,
    reactome_key: str = "reactome",
    model: GeneEmbedder | None = None,
    key_added: str = "gene_map",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Find for each gene of one species the genes of another that behave like it.

    Parameters
    ----------
    query, reference
        Two species after :func:`scgx.pp.reactome` (not needed by ``"orthologs"`` and ``"uge"``). Genes in any order.
    method
        ``"reactome"``: shape of the reactomes over the conditions of both, and their level where the conditions are
        organs without drugs (:class:`scgx.estimators.ProfileSimilarity`), corrected for unreliable genes where
        ``.var["reactome_reliability"]`` is known on both sides. ``"cca"``: canonical correlations learned on
        ``orthologs``, over all conditions of either side (:class:`scgx.estimators.AnchoredCCA`). ``"transport"``:
        optimal transport, anchored by ``orthologs`` if given (:class:`scgx.estimators.GeneTransport`).
        ``"uge"``: cosine of the gene embeddings of ``model``. ``"orthologs"``: the table itself, one gene to many kept.
        ``"auto"``: of ``"reactome"``, ``"cca"``, ``"transport"`` (if POT is installed) and ``"uge"`` (with ``model``)
        the one that finds most orthologues, held out, at ``k`` (of equals, to 0.01, the one with the best mean reciprocal
        rank); without ``orthologs`` ``"reactome"``.
    orthologs
        Table with columns of identifiers of both species, ``"symbol"`` (equal names, case ignored) or the name of a
        table of ``scgx.datasets.load("orthologs")``. Pairs of genes with one partner are the anchors of ``"cca"`` and
        ``"transport"`` and what recall is measured on, always on pairs that were not learned from.
    k
        Most partners a gene.
    fdr
        Genes whose false-discovery rate is above it get no partner; 1 keeps all.
    n_permutations
        Times that the reference's conditions are shuffled for the false-discovery rate; 0 for none.
    reactome_key
        The ``key_added`` of :func:`scgx.pp.reactome` on both sides.
    model
        For ``"uge"``: fitted on the genes of both species.
    key_added
        Name of the result; see Returns.
    seed
        Of folds, shuffles and samples of genes.
    copy
        Return a changed copy and leave ``query`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for the default ``key_added``,

    ``.varm["gene_map"]``
        CSR, query genes × reference genes, float32: at least 0, a row sums to 1 or is empty (genes without a profile,
        or above ``fdr``). Softmax of the ``k`` best scores: of the log likelihood ratio (``"cca"``), of the
        transport plan, or of the similarity in units of its spread between unrelated genes.
    ``.uns["gene_map"]``
        ``reference_names``, ``method`` (chosen), ``k``, ``fdr``, ``q_value`` (n_vars; NaN where there is no null:
        ``"orthologs"``, no permutations, or an empty profile), ``n_permutations``, ``n_shared_conditions``,
        ``reactome_key``, ``seed``. With ``orthologs`` also their report (``orthologs``) and, unless they are the method,
        ``scores`` (one row a method tried: recall at 1, 10 and 100, mean reciprocal rank, fraction of samples closer than the true match),
        ``n_anchors``, and for the method chosen the same by name, NaN for ``"orthologs"``.

    Raises
    ------
    KeyError
        If a reactome is missing.
    ValueError
        If ``k`` or another number is out of range, no condition is shared, orthologues are missing or too few, names
        are doubled, ``key_added`` would replace the reactome, or ``model`` is missing or embeds other genes.
    ImportError
        For ``"transport"`` without POT.

    Examples
    --------
    >>> import numpy as np, scgx
    >>> from anndata import AnnData
    >>> response = np.random.default_rng(0).normal(size=(50, 8)).astype("float32")
    >>> conditions = {"organ": np.array(list("abcdefgh"))}
    >>> mouse, rat = AnnData(np.zeros((1, 50))), AnnData(np.zeros((1, 50)))
    >>> for side in (mouse, rat):
    ...     side.varm["reactome"], side.uns["reactome"] = response, {"conditions": conditions}
    >>> scgx.tl.map_genes(mouse, rat, k=1)
    >>> bool((mouse.varm["gene_map"].toarray().argmax(1) == np.arange(50)).all())
    True
    """
    _check(query, reference, method, k, fdr, n_permutations)
    if key_added == reactome_key:
        raise ValueError(f"`key_added` and `reactome_key` are both {key_added!r}: the map would replace the reactome.")
    table = read_orthologs(orthologs)
    if table is None and method in ("cca", "orthologs"):
        raise ValueError(f"method={method!r} needs `orthologs`: a table of gene pairs, or 'symbol'.")
    names = query.var_names, reference.var_names
    record: dict[str, Any] = {"k": k, "fdr": fdr, "n_permutations": n_permutations, "seed": seed}
    record |= {"reactome_key": reactome_key, "reference_names": names[1].to_numpy(dtype=str), "n_shared_conditions": 0}
    anchors = None
    if table is not None:
        pairs = ortholog_pairs(*names, table)
        anchors = np.column_stack([pairs.query, pairs.reference])
        record |= {"orthologs": pairs.report, "n_anchors": len(anchors)}
    if method == "orthologs" and table is not None:
        every = ortholog_pairs(*names, table, one_to_one=False)
        weights = table_weights(every.query, every.reference, k, (query.n_vars, reference.n_vars))
        record |= {"method": method, "q_value": np.full(query.n_vars, np.nan)} | dict.fromkeys(_SCORES, np.nan)
    else:
        candidates, record["n_shared_conditions"] = gene_candidates(
            query, reference, method, anchors, model, reactome_key=reactome_key, seed=seed
        )
        chosen, scores = _choose(candidates, anchors, k, seed)
        weights, q_value = _map(candidates[chosen], anchors, k, fdr, n_permutations, seed)
        record |= {"method": chosen, "q_value": q_value} | scores
    result, keys = output_object(query, copy=copy), GeneMapKeys.from_key_added(key_added)
    result.varm[keys.varm] = weights
    result.uns[keys.uns] = record
    return result if copy else None


def _check(query: AnnData, reference: AnnData, method: str, k: int, fdr: float, n_permutations: int) -> None:
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(map(repr, METHODS))}; found {method!r}.")
    if k < 1:
        raise ValueError(f"`k` must be at least 1; found {k}.")
    if not 0 < fdr <= 1:
        raise ValueError(f"`fdr` must be above 0 and at most 1; found {fdr}.")
    if n_permutations < 0 or (fdr < 1 and not n_permutations):
        raise ValueError(f"`n_permutations` must be at least 0, and at least 1 with `fdr` < 1; found {n_permutations}.")
    if fdr < 1 and method == "orthologs":
        raise ValueError("method='orthologs' has no false-discovery rate; leave `fdr` at 1.")
    require_unique(query.var_names, "query.var_names")
    require_unique(reference.var_names, "reference.var_names")


def _choose(
    candidates: dict[str, Candidate], anchors: np.ndarray | None, k: int, seed: int
) -> tuple[str, dict[str, Any]]:
    """Name of the best candidate, and the scores of all."""
    if anchors is None or not len(anchors):
        return next(iter(candidates)), {}
    found, rows = {}, {}
    for name, candidate in tqdm(candidates.items(), desc="scoring on orthologues", leave=False, delay=2):
        scores = score_gene_map(candidate.make, candidate.query, candidate.reference, anchors, seed=seed)
        rows[name] = scores.summary()
        found[name] = round(float(np.mean(scores.ranks <= k)), 2), rows[name]["mean_reciprocal_rank"]
    best = max(found, key=found.__getitem__)
    columns = {metric: np.array([row[metric] for row in rows.values()]) for metric in _SCORES}
    return best, {"scores": {"method": np.array(list(rows), dtype=str)} | columns} | rows[best]


def _map(
    candidate: Candidate, anchors: np.ndarray | None, k: int, fdr: float, n_permutations: int, seed: int
) -> tuple[Any, np.ndarray]:
    """Weights and q values of a candidate fitted on all anchors."""
    query, reference = candidate.query, candidate.reference
    mapper = candidate.make().fit(query, reference, anchors)
    scores = mapper.scores(query, reference)
    top = top_genes(scores, k)
    q_value = np.full(len(query), np.nan)
    if n_permutations:
        null = best_of_permuted(mapper, query, reference, n_permutations=n_permutations, seed=seed)
        q_value = false_discovery(top.scores[:, 0], null)
        top.scores[q_value > fdr] = -np.inf
    scale = mapper.scale or unrelated_spread(scores, seed=seed)
    return map_weights(top, scores.shape[1], scale), q_value
