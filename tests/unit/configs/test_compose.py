"""Words of the command line become settings that mean what was written, or a sentence that says what would work."""

import copy
import re
from functools import reduce

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phytoscope.configs import compose_config, list_groups
from phytoscope.configs.ranges import check_ranges
from phytoscope.configs.words import normalise_words
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AdaptKind, DataKind, ResizeMode
from phytoscope.schema.config import RunConfig

TEXT_KEYS = ["root", "table", "images", "image_column", "target", "label", "unit", "group_pattern"]
ODD_PATHS = [
    "a b",
    "Corn_(maize)___Common_rust_",
    "a,b",
    "a=b",
    "it's",
    '"quoted"',
    "'tis",
    "'a'",
    "Blätter/ä ö",
    "$HOME",
    "a$b",
    "{}",
    "{a: 1}",
    "[2024] field",
    "[a,b]",
    "~/leaves",
    "~",
    "007",
    "2024_01",
    "1e5",
    "1.10",
    "0x10",
    "-leaves",
    "--leaves",
    "true",
    "Null",
    "nan",
    "inf",
    "C:\\data\\",
    "a\\b'c",
    "\\",
    "a\\'",
    "x:y",
    "a#b",
    "50%",
    "*",
    "a&b;c|d",
    " a ",
    "a\tb",
    "+a",
    "@a",
    "range(1,3)",
    "glob(*)",
    "int(3)",
    "葉",
    "..",
    "",
]


def compose(*words):
    return compose_config(["data=folder", *words])


@pytest.mark.parametrize("first", range(0, len(ODD_PATHS), len(TEXT_KEYS)))
def test_text_arrives_as_it_was_written(first):
    """No quoting is asked of the user; what was saved composes again to the same."""
    given_texts = dict(zip(TEXT_KEYS, ODD_PATHS[first : first + len(TEXT_KEYS)], strict=False))
    # The one layout that reads every text, with nothing that a pattern would contradict.
    texts = [f"data.{key}={text}" for key, text in given_texts.items()]
    config = compose_config(["data=farmbot_biomass", "data.group_by=[]", *texts])
    unquoted = {'"quoted"': "quoted", "'a'": "a"}
    assert {key: getattr(config.data, key) for key in given_texts} == {
        key: unquoted.get(text, text) for key, text in given_texts.items()
    }
    assert compose_config(config.overrides) == config


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12))
@example("\\'\\\\''\\")
@example("a'\\")
def test_any_text_arrives_as_it_was_written(text):
    """Only the word for nothing, a value in quotes and a reference to another setting mean something else."""
    if "${" in text or text == "null" or text[:1] in ("'", '"'):
        return
    [word] = normalise_words([f"data.root={text}"], {})
    assert OverridesParser.create().parse_override(word).value() == text
    assert normalise_words([word], {}) == [word]


@pytest.mark.parametrize(
    ("word", "columns"),
    [
        ("data.group_by=plant", ["plant"]),
        ("data.group_by=[plant]", ["plant"]),
        ("data.group_by=experiment,plant", ["experiment", "plant"]),
        ("data.group_by=[plant no,007,2024_01]", ["plant no", "007", "2024_01"]),
        ("data.group_by=['a,b',c]", ["a,b", "c"]),
        ("data.group_by=[]", []),
        ("data.group_by=Größe (cm)", ["Größe (cm)"]),
    ],
)
def test_lists_of_columns_are_understood(word, columns):
    """With and without brackets; names that look like numbers stay names."""
    config = compose_config(["data=table", word])
    assert config.data.group_by == columns
    assert compose_config(config.overrides) == config


@pytest.mark.parametrize("pattern", [r"(plant\d+)_", r"[A-Z]+(\d{3})$", r"^(\w+)/'?", r"(a|b){2,3}"])
def test_regular_expression_arrives_as_it_was_written(pattern):
    """Signs that mean something in a pattern mean nothing on the command line."""
    assert compose(f"data.group_pattern={pattern}").data.group_pattern == pattern


