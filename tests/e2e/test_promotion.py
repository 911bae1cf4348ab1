"""A run as the command line makes it, registered and put to the gate."""

import pandas as pd
import pytest

from factories.mlflow_stores import make_store
from factories.runs import draw_mixed_table, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.predict.seen_files import read_seen
from phytoscope.schema.operate import PromoteConfig
from phytoscope.steps import RunContext
from phytoscope.steps.promote import PromotionRequest, promote
from phytoscope.steps.register import register_run
from phytoscope.track.model_version import CHALLENGER, CHAMPION
from phytoscope.track.registry import Registry


@pytest.mark.slow
def test_real_run_comes_to_the_gate(tmp_path) -> None:
    """Its package says what it has seen, it answers the gate as it answered its run, and a second run is compared."""
    uri = make_store(tmp_path / "mlflow")
    data = draw_mixed_table(tmp_path / "data", n=60)
    request = PromotionRequest("plants", uri, rules=PromoteConfig(min_groups=2), cache=tmp_path / "cache", workers=1)
    decisions = []
    for seed in (0, 1):
        words = run_words(data, tmp_path / f"run{seed}", f"track.uri={uri}", "name=plants", "package.onnx=never")
        # The same plants are tested by both: the seed of the draws stays, and the training is another one.
        words += [f"trainer.max_epochs={2 + 2 * seed}", "trainer.batch_size=8"]
        run, _ = run_tiny(words)
        register_run(RunContext(compose_config(words), run))
        answers, manifest = pd.read_parquet(run.answers), pd.read_parquet(run.manifest)
        test = manifest["sample_id"].isin(answers.query("split == 'test'")["sample_id"])
        seen = read_seen(run.package)
        image, group = seen.find(manifest["sha256"], manifest["group_id"].astype(str))
        assert image.tolist() == (~test).tolist()
        assert group.tolist() == (~test).tolist()
        decisions.append(promote(request))
        assert decisions[-1].get_check("golden").passed
        assert decisions[-1].get_check("parity").passed, decisions[-1].reason
        assert decisions[-1].n == test.sum()
        assert decisions[-1].left_out == {}
        if seed == 0:
            Registry(uri).set_alias("plants", CHAMPION, 1)
    assert decisions[1].champion.version == 1
    assert decisions[1].get_check("overall").value is not None
    alias = CHAMPION if decisions[1].is_accepted else CHALLENGER
    assert Registry(uri).get("plants", alias).version == 2
