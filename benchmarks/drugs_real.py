"""Real screens: drugs never tried in A375 and HT115 (L1000), and a cell type left out (Kang et al.).

``shared``: measured and predicted changes against the same control wells, which is optimistic, as the earlier figures were;
``halves``: against different halves. Drugs that both screens have are taken out of the one that a network is pre-trained on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from drugs_screens import a375, ht115
from drugs_summary import bootstrap, difference, own, skill
from perturb_real import COMMON, kang, kang_cells
from sklearn.base import clone

import scgx
from scgx._core.molecules import morgan_fingerprints
from scgx._core.perturbation_cells import PerturbationColumns
from scgx.bm._perturb_folds import perturbation_folds
from scgx.bm._perturb_scores import make_sides, score
from scgx.bm._perturb_study import Study, read_study
from scgx.estimators import BaseResponse, ConditionKernelRidge, Conditions, DrugBERT
from scgx.selection import make_responses

CLOSED = ("no_change", "mean_delta", "tanimoto_knn", "ridge", "kernel_ridge", "random_forest")
FIVE = ("tanimoto_knn", "bilinear", "ridge", "kernel_ridge", "random_forest")
TOGETHER, BERT, PRETRAINED = "kernel ridge + forest", "DrugBERT, no pre-training", "DrugBERT"
PERMUTED = "kernel_ridge, permuted drugs"
AUTO, AUTO_PERMUTED = "auto", "equal weights of five, permuted drugs"


def columns_of(keys: dict[str, Any]) -> PerturbationColumns:
    """The columns of a screen."""
    given = {name.removesuffix("_key"): value for name, value in keys.items() if name.endswith("_key")}
    return PerturbationColumns(control=keys["control"], design=tuple(keys.get("design_keys", ())), **given)


def start_network(source: AnnData, keys: dict[str, Any], target: AnnData, *, seed: int, quick: bool) -> Any:
    """A network of the estimator's size, pre-trained on the drugs of another screen that the target does not have."""
    bits = [morgan_fingerprints(adata.obs["smiles"][~adata.obs["is_control"]].unique()) for adata in (source, target)]
    there = {row.tobytes() for row in bits[1].astype(bool)}
    smiles = source.obs["smiles"][~source.obs["is_control"]].unique()
    shared = [text for text, row in zip(smiles, bits[0].astype(bool), strict=True) if row.tobytes() in there]
    names = set(source.obs["perturbation"]) & set(target.obs["perturbation"]) - {"control"}
    rest = source[~source.obs["smiles"].isin(shared) & ~source.obs["perturbation"].isin(names)].copy()
    scgx.model.DrugBERT.setup_anndata(rest, **keys)
    size = DrugBERT()
    model = scgx.model.DrugBERT(rest, width=size.width, depth=size.depth, seed=seed)
    model.pretrain(max_epochs=2 if quick else 40, accelerator="cpu", seed=seed, progress=False)
    print(f"pre-trained on {rest.n_obs} wells; {source.n_obs - rest.n_obs} of shared drugs left out", flush=True)
    return model.response_network(target.var_names)


def permuted(conditions: Conditions, seed: int) -> Conditions:
    """Every drug with the fingerprint of another."""
    names = np.array([one[0] for one in conditions.perturbations])
    drugs, first = np.unique(names, return_index=True)
    other = dict(zip(drugs, np.random.default_rng(seed).permutation(first), strict=True))
    return replace(conditions, features=conditions.features[[other[name] for name in names]])


