"""Reports of a watch made by hand, with all that its page can show."""

from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope.schema.drift import (
    DriftFinding,
    DriftKind,
    DriftReport,
    LookWindow,
    TruthReport,
    TruthWindow,
)
from phytoscope.schema.table import Task
from phytoscope.visualize.drift_figures import Watch

CLASSES = ("Tomato___Late_blight", "Tomato___healthy", "<b>rust & $x$</b>")


def make_finding(kind=DriftKind.photo, name="photo/brightness", *, p=0.3, fired=False, effect=None, **more):
    """One comparison; a darker picture where nothing else is said."""
    fields = {
        "window": LookWindow.batch,
        "statistic": 0.1,
        "threshold": 0.01,
        "before": 120.0,
        "after": 90.0,
        "unit": "",
        "effect": "brightness 120 -> 90 (grey levels, 0-255)" if effect is None else effect,
    }
    return DriftFinding(kind=kind, name=name, p_value=p, fired=fired, **{**fields, **more})


def make_report(look=1, findings=(), **more):
    """One look; it fired when a finding did."""
    fields = {
        "n": 60,
        "n_groups": 30,
        "n_recent": 60 * look,
        "n_recent_groups": 30 * look,
        "n_reference": 160,
        "n_reference_groups": 80,
        "false_alarm": 0.05,
        "alpha": 0.05 / (look * (look + 1)),
        "alpha_spent": 0.05 * look / (look + 1),
        "draws": 1000,
        "time": f"2026-11-{look:02d}T06:00:00+00:00",
    }
    found = list(findings) or [make_finding()]
    fired = any(finding.fired for finding in found)
    return DriftReport(look=look, fired=fired, findings=found, **{**fields, **more})


def make_truth(unit="", *, fired=True):
    """Errors of three looks, the last one much worse."""
    errors = (0.05, 0.06, 0.4) if not unit else (1.0, 1.1, 6.0)
    windows = [
        TruthWindow(f"look {place + 1}", 60, 30, error, 0.7 * error, None if place == 1 else 1.4 * error)
        for place, error in enumerate(errors)
    ]
    reference = TruthWindow("reference", 160, 80, errors[0], 0.5 * errors[0], 1.5 * errors[0])
    finding = make_finding(DriftKind.error, "error", p=1e-4, fired=fired, effect="errors 5 % -> 40 %")
    return TruthReport(
        look=2,
        unit=unit,
        n=180,
        n_groups=90,
        reference=reference,
        windows=windows,
        false_alarm=0.05,
        alpha=0.01,
        alpha_spent=0.02,
        draws=1000,
        fired=fired,
        findings=[finding],
        reasons=["Only plants that somebody labelled count."],
    )


def make_rows(n=60, task=Task.classification, *, seed=0, light=1.0, picture=""):
    """Rows of a reference or of a look."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "path": [picture or f"/nowhere/leaf $ {row} <i>.png" for row in range(n)],
            "novelty": rng.gamma(2.0, 0.05, n),
            "verdict": rng.choice(["accept", "review", "reject"], n, p=[0.8, 0.15, 0.05]),
            "photo/brightness": light * rng.normal(120, 10, n),
            "photo/highlights": np.zeros(n),
            "photo/sharpness": rng.normal(2, 0.1, n),
            "photo/side_px": np.full(n, 512.0),
            "photo/plant": rng.uniform(0.2, 0.6, n),
        }
    )
    if task is Task.classification:
        return table.assign(prediction=rng.choice(CLASSES, n), probability=rng.uniform(0.4, 1.0, n))
    value = rng.gamma(3.0, 10.0, n)
    return table.assign(prediction=value, lower=value - 5, upper=value + 6)


def make_watch(task=Task.classification, *, gallery: Path | None = None, truth=True, fired=True):
    """A watch of three looks, of which the last one fired."""
    unit = "" if task is Task.classification else "g"
    named = CLASSES[2] if task is Task.classification else "1"
    last = [
        make_finding(p=1e-5, fired=fired),
        make_finding(
            DriftKind.novelty, "novelty", p=1e-4, fired=fired, effect="novelty 0.1 -> 0.2", after=0.2, before=0.1
        ),
        make_finding(DriftKind.prediction, "prediction", p=0.02, effect=f"predicted {named!r} 30 % -> 40 %"),
        make_finding(DriftKind.features, "features", p=0.5, effect="what the network sees moved", before=None),
        make_finding(DriftKind.confidence, "confidence", p=0.6, effect="probability 0.8 -> 0.8"),
        make_finding(DriftKind.verdict, "verdict", p=1.0, effect="verdict 'accept' 80 % -> 80 %", before=None),
        make_finding(name="photo/plant", p=1.0, effect="share of plant 0.4 -> 0.4", window=LookWindow.recent),
    ]
    reports = [make_report(1), make_report(2), make_report(3, last, reasons=["The new images name no plants."])]
    return Watch(
        Path("/data/watch <1>"),
        "leaves & <grain>",
        task,
        "class" if task is Task.classification else "fresh_weight",
        unit,
        reports,
        [0.8, 0.78, 0.5],
        make_rows(160, task, seed=1),
        make_rows(60, task, seed=2, light=0.75),
        gallery,
        make_truth(unit) if truth else None,
        {"Model": "leaves (0123456789abcdef)"},
    )
