"""What 8 bits cost and bring: trains a head on frozen features, exports the run, and prints its certificate.

    python benchmarks/int8.py DATA --backbone tf_mobilenetv3_small_100 --weights FILE [--output DIR]

DATA is a folder in the layout of PlantVillage. Minutes on two cores; times need an otherwise idle machine.
"""

import argparse
import tempfile
from pathlib import Path

from phytoscope.cli.compose import compose
from phytoscope.schema.certificate import CERTIFICATE_PAGE_NAME
from phytoscope.steps import RunContext, choose_run_folder, run_all


def measure(data: str, backbone: str, weights: str, output: Path) -> str:
    """Takes the data the whole way in `output`, with 8 bits and certificate; gives the certificate as a page."""
    words = [
        "data=plantvillage",
        f"data.root={data}",
        f"model.backbone={backbone}",
        f"model.weights={weights}",
        "adapt=head",
        "trainer.mode=features",
        "evaluate.explanations=0",
        "evaluate.robustness=0",
        "package.int8=auto",
        "package.certificate=true",
        f"paths.run_dir={output}",
    ]
    config = compose(words)
    context = RunContext(config, choose_run_folder(config), say=print)
    run_all(context)
    return (context.run.package / CERTIFICATE_PAGE_NAME).read_text(encoding="utf-8")


def main() -> None:
    """Reads the command line and prints the certificate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="tf_mobilenetv3_small_100")
    parser.add_argument("--weights", default="auto", help="as model.weights: a file, package or random")
    parser.add_argument("--output", type=Path, help="folder of the run; a temporary one when left out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(measure(given.data, given.backbone, given.weights, given.output or Path(folder, "run")))


if __name__ == "__main__":
    main()