def fold_scores(
    study: Study, columns: PerturbationColumns, split: str, methods: dict[str, BaseResponse], *, halves: bool, seed: int
) -> pd.DataFrame:
    """One row a condition and method, over five folds and one division of the control wells (none: the same wells)."""
    for_truth, for_prediction = study.control_halves(seed if halves else None)
    control, truth = study.control_profile(for_prediction), study.control_profile(for_truth)
    conditions = replace(study.conditions, control=control)
    fake, frames = permuted(conditions, seed), []
    for fold in perturbation_folds(study, columns, split, n_folds=5, seed=seed):
        known, asked = conditions.take(fold.train), conditions.take(fold.test)
        delta = (study.mean - control)[fold.train]
        predicted = {name: clone(method).fit(known, delta).predict(asked) for name, method in methods.items()}
        predicted[TOGETHER] = (predicted["kernel_ridge"] + predicted["random_forest"]) / 2
        kernel = ConditionKernelRidge(seed=seed).fit(fake.take(fold.train), delta)
        predicted[PERMUTED] = kernel.predict(fake.take(fold.test))
        sides = make_sides(study, fold, known, asked, truth, control)
        drugs = [names[0] for names in asked.perturbations]
        frames += [
            pd.DataFrame(score(sides, change)).assign(drug=drugs, method=name) for name, change in predicted.items()
        ]
    return pd.concat(frames)


def rows_of(scores: pd.DataFrame, title: dict[str, str], *, rival: str = TOGETHER) -> list[dict[str, Any]]:
    """Means and differences to a rival, resampling drugs."""
    wide = {
        name: scores.pivot_table(index="drug", columns="method", values=name, sort=False)
        for name in ("pearson_delta", "pearson_delta_mean", "squared_error", "reference_squared_error")
    }
    rows = []
    for method in wide["squared_error"]:
        for metric, name in (("pearson_delta", "r"), ("pearson_delta_mean", "r centred")):
            table = wide[metric]
            rows.append({"method": method, "metric": name, **bootstrap(table[[method]].to_numpy(), own)})
        error = np.column_stack([wide[name][method] for name in ("squared_error", "reference_squared_error")])
        rows.append({"method": method, "metric": "skill", **bootstrap(error, skill)})
        if method != rival:
            pair = wide["pearson_delta_mean"][[method, rival]].to_numpy()
            rows.append({"method": method, "metric": f"r centred − {rival}", **bootstrap(pair, difference)})
    return [title | row for row in rows]


def screen_rows(name: str, *, seed: int, quick: bool) -> list[dict[str, Any]]:
    """Drugs and scaffolds held out, with shared and with divided control wells."""
    (adata, keys), (source, source_keys) = (a375(), ht115()) if name == "a375" else (ht115(), a375())
    # all controls of the line, as the earlier figures had it; see `other_plate`
    columns = columns_of(keys | {"design_keys": ()})
    study = read_study(adata, columns, features=None, layer=None)
    other = "HT115" if name == "a375" else "A375"
    start = start_network(source, source_keys, adata, seed=seed, quick=quick)
    epochs = {"max_epochs": 2} if quick else {}
    methods: dict[str, BaseResponse] = make_responses(CLOSED, study.conditions, seed=seed)
    methods |= {BERT: DrugBERT(seed=seed, **epochs), f"{PRETRAINED} from {other}": DrugBERT(start, seed=seed, **epochs)}
    rows = []
    for split, halves in (("perturbation", False), ("perturbation", True), ("scaffold", True)):
        if split == "scaffold" and name != "a375":
            continue
        title = title_of(split, halves)
        scores = fold_scores(study, columns, split, methods, halves=halves, seed=seed)
        rows += rows_of(scores, {"dataset": name, "split": title})
        print(name, title, flush=True)
    return rows


def auto_scores(name: str, split: str, *, halves: bool, seed: int) -> pd.DataFrame:
    """``tl.PerturbationPredictor`` as it comes, which chooses within each outer fold, on the folds of :func:`screen_rows`."""
    adata, keys = a375() if name == "a375" else ht115()
    keys = keys | {"design_keys": ()}
    columns = columns_of(keys)
    study, frames = read_study(adata, columns, features=None, layer=None), []
    for_truth, for_prediction = study.control_halves(seed if halves else None)
    control, truth = study.control_profile(for_prediction), study.control_profile(for_truth)
    conditions, wells = replace(study.conditions, control=control), np.concatenate(for_prediction)
    names = np.array([one[0] for one in conditions.perturbations])
    for fold in perturbation_folds(study, columns, split, n_folds=5, seed=seed):
        known, asked = conditions.take(fold.train), conditions.take(fold.test)
        rows = np.concatenate([wells, *(study.cells[k] for k in fold.train)])
        predictor = scgx.tl.PerturbationPredictor(**keys, seed=seed).fit(adata[np.sort(rows)].copy())
        wanted = study.table.iloc[fold.test][["label", "smiles", "context", "dose"]]
        wanted = wanted.set_axis(["perturbation", "smiles", "cell_line", "dose_value"], axis=1)
        record = predictor.predict(adata[wells].copy(), wanted).uns["perturbation_predicted"]
        change = pd.DataFrame(record["change"], columns=record["genes"])[adata.var_names].to_numpy()
        scores = score(make_sides(study, fold, known, asked, truth, control), change)
        frames.append(pd.DataFrame(scores).assign(drug=names[fold.test], method=AUTO))
        print("auto chose", set(record["method"]), record["weights"], flush=True)
    return pd.concat(frames)


