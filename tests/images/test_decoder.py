"""The decoder as others use it: identical pixels, one process for what is heavy, and its ends."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2pa.errors import ImageError, UserInputError
from i2pa.images.decoder import Decoder
from i2pa.images.limits import LIMITS, Limits
from i2pa.images.regular import read_bytes
from i2pa.images.transforms import transform_named
from i2pa.images.worker_process import WorkerProcess
from odd_pictures import (
    dng,
    encoded,
    noise,
    png_of_size,
    quarters,
    taken_exif,
    turned,
)

SQUASH = transform_named("squash260@1")
CROP = transform_named("crop224@1")
# All but thumbnails go to the process.
ALL_HEAVY = Limits(light_pixels=100)

# Decoders of the process that misbehave at a picture as wide as this.
FAULTY, FAULTY_WIDTH = (
    """
import os, time
from PIL import Image
from i2pa.images import worker
from i2pa.images.transforms import Transform
whole = Transform.fit
def fit(self, loaded):
    if loaded.image.width == 77:
        {fault}
    return whole(self, loaded)
Transform.fit = fit
worker.main()
""",
    77,
)


@pytest.fixture
def decoder():
    with Decoder(SQUASH) as made:
        yield made


def with_fault(fault, *, seconds=20.0, transform=CROP):
    decoder = Decoder(transform, limits=ALL_HEAVY, seconds=seconds)
    decoder._worker = WorkerProcess(transform, ALL_HEAVY, seconds, code=FAULTY.format(fault=fault))
    return decoder


def faulty_picture():
    return encoded(Image.new("RGB", (FAULTY_WIDTH, 40)), "PNG")


def process_of(decoder):
    return decoder._worker._process


def odd_files():
    stored, exif = turned(quarters(300, 200), 6)
    return {
        "a.jpg": encoded(noise(1200, 700), "JPEG", exif=taken_exif("2024:05:06 07:08:09", "5")),
        "turned.png": encoded(stored, "PNG", exif=exif),
        "b.heic": encoded(noise(300, 200), "HEIF", quality=80),
        "c.dng": dng(quarters(300, 200), taken="2024:05:06 07:08:09"),
        "d.dng": dng(quarters(300, 200), preview=noise(800, 600)),
        "e.webp": encoded(noise(90, 70), "WEBP"),
        "f.gif": encoded(noise(90, 70), "GIF"),
        "g.tif": encoded(stored, "TIFF", exif=exif, compression="tiff_lzw"),
        "h.avif": encoded(noise(90, 70), "AVIF"),
        b"bad\xff.jpg": encoded(noise(90, 70), "JPEG"),
        "new\nline \N{SLICE OF PIZZA}.jpg": encoded(noise(90, 70), "JPEG"),
    }


@pytest.mark.parametrize("limits", [LIMITS, ALL_HEAVY])
@pytest.mark.parametrize("transform", [SQUASH, CROP])
def test_pixels_are_those_of_the_transform(tmp_path, transform, limits):
    with Decoder(transform, limits=limits) as decoder:
        for name, data in odd_files().items():
            path = tmp_path / os.fsdecode(name)
            path.write_bytes(data)
            wanted = transform.pixels(path)
            for decoded in (
                decoder.decode(path),
                decoder.decode(str(path)),
                decoder.decode(data),
                decoder.decode_bytes(data, "x"),
            ):
                assert decoded.pixels.dtype == np.uint8
                assert (decoded.pixels == wanted).all(), name
        assert decoder.decode(tmp_path / "a.jpg").taken == datetime(2024, 5, 6, 7, 8, 9, 500_000)
        assert decoder.decode(tmp_path / "c.dng").taken == datetime(2024, 5, 6, 7, 8, 9)
        assert decoder.decode(tmp_path / "e.webp").taken is None


def test_opened_pictures_and_arrays(decoder):
    pixels = np.asarray(noise(300, 200))
    image = Image.fromarray(pixels)
    image.getexif().update(taken_exif("2024:05:06 07:08:09"))
    for given in (pixels, image):
        assert (decoder.decode(given).pixels == SQUASH.pixels(pixels)).all()
    with pytest.raises(UserInputError, match="cannot score"):
        decoder.decode(np.zeros((3, 3, 9), np.uint8))
    assert process_of(decoder) is None


def test_light_pictures_start_no_process_and_heavy_ones_share_one(decoder):
    decoder.decode(encoded(noise(), "JPEG"))
    assert process_of(decoder) is None
    heic = encoded(noise(), "HEIF")
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(decoder.decode, [heic] * 12))
    assert all((result.pixels == SQUASH.pixels(heic)).all() for result in results)
    first = process_of(decoder)
    decoder.decode(heic)
    assert process_of(decoder) is first


@pytest.mark.parametrize("limits", [LIMITS, ALL_HEAVY])
def test_failures_are_those_of_the_transform(tmp_path, limits):
    heic = encoded(noise(), "HEIF")
    bad = {
        "bomb.png": png_of_size(50_000, 50_000),
        "cut.heic": heic[: len(heic) // 2],
        "cut.dng": dng(quarters(300, 200))[:5000],
        "cut.jpg": encoded(noise(), "JPEG")[:2000],
        "text.jpg": b"hello",
        "empty.jpg": b"",
    }
    with Decoder(SQUASH, limits=limits) as decoder:
        for name, data in bad.items():
            path = tmp_path / name
            path.write_bytes(data)
            with pytest.raises(ImageError) as wanted:
                SQUASH.pixels(path, limits)
            with pytest.raises(ImageError) as got:
                decoder.decode(path)
            assert str(got.value) == str(wanted.value)
        (tmp_path / "folder.jpg").mkdir()
        os.mkfifo(tmp_path / "pipe.jpg")
        for name, reason in (
            ("folder.jpg", "a folder"),
            ("pipe.jpg", "not a file"),
            ("none.jpg", "No such file"),
            ("nul\0.jpg", "cannot be read"),
        ):
            with pytest.raises(ImageError, match=reason):
                decoder.decode(tmp_path / name)
        # After all that, the next one works.
        assert decoder.decode(heic).pixels.shape == (260, 260, 3)


def test_a_file_that_shrinks_while_read_is_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(800, 600), "PNG"))
    from i2pa.images import decoder as module

    whole = module.kind_of

    def shrink(file):
        os.truncate(path, 5000)
        return whole(file)

    monkeypatch.setattr(module, "kind_of", shrink)
    with Decoder(SQUASH) as decoder, pytest.raises(ImageError, match=r"a\.png: damaged"):
        decoder.decode(path)


def test_what_hangs_is_ended_and_the_next_one_works():
    with with_fault("time.sleep(600)", seconds=0.3) as decoder:
        good = encoded(noise(), "PNG")
        decoder.decode(good)
        with pytest.raises(ImageError, match=r"^slow: took longer than 3 s to decode") as caught:
            decoder.decode_bytes(faulty_picture(), "slow")
        assert caught.value.kind == "timed_out"
        assert (decoder.decode(good).pixels == CROP.pixels(good)).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="work cannot be limited here")
def test_what_works_too_long_is_ended_and_the_next_one_works():
    with with_fault("while True: pass", seconds=1.0) as decoder:
        good = encoded(noise(), "PNG")
        with pytest.raises(ImageError, match="more than 1 s of processor time") as caught:
            decoder.decode_bytes(faulty_picture(), "slow")
        assert caught.value.kind == "timed_out"
        assert (decoder.decode(good).pixels == CROP.pixels(good)).all()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing can be stopped here")
def test_a_sound_picture_waits_for_a_process_that_was_stopped():
    with with_fault("time.sleep(0)", seconds=0.5) as decoder:
        good = encoded(noise(), "PNG")
        decoder.decode(good)
        process_of(decoder).send_signal(signal.SIGSTOP)
        # By the clock twice what it may take.
        threading.Timer(1.0, process_of(decoder).send_signal, [signal.SIGCONT]).start()
        begun = time.monotonic()
        decoded = decoder.decode(good)
        assert time.monotonic() - begun > 0.9
        assert (decoded.pixels == CROP.pixels(good)).all()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing can be stopped here")
def test_a_pause_of_everything_is_no_fault_of_the_picture(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
            from test_decoder import faulty_picture, with_fault
            # The clock allows three seconds; the picture waits for less than one, awake.
            with with_fault("time.sleep(0.8)", seconds=0.3) as decoder:
                worker = decoder._worker._running("x")
                print(worker.pid, flush=True)
                print(decoder.decode(faulty_picture()).pixels.shape, flush=True)
            """
        )
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    time.sleep(0.3)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in (worker, process.pid):
            os.kill(pid, number)
        time.sleep(5 if number == signal.SIGSTOP else 0)
    out, _ = process.communicate(timeout=20)
    assert out == "(224, 224, 3)\n"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os.write(4, b'x' * 5000); os.close(4)", "crashed"),
    ],
)
def test_what_dies_costs_one_picture(fault, said):
    with with_fault(fault) as decoder:
        good = encoded(noise(), "PNG")
        wanted = CROP.pixels(good)
        given = [good, good, faulty_picture(), good, good, good]

        def attempt(data):
            try:
                return decoder.decode_bytes(data, "x")
            except ImageError as error:
                return error

        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(attempt, given))
        failures = [result for result in results if isinstance(result, ImageError)]
        assert len(failures) == 1
        assert said in str(failures[0])
        assert failures[0].kind == "decoder_failed"
        assert isinstance(results[2], ImageError)
        assert all((result.pixels == wanted).all() for result in results if result not in failures)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no limit of memory here")
