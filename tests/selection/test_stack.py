from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from scgx.selection import OutOfFold, stack_weights


def out_of_fold(predictions: dict[str, np.ndarray], reference: np.ndarray, fold: np.ndarray) -> OutOfFold:
    predictions = {name: values.astype(np.float32) for name, values in predictions.items()}
    return OutOfFold(predictions, reference.astype(np.float32), fold, dict.fromkeys(predictions, 0.0))


@pytest.fixture
def noisy() -> tuple[OutOfFold, np.ndarray]:
    """Four predictors (one harmful) of 700 × 6 values in 4 folds, gaps in the truth; more rows than one block."""
    rng = np.random.default_rng(0)
    fold = rng.integers(0, 4, 700)
    fold[:300] = 0
    signal = rng.normal(size=(700, 6))
    reference = rng.normal(10, 1, (4, 6))
    predictions = {
        "good": signal + rng.normal(0, 0.7, signal.shape),
        "fair": signal + rng.normal(0, 1.4, signal.shape),
        "wrong": -signal + rng.normal(0, 1, signal.shape),
        "noise": rng.normal(0, 1, signal.shape),
    }
    predictions = {name: reference[fold] + values for name, values in predictions.items()}
    Y = (reference[fold] + signal + rng.normal(0, 0.5, signal.shape)).astype(np.float32)
    Y[rng.random(Y.shape) < 0.15] = np.nan
    return out_of_fold(predictions, reference, fold), Y


def least_squares(out: OutOfFold, Y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bounded least squares on the concatenated measured values."""
    used = np.isfinite(Y[rows])
    center = out.reference[out.fold[rows]].astype(float)
    design = np.stack([(p[rows] - center)[used] for p in out.predictions.values()], axis=1)
    return lsq_linear(design, (Y[rows] - center)[used], bounds=(0, np.inf), method="bvls").x


def test_weights_are_bounded_least_squares_on_all_folds(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    weights, _ = stack_weights(out, Y)
    np.testing.assert_allclose(list(weights.values()), least_squares(out, Y, np.arange(len(Y))), atol=1e-4)
    assert weights["wrong"] == 0
    assert weights["good"] > weights["fair"] > 0
    assert 0 < sum(weights.values()) < 1  # noisy predictors are shrunk


def test_prediction_of_a_fold_uses_the_weights_of_the_others(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    _, prediction = stack_weights(out, Y)
    for k in range(4):
        weights = least_squares(out, Y, np.flatnonzero(out.fold != k))
        rows, mean = out.fold == k, out.reference[k]
        expected = mean + sum(w * (p[rows] - mean) for w, p in zip(weights, out.predictions.values(), strict=True))
        np.testing.assert_allclose(prediction[rows], expected, atol=2e-3)


def test_prediction_of_a_fold_is_blind_to_its_truth(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    weights, prediction = stack_weights(out, Y)
    for k in range(4):
        rows = out.fold == k
        changed = Y.copy()
        changed[rows] = 2 * out.reference[k] - changed[rows]
        other_weights, other = stack_weights(out, changed)
        np.testing.assert_array_equal(other[rows], prediction[rows])
        assert np.abs(other[~rows] - prediction[~rows]).max() > 0.01
        assert other_weights != weights


def test_a_known_mix_is_found() -> None:
    rng = np.random.default_rng(0)
    fold, reference = np.repeat([0, 1, 2], 20), rng.normal(5, 3, (3, 7))
    a, b, c = rng.normal(size=(3, 60, 7))
    mean = reference[fold]
    out = out_of_fold({"a": mean + a, "b": mean + b, "c": mean + c}, reference, fold)
    truth = (mean + 0.6 * a + 0.25 * b).astype(np.float32)
    weights, prediction = stack_weights(out, truth)
    assert weights == pytest.approx({"a": 0.6, "b": 0.25, "c": 0}, abs=1e-4)
    np.testing.assert_allclose(prediction, truth, atol=1e-3)


def test_equal_predictors_share_the_weight_and_the_mean_gets_none(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    good, mean = out.predictions["good"], out.reference[out.fold]
    alone, prediction = stack_weights(out_of_fold({"good": good}, out.reference, out.fold), Y)
    twice, same = stack_weights(out_of_fold({"a": good, "b": good, "mean": mean}, out.reference, out.fold), Y)
    assert twice["a"] + twice["b"] == pytest.approx(alone["good"], rel=1e-4)
    assert twice["mean"] == 0
    np.testing.assert_allclose(same, prediction, atol=1e-3)


def test_predictors_that_are_all_the_mean_give_the_mean(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    weights, prediction = stack_weights(out_of_fold({"mean": out.reference[out.fold]}, out.reference, out.fold), Y)
    assert weights == {"mean": 0}
    np.testing.assert_array_equal(prediction, out.reference[out.fold])


def test_shrinkage_pulls_towards_equal_weights_of_what_deviates(noisy: tuple[OutOfFold, np.ndarray]) -> None:
    out, Y = noisy
    with_mean = out_of_fold(out.predictions | {"mean": out.reference[out.fold]}, out.reference, out.fold)
    used = np.isfinite(Y)
    deviations = np.stack([(p - out.reference[out.fold])[used] for p in out.predictions.values()], axis=1).astype(float)
    scale = np.sort((deviations**2).sum(axis=0))[1]  # the lower median
    design = np.vstack([deviations, np.sqrt(0.5 * scale) * np.eye(4)])
    target = np.append((Y - out.reference[out.fold])[used], np.sqrt(0.5 * scale) * np.full(4, 1 / 4))
    expected = lsq_linear(design, target, bounds=(0, np.inf), method="bvls").x
    weights, _ = stack_weights(with_mean, Y, shrinkage=0.5)
    assert weights.pop("mean") == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(list(weights.values()), expected, atol=1e-4)
    equal, _ = stack_weights(with_mean, Y, shrinkage=1e4)
    np.testing.assert_allclose(list(equal.values()), [1 / 4] * 4 + [0], atol=1e-3)
    wild = out.reference[out.fold] + 3000 * np.random.default_rng(1).normal(size=Y.shape)
    with_wild, _ = stack_weights(
        out_of_fold(out.predictions | {"wild": wild}, out.reference, out.fold), Y, shrinkage=1.0
    )
    assert with_wild["wild"] < 0.01
    assert with_wild["good"] > 0.2
