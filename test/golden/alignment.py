"""Reference numbers for src/alignment, made with numpy 2.4.6 and scipy 1.17.1 on Python 3.11, seed 20262.

Run from this folder: python3 alignment.py
"""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

rng = np.random.default_rng(20262)


def plain(x):
    return np.asarray(x, dtype=float).ravel().tolist()


# Debiased CKA. HSIC_u is the average over quadruples of different rows (a U-statistic), so on eight rows it can be had
# from its definition, without the trace formula.
def hsic_by_quadruples(x, y):
    k, l = x @ x.T, y @ y.T
    total = count = 0
    for i, j, q, r in permutations(range(len(x)), 4):
        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        count += 1
    return total / count


def cka(x, y, hsic):
    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


# The same estimator from feature sums, with no n by n matrix, for a larger sample.
def hsic_by_features(x, y):
    n = len(x)
    kd, ld = (x**2).sum(1), (y**2).sum(1)
    trace = ((x.T @ y) ** 2).sum() - kd @ ld
    kr, lr = x @ x.sum(0) - kd, y @ y.sum(0) - ld
    return (trace + kr.sum() * lr.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * kr @ lr) / (n * (n - 3))


small_x = rng.normal(size=(8, 3))
small_y = small_x @ rng.normal(size=(3, 4)) + rng.normal(size=(8, 4))
x = rng.normal(size=(30, 6)) * [1, 1, 1, 1, 1, 40] + 3
y = np.tanh(x[:, :4] @ rng.normal(size=(4, 5))) + 0.3 * rng.normal(size=(30, 5))
standard = lambda a: (a - a.mean(0)) / a.std(0)

# Joint SVD: two members, 24 tokens, states of widths 4 and 5. By the SVD of the weighted stack itself.
V, widths, scales = 24, (4, 5), (0.4, 0.6)
rows = [rng.normal(size=(V, d)).astype(np.float32).astype(float) for d in widths]
states = [rng.normal(size=(50, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) for d in widths]
counts = rng.integers(0, 9, size=V)
D = (counts + 0.5) ** 0.75
D /= D.sum()


def root(c):
    w, v = np.linalg.eigh(c)
    return (v * np.sqrt(w)) @ v.T


covariances = [np.cov(s.T, ddof=0) for s in states]
stack = np.concatenate(
    [a * (u - D @ u) @ root(c) for a, u, c in zip(scales, rows, covariances)], axis=1
)
_, singular, vt = np.linalg.svd(np.sqrt(D)[:, None] * stack, full_matrices=False)
k = 3
rank_k = stack @ vt[:k].T @ vt[:k]
# What rank k leaves of each member's centred logits at its first three states.
approximate, first = [], 0
for a, c, s, d in zip(scales, covariances, states, widths):
    part = rank_k[:, first : first + d] / a
    approximate.append((s[:3] - s.mean(0)) @ np.linalg.inv(root(c)) @ part.T)
    first += d

# Log-linear pool of three members, the third of them useless; weights by L-BFGS-B from scipy.
n, m, tokens = 250, 3, 12
logits = rng.normal(size=(n, m, tokens)).astype(np.float32).astype(float)
logits[:, 1] = (logits[:, 1] + 0.5 * logits[:, 0]).astype(np.float32)
target = np.einsum("m,nmv->nv", [0.9, 0.5, -0.4], logits)
truth = np.array([rng.choice(tokens, p=np.exp(t - logsumexp(t))) for t in target])


def loss(w):
    pooled = np.einsum("m,nmv->nv", w, logits)
    log_p = pooled - logsumexp(pooled, axis=1, keepdims=True)
    at = np.arange(n)
    expected = np.einsum("nv,nmv->nm", np.exp(log_p), logits)
    return -log_p[at, truth].mean(), (expected - logits[at, :, truth]).mean(0)


fit = minimize(loss, np.full(m, 1 / m), jac=True, method="L-BFGS-B", bounds=[(0, None)] * m,
               options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 1000})

golden = {
    "smallX": plain(small_x),
    "smallY": plain(small_y),
    "smallCka": cka(small_x, small_y, hsic_by_quadruples),
    "x": plain(x),
    "y": plain(y),
    "cka": cka(x, y, hsic_by_features),
    "standardised": plain(standard(x)),
    "standardisedCka": cka(standard(x), standard(y), hsic_by_features),
    "rows": [plain(u) for u in rows],
    "states": [plain(s) for s in states],
    "counts": plain(counts),
    "tokenWeights": plain(D),
    "eigenvalues": plain(singular**2),
    "approximate": [plain(a) for a in approximate],
    "poolLogits": plain(logits),
    "poolTokens": truth.tolist(),
    "poolWeights": plain(fit.x),
    "poolNll": float(fit.fun),
    "memberNll": [float(loss(np.eye(m)[i])[0]) for i in range(m)],
}
Path("alignment.json").write_text(json.dumps(golden) + "\n")
