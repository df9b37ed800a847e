"""Several processes that gather the same pictures: one does the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2pa.pairs.schema import write_pairs
from made_up import album

SCRIPT = """
import os, sys, time
from pathlib import Path
import numpy as np
from i2pa.models.backbones import backbone_weights
from i2pa.pairs import read_pairs
from i2pa.training import PROBE, features
from i2pa.training.gather import gather
from i2pa.training.processes import processes

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
embed = features._embed

def slowly(network, pixels):
    time.sleep(1)
    with (folder / f"embedded-by-{rank}").open("a") as file:
        file.write(f"{len(pixels)} ")
    return embed(network, pixels)

features._embed = slowly
given = dict(validate_on={}, calibrate_on=None, allow_shared=False, allow_unreadable=False)
given |= dict(progress=None, warn=None)
pairs, weights = read_pairs(folder / "pairs.parquet"), backbone_weights(PROBE.backbone)
for _ in range(2):
    found = gather(pairs, folder / "album", weights, PROBE.transform, **given)
with processes("cpu") as mine:
    sums = mine.summed(np.array([found.features.embeddings.sum(), 1.0]))
    (folder / f"sum-of-{rank}").write_text(str(sums.tolist()))
    own = {int(rank): ("missing", f"by {rank}" * 99 * int(rank)), 7: ("damaged", f"by {rank}")}
    (folder / f"lost-of-{rank}").write_text(repr(sorted(mine.together(own).items())))
"""


@pytest.mark.slow
def test_the_first_process_embeds_and_the_other_finds_it_in_the_cache(tmp_path: Path) -> None:
    write_pairs(album(tmp_path / "album", users=3, pairs_each=1), tmp_path / "pairs.parquet")
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, tmp_path / "script.py", tmp_path],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "embedded-by-0").read_text().split() == ["6"]
    assert not (tmp_path / "embedded-by-1").exists()
    sums = [(tmp_path / f"sum-of-{rank}").read_text() for rank in range(2)]
    assert sums[0] == sums[1]
    assert sums[0].endswith(", 2.0]")
    lost = [(tmp_path / f"lost-of-{rank}").read_text() for rank in range(2)]
    told = [(0, ("missing", "")), (1, ("missing", "by 1" * 99)), (7, ("damaged", "by 0"))]
    assert lost == [repr(told)] * 2
