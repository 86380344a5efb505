"""Reference numbers for src/stats/{proportion,mcnemar,paired-bootstrap}.ts.

Made with numpy 2.4.6, scipy 1.17.1 and statsmodels 0.15.0 on Python 3.11, seed 20262. The bootstrap draws its own
resamples, 100,000 of them, so a port with other random numbers agrees to about 1 % of the interval's width.

Run from this folder: python3 paired-tests.py
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20262)

wilson = []
for successes, n in [(0, 5), (5, 5), (1, 1), (247, 369), (1082, 1360), (3, 1000)]:
    low, high = proportion_confint(successes, n, method="wilson")
    wilson.append({"successes": successes, "n": n, "low": float(low), "high": float(high)})

tests = []
for first, second in [(0, 0), (1, 0), (5, 5), (3, 11), (60, 41), (700, 812), (2500, 2300)]:
    p = float(mcnemar([[0, first], [second, 0]], exact=True).pvalue)
    if first + second > 0:
        assert abs(p - binomtest(first, first + second, 0.5).pvalue) < 1e-9
    tests.append({"onlyFirst": first, "onlySecond": second, "p": p})

right = rng.choice([-1, 0, 0, 0, 1, 1], size=150)
nats = np.round(rng.normal(0.5, 4, size=60), 3)
sizes = rng.integers(80, 900, size=60)


def interval(data, statistic):
    result = bootstrap(data, statistic, paired=True, method="percentile", n_resamples=100_000, batch=5000, rng=rng)
    return {"low": float(result.confidence_interval.low), "high": float(result.confidence_interval.high)}


golden = {
    "wilson": wilson,
    "mcnemar": tests,
    "shares": {"differences": right.tolist(), **interval((right,), lambda d, axis: d.mean(axis=axis))},
    "ratio": {
        "differences": nats.tolist(),
        "sizes": sizes.tolist(),
        **interval((nats, sizes), lambda d, s, axis: d.sum(axis=axis) / s.sum(axis=axis)),
    },
}
Path("paired-tests.json").write_text(json.dumps(golden) + "\n")
