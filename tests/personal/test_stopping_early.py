"""Ctrl-C while pictures are embedded does not wait for what a heavy picture may take."""

import os
import signal
import sys
import threading
import time

import pytest
from PIL import Image

from i2pa.images.decoder import Decoder
from i2pa.images.limits import Limits
from i2pa.images.worker_process import WorkerProcess
from i2pa.personal import learning, personalize

SLEEPING = """
import time
from pathlib import Path
from i2pa.images import worker
from i2pa.images.transforms import Transform
def fit(self, loaded):
    time.sleep(30)
    Path({woke!r}).touch()
Transform.fit = fit
worker.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_ends_the_heavy_picture_at_once(album, tmp_path, monkeypatch):
    decoders = []
    woke = tmp_path / "woke"
    all_heavy = Limits(light_pixels=10_000)

    def slow(transform):
        decoder = Decoder(transform, limits=all_heavy)
        decoder._worker = WorkerProcess(
            transform, all_heavy, 60.0, code=SLEEPING.format(woke=str(woke))
        )
        decoders.append(decoder)
        return decoder

    monkeypatch.setattr(learning, "Decoder", slow)
    (tmp_path / "keep").mkdir()
    Image.new("RGB", (200, 200), "red").save(tmp_path / "keep" / "heavy.png")

    def interrupt():
        while not (decoders and decoders[0]._worker._process):
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        personalize(tmp_path / "keep", album.reject, model=album.model)
    # Nobody waited for the picture to be ready.
    assert not woke.exists()
    assert decoders[0]._worker._process.poll() is not None
