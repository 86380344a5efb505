"""Reference numbers for src/stats, made with numpy 2.4.6 and scipy 1.17.1 on Python 3.11, seed 20261.

Run from this folder: python3 distributions.py
"""

import json
from pathlib import Path

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

rng = np.random.default_rng(20261)
# Rounded to single precision first, so that both sides see the same logits.
rows = (rng.normal(size=(3, 60)) * 4 + np.array([[0], [300], [-50]])).astype(np.float32)
p = softmax(rows.astype(float), axis=1)
sample = rng.normal(size=(40, 5)).astype(np.float32) * np.float32(3) + np.float32(100)
weights = rng.random(40)

golden = {
    "rows": rows.astype(float).tolist(),
    "logSumExp": logsumexp(rows.astype(float), axis=1).tolist(),
    "softmax": p.tolist(),
    "entropy": entropy(p, axis=1).tolist(),
    "kl01": float(entropy(p[0], p[1])),
    "js01": float(jensenshannon(p[0], p[1]) ** 2),
    "js012": float(entropy(p.mean(0)) - entropy(p, axis=1).mean()),
    "sample": sample.astype(float).ravel().tolist(),
    "weights": weights.tolist(),
    "weightedMean": np.average(sample.astype(float), axis=0, weights=weights).tolist(),
    "weightedCovariance": np.cov(sample.astype(float).T, aweights=weights, ddof=0).ravel().tolist(),
    "covariance": np.cov(sample.astype(float).T, ddof=0).ravel().tolist(),
}
Path("distributions.json").write_text(json.dumps(golden) + "\n")
