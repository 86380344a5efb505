"""Reference numbers for src/stats/{logistic,ridge}-regression.ts.

Made with numpy 2.4.6, scipy 1.17.1 and scikit-learn 1.9.1 on Python 3.11, seed 20266. LogisticRegression stops at
tol 1e-12 (newton-cholesky), far below its default.

Run from this folder: python3 linear-heads.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

rng = np.random.default_rng(20266)


def listed(values):
    return np.asarray(values).tolist()


n, d = 90, 5
features = np.round(rng.normal(size=(n, d)) * [1, 2, 0.5, 1, 1] + [0, 3, -1, 0, 10], 3)
golden = {"rows": n, "columns": d, "features": listed(features.ravel()), "logistic": []}

for classes in (2, 4):
    planted = rng.normal(size=(d, classes))
    labels = np.argmax((features - features.mean(axis=0)) @ planted + rng.gumbel(size=(n, classes)) * 1.5, axis=1)
    for ridge in (0.01, 1.0, 30.0):
        model = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(features, labels)
        golden["logistic"].append(
            {
                "classes": classes,
                "labels": listed(labels),
                "ridge": ridge,
                # Of two classes, the difference of the second and the first.
                "weights": listed(model.coef_),
                "intercepts": listed(model.intercept_ - (model.intercept_.mean() if classes > 2 else 0)),
                "probabilities": listed(model.predict_proba(features)[:10]),
            }
        )

targets = np.round(features @ rng.normal(size=d) + rng.normal(size=n) * 2 + 5, 3)
ridges = [0.01, 0.1, 1.0, 10.0, 100.0]
golden["ridge"] = {"targets": listed(targets), "ridges": ridges, "cases": []}
for rows, columns in ((n, d), (4, d)):
    x, y = features[:rows, :columns], targets[:rows]
    search = RidgeCV(alphas=ridges, scoring="neg_mean_squared_error").fit(x, y)
    left_out = [cross_val_predict(Ridge(alpha=ridge, solver="cholesky"), x, y, cv=LeaveOneOut()) for ridge in ridges]
    losses = [float(np.mean((y - predicted) ** 2)) for predicted in left_out]
    best = int(np.argmin(losses))
    assert search.alpha_ == ridges[best]
    golden["ridge"]["cases"].append(
        {
            "rows": rows,
            "ridge": ridges[best],
            "losses": losses,
            "heldOut": listed(left_out[best]),
            "weights": listed(search.coef_),
            "intercept": float(search.intercept_),
        }
    )
Path("linear-heads.json").write_text(json.dumps(golden) + "\n")
