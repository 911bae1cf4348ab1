"""The page is complete in itself, harmless whatever the data hold, and says what the report says."""

import base64
import dataclasses
import io

import pandas as pd
import pytest
from PIL import Image

from factories.pages import PageReader
from factories.predictions import make_rejected
from factories.reports import build_classification
from phytoscope.errors import ArtifactError
from phytoscope.visualize.html import render_report


@pytest.fixture
def figures(tmp_path):
    paths = {name: tmp_path / f"{name}.png" for name in ("confusion_matrix", "confusion_gallery", "history", "extra")}
    for path in paths.values():
        Image.new("RGB", (300, 200), "green").save(path, dpi=(300, 300))
    return paths


def render(run, figures=None, **changes):
    content = {
        "predictions": run.predictions,
        "history": run.history,
        "manifest": run.manifest,
        "rejected": make_rejected(3),
        "figures": {} if figures is None else figures,
        "facts": {"Command line": "phytoscope run data=folder"},
        **changes,
    }
    return render_report(changes.pop("report", run.report), **{k: v for k, v in content.items() if k != "report"})


def test_page_loads_nothing_from_outside(diseases, figures):
    """All addresses are data inside the page or places on it."""
    reader = PageReader(render(diseases, figures))
    assert reader.addresses
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    places = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= places


def test_figures_are_inside_with_alternative_text(diseases, figures):
    """Photographs travel as JPEG, drawings as PNG, each with words for those who cannot see it."""
    images = [attrs for tag, attrs in PageReader(render(diseases, figures)).tags if tag == "img"]
    assert len(images) == 4
    assert all(attrs["alt"] for attrs in images)
    kinds = [attrs["src"].split(";")[0] for attrs in images]
    assert sorted(kinds) == ["data:image/jpeg", "data:image/png", "data:image/png", "data:image/png"]
    content = base64.b64decode(images[0]["src"].split(",")[1])
    assert Image.open(io.BytesIO(content)).size == (300, 200)
    assert images[0]["width"] == "118"


def test_vector_figures_are_taken_as_they_are(diseases, tmp_path):
    """An SVG file stays a vector graphic."""
    path = tmp_path / "history.svg"
    path.write_text("<svg xmlns='x'/>")
    assert "data:image/svg+xml;base64," in render(diseases, {"history": path})


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_missing_or_broken_figure_is_an_error(diseases, tmp_path, content):
    """A report without its figure is not a report."""
    path = tmp_path / "history.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"the figure .*history.png' cannot be read"):
        render(diseases, {"history": path})


def test_page_says_what_the_report_says(diseases, figures):
    """Verdict, metrics, baseline, classes, mix-ups, data, rejected rows and provenance are all there."""
    text = PageReader(render(diseases, figures)).plain
    report = diseases.report
    for expected in (
        f"{100 * report.metric('test', 'accuracy'):.0f} of 100 were named rightly",
        f"{100 * report.metric('test', 'macro_f1'):.1f} %",
        "Always the same answer: always \u201cApple: apple scab\u201d",
        "Tomato: spider mites Two-spotted spider mite",
        "3 entries were left out",
        "2 \u00d7 image is empty (0 bytes)",
        "training 36 12 6 of 6",
        report.data_hash,
        report.model_id,
        "phytoscope run data=folder",
        "12 epochs; epoch 12 was kept",
    ):
        assert expected in text


def test_regression_page_has_units_deciles_and_both_baselines(weights):
    """Every quantity carries the user's unit."""
    text = PageReader(render(weights)).plain
    assert "Green pixels alone" in text
    assert "True fresh_weight_total Images Mean absolute error Bias" in text
    assert f"{weights.report.metric('test', 'mae'):.3g} g" in text
    assert "Smallest Median Largest" in text
    assert "Most frequent mix-ups" not in text


def test_warnings_stand_on_top(diseases):
    """They come before the first result; without any there is no box."""
    report = dataclasses.replace(diseases.report, warnings=["Few test images: 3."], beats_baseline=False)
    page = render(diseases, report=report)
    assert page.index("Few test images: 3.") < page.index("Is the model worth it?")
    assert "Not better than a simple baseline" in page
    assert "Read this before" not in render(diseases, report=dataclasses.replace(report, warnings=[]))


