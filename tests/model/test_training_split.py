from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scgx.model import TransPlatformer

FIT = {"max_epochs": 2, "accelerator": "cpu", "progress": False}


@pytest.fixture
def mdata() -> MuData:
    """Forty rows of liver, twelve of brain, two a compound; no compound in both tissues."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"compound": [f"c{i // 2}" for i in range(52)], "tissue": np.repeat(["liver", "brain"], [40, 12])},
        index=[f"s{i}" for i in range(52)],
    )
    panels = {"source": 6, "target": 4}
    return MuData(
        {
            name: ad.AnnData(
                rng.normal(size=(52, genes)).astype(np.float32),
                obs=obs.copy(),
                var=pd.DataFrame(index=[f"{name}{i}" for i in range(genes)]),
            )
            for name, genes in panels.items()
        }
    )


def trained(mdata: MuData, **settings: object) -> TransPlatformer:
    TransPlatformer.setup_mudata(mdata, group_key="compound", tissue_key="tissue")
    model = TransPlatformer(mdata, bottleneck=4, width=4, slots=4)
    model.train(**FIT, **settings)
    return model


def test_cross_never_sees_the_target_tissue(mdata: MuData) -> None:
    model = trained(mdata, training="cross", target_tissue="brain")
    assert sorted([*model.train_indices, *model.validation_indices]) == list(range(40))
    other = mdata.copy()
    other.mod["target"].X[40:] += 100
    same = trained(other, training="cross", target_tissue="brain")
    np.testing.assert_array_equal(same.translate(mdata["source"]), model.translate(mdata["source"]))


def test_cross_star_trains_on_copies_of_its_samples(mdata: MuData) -> None:
    model = trained(mdata, training="cross*", target_tissue="brain", n_target_samples=2)
    train = np.asarray(model.train_indices)
    brain = train >= 40
    assert brain.sum() == (~brain).sum() == len(set(train[~brain]))
    assert len(set(train[brain])) == 2
    assert max(model.validation_indices) < 40
    # scale and centre are those of the balanced rows
    mean = mdata["target"].X[train].mean(axis=0)
    np.testing.assert_allclose(model.module.target_center.numpy(), mean, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        pytest.param({"training": "single"}, "needs a network a tissue", id="single"),
        pytest.param({"training": "cross", "target_tissue": "skin"}, "found 'skin', there is 'brain'", id="not-there"),
    ],
)
def test_what_cannot_be_trained_is_named(mdata: MuData, settings: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        trained(mdata, **settings)
