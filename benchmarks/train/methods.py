"""The methods that are compared."""

from dataclasses import dataclass

from phytoscope.visualize.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: Its name at the command line.
        title: What it is, for table and figure.
        function: `module:function` that runs it.
        colour: Its colour in the figure.
        options: Further words for the function; of phytoscope, settings as at its command line, in which `{work}` is
            the folder with the folders of all methods.
        family: Methods of one family are joined by one line in the figure; each stands alone when empty.
    """

    name: str
    title: str
    function: str
    colour: str
    options: tuple[str, ...] = ()
    family: str = ""


HEAD = ("adapt=head", "trainer.mode=features")
AGAIN = (*HEAD, "task.label_smoothing=0", "trainer.learning_rate=1e-3", "paths.cache_dir={work}/features/cache")
TAIL = ("adapt=last_stages", "adapt.stages=2", "trainer.mode=trunk")
SHORT = (*TAIL, "trainer.views=2", "trainer.max_epochs=10")
LONG = (*TAIL, "trainer.views=4", "trainer.max_epochs=16")
LONGEST = (*TAIL, "trainer.views=8", "trainer.max_epochs=30")
PLAIN = ("adapt=full", "trainer.mode=plain", "trainer.max_epochs=4")
FEATURES = "phytoscope, head on cached features"
STAGES = "phytoscope, last stages on cached activations"
OURS_FUNCTION = "phytoscope_runs:run_phytoscope"
PEERS = (
    Method("fastai", "fastai fine_tune, 1 frozen + 3 epochs", "fastai_peer:run_fastai", VERMILION),
    Method("timm", "timm's training recipe, 4 epochs", "timm_peer:run_timm", ORANGE),
    Method("lightning", "plain Lightning loop, 4 epochs", "lightning_peer:run_lightning", PURPLE),
    Method("linear", "logistic regression on frozen features", "linear_peer:run_linear", GREY),
)
OURS = (
    Method("features", "phytoscope, head", OURS_FUNCTION, SKY, HEAD, FEATURES),
    Method("features2", "phytoscope, head, 2 more views", OURS_FUNCTION, SKY, (*HEAD, "trainer.views=2"), FEATURES),
    Method("again", "phytoscope, head, again with other settings", OURS_FUNCTION, GREEN, AGAIN),
    Method("tail", "phytoscope, last 2 stages, 10 epochs", OURS_FUNCTION, BLUE, SHORT, STAGES),
    Method("long", "phytoscope, last 2 stages, 16 epochs", OURS_FUNCTION, BLUE, LONG, STAGES),
    Method("longest", "phytoscope, last 2 stages, 30 epochs", OURS_FUNCTION, BLUE, LONGEST, STAGES),
    Method("plain", "phytoscope, all stages, 4 epochs", OURS_FUNCTION, INK, PLAIN),
)
METHODS = {method.name: method for method in (*PEERS, *OURS)}
YARDSTICK = "fastai"
"""The method whose final accuracy and whole time the others are measured against."""
