"""The methods that are compared."""

from dataclasses import dataclass

from phytoscope.visualize.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION


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


PLAIN = ("trainer.mode=plain", "trainer.max_epochs=4")
HEAD = ("adapt=head", "trainer.mode=features")
AGAIN = (*HEAD, "trainer.learning_rate=1e-3", "paths.cache_dir={work}/features/cache")
FEATURES = "phytoscope, cached features"
OURS_FUNCTION = "phytoscope_runs:run_phytoscope"
PEERS = (
    Method("fastai", "fastai fine_tune, 1 frozen + 3 epochs", "fastai_peer:run_fastai", VERMILION),
    Method("timm", "timm's training recipe, 4 epochs", "timm_peer:run_timm", ORANGE),
    Method("lightning", "plain Lightning loop, 4 epochs", "lightning_peer:run_lightning", PURPLE),
    Method("linear", "logistic regression on frozen features", "linear_peer:run_linear", GREY),
)
OURS = (
    Method("plain", "phytoscope, plain, 4 epochs", OURS_FUNCTION, GREEN, PLAIN),
    Method("features1", "phytoscope, head on 1 view", OURS_FUNCTION, SKY, (*HEAD, "trainer.views=1"), FEATURES),
    Method("features4", "phytoscope, head on 4 views", OURS_FUNCTION, SKY, (*HEAD, "trainer.views=4"), FEATURES),
    Method("features", "phytoscope, head", OURS_FUNCTION, SKY, HEAD, FEATURES),
    Method("again", "phytoscope, head, another learning rate", OURS_FUNCTION, SKY, AGAIN),
    Method("auto", "phytoscope as it comes", OURS_FUNCTION, BLUE),
)
METHODS = {method.name: method for method in (*PEERS, *OURS)}
YARDSTICK = "fastai"
"""The method whose final accuracy and whole time the others are measured against."""
