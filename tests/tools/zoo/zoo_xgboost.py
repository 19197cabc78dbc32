"""Classifiers of XGBoost of the size that is served: hundreds of trees, binary and of many classes, missing values, categories.

usage: zoo_xgboost.py ROOT [NAME...]     writes ROOT/xgboost/NAME/
"""
import os
import sys

import numpy as np
import xgboost
import zoo_case

# trees, depth, features, classes, further parameters
NETWORKS = {
    "binary_1000x6": (1000, 6, 50, 2, {}),
    "binary_500x10": (500, 10, 100, 2, {}),
    "classes_10x200": (200, 6, 64, 10, {}),
    "dart_300x6": (300, 6, 30, 2, {"booster": "dart", "rate_drop": 0.05}),
    "categories_300x8": (300, 8, 30, 2, {"max_cat_to_onehot": 4}),
}


def write(root, name):
    trees, depth, features, classes, more = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, features)).astype("f4")
    score = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.2 * rng.normal(size=20000)
    label = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    kinds = ["q"] * features
    if name.startswith("categories"):
        x[:, 0] = rng.integers(0, 30, 20000)
        kinds[0] = "c"
    x[rng.random(x.shape) < 0.1] = np.nan
    arguments = {"feature_types": kinds, "enable_categorical": True}
    objective = {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}
    booster = xgboost.train({**objective, **more, "max_depth": depth, "nthread": 2, "seed": 0}, xgboost.DMatrix(x, label=label, **arguments), trees)
    rows = xgboost.DMatrix(x[:100], **arguments)
    margin = booster.predict(rows, output_margin=True)
    for file in ("model.json", "model.ubj"):
        booster.save_model(os.path.join(zoo_case.folder(root, "xgboost", name), file))
    zoo_case.save(root, "xgboost", name, ["model.json", "model.ubj"], [("features", x[:100])],
                  [("prediction", booster.predict(rows)), ("margin", margin)], 1e-6, 1e-6)


for wanted in sys.argv[2:] or NETWORKS:
    if not zoo_case.done(sys.argv[1], "xgboost", wanted):
        write(sys.argv[1], wanted)