def test_what_takes_too_much_memory_fails_alone():
    with with_fault("bytearray(2_000_000_000)") as decoder:
        with pytest.raises(ImageError, match="needs more memory to decode") as caught:
            decoder.decode_bytes(faulty_picture(), "x")
        assert caught.value.kind == "out_of_memory"
        assert decoder.decode(encoded(noise(), "PNG")).pixels.shape == (224, 224, 3)


def test_a_process_killed_while_idle_is_started_anew(decoder):
    heic = encoded(noise(), "HEIF")
    decoder.decode(heic)
    process_of(decoder).kill()
    process_of(decoder).wait()
    assert decoder.decode(heic).pixels.shape == (260, 260, 3)


def test_closing_ends_what_is_being_decoded():
    decoder = with_fault("time.sleep(600)", seconds=60.0)
    said = []

    def attempt():
        try:
            decoder.decode(faulty_picture())
        except ImageError as error:
            said.append(str(error))

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    while process_of(decoder) is None:
        time.sleep(0.01)
    time.sleep(0.5)
    decoder.close()
    decoder.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert len(said) == 3
    assert all("the decoder was closed" in line for line in said)
    assert process_of(decoder).poll() is not None
    for picture in (faulty_picture(), encoded(noise(5, 5), "PNG")):
        with pytest.raises(ImageError, match="closed"):
            decoder.decode(picture)