@pytest.mark.parametrize(("beats", "badge"), [(True, "good"), (False, "bad"), (None, "open")])
def test_badge_has_a_colour_for_each_judgement(diseases, beats, badge):
    """A model that was not tested has a colour of its own, and the style knows it."""
    page = render(diseases, report=dataclasses.replace(diseases.report, beats_baseline=beats))
    assert f'<span class="badge {badge}">' in page
    assert f".badge.{badge} {{" in page


def test_names_with_markup_are_harmless():
    """Class names, file names, reasons and facts with markup are shown as text."""
    evil = "<script>alert('x')</script>"
    run = build_classification([evil, '"><img src=x onerror=alert(1)>'], n_per_class=3, accuracy=0.5)
    report = dataclasses.replace(run.report, name=evil, target_name=evil, warnings=[evil])
    rejected = make_rejected(2).assign(path=evil, reason=evil)
    page = render(run, report=report, rejected=rejected, facts={evil: evil})
    reader = PageReader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert evil in reader.plain


def test_policy_allows_only_the_pages_own_script(diseases):
    """The hash in the content security policy is that of the script."""
    import hashlib

    page = render(diseases)
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for tag, attrs in PageReader(page).tags if "http-equiv" in attrs]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_names_that_are_not_utf8_can_be_written(weights):
    """A file name with stray bytes does not stop the page."""
    name = b"bl\xe4tter.jpg".decode("utf-8", "surrogateescape")
    page = render(weights, rejected=make_rejected(1).astype(object).assign(path=pd.Series([name], dtype=object)))
    assert "bl\ufffdtter.jpg" in page.encode("utf-8").decode("utf-8")


def test_long_lists_of_rejected_rows_are_cut(diseases):
    """Twenty rows are shown, the rest is counted."""
    rejected = make_rejected(30).assign(source_row=[float(row) if row else None for row in range(30)])
    reader = PageReader(render(diseases, rejected=rejected))
    assert "Show the first 20 entries" in reader.plain
    assert "and 10 more" in reader.plain
    assert "1.0" not in [text.strip() for text in reader.text]


def test_nothing_rejected_is_said(diseases):
    """An empty table is good news, not an empty section."""
    assert "every row and every image could be used" in render(diseases, rejected=make_rejected(0))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (pd.DataFrame(), None),
        (pd.DataFrame({"epoch": [0, 1]}), "The model was trained for 2 epochs."),
        (pd.DataFrame({"epoch": [0], "val/macro_f1": [None]}), "The model was trained for 1 epoch."),
    ],
)
def test_training_is_told_as_far_as_it_is_known(diseases, history, expected):
    """Without a history there is no section on training."""
    page = render(diseases, history=history)
    assert expected in page if expected is not None else 'id="training"' not in page


@pytest.mark.parametrize(
    ("task", "metric", "words"), [("diseases", "macro_f1", "log loss"), ("weights", "rmse", "RMSE")]
)
def test_page_names_the_epoch_that_was_kept(request, task, metric, words):
    """The kept epoch has the lowest smoothed value, though another one has the best single value."""
    run = request.getfixturevalue(task)
    history = run.history.assign(**{"val/smoothed": (run.history["epoch"] - 6.0).abs()})
    text = PageReader(render(run, history=history)).plain
    assert f"epoch 7 was kept, the one with the lowest mean {words} over the last five epochs" in text
    assert "of this epoch: " in text
    gap = history.assign(**{f"val/{metric}": history[f"val/{metric}"].where(history["epoch"] != 6)})
    assert "over the last five epochs, on the validation images." in PageReader(render(run, history=gap)).plain


def test_report_without_splits_is_refused(diseases):
    """There is nothing to show."""
    with pytest.raises(ArtifactError, match="holds no split"):
        render(diseases, report=dataclasses.replace(diseases.report, splits={}))