def test_defaults_follow_from_the_groups():
    """The name tells data and network; seed 0 and a share of 0 are values."""
    config = compose("seed=0", "data.split.calibration=0")
    assert isinstance(config, RunConfig)
    assert (config.name, config.seed, config.data.split.calibration) == ("folder-mobilenetv3_large_100", 0, 0.0)
    assert config.data.kind is DataKind.folder


def test_later_word_wins():
    """For the same key, for the preset of a group, and where a whole group is set at once."""
    assert compose("seed=1", "seed=2").seed == 2
    assert compose_config(["data=folder", "data=table"]).data.kind is DataKind.table
    words = ["data.split.val=0.3", "data.split={val: 0.4}", "data.split.val=0.2"]
    assert compose(*words).data.split.val == 0.2
    assert compose(*words[:2]).data.split.val == 0.4


def test_train_is_read_as_trainer():
    """Who writes the name of the command, as in `train.mode=auto`, means the settings of the training."""
    config = compose_config(
        ["data=folder", "data.root=x", "trainer.max_epochs=3", "train.max_epochs=4", "train.mode=trunk"]
    )
    assert (config.trainer.max_epochs, config.trainer.mode) == (4, "trunk")
    with pytest.raises(ConfigError, match=r"trainer\.mode='fast' is not one of auto, plain, features, trunk"):
        compose_config(["data=folder", "data.root=x", "train.mode=fast"])


def test_own_value_beats_the_experiment():
    """An experiment is a starting point."""
    config = compose("trainer.max_epochs=3", "experiment=laptop", "debug=null")
    assert (config.trainer.max_epochs, config.adapt.kind) == (3, AdaptKind.head)


def test_null_means_chosen_from_the_data():
    """A value can be taken back."""
    assert compose("data.root=x", "data.root=null").data.root is None
    assert compose("experiment=laptop", "model.input_size_px=null").model.input_size_px is None


def test_environment_is_read_when_asked(monkeypatch):
    """A reference to a variable is a reference, and is saved as one."""
    monkeypatch.setenv("LEAVES", "/data/my leaves")
    config = compose("data.root=${oc.env:LEAVES}/2024")
    assert config.data.root == "/data/my leaves/2024"
    assert "data.root=${oc.env:LEAVES}/2024" in " ".join(config.overrides).replace("'", "")


