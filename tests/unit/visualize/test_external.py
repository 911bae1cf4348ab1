"""Laboratory, field and not a leaf side by side, without claims that nobody measured."""

import dataclasses

from phytoscope.schema.external import ExternalReport
from phytoscope.schema.table import Task
from phytoscope.visualize.external import errors_are_shares, list_external, make_cards, plot_external_gallery


def plain(text):
    return str(text).replace("\u00a0", " ")


def test_three_plain_cards(full_diseases):
    """Home, orchard and not a leaf, each with the number that is known of it."""
    home, orchard, strange = make_cards(full_diseases.report, "test")
    assert home["about"] == "36 photographs of 12 leaves or plants"
    assert (orchard["number"], orchard["what"], orchard["range"]) == ("12 of 100", "named rightly", "between 7 and 18")
    assert "Of the accepted answers 75 of 100 are right (between 50 and 95)." in orchard["notes"]
    assert "With only the classes of this set allowed: 38 of 100." in orchard["notes"]
    assert (strange["number"], strange["what"]) == ("98 of 100", "not accepted")
    assert "The truth is not known" in strange["notes"][0]
    assert [kind["count"] for kind in strange["verdicts"]] == ["2", "0", "98"]


def test_cards_of_numbers_have_their_unit(full_weights):
    """Errors are off on average, in grams; without a tolerance nothing is called right."""
    _, greenhouse = make_cards(full_weights.report, "test")
    assert plain(greenhouse["number"]) == "0.420 g"
    assert plain(greenhouse["range"]) == "between 0.310 and 0.550 g"
    assert greenhouse["about"] == "80 photographs of 20 leaves or plants"
    assert not any("right" in note for note in greenhouse["notes"])


def test_report_without_trust_has_a_card_without_verdicts(diseases):
    """Old reports show what they know."""
    (card,) = make_cards(diseases.report, "test")
    assert card["verdicts"] == []
    assert card["what"] == "named rightly"


def test_set_of_which_nothing_is_known_says_so(diseases):
    """Neither labels nor verdicts: not measured."""
    for n in (0, 3):
        report = dataclasses.replace(diseases.report, external=[ExternalReport("x", "x", n, 2, 0, 0)])
        assert make_cards(report, "test")[1]["what"] == "not measured"
        assert "The truth is not known" in " ".join(list_external(report)[0]["sentences"])


def test_errors_are_shares_where_something_can_be_wrong(full_diseases, full_weights):
    """Classes can be wrong; numbers only with a tolerance."""
    assert errors_are_shares(Task.classification, full_diseases.report.trust.verdicts)
    verdicts = full_weights.report.trust.verdicts
    assert not errors_are_shares(Task.regression, verdicts)
    assert errors_are_shares(Task.regression, dataclasses.replace(verdicts, wanted_error=0.05))


def test_each_set_tells_what_it_lacks(full_diseases):
    """Unreadable entries, missing labels and foreign classes are told, with what became of the latter."""
    orchard, strange = list_external(full_diseases.report)
    text = " ".join(orchard["sentences"])
    assert "160 photographs were answered." in text
    assert "2 entries could not be used." in text
    assert "the 150 whose truth is known" in text
    assert "Mango: die back (10). Of these it accepts 10 of 100." in text
    assert plain(orchard["classes"][0]["cells"]) == plain(["20\u00a0% (12 to 31)", "50\u00a0%", "6\u00a0%"])
    assert "The truth is not known" in " ".join(strange["sentences"])
    assert strange["rows"] == []
    assert strange["answerable"] == []


def test_set_without_any_class_of_the_model_is_no_unknown_one(full_diseases):
    """Where all classes are foreign the truth is known: every answer is wrong."""
    strange = dataclasses.replace(full_diseases.report.external[1], foreign={"cars": 60, "boats": 40})
    report = dataclasses.replace(full_diseases.report, external=[strange])
    words = "None of them shows a class that the model knows: every answer would be wrong."
    assert make_cards(report, "test")[1]["notes"] == [words]
    assert words in list_external(report)[0]["sentences"]


def test_further_targets_are_listed(full_weights):
    """Each with its own unit."""
    (greenhouse,) = list_external(full_weights.report)
    assert "3.10 cm²" in plain(greenhouse["targets"][0]["text"])


def test_gallery_tells_answer_truth_and_verdict(full_diseases, full_weights):
    """Right and wrong are told by a sign, not by colour alone; a lost picture is a grey tile."""
    fig = plot_external_gallery(full_diseases.report.external)
    captions = [ax.get_xlabel() for ax in fig.axes]
    assert len(captions) == 8
    assert captions[0] == "\u2717 Apple: apple scab\ntruly Tomato: healthy\naccept, 97 % sure"
    assert captions[-1].startswith("\u2713 ")
    grey = plot_external_gallery(full_weights.report.external).axes[1]
    assert grey.get_xlabel().strip() == "0.2 g\ntruth not known"
    assert grey.texts[0].get_text() == "image\nmissing"
