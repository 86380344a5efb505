"""
A shared space of sentence states by MAXVAR-GCCA, from its definition and not from the closed form that the product uses:
the leading eigenvectors G of Σ_k X_k (X_kᵀX_k + γ_k I)⁻¹ X_kᵀ (n, n), then W_k by ridge regression of G on X_k.

  pip install numpy==2.4.6 scipy==1.17.1
  python test/golden/sentence-space.py

Writes sentence-space.json. Seed 7.
"""

import json
from pathlib import Path

import numpy as np
import scipy.linalg

rng = np.random.default_rng(7)
ROWS, LATENT, WIDTHS, DIMENSION, RIDGE, COMPONENTS = 40, 4, (7, 5, 6), 3, 0.05, 5

latent = rng.standard_normal((ROWS, LATENT))
blocks = []
for width in WIDTHS:
    noise = 0.4 * rng.standard_normal((ROWS, width))
    states = latent @ rng.standard_normal((LATENT, width)) + noise + 3 * rng.standard_normal(width)
    # One huge column, as residual streams have them.
    states[:, 0] = 500 * states[:, 0] + 1000
    blocks.append(states.astype(np.float32))

scores, gammas, bases = [], [], []
for states in blocks:
    states = states.astype(np.float64)
    standard = (states - states.mean(0)) / states.std(0)
    _, singular, axes = scipy.linalg.svd(standard, full_matrices=False)
    kept = min(COMPONENTS, states.shape[1])
    scores.append(standard @ axes[:kept].T)
    gammas.append(RIDGE * (singular[:kept] ** 2).mean())

hat = sum(x @ np.linalg.solve(x.T @ x + g * np.eye(x.shape[1]), x.T) for x, g in zip(scores, gammas))
values, vectors = scipy.linalg.eigh(hat)
order = np.argsort(-values)[:DIMENSION]
shared, agreement = vectors[:, order], values[order]
projected = []
for x, g in zip(scores, gammas):
    z = x @ np.linalg.solve(x.T @ x + g * np.eye(x.shape[1]), x.T @ shared)
    projected.append(z / np.sqrt((z**2).mean()))

golden = {
    "dimension": DIMENSION,
    "ridge": RIDGE,
    "components": COMPONENTS,
    "blocks": [{"width": b.shape[1], "states": [float(x) for x in b.ravel()]} for b in blocks],
    "agreement": agreement.tolist(),
    "projected": [z.ravel().tolist() for z in projected],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
