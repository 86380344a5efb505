"""Reference numbers for src/stats: reliability, proper scores, ranking, calibration, conformal sets.

Made with numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, netcal 1.4.0 (with torch 2.15.0) and MAPIE 1.6.0 on Python
3.11, seed 20265. netcal's own optimiser stops early: its temperature and beta maps are asked to be within 1e-3 of the
root of the same slope, which is what is kept.

Run from this folder: python3 calibration.py
"""

import json
from pathlib import Path

import numpy as np
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore, LACConformityScore
from netcal.binning import IsotonicRegression as NetcalIsotonic
from netcal.metrics import ACE, ECE
from netcal.scaling import BetaCalibration, TemperatureScaling
from scipy.optimize import minimize, root
from scipy.special import expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

rng = np.random.default_rng(20265)


def listed(values):
    return np.asarray(values).tolist()


# Verdicts: too sure of themselves, rounded so that some are equal.
n = 400
confidence = np.round(rng.beta(5, 1.6, size=n), 3).clip(0.001, 0.999)
correct = (rng.random(n) < 0.25 + 0.6 * confidence**2).astype(int)
auc = roc_auc_score(correct, confidence)
order_free = np.unique(confidence)[::-1]
errors = np.cumsum([np.sum((confidence == c) & (correct == 0)) for c in order_free])
given = np.cumsum([np.sum(confidence == c) for c in order_free])

# AURC as the mean over many orders of equal confidences.
risks = []
for _ in range(4000):
    order = np.lexsort((rng.random(n), -confidence))
    risks.append(np.mean(np.cumsum(1 - correct[order]) / np.arange(1, n + 1)))

logit = np.log(confidence) - np.log1p(-confidence)


def temperature_slope(t):
    return [np.sum((expit(t[0] * logit) - correct) * logit)]


steepness = root(temperature_slope, [1.0], tol=1e-14).x[0]
theirs = TemperatureScaling().fit(confidence, correct)
assert abs(float(theirs.temperature[0]) - steepness) < 1e-3, (theirs.temperature, steepness)

columns = np.stack([np.log(confidence), -np.log1p(-confidence), np.ones(n)], axis=1)
beta = root(lambda w: columns.T @ (expit(columns @ w) - correct), [1.0, 1.0, 0.0], tol=1e-14).x
if beta[0] < 0 or beta[1] < 0:
    keep = [1, 2] if beta[0] < 0 else [0, 2]
    part = columns[:, keep]
    found = root(lambda w: part.T @ (expit(part @ w) - correct), [1.0, 0.0], tol=1e-14).x
    beta = np.zeros(3)
    beta[keep] = found
beta_map = BetaCalibration().fit(confidence, correct).transform(confidence)
assert np.abs(beta_map - expit(columns @ beta)).max() < 1e-3

isotonic = IsotonicRegression(out_of_bounds="clip").fit(confidence, correct)
netcal_isotonic = NetcalIsotonic().fit(confidence, correct).transform(confidence).ravel()
assert np.abs(netcal_isotonic - isotonic.predict(confidence)).max() < 1e-6
grid = np.round(np.linspace(0, 1, 41), 3)

# Forecasts of four classes, too sure of themselves.
m, c = 300, 4
scores = rng.normal(size=(m, c)) * 1.3
labels = np.array([rng.choice(c, p=softmax(row)) for row in scores])
probabilities = np.round(softmax(1.9 * scores + [0.3, 0, -0.2, 0], axis=1), 6).clip(1e-6)
probabilities /= probabilities.sum(axis=1, keepdims=True)
logs = np.log(probabilities)
one_hot = np.eye(c)[labels]


def multi_slope(t):
    return [np.sum((softmax(t[0] * logs, axis=1) - one_hot) * logs)]


multi_steepness = root(multi_slope, [1.0], tol=1e-14).x[0]
theirs = TemperatureScaling().fit(probabilities, labels)
assert abs(float(theirs.temperature[0]) - multi_steepness) < 1e-3

rest = -np.log1p(-probabilities)


def shared_slope(w):
    residual = softmax(w[0] * logs + w[1] * rest, axis=1) - one_hot
    return [np.sum(residual * logs), np.sum(residual * rest)]


shared_beta = root(shared_slope, [0.5, 0.5], tol=1e-14).x

ridge = 0.01


