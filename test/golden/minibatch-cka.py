"""Reference numbers for src/alignment/minibatch-cka.ts, made with numpy 2.4.6 on Python 3.11, seed 20265.

Run from this folder: python3 minibatch-cka.py
"""

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(20265)

ROWS, BATCH = 48, 12


def plain(x):
    return np.asarray(x, dtype=float).ravel().tolist()


def hsic(k, l):
    """Song et al. 2012, eq. 5, with its matrices written out."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    one = np.ones(n)
    return (
        np.trace(k @ l)
        + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ l @ one)
    ) / (n * (n - 3))


def minibatch_cka(x, y, batch):
    sums = np.zeros(3)
    for first in range(0, len(x), batch):
        a, b = x[first : first + batch], y[first : first + batch]
        k, l = a @ a.T, b @ b.T
        sums += hsic(k, l), hsic(k, k), hsic(l, l)
    return sums[0] / np.sqrt(sums[1] * sums[2])


shared = rng.normal(size=(ROWS, 5))
xs = [shared @ rng.normal(size=(5, 6)) + s * rng.normal(size=(ROWS, 6)) + 2 for s in (0.5, 2)]
ys = [np.tanh(shared @ rng.normal(size=(5, 4))) + s * rng.normal(size=(ROWS, 4)) for s in (0.1, 1, 3)]

golden = {
    "rows": ROWS,
    "batch": BATCH,
    "xs": [plain(x) for x in xs],
    "ys": [plain(y) for y in ys],
    "minibatch": [minibatch_cka(x, y, BATCH) for x in xs for y in ys],
    "whole": [minibatch_cka(x, y, ROWS) for x in xs for y in ys],
}
Path("minibatch-cka.json").write_text(json.dumps(golden) + "\n")
print(np.__version__, golden["minibatch"], golden["whole"])
