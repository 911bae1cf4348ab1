"""`phytoscope predict` on one runtime, timed as the peers are: from the first file to the whole table."""

import dataclasses
import json
import sys
import time
from pathlib import Path

from phytoscope.predict.batch import BatchPlan, predict_sources
from phytoscope.predict.engines.speed import measure_rate
from phytoscope.predict.package import load_source
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.progress import SilentProgress

if __name__ == "__main__":
    runtime, package, photos, output = sys.argv[1:]
    predictor = load_source(package, Runtime(runtime), Precision.float32)
    # As packages of new runs have it; the benchmark's own is made by hand.
    predictor.preprocess = dataclasses.replace(predictor.preprocess, reduced=True)
    began = time.perf_counter()
    predict_sources(predictor, [Path(photos)], Path(output), BatchPlan(fresh=True), progress=SilentProgress())
    seconds = time.perf_counter() - began
    engine = predictor.engine
    limit = measure_rate(engine, predictor.preprocess.size_px, 0, batch_size=engine.batch_size, seconds=2.0)
    print(json.dumps({"seconds": seconds, "limit": limit}))
