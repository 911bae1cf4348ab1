"""Numbers about predicted classes, each from the true class, the predicted class and the probabilities alone."""

import numpy as np
import numpy.typing as npt

from phytoscope.schema.report import ClassRow, Confusion, MetricValue

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TOP_K_FROM_CLASSES = 4
"""Top-3 accuracy is reported from this many classes on: with three it is always 1."""
CALIBRATION_BINS = 15
"""Bins of the expected calibration error."""


def compute_confusion_matrix(true: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """Counts how often each true class was given each predicted class.

    Args:
        true: Index of the true class, shape (N,), int64, 0 to n_classes - 1.
        predicted: Index of the predicted class, shape (N,), int64, 0 to n_classes - 1.
        n_classes: Number of classes.

    Returns:
        Counts, shape (n_classes, n_classes), int64; rows are true, columns predicted.
    """
    counts = np.bincount(true * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def compute_accuracy(true: IntArray, predicted: IntArray) -> float:
    """Share of right predictions, 0-1; both arguments have shape (N,), int64, N at least 1."""
    return float(np.mean(true == predicted))


def compute_macro_f1(confusion: IntArray) -> float:
    """Mean F1 over the classes that occur among the true labels, 0-1.

    A class without a single image has no recall, so it is left out of the mean; images wrongly given to it still cost
    their true class its recall. A class that is never predicted counts as 0.

    Args:
        confusion: Counts, shape (C, C), int64, rows true; at least one image.
    """
    hits = np.diag(confusion).astype(np.float64)
    support, chosen = confusion.sum(axis=1), confusion.sum(axis=0)
    present = support > 0
    return float(np.mean(2.0 * hits[present] / (support[present] + chosen[present])))


def compute_balanced_accuracy(confusion: IntArray) -> float:
    """Mean recall over the classes that occur among the true labels, 0-1; `confusion` has shape (C, C), rows true."""
    support = confusion.sum(axis=1)
    present = support > 0
    return float(np.mean(np.diag(confusion)[present] / support[present]))


def find_top_k(true: IntArray, probs: FloatArray, k: int = 3) -> npt.NDArray[np.bool_]:
    """Whether the true class of each image is among the k most probable ones.

    Between classes of equal probability the one earlier in the class order wins, as it does for the prediction itself.

    Args:
        true: Index of the true class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
        k: How many classes may be named.

    Returns:
        Shape (N,), bool.
    """
    rank = np.zeros(len(true), dtype=np.int64)
    own = probs[np.arange(len(true)), true]
    for index in range(probs.shape[1]):
        column = probs[:, index]
        rank += (column > own) | ((column == own) & (index < true))
    return rank < k


def compute_top_k_accuracy(true: IntArray, probs: FloatArray, k: int = 3) -> float:
    """Share of images whose true class is among the k most probable ones, 0-1; never below the accuracy.

    Args:
        true: Index of the true class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
        k: How many classes may be named.
    """
    return float(np.mean(find_top_k(true, probs, k)))


def list_nll(true: IntArray, probs: FloatArray) -> FloatArray:
    """Negative log-likelihood of the true class of each image in nats, shape (N,), 0 at best.

    Probabilities are kept away from 0 by the spacing of float64, so one confident mistake costs 36 and not infinity.

    Args:
        true: Index of the true class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
    """
    spacing = float(np.finfo(np.float64).eps)
    chosen = np.clip(probs[np.arange(len(true)), true].astype(np.float64), spacing, 1.0 - spacing)
    return np.asarray(-np.log(chosen))


def compute_nll(true: IntArray, probs: FloatArray) -> float:
    """Mean negative log-likelihood of the true class in nats (log loss), 0 at best; arguments as for `list_nll`."""
    return float(np.mean(list_nll(true, probs)))


def list_brier(true: IntArray, probs: FloatArray) -> FloatArray:
    """Squared distance of the probabilities from the truth, shape (N,), 0 at best and 2 at worst.

    The sum over all classes, as Brier defined it (1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

    Args:
        true: Index of the true class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
    """
    squares: FloatArray = np.einsum("ij,ij->i", probs, probs, dtype=np.float64)
    # Rounding may leave a perfect answer below 0.
    return np.asarray(np.maximum(squares - 2.0 * probs[np.arange(len(true)), true] + 1.0, 0.0))


def compute_brier(true: IntArray, probs: FloatArray) -> float:
    """Mean Brier score, 0 at best and 2 at worst; arguments as for `list_brier`."""
    return float(np.mean(list_brier(true, probs)))


def find_confidence_bins(confidence: FloatArray, n_bins: int = CALIBRATION_BINS) -> IntArray:
    """Sorts images into bins of about equally many by their confidence.

    Args:
        confidence: Probability of the predicted class, shape (N,), float64, 0-1, N at least 1.
        n_bins: Most bins; equal values always share one, so that there can be fewer.

    Returns:
        Bin of each image, shape (N,), int64, without gaps from 0 on.
    """
    ordered = np.sort(confidence)
    wanted = min(n_bins, len(ordered))
    starts = np.unique(ordered[np.arange(wanted) * len(ordered) // wanted])
    return np.searchsorted(starts, confidence, side="right") - 1


def compute_ece(true: IntArray, predicted: IntArray, probs: FloatArray) -> float:
    """Expected calibration error with 15 bins of equally many images, 0 at best and 1 at worst.

    The mean distance between how sure the model is and how often it is right. Equally filled bins are adaptive: bins of
    equal width leave most of them empty where a model is nearly always sure (Nguyen and O'Connor 2015, arXiv
    1508.05154).

    Args:
        true: Index of the true class, shape (N,), int64, N at least 1.
        predicted: Index of the predicted class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
    """
    confidence = probs[np.arange(len(true)), predicted].astype(np.float64)
    gaps = np.bincount(find_confidence_bins(confidence), weights=confidence - (true == predicted))
    return float(np.sum(np.abs(gaps)) / len(true))


def measure_classification(true: IntArray, predicted: IntArray, probs: FloatArray) -> list[MetricValue]:
    """All numbers of one split, in the order the report shows them.

    Args:
        true: Index of the true class, shape (N,), int64, N at least 1.
        predicted: Index of the predicted class, shape (N,), int64.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.
    """
    n_classes = probs.shape[1]
    confusion = compute_confusion_matrix(true, predicted, n_classes)
    metrics = [
        MetricValue("accuracy", compute_accuracy(true, predicted), "", True),
        MetricValue("macro_f1", compute_macro_f1(confusion), "", True),
        MetricValue("balanced_accuracy", compute_balanced_accuracy(confusion), "", True),
    ]
    if n_classes >= TOP_K_FROM_CLASSES:
        metrics.append(MetricValue("top3_accuracy", compute_top_k_accuracy(true, probs), "", True))
    metrics.append(MetricValue("nll", compute_nll(true, probs), "nats", False))
    metrics.append(MetricValue("brier", compute_brier(true, probs), "", False))
    metrics.append(MetricValue("ece", compute_ece(true, predicted, probs), "", False))
    return metrics


def describe_classes(confusion: IntArray, class_names: list[str]) -> list[ClassRow]:
    """Precision, recall and F1 of every class, in class order.

    Args:
        confusion: Counts, shape (C, C), int64, rows true.
        class_names: C names.
    """
    rows = []
    for index, name in enumerate(class_names):
        hits = int(confusion[index, index])
        support, chosen = int(confusion[index].sum()), int(confusion[:, index].sum())
        rows.append(
            ClassRow(
                name=name,
                support=support,
                precision=hits / chosen if chosen > 0 else None,
                recall=hits / support if support > 0 else None,
                f1=2.0 * hits / (support + chosen) if support + chosen > 0 else None,
            )
        )
    return rows


def find_confusions(
    true: IntArray,
    predicted: IntArray,
    confidence: FloatArray,
    sample_ids: list[str],
    class_names: list[str],
    limit: int,
) -> list[Confusion]:
    """The pairs of classes that were mixed up most often; ties go to the larger share of the true class.

    Args:
        true: Index of the true class, shape (N,), int64.
        predicted: Index of the predicted class, shape (N,), int64.
        confidence: Probability of the predicted class, shape (N,), float64, 0-1.
        sample_ids: N names of images.
        class_names: In the order of the indices.
        limit: Most pairs to return.
    """
    confusion = compute_confusion_matrix(true, predicted, len(class_names))
    support = confusion.sum(axis=1)
    pairs = [(int(i), int(j)) for i, j in np.argwhere(confusion > 0) if i != j]
    pairs.sort(key=lambda pair: (-confusion[pair], -confusion[pair] / support[pair[0]], pair))
    found = []
    for i, j in pairs[:limit]:
        rows = np.flatnonzero((true == i) & (predicted == j))
        ordered = sorted(rows, key=lambda row: (-confidence[row], sample_ids[row]))
        found.append(
            Confusion(
                true=class_names[i],
                predicted=class_names[j],
                count=int(confusion[i, j]),
                share_of_true=float(confusion[i, j] / support[i]),
                sample_ids=[sample_ids[row] for row in ordered],
            )
        )
    return found