def permuted_five(seed: int) -> pd.DataFrame:
    """What ``auto`` stacks on A375, with equal weights and every drug with the fingerprint of another."""
    adata, keys = a375()
    columns, frames = columns_of(keys), []
    study = read_study(adata, columns, features=None, layer=None)
    conditions, fake = study.conditions, permuted(study.conditions, seed)
    methods = make_responses(FIVE, conditions, seed=seed).values()
    for fold in perturbation_folds(study, columns, "perturbation", n_folds=5, seed=seed):
        delta = (study.mean - conditions.control)[fold.train]
        change = [method.fit(fake.take(fold.train), delta).predict(fake.take(fold.test)) for method in methods]
        known, asked = conditions.take(fold.train), conditions.take(fold.test)
        sides = make_sides(study, fold, known, asked, conditions.control, conditions.control)
        drugs = [names[0] for names in asked.perturbations]
        frames.append(pd.DataFrame(score(sides, np.mean(change, axis=0))).assign(drug=drugs, method=AUTO_PERMUTED))
    return pd.concat(frames)


def auto_rows(seed: int) -> list[dict[str, Any]]:
    """``auto`` on both screens, and once beside the fingerprints of other drugs."""
    rows = []
    for name, split, halves in (
        ("a375", "perturbation", False),
        ("a375", "perturbation", True),
        ("a375", "scaffold", True),
        ("ht115", "perturbation", True),
    ):
        scores, rival = auto_scores(name, split, halves=halves, seed=seed), AUTO
        if name == "a375" and not halves:
            scores, rival = pd.concat([permuted_five(seed), scores]), AUTO_PERMUTED
        rows += rows_of(scores, {"dataset": f"{name}, auto", "split": title_of(split, halves)}, rival=rival)
    return rows


def title_of(split: str, halves: bool) -> str:
    """What is held out, and whether both sides share their control wells."""
    return (
        f"{'drugs' if split == 'perturbation' else 'scaffolds'} held out, controls {'halved' if halves else 'shared'}"
    )


def other_plate(seed: int) -> list[dict[str, Any]]:
    """HT115: drugs of one plate predicted from other drugs of the same plate, and of the other; the drug on the other plate."""
    adata, keys = ht115()
    columns = columns_of(keys)
    study = read_study(adata, columns, features=None, layer=None)
    conditions, plate = study.conditions, study.table["unit"].to_numpy(dtype=str)
    delta, frames = study.mean - conditions.control, []
    names = np.array([one[0] for one in conditions.perturbations])
    for fold in perturbation_folds(study, columns, "perturbation", n_folds=5, seed=seed):
        for own_plate in np.unique(plate):
            test = fold.test[plate[fold.test] == own_plate]
            for title, train in (
                ("same plate", fold.train[plate[fold.train] == own_plate]),
                ("other plate", fold.train[plate[fold.train] != own_plate]),
            ):
                some = replace(fold, train=train, test=test)
                known, asked = conditions.take(train), conditions.take(test)
                sides = make_sides(study, some, known, asked, conditions.control, conditions.control)
                for name, method in make_responses(("mean_delta", "kernel_ridge"), conditions, seed=seed).items():
                    found = score(sides, method.fit(known, delta[train]).predict(asked))
                    frames.append(pd.DataFrame(found).assign(drug=names[test], method=f"{name}, {title}"))
            twin = [np.flatnonzero((names == names[row]) & (plate != own_plate)) for row in test]
            kept = np.array([len(rows) > 0 for rows in twin])
            change = np.stack([delta[rows].mean(axis=0) for rows in twin if len(rows)])
            sides = make_sides(study, replace(fold, test=test[kept]), conditions.take(fold.train),
                               conditions.take(test[kept]), conditions.control, conditions.control)  # fmt: skip
            found = pd.DataFrame(score(sides, change))
            frames.append(found.assign(drug=names[test[kept]], method="the drug itself, other plate"))
    scores = pd.concat(frames)
    rows = []
    for method, part in scores.groupby("method", sort=False):
        for metric, name in (("pearson_delta", "r"), ("pearson_delta_mean", "r centred")):
            values = part.groupby("drug")[metric].mean().to_numpy()[:, None]
            rows.append({"method": method, "metric": name, **bootstrap(values, own)})
    return [{"dataset": "ht115, by plate", "split": "drugs held out, controls shared", **row} for row in rows]