def test_a_forgotten_decoder_leaves_no_process():
    decoder = Decoder(SQUASH)
    decoder.decode(encoded(noise(), "HEIF"))
    process = process_of(decoder)
    del decoder
    assert process.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_in_the_middle_ends_quietly(tmp_path):
    script = tmp_path / "run.py"
    # The script has no guard around what it does: starting the process must not run it again.
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
            from test_decoder import faulty_picture, with_fault
            decoder = with_fault("time.sleep(600)", seconds=60.0)
            print("begun", flush=True)
            try:
                with decoder:
                    decoder.decode(faulty_picture())
            except KeyboardInterrupt:
                print("stopped", decoder._worker._process.poll())
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert out == "stopped -9\n"


_HEIC_HEAD = b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40)


def test_missing_packages_are_named_for_each_file(monkeypatch):
    for name in ("pillow_heif", "rawpy"):
        monkeypatch.setitem(sys.modules, name, None)
    for data, kind in ((_HEIC_HEAD, "HEIC"), (dng(quarters()), "RAW")):
        with pytest.raises(ImageError) as caught:
            SQUASH.pixels(data)
        assert f"{kind} needs packages that are not installed" in str(caught.value)
        assert "pip install 'i2pa[formats]'" in str(caught.value)


def test_the_process_reads_large_bytes_from_disk(tmp_path):
    # An uncompressed TIFF of over 32 MB; the rest of the way is as for small ones.
    data = encoded(noise(4000, 3000), "TIFF")
    assert len(data) > 32_000_000
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    with Decoder(CROP, limits=ALL_HEAVY) as decoder:
        wanted = CROP.pixels(path)
        assert (decoder.decode_bytes(read_bytes(path), "x").pixels == wanted).all()
