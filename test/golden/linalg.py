"""Reference numbers for src/linalg, made with numpy 2.4.6 and scipy 1.17.1 on Python 3.11, seed 20260.

Run from this folder: python3 linalg.py
"""

import json
from pathlib import Path

import numpy as np
import scipy.linalg

rng = np.random.default_rng(20260)


def plain(x):
    return np.asarray(x, dtype=float).ravel().tolist()


a = rng.normal(size=(13, 9))
b = rng.normal(size=(9, 11))
spd = a.T @ a + 0.1 * np.eye(9)
rhs = rng.normal(size=(9, 3))
symmetric = rng.normal(size=(12, 12))
symmetric = symmetric + symmetric.T
values, vectors = np.linalg.eigh(symmetric)
values, vectors = values[::-1], vectors[:, ::-1]
vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(12)])
deficient = a[:, :4] @ a[:, :4].T  # rank 4 of 13


def floored_power(c, exponent, floor):
    w, v = scipy.linalg.eigh(c)
    return (v * np.maximum(w, floor * w.max()) ** exponent) @ v.T


# xoshiro128** 1.1 and its seeding, from their definitions, on Python integers.
def xoshiro(seed, count):
    mask = 0xFFFFFFFF
    rotl = lambda x, k: ((x << k) | (x >> (32 - k))) & mask
    state, s = seed & mask, []
    for _ in range(4):
        state = (state + 0x9E3779B9) & mask
        z = state
        z = ((z ^ (z >> 16)) * 0x85EBCA6B) & mask
        z = ((z ^ (z >> 13)) * 0xC2B2AE35) & mask
        s.append(z ^ (z >> 16))
    out = []
    for _ in range(count):
        out.append((rotl((s[1] * 5) & mask, 7) * 9) & mask)
        t = (s[1] << 9) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 11)
    return out


bits = xoshiro(7, 8)
golden = {
    "a": plain(a),
    "b": plain(b),
    "product": plain(a @ b),
    "gram": plain(a.T @ a),
    "rowGram": plain(a @ a.T),
    "spd": plain(spd),
    "cholesky": plain(np.linalg.cholesky(spd)),
    "rhs": plain(rhs),
    "solution": plain(scipy.linalg.cho_solve(scipy.linalg.cho_factor(spd), rhs)),
    "symmetric": plain(symmetric),
    "values": plain(values),
    "vectors": plain(vectors),
    "deficient": plain(deficient),
    "squareRoot": plain(floored_power(deficient, 0.5, 1e-3)),
    "inverseSquareRoot": plain(floored_power(deficient, -0.5, 1e-3)),
    "uniform": [((bits[i] >> 5) * 2**26 + (bits[i + 1] >> 6)) / 2**53 for i in range(0, 8, 2)],
    "integers": [x % 1000 for x in xoshiro(-3, 6)],
}
Path("linalg.json").write_text(json.dumps(golden) + "\n")
