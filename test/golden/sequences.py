"""Reference numbers for test/stats/sequences.test.ts.

PYTHONPATH=confseq-0.0.11/src python test/golden/sequences.py > test/golden/sequences.json
Made with gbstats 0.8.0, confseq 0.0.11 (its Python modules, from the source distribution), scipy 1.17.1, numpy 1.26.4, seed 20251126.
"""

import json

import numpy as np
from confseq.betting import betting_cs, betting_mart
from confseq.betting_strategies import lambda_predmix_eb
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RegressionAdjustedStatistic, SampleMeanStatistic, compute_theta
from gbstats.utils import check_srm
from scipy.special import gammaln
from scipy.stats import chi2, norm

rng = np.random.default_rng(20251126)
out = {}


def sample(values):
    return SampleMeanStatistic(n=len(values), sum=float(np.sum(values)), sum_squares=float(np.sum(values**2)))


out["asymptotic"] = []
for n_a, n_b, shift, alpha, tuning in [(60, 70, 0.0, 0.05, 500), (400, 300, 0.2, 0.05, 5000), (2000, 2100, -0.1, 0.01, 4000)]:
    a, b = rng.normal(1, 1, n_a), rng.normal(1 + shift, 1.3, n_b)
    test = SequentialTwoSidedTTest(
        sample(a),
        sample(b),
        SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=tuning),
    )
    out["asymptotic"].append(
        {
            "alpha": alpha,
            "units": tuning,
            "n": n_a + n_b,
            "difference": float(test.point_estimate),
            "variance": float(test.variance),
            "rho": float(test.rho),
            "interval": [float(x) for x in test.confidence_interval],
            "pValue": float(test.p_value),
        }
    )

out["betting"] = []
for alpha, draw in [(0.05, rng.binomial(1, 0.3, 300)), (0.01, rng.beta(4, 2, 200)), (0.05, rng.choice([0, 0.5, 1], 400, p=[0.05, 0.8, 0.15]))]:
    x = draw.astype(float)
    bets = lambda x, m, alpha=alpha: lambda_predmix_eb(x, alpha=alpha / 2)
    low, high = betting_cs(x, lambdas_fns_positive=[bets], alpha=alpha, breaks=1000, running_intersection=True)
    capital = betting_mart(x, 0.5, alpha=alpha, lambdas_fn_positive=bets)
    at = [0, 9, 49, 99, len(x) - 1]
    out["betting"].append(
        {
            "alpha": alpha,
            "x": x.round(12).tolist(),
            "at": at,
            "low": low[at].tolist(),
            "high": high[at].tolist(),
            "pValueOfHalf": np.minimum(1, 1 / np.maximum.accumulate(capital))[at].tolist(),
        }
    )

out["sampleRatio"] = []
for counts, weights in [([480, 520], [1, 1]), ([300, 720, 1010], [1, 2, 3]), ([10, 0], [0.9, 0.1])]:
    theta = np.array(weights) / np.sum(weights)
    counts_array = np.array(counts)
    k, n = len(counts), sum(counts)
    log_e = gammaln(k) - gammaln(k + n) + gammaln(1 + counts_array).sum() - (counts_array * np.log(theta)).sum()
    out["sampleRatio"].append(
        {"counts": counts, "weights": weights, "pValue": check_srm(counts, weights), "sequentialPValue": min(1.0, float(np.exp(-log_e)))}
    )

pre_a, pre_b = rng.normal(3, 2, 150), rng.normal(3, 2, 170)
y_a, y_b = 0.8 * pre_a + rng.normal(0, 1, 150), 0.3 + 0.8 * pre_b + rng.normal(0, 1, 170)
statistics = [
    RegressionAdjustedStatistic(
        n=len(y), post_statistic=sample(y), pre_statistic=sample(x), post_pre_sum_of_products=float(np.sum(x * y)), theta=0
    )
    for y, x in [(y_a, pre_a), (y_b, pre_b)]
]
theta = float(compute_theta(*statistics))
for statistic in statistics:
    statistic.theta = theta
out["covariate"] = {
    "a": {"y": y_a.tolist(), "x": pre_a.tolist()},
    "b": {"y": y_b.tolist(), "x": pre_b.tolist()},
    "theta": theta,
    "difference": float(np.mean(y_b) - np.mean(y_a) - theta * (np.mean(pre_b) - np.mean(pre_a))),
    "variance": float(sum(s.variance / s.n for s in statistics)),
}

out["normalQuantile"] = [[p, float(norm.ppf(p))] for p in [1e-20, 1e-6, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999999]]
out["chiSquareTail"] = [[x, k, float(chi2.sf(x, k))] for x, k in [(0.1, 1), (3.841, 1), (30, 1), (2, 5), (15.09, 5), (80, 12), (500, 400)]]
out["logGamma"] = [[x, float(gammaln(x))] for x in [0.1, 0.5, 1, 1.5, 7, 101.5, 1e6]]
print(json.dumps(out, separators=(",", ":")))