def kang_rows(*, seed: int, quick: bool) -> list[dict[str, Any]]:
    """A cell type left out: closed forms, ``auto``'s choice among them, DrugBERT, and another donor."""
    network = DrugBERT(seed=seed, max_epochs=2 if quick else 60)
    options = {"context_key": "cell_type", "split": "context", "n_divisions": 0, "methods": {BERT: network}}
    frame = scgx.bm.perturb(kang(), **COMMON, **options, dataset="kang")
    frame = frame[(frame["group"] == "") & frame["metric"].isin(["pearson_delta", "mse_top20", "e_distance"])]
    table = pd.concat(
        [frame[["method", "metric", "value"]], auto_on_kang(), kang_cells()[["method", "metric", "value"]]]
    )
    mean = table.groupby(["method", "metric"], sort=False)["value"].mean().reset_index()
    return mean.assign(dataset="kang", split="a cell type left out, controls shared").to_dict("records")


def auto_on_kang() -> pd.DataFrame:
    """``tl.PerturbationPredictor`` as it comes, one cell type left out at a time; its cells in 50 components of the others."""
    from perturb_real import cell_scores
    from sklearn.decomposition import PCA

    adata, rows = kang(), []
    kind, is_control = adata.obs["cell_type"].to_numpy(dtype=str), adata.obs["is_control"].to_numpy(dtype=bool)
    for left_out in np.unique(kind):
        hidden = (kind == left_out) & ~is_control
        predictor = scgx.tl.PerturbationPredictor(**COMMON, context_key="cell_type").fit(adata[~hidden].copy())
        query = adata[(kind == left_out) & is_control].copy()
        treated = adata.obs["perturbation"].astype(str)[hidden].iloc[0]
        found = predictor.predict(query, [treated])
        guess = found[(found.obs["perturbation"] == treated).to_numpy(), :].X
        start, truth = (
            adata[rows_, found.var_names].X.toarray() for rows_ in ((kind == left_out) & is_control, hidden)
        )
        space = PCA(50, random_state=0).fit(adata[~hidden, found.var_names].X.toarray())
        rows.append(cell_scores("auto", truth, np.asarray(guess), start.mean(axis=0), space))
    return pd.DataFrame(rows).melt("method", var_name="metric")


def run(arguments: argparse.Namespace) -> pd.DataFrame:
    """Tidy rows of the real screens; ``--quick`` takes HT115 by plate alone."""
    seed, quick = arguments.seeds[0], arguments.quick
    sets = arguments.sets or (["plates"] if quick else ["plates", "a375", "ht115", "kang", "auto"])
    rows: list[dict[str, Any]] = []
    for name in sets:
        if name == "plates":
            rows += other_plate(seed)
        elif name == "auto":
            rows += auto_rows(seed)
        elif name == "kang":
            rows += kang_rows(seed=seed, quick=quick)
        else:
            rows += screen_rows(name, seed=seed, quick=quick)
    return pd.DataFrame(rows)
