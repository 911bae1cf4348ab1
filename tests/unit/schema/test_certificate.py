"""The certificate survives being written, and reads as a page."""

import dataclasses
import json

import pytest

from phytoscope.errors import ArtifactError
from phytoscope.predict.export.certificate_page import word_certificate
from phytoscope.schema.certificate import Certificate, FormReport
from phytoscope.schema.comparison import MetricDifference, Winner


def make_certificate(task: str = "classification") -> Certificate:
    """Torch and a refused network in 8 bits."""
    name, unit = ("accuracy", "") if task == "classification" else ("rmse", "g")
    metric = MetricDifference(name, unit, task == "classification", 0.91, 0.9, -0.01, -0.03, 0.02, Winner.unclear)
    forms = [
        FormReport("torch", "torch", "float32", published=True, latency_ms=6.7, images_per_second=1234.0, batch_size=4),
        FormReport(
            "int8",
            "openvino",
            "int8",
            published=False,
            reason="refused: it loses 0.0100, allowed is 0.005 (package.max_loss)",
            largest_difference=0.5,
            usual_difference=0.3,
            agreement=0.951,
            metrics=[metric],
            loss=0.01,
            coverage=0.9,
            verdicts={"accept": 0.88, "review": 0.12},
            size_bytes=1_600_000,
        ),
    ]
    return Certificate(
        model_id="0123456789abcdef",
        task=task,
        unit=unit,
        split="test",
        n=709,
        n_groups=101,
        drawn=False,
        confidence=0.95,
        max_loss=0.005,
        loss_words="half a point",
        machine="a laptop, 2 threads",
        versions={"torch": "2.15.0"},
        forms=forms,
        int8_steps=["plain: loses 0.0081"],
    )


def test_certificate_survives_being_written() -> None:
    """All numbers and words, through JSON."""
    certificate = make_certificate()
    assert Certificate.from_dict(json.loads(json.dumps(certificate.to_dict()))) == certificate


@pytest.mark.parametrize("change", [{"format": 99}, {"forms": None}, {"forms": [{}]}, {"more": 1}])
def test_foreign_certificate_is_refused(change) -> None:
    """Another format, or fields that are missing or unknown."""
    with pytest.raises(ArtifactError, match=r"the certificate cannot be read .*`phytoscope export RUN`"):
        Certificate.from_dict({**make_certificate().to_dict(), **change})


def test_page_says_what_is_refused_and_why() -> None:
    """With the numbers, the range of the difference, and on which machine times were taken."""
    page = word_certificate(make_certificate())
    assert "**int8**: NOT in the package; refused: it loses 0.0100, allowed is 0.005" in page
    assert "| int8 | 0.9 (-0.03 to +0.02) |" in page
    assert "plain: loses 0.0081" in page
    assert "a laptop, 2 threads" in page
    assert "| torch | 6.7 | 1,234 | 4 |" in page
    assert "same class of 100" in page
    assert "reject" not in page


def test_page_of_numbers_has_units() -> None:
    """Differences and errors are in the unit of the target, and no class is compared."""
    certificate = make_certificate("regression")
    assert "before calibration, in g" in word_certificate(certificate)
    assert "| int8 | 0.9 g (-0.03 to +0.02) |" in word_certificate(certificate)


def test_page_without_eight_bits_and_without_ranges() -> None:
    """What was not made is not spoken of, and a number without an interval stands alone."""
    certificate = make_certificate()
    torch, int8 = certificate.forms
    (metric,) = int8.metrics
    int8 = dataclasses.replace(int8, metrics=[dataclasses.replace(metric, low=None, high=None)])
    page = word_certificate(dataclasses.replace(certificate, forms=[torch, int8], int8_steps=[]))
    assert "How the 8 bits were made" not in page
    assert "| int8 | 0.9 |" in page
