"""The closed choices of the settings: what each of them may be, and what it means."""

from enum import StrEnum


class DataKind(StrEnum):
    """Layouts of the user's data that can be read."""

    folder = "folder"
    plantvillage = "plantvillage"
    table = "table"
    farmbot_biomass = "farmbot_biomass"


class ResizeMode(StrEnum):
    """How an image of any size becomes the square that the network sees.

    `crop`: shorter side to the size, then the centre; `squash`: both sides to the size, all pixels kept;
    `letterbox`: longer side to the size, the rest padded; `fixed_scale`: every image scaled by the same factor and
    padded, so that a centimetre stays the same number of pixels; `auto`: `fixed_scale` when the images' sizes differ
    by less than a factor of two, else `letterbox`.
    """

    auto = "auto"
    crop = "crop"
    squash = "squash"
    letterbox = "letterbox"
    fixed_scale = "fixed_scale"


class AugmentPreset(StrEnum):
    """Which random changes training images go through.

    `leaf`: any view of a leaf under any light; `field`: the same, and leaves photographed on a plain background are set
    before other backgrounds, under stronger changes of light and colour, so that a model from the laboratory meets the
    field with less surprise; `top_view`: a fixed camera above the plant, where turning and mirroring
    change nothing but a change of scale would change the answer; `side_view`: a fixed camera beside the plant, mirrored
    only; `none`: images as they are.
    """

    leaf = "leaf"
    field = "field"
    top_view = "top_view"
    side_view = "side_view"
    none = "none"


class AdaptKind(StrEnum):
    """Which parameters of the backbone are trained or added; the head always is.

    `head`: none (linear probe); `bitfit`: biases; `norm`: scale and shift of the normalisation layers; `se`:
    squeeze-and-excite blocks; `lora`: low-rank updates of pointwise and regular convolutions and of linear layers;
    `ssf`: a scale and a shift after each of these and after each normalisation; `last_stages`: the last stages as they
    are; `full`: all.
    """

    head = "head"
    bitfit = "bitfit"
    norm = "norm"
    se = "se"
    lora = "lora"
    ssf = "ssf"
    last_stages = "last_stages"
    full = "full"


class TrainMode(StrEnum):
    """How the work of training is arranged.

    `plain`: every epoch augments the images and runs the whole network; `features`: a backbone that is not trained sees
    some views of each image once and the head is fitted to its features to the end, so that epochs, learning rate,
    weight decay and dropout have no part in it; `trunk`: the stages that are not trained do the same, and the
    rest is trained on their activations; `auto`: chosen from a short measurement.
    """

    auto = "auto"
    plain = "plain"
    features = "features"
    trunk = "trunk"


class Runtime(StrEnum):
    """What computes the part of a network that is not trained; `auto` takes the fastest one that is installed."""

    auto = "auto"
    torch = "torch"
    onnxruntime = "onnxruntime"
    openvino = "openvino"


class Precision(StrEnum):
    """Numbers that a network computes with."""

    float32 = "float32"
    int8 = "int8"


class Averaging(StrEnum):
    """Average of the weights over training steps that is evaluated and kept instead of the last weights.

    `ema`: exponential moving average (Polyak and Juditsky 1992, doi 10.1137/0330046); `swa`: plain mean over the last
    quarter of the epochs (Izmailov 2018, arXiv 1803.05407).
    """

    none = "none"
    ema = "ema"
    swa = "swa"


class CompileChoice(StrEnum):
    """Whether the network is compiled for training; `auto` does so on a GPU, and on a CPU when it will pay."""

    auto = "auto"
    always = "always"
    never = "never"


class Sampling(StrEnum):
    """How often an image is seen: once an epoch (`shuffle`), or so that every class is seen equally often."""

    shuffle = "shuffle"
    balanced = "balanced"


class OptimizerKind(StrEnum):
    """Optimisers on offer."""

    adam = "adam"
    adamw = "adamw"


