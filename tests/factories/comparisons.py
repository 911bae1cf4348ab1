"""Comparisons of two drawn models, the second one better."""

import numpy as np

from factories.predictions import make_classification, make_regression
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.compare import Answers, compare_answers
from phytoscope.schema.table import Split, Task

CLASS_NAMES = ["Apple___Apple_scab", "Apple___healthy", "Tomato___leaf_<b>mold</b>"]


def draw_answers(task, *, second, n=60):
    """Draw the answers of one of the two models; both have the same images and truths."""
    name = "field <ready>" if second else "plain"
    if task == Task.classification:
        table, _, _ = make_classification(
            CLASS_NAMES, n_per_class=n, accuracy=0.95 if second else 0.7, seed=int(second)
        )
        names, unit, target = CLASS_NAMES, "", "class"
    else:
        table, _, _ = make_regression(n_per_split=2 * n)
        rng = np.random.default_rng(int(second))
        table["prediction"] = table["target"] * np.exp(rng.normal(0.0, 0.1 if second else 0.3, len(table)))
        names, unit, target = [], "g", "fresh_weight_g"
    table["model_id"] = name
    table["meta/camera"] = np.where(np.arange(len(table)) % 3 == 0, "phone", "slr")
    return Answers(name, table, task, names, unit, target, "split")


def build_comparison(task, draws=100):
    """Compare both; returns the comparison and the table of disagreements."""
    first, second = draw_answers(task, second=False), draw_answers(task, second=True)
    return compare_answers(first, second, split=Split.test, plan=BootstrapPlan(draws))