def dirichlet_loss(flat):
    w, d = flat[: c * c].reshape(c, c), flat[c * c :]
    shares = log_softmax(logs @ w.T + d, axis=1)
    residual = np.exp(shares) - one_hot
    off = w * (1 - np.eye(c))
    loss = -np.mean(shares[np.arange(m), labels]) + ridge * (np.sum(off**2) / (c * (c - 1)) + np.sum(d**2) / c)
    w_slope = residual.T @ logs / m + 2 * ridge * off / (c * (c - 1))
    d_slope = residual.mean(axis=0) + 2 * ridge * d / c
    return loss, np.concatenate([w_slope.ravel(), d_slope])


start = np.concatenate([np.eye(c).ravel(), np.zeros(c)])
near = minimize(dirichlet_loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15}).x
dirichlet = root(lambda flat: dirichlet_loss(flat)[1], near, tol=1e-13).x
assert np.abs(dirichlet_loss(dirichlet)[1]).max() < 1e-10


# Conformal: MAPIE around given probabilities.
class Given(ClassifierMixin, BaseEstimator):
    def __init__(self):
        self.classes_ = np.arange(c)
        self.fitted_ = True

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)


fitting, asking = slice(0, 200), slice(200, m)
levels = [0.8, 0.9, 0.95]
conformal = {}
for name, score in [("lac", LACConformityScore()), ("aps", APSConformityScore())]:
    mapie = SplitConformalClassifier(
        Given(), confidence_level=levels, conformity_score=score, prefit=True, random_state=7
    )
    mapie.conformalize(probabilities[fitting], labels[fitting])
    options = {"conformity_score_params": {"include_last_label": "randomized"}} if name == "aps" else {}
    _, sets = mapie.predict_set(probabilities[asking], **options)
    inner = mapie._mapie_classifier
    conformal[name] = {
        "scores": listed(np.ravel(inner.conformity_scores_)),
        "quantiles": listed(np.ravel(inner.conformity_score_function_.quantiles_)),
        "sets": [[listed(np.flatnonzero(row)) for row in sets[:, :, level]] for level in range(len(levels))],
    }
# The random numbers that MAPIE draws for its scores and for its sets.
draws = np.random.RandomState(7)
conformal["uniform"] = {
    "fitting": listed(np.random.RandomState(7).uniform(size=200)),
    "asking": listed(np.random.RandomState(7).uniform(size=m - 200)),
}

# RAPS by its definition, u = 0.3, penalty 0.1, two ranks free.
ranks = np.argsort(np.argsort(-probabilities, axis=1, kind="stable"), axis=1) + 1
mass = np.array([[row[other >= row[y]].sum() for y in range(c)] for row, other in zip(probabilities, probabilities)])
raps = mass - 0.3 * probabilities + 0.1 * np.maximum(0, ranks - 2)

golden = {
    "verdicts": {
        "confidence": listed(confidence),
        "correct": listed(correct),
        "ece": float(ECE(bins=15).measure(confidence, correct)),
        "eceEqualMass": float(ECE(bins=15, equal_intervals=False).measure(confidence, correct)),
        "ace": float(ACE(bins=15).measure(confidence, correct)),
        "brier": float(brier_score_loss(correct, confidence)),
        "logLoss": float(log_loss(correct, confidence)),
        "auroc": float(auc),
        "riskCoverage": {"coverage": listed(given / n), "risk": listed(errors / given)},
        "aurc": float(np.mean(risks)),
        "aurcError": float(np.std(risks) / np.sqrt(len(risks))),
        "temperature": 1 / float(steepness),
        "beta": listed(beta),
        "isotonic": {"x": listed(grid), "y": listed(isotonic.predict(grid))},
    },
    "forecasts": {
        "probabilities": listed(probabilities),
        "labels": listed(labels),
        "ece": float(ECE(bins=15).measure(probabilities, labels)),
        "brier": float(brier_score_loss(labels, probabilities, labels=list(range(c)), scale_by_half=False)),
        "logLoss": float(log_loss(labels, probabilities)),
        "temperature": 1 / float(multi_steepness),
        "beta": listed(shared_beta),
        "dirichlet": {
            "ridge": ridge,
            "weights": listed(dirichlet[: c * c].reshape(c, c)),
            "bias": listed(dirichlet[c * c :]),
        },
    },
    "conformal": {"levels": levels, **conformal, "raps": listed(raps[:20])},
}
Path("calibration.json").write_text(json.dumps(golden) + "\n")
