"""Reference numbers for src/stats/conditional-logit.ts.

Made with numpy 2.4.6, scipy 1.17.1 and statsmodels 0.15.0 on Python 3.11, seed 20263. The weights are where
the loss has no slope; without a ridge they are those of statsmodels' ConditionalLogit.

Run from this folder: python3 conditional-logit.py
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize, root
from scipy.special import logsumexp, softmax
from statsmodels.discrete.conditional_models import ConditionalLogit

rng = np.random.default_rng(20263)
planted = np.array([1.2, -0.7, 0.0, 0.4])
ridge = np.array([0.5, 0.5, 3.0, 10.0])

counts = rng.integers(2, 6, size=60)
items = np.repeat(np.arange(counts.size), counts)
features = np.round(rng.normal(size=(items.size, planted.size)), 3)
labels = []
for item in range(counts.size):
    scores = features[items == item] @ planted
    labels.append(int(np.argmax(scores + rng.gumbel(size=scores.size))))
starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
right = np.zeros(items.size)
right[starts + labels] = 1


def loss(weights, penalty):
    scores = features @ weights
    nll = sum(logsumexp(scores[items == i]) for i in range(counts.size)) - right @ scores
    return nll + 0.5 * penalty @ weights**2


def slope(weights, penalty):
    scores = features @ weights
    shares = np.concatenate([softmax(scores[items == i]) for i in range(counts.size)])
    return features.T @ (shares - right) + penalty * weights


def least(penalty):
    found = root(slope, np.zeros(4), args=(penalty,), tol=1e-13)
    assert np.abs(slope(found.x, penalty)).max() < 1e-9
    return found.x


plain = least(0 * ridge)
held = least(ridge)
# statsmodels stops earlier than a root finder.
theirs = ConditionalLogit(right, features, groups=items).fit(disp=False).params
assert np.allclose(theirs, plain, atol=3e-4)
assert np.allclose(minimize(loss, np.zeros(4), args=(ridge,)).x, held, atol=1e-4)

golden = {
    "counts": counts.tolist(),
    "labels": labels,
    "features": features.ravel().tolist(),
    "plain": {"weights": plain.tolist(), "meanLoss": loss(plain, 0 * ridge) / counts.size},
    "held": {"ridge": ridge.tolist(), "weights": held.tolist(), "loss": float(loss(held, ridge))},
}
Path("conditional-logit.json").write_text(json.dumps(golden) + "\n")