class RegressionLoss(StrEnum):
    """Losses of a number.

    `mse`, `huber` and `quantile` on the learned scale; `gamma` and `tweedie` are deviances of amounts whose spread
    grows with their mean, in the user's unit with a logarithmic link (`tweedie` allows zeros).
    """

    mse = "mse"
    huber = "huber"
    quantile = "quantile"
    gamma = "gamma"
    tweedie = "tweedie"


class TargetTransform(StrEnum):
    """Change of scale before the target is standardised; `auto` chooses by cross-validation over training groups."""

    auto = "auto"
    none = "none"
    log1p = "log1p"
    sqrt = "sqrt"
    yeo_johnson = "yeo_johnson"


class ClassWeighting(StrEnum):
    """How rare classes count in the loss.

    `balanced` weighs each class by the inverse of its frequency; `effective` by the inverse of its effective number of
    images (Cui 2019, doi 10.1109/CVPR.2019.00949), which is milder.
    """

    none = "none"
    balanced = "balanced"
    effective = "effective"


class Pruner(StrEnum):
    """Which trials of a sweep are ended early; `asha` and `hyperband` halve again and again."""

    none = "none"
    median = "median"
    asha = "asha"
    hyperband = "hyperband"


class OnnxExport(StrEnum):
    """Whether the package holds an ONNX file; `auto` writes one when the export extra is installed."""

    auto = "auto"
    always = "always"
    never = "never"


class VariantExport(StrEnum):
    """Whether the package holds a further form of the network.

    `auto`: where the libraries for it are installed and it is good enough, else the reason is told; `always`: or else
    no package is made; `never`: no.
    """

    auto = "auto"
    always = "always"
    never = "never"


class FailOn(StrEnum):
    """Severity of a finding from which on an inspection counts as failed."""

    error = "error"
    warning = "warning"
    note = "note"
    never = "never"


class CalibrationKind(StrEnum):
    """How probabilities are made honest.

    `temperature`: one number that all logits are divided by (Guo 2017, arXiv 1706.04599); `vector`: a scale and a shift
    for each class, which can change the predicted class; `none`: as the network gives them.
    """

    none = "none"
    temperature = "temperature"
    vector = "vector"


class SetKind(StrEnum):
    """How the classes of a prediction set are chosen.

    `lac`: all that are probable enough (Sadinle 2019, doi 10.1080/01621459.2017.1395341), the smallest sets; `aps`: the
    most probable ones until their sum suffices (Romano 2020, arXiv 2006.02544), which covers hard images as well as
    easy ones; `raps`: the same with long tails made dearer (Angelopoulos 2021, arXiv 2009.14193).
    """

    lac = "lac"
    aps = "aps"
    raps = "raps"


class IntervalKind(StrEnum):
    """How wide the interval around a number is.

    `constant`: the same for all (split conformal; Lei 2018, doi 10.1080/01621459.2017.1307116); `scaled`: in proportion
    to the error that is to be expected of such an image (locally weighted); `cqr`: from two fitted quantiles (Romano
    2019, arXiv 1905.03222); `auto`: chosen on the validation rows.
    """

    auto = "auto"
    constant = "constant"
    scaled = "scaled"
    cqr = "cqr"


class NoveltyKind(StrEnum):
    """How it is measured that an image is unlike all that the model learned from.

    `mahalanobis`: distance of its features to the nearest class (Lee 2018, arXiv 1807.03888); `knn`: distance to its
    nearest training images (Sun 2022, arXiv 2204.06507); `energy`: of the logits (Liu 2020, arXiv 2010.03759;
    classification only); `auto`: the best one of the benchmark; `none`: not measured.
    """

    auto = "auto"
    none = "none"
    mahalanobis = "mahalanobis"
    knn = "knn"
    energy = "energy"


class TrackSink(StrEnum):
    """Who is told about a run, beside the event log in its folder."""

    mlflow = "mlflow"
    wandb = "wandb"


class WandbMode(StrEnum):
    """Whether Weights & Biases is told over the network, or writes a folder that `wandb sync` sends later."""

    offline = "offline"
    online = "online"
