"""Inspections with every part filled in, of classes and of a weight, and the manifests they speak of."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from factories.predictions import LONG_CLASS_NAMES
from phytoscope.schema.audit import (
    AuditReport,
    Breakdown,
    Correlation,
    DuplicateCluster,
    Explained,
    Finding,
    LabelRow,
    Missing,
    OptimismGap,
    Probe,
    QualityIssue,
    Severity,
    SuspectLabel,
    TargetSummary,
)
from phytoscope.schema.table import Task

AREAS = (
    ("shortcut/border", Severity.error, "The border pixels alone name 31 % of the classes (guessing: 4 %)"),
    ("duplicates/conflict", Severity.error, "3 pictures stand in two classes"),
    ("label_noise/suspects", Severity.warning, "41 labels are worth a look"),
    ("optimism/gap", Severity.warning, "A random split would flatter by 4.4 points"),
    ("quality/dark", Severity.note, "12 images are dark"),
)
N_FINDINGS = len(AREAS)


def make_findings(sample_ids, count=N_FINDINGS):
    """Draw findings, the worst first, each with its own title and six examples."""
    rows = [AREAS[number % len(AREAS)] for number in range(count)]
    ordered = sorted(enumerate(rows), key=lambda item: list(Severity).index(item[1][1]))
    return [
        Finding(
            check=check,
            severity=severity,
            title=title if number < len(AREAS) else f"{title} ({number})",
            detail="A model can score well without ever looking at the plant, and will fail in another place.",
            remedy="Photograph all classes in front of the same background, or cut the plant out before training.",
            count=41,
            sample_ids=[sample_ids[(7 * number + step) % len(sample_ids)] for step in range(6)],
        )
        for number, (check, severity, title) in ordered
    ]


def make_probes(metric="balanced_accuracy"):
    """Draw one probe of each kind: a good reference, a bad shortcut, a weak one, and one that was not measured."""
    rows = [
        (
            "border_pixels",
            "A frame of 8 pixels around the picture",
            0.31,
            Severity.error,
            "Half of the way to the image.",
        ),
        ("whole_image", "Colour and texture of the whole picture", 0.72, Severity.note, "What can be learned at all."),
        ("colour", "Mean and spread of the three colours", 0.44, Severity.warning, "Colour tells the crop."),
        ("metadata", "Size, time, camera, source", 0.05, Severity.note, "Nothing beyond guessing."),
        ("plant_erased", "The picture with everything green erased", None, Severity.note, "Too few pictures."),
    ]
    return [
        Probe(
            name=name,
            description=description,
            metric=metric,
            score=score,
            chance=0.04 if metric != "r2" else 0.0,
            low=None if score is None else score - 0.03,
            high=None if score is None else score + 0.025,
            n=3549,
            verdict=verdict,
            severity=severity,
        )
        for name, description, score, severity, verdict in rows
    ]


def make_clusters(sample_ids, labels, count):
    """Draw clusters of copies: every third exact, the first two with contradicting labels."""
    rows = []
    for number in range(count):
        members = [sample_ids[(number * 5 + step) % len(sample_ids)] for step in range(2 + number % 3)]
        is_conflict = number < 2
        names = [labels[(number + (step if is_conflict else 0)) % len(labels)] for step in range(len(members))]
        rows.append(
            DuplicateCluster(
                kind="exact" if number % 3 == 0 else "near",
                sample_ids=members,
                labels=names,
                conflicting=is_conflict,
                groups=[f"leaf {number}", f"leaf {number + 1}"] if number % 2 else [f"leaf {number}"],
            )
        )
    return rows


def make_quality(sample_ids):
    """Draw two kinds of outliers, and one that no picture shows."""
    return [
        QualityIssue("dark", "Mean brightness below 0.12 (median 0.46).", 12, 0.0034, sample_ids[:6]),
        QualityIssue("low_information", "Entropy below 3.1 bits.", 3, 0.0008, sample_ids[6:9]),
        QualityIssue("blurry", "Sharpness below 14.", 0, 0.0, []),
    ]


def build_classification_audit(
    pictures=(), class_names=LONG_CLASS_NAMES, *, n_per_class=24, n_findings=N_FINDINGS, n_clusters=7, **changes
):
    """Make an inspection of classes; the pictures are paths that the images of the manifest use in turn."""
    labels = [label for label in class_names for _ in range(n_per_class)]
    sample_ids = [f"{label}/0a1b2c3d-{number:06d}___RS_HL {number}.JPG" for number, label in enumerate(labels)]
    paths = [str(pictures[number % len(pictures)]) if pictures else "gone.jpg" for number in range(len(labels))]
    groups = [f"leaf-{number // 3}" for number in range(len(labels))]
    columns = {"sample_id": sample_ids, "path": paths, "label": labels, "group_id": groups}
    # Plain objects: pandas' own texts cannot hold names that are not UTF-8.
    manifest = pd.DataFrame(columns, dtype=object)
    content = {
        "task": Task.classification,
        "name": "plantvillage",
        "target_name": "class",
        "unit": "",
        "data_hash": "3f2a" * 16,
        "counts": {"rows": len(labels) + 20, "images": len(labels), "rejected": 20, "unlabelled": 0, "groups": 48},
        "findings": make_findings(sample_ids, n_findings),
        "rejected": {"image is empty (0 bytes)": 12, "image file is truncated": 8},
        "labels": [
            LabelRow(name, n_per_class + 10 * number, 8 + number, too_few_groups=number == 0)
            for number, name in enumerate(class_names)
        ],
        "breakdowns": [
            Breakdown(
                "group size",
                [
                    {"value": size, "images": 90 * size, "groups": 90, "label": class_names[0], "share": 0.2}
                    for size in range(1, 16)
                ],
            )
        ],
        "missing": [Missing("camera", 0.42, 3549), Missing("leaf", 0.0, 3549)],
        "quality": make_quality(sample_ids),
        "duplicates": make_clusters(sample_ids, list(class_names), n_clusters),
        "leakage": ["leaf-3 stands in train and in test.", "a copy of 'b.jpg' stands in train, it in val."],
        "suspects": [
            SuspectLabel(name, class_names[0], class_names[-1], 0.02 + 0.01 * number)
            for number, name in enumerate(sample_ids[:30])
        ],
        "probes": make_probes(),
        "optimism": OptimismGap(
            "accuracy", 0.97, 0.926, 0.044, 0.031, 0.056, 3549, 512, "A random split flatters by 4.4 points."
        ),
        "skipped": {"metadata/exif": "No picture says when it was taken."},
        "seconds": {"pixels": 12.3, "duplicates": 1.25, "probes": 20.0},
    }
    return SimpleNamespace(report=AuditReport(**{**content, **changes}), manifest=manifest)


def build_regression_audit(pictures=(), *, n=120, seed=0, **changes):
    """Make an inspection of a skewed weight in grams."""
    rng = np.random.default_rng(seed)
    target = np.exp(rng.normal(-1.8, 1.0, n))
    sample_ids = [f"images/plant_{number:04d}.png" for number in range(n)]
    paths = [str(pictures[number % len(pictures)]) if pictures else "gone.png" for number in range(n)]
    manifest = pd.DataFrame({"sample_id": sample_ids, "path": paths, "target": target})
    manifest["group_id"] = [f"plant-{number // 2}" for number in range(n)]
    quantiles = [float(value) for value in np.quantile(target, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])]
    values = [f"{value:.3g}" for value in target]
    content = {
        "task": Task.regression,
        "name": "farmbot",
        "target_name": "fresh_weight_total",
        "unit": "g",
        "data_hash": "9c0d" * 16,
        "counts": {"rows": n + 25, "images": n, "rejected": 5, "unlabelled": 20, "groups": n // 2},
        "findings": make_findings(sample_ids, 3),
        "rejected": {"weight is negative": 5},
        "target": TargetSummary(
            n,
            n // 2,
            float(target.mean()),
            float(target.std(ddof=1)),
            quantiles,
            2.31,
            0.87,
            "log1p",
            "The weights lean to the right (skewness 2.3); log(1 + x) brings it to 0.87.",
        ),
        "correlations": [
            Correlation("age_days", 60, 0.42, 0.47, 0.115),
            Correlation("leaf_surface_area", 60, 0.81, 0.88, 0.0),
            Correlation("temperature", 55, -0.32, -0.28, 0.08),
            Correlation("constant", 60, None, None, 0.0),
        ],
        "breakdowns": [
            Breakdown(
                "condition",
                [
                    {"value": name, "images": 40, "groups": 20, "mean": mean, "median": 0.8 * mean, "sd": 0.5 * mean}
                    for name, mean in (("control", 0.41), ("drought", 0.22), ("salinity", 0.15))
                ],
            )
        ],
        "missing": [Missing("temperature", 0.08, n), Missing("age_days", 0.115, n), Missing("condition", 0.0, n)],
        "quality": make_quality(sample_ids),
        "duplicates": make_clusters(sample_ids, values, 4),
        "suspects": [SuspectLabel(name, "0.13 g", "1.2 g", 0.08) for name in sample_ids[:5]],
        "probes": make_probes("r2"),
        "optimism": OptimismGap("r2", 0.83, 0.71, 0.12, 0.05, 0.2, n, n // 2, "A random split flatters."),
        "explained": [
            Explained("age", "Straight line on age_days", 0.18, n, "Age alone explains little."),
            Explained("green_pixels", "Straight line on the number of green pixels", 0.62, n, "Most of it."),
            Explained("burnt_in_tag", "Lower left corner of the picture", -0.07, n, "Nothing."),
            Explained("border_pixels", "A frame around the picture", None, n, "Not measured."),
        ],
        "seconds": {"pixels": 3.0},
    }
    return SimpleNamespace(report=AuditReport(**{**content, **changes}), manifest=manifest)