WRONG = {
    "no_data": ([], "no data were named. Add data=folder data.root=DIR"),
    "no_data_after_all": (["data=null"], "no data were named"),
    "no_value": (["data=folder", "verbose"], "'verbose' is not a setting: write it as key=value"),
    "flag": (["data=folder", "--epochs=3"], "'--epochs=3' is not a setting"),
    "addition": (["data=folder", "+data.x=3"], "is not a setting"),
    "removal": (["data=folder", "~data.root=3"], "is not a setting"),
    "unknown_key": (["data=folder", "data.rot=x"], "unknown setting 'data.rot'; did you mean 'data.root'"),
    "unknown_case": (["data=folder", "Data.root=x"], "unknown setting 'Data.root'; did you mean 'data.root'"),
    "unknown_group": (["data=folder", "modle=resnet18"], "unknown setting 'modle'; did you mean 'model'"),
    "unknown_deep": (["data=folder", "data.split.vla=0.1"], "did you mean 'data.split.val'"),
    "unknown_preset": (["data=fodler"], "no preset 'fodler' in the group 'data'; did you mean 'folder'"),
    "unknown_model": (["data=folder", "model=vgg"], "no preset 'vgg' .*efficientnet_lite0, mobilenetv3"),
    "no_model": (["data=folder", "model=null"], "no preset 'null' in the group 'model'"),
    "empty_preset": (["data="], "no preset '' in the group 'data'; choose one of: farmbot_biomass, folder"),
    "unknown_choice": (
        ["data=folder", "data.resize=sqash"],
        "data.resize='sqash' is not one of auto, .*did you mean 'squash'",
    ),
    "choice_in_capitals": (["data=folder", "adapt.kind=FULL"], "did you mean 'full'"),
    "two_choices": (["data=folder", "adapt.kind=full,frozen"], "adapt.kind='full,frozen' is not one of"),
    "text_for_a_number": (["data=folder", "seed=one"], "seed='one' is no whole number: write for example seed="),
    "fraction_for_a_count": (["data=folder", "trainer.batch_size=1.5"], "trainer.batch_size='1.5' is no whole number"),
    "two_numbers": (["data=folder", "seed=1,2"], "seed='1,2' is no whole number"),
    "empty_number": (["data=folder", "seed="], "seed='' is no whole number"),
    "text_in_a_group": (["data=folder", "data.split={val: one}"], "data.split.val: Value 'one'"),
    "unknown_in_a_group": (["data=folder", "data.split={vla: 1}"], "data.split.vla: Key 'vla' not in"),
    "open_bracket": (["data=folder", "data.split={val: 0.1"], "the value of 'data.split' cannot be read"),
    "open_list": (["data=folder", "data.group_by=[a"], "Lists are written .a,b."),
    "no_such_variable": (["data=folder", "data.root=${oc.env:NO_SUCH_VARIABLE}"], "NO_SUCH_VARIABLE"),
    "no_such_reference": (["data=folder", "data.root=${no_such}"], "'no_such' not found"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_word_is_answered(case):
    """Every mistake gets one sentence with what would work."""
    words, match = WRONG[case]
    with pytest.raises(ConfigError, match=match):
        compose_config(words)


@pytest.mark.parametrize("word", ["seed=one", "data.split={val: one}", "data.split.val=one", "data.root=${no_such}"])
def test_answer_is_the_same_in_a_debugger(word, monkeypatch):
    """The settings library then keeps all its inner errors, some of them causes of each other."""
    match = "could not be converted|not found|is no (whole )?number"
    with pytest.raises(ConfigError, match=match) as plain:
        compose(word)
    monkeypatch.setenv("OC_CAUSE", "1")
    with pytest.raises(ConfigError, match=match) as watched:
        compose(word)
    assert str(watched.value) == str(plain.value)


def test_all_wrong_words_are_named_at_once():
    """Nobody has to run the command three times to find three typing errors."""
    with pytest.raises(ConfigError, match=r"'data.rot'.*'resnet81'.*data.resize='crp'"):
        compose("data.rot=x", "model=resnet81", "data.resize=crp")


@pytest.fixture(scope="module")
def composed():
    """Settings that are right; not to be changed."""
    return compose()


OUT_OF_RANGE = [
    "seed=-1",
    "seed=4294967296",
    "data.split.val=0",
    "data.split.val=1",
    "data.split.test=-0.1",
    "data.split.test=nan",
    "data.max_megapixels=0",
    "data.workers=0",
    "data.target_min=inf",
    "model.dropout=1",
    "model.input_size_px=16",
    "model.input_size_px=5000",
    "adapt.backbone_lr_factor=-1",
    "adapt.frozen_epochs=-1",
    "task.label_smoothing=1",
    "trainer.max_epochs=0",
    "trainer.batch_size=0",
    "trainer.learning_rate=0",
    "trainer.learning_rate=inf",
    "trainer.learning_rate=nan",
    "trainer.weight_decay=-1",
    "trainer.warmup_fraction=1",
    "trainer.patience=0",
    "trainer.gradient_clip=0",
    "trainer.num_workers=-1",
    "trainer.limit_batches=0",
    "evaluate.deciles=0",
    "evaluate.confusions=-1",
    "evaluate.batch_size=0",
    "package.golden=0",
]


@pytest.mark.parametrize("word", OUT_OF_RANGE)
def test_impossible_number_is_refused(word, composed):
    """The message names key, value and what is allowed, before anything starts."""
    key, _, text = word.partition("=")
    config = copy.deepcopy(composed)
    *path, name = key.split(".")
    setattr(reduce(getattr, path, config), name, float(text))
    with pytest.raises(ConfigError, match=rf"{re.escape(key)}=\S+ must be"):
        check_ranges(config)


@pytest.mark.parametrize(
    "words",
    [
        ["data.split.calibration=0", "data.split.test=0"],
        ["model.dropout=0", "task.label_smoothing=0", "trainer.weight_decay=0", "trainer.warmup_fraction=0"],
        ["trainer.num_workers=0", "evaluate.confusions=0", "adapt.backbone_lr_factor=0", "adapt.frozen_epochs=0"],
        ["seed=4294967295", "model.input_size_px=32", "data.target_min=0", "data.target_max=0.5"],
    ],
)
def test_bounds_are_allowed(words):
    """Zero is a value wherever it can work."""
    compose(*words)


def test_ranges_are_checked_when_composing():
    """No way of giving a value leads around the check."""
    with pytest.raises(ConfigError, match=r"seed=-1 must be from 0.*trainer.max_epochs=0 must be above 0"):
        compose("seed=-1", "trainer.max_epochs=0")


def test_numbers_that_contradict_each_other_are_refused():
    """Shares of all splits leave something to learn from, bounds leave something between; both are named at once."""
    words = ["data.split.val=0.5", "data.split.test=0.5", "data.target_min=2", "data.target_max=1"]
    with pytest.raises(ConfigError, match=r"calibration \+ test=1.1 must be below 1.*target_min=2.0 must be below"):
        compose(*words)


def test_groups_are_those_of_the_folders():
    """Help texts list what can be chosen."""
    groups = list_groups()
    assert groups["data"] == ["farmbot_biomass", "folder", "plantvillage", "table"]
    assert {"model", "adapt", "trainer", "experiment", "debug"} <= set(groups)
    assert not any(name.startswith("_") for name in groups)


def test_choices_are_enums():
    """Code compares with members, not with text."""
    assert compose("data.resize='crop'").data.resize is ResizeMode.crop


@pytest.mark.parametrize("name", ["a/b", "..", "a\\b"])
def test_name_is_the_name_of_a_folder(name):
    """A name that would leave the folder of the runs is refused."""
    with pytest.raises(ConfigError, match="must be the name of a folder"):
        compose_config(["data=folder", f"name={name}"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["data=folder", "data.group_by=[plant]"], "data.group_by is not read with data=folder .*data.group_pattern"),
        (["data=plantvillage", "data.target=w"], "data.target is not read with data=plantvillage"),
        (["data=table", "data.root=x"], "data.root is not read with data=table .*data.images"),
        (["data=table", "data.group_by=[a]", "data.group_pattern=(b)"], "both given"),
    ],
)
def test_setting_that_would_do_nothing_is_refused(words, match):
    """Nobody believes that plants are kept together when they are not."""
    with pytest.raises(ConfigError, match=match):
        compose_config(words)


CLASSES = ["data=folder", "data.root=/x"]
NUMBERS = ["data=table", "data.table=/x.csv", "data.images=/x", "data.target=weight"]


@pytest.mark.parametrize(
    "words",
    [
        ["task.sampling=balanced"],
        ["task.logit_adjustment=1"],
        ["task.sampling=balanced", "task.class_weighting=none", "task.logit_adjustment=1"],
        ["task.sampling=balanced", "task.class_weighting=effective"],
    ],
)
def test_rare_classes_are_made_up_for_once(words):
    """Weights, sampling and adjustment each do the whole; two of them would favour rare classes."""
    with pytest.raises(ConfigError, match="make up for rare classes more than once: keep one of them"):
        compose_config([*CLASSES, *words])


@pytest.mark.parametrize("word", ["task.sampling=balanced", "task.logit_adjustment=1"])
def test_each_way_of_making_up_for_rare_classes_goes_alone(word):
    """And with focus on hard images, which is about something else."""
    compose_config([*CLASSES, word, "task.class_weighting=none", "task.focal_gamma=2"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["task.sampling=balanced"], "is for classes"),
        (["task.focal_gamma=2"], "is for classes"),
        (["task.logit_adjustment=1"], "is for classes"),
        (["task.cutmix=1"], "is for classes"),
        (["task.mixup=0.2", "task.loss=gamma"], "only for mse and huber"),
        (["task.mixup=0.2", "task.loss=quantile"], "only for mse and huber"),
    ],
)
def test_settings_of_classes_do_not_pass_for_numbers(words, reason):
    """A setting that would do nothing is refused."""
    with pytest.raises(ConfigError, match=reason):
        compose_config([*NUMBERS, *words])


def test_numbers_can_be_mixed():
    """mixup with the losses whose scale is linear."""
    for loss in ("mse", "huber"):
        compose_config([*NUMBERS, "task.mixup=0.2", f"task.loss={loss}"])
