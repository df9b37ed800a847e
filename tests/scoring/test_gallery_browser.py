"""The page in a real browser: keys, folding, filters, favourites; and no request, ever."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from i2pa.scoring.gallery import write_gallery
from ranked_set import picture, ranking_of

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine"),
]

NAMES = [f"IMG_{number:02}.jpg" for number in range(1, 13)]
NAMES[3] = "<img src=x onerror=alert(1)>.jpg"
NAMES[4] = "beach\n日本.jpg"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures; ranks 2, 6 and 9 are a burst, rank 12 cannot be read."""
    folder = tmp_path_factory.mktemp("page")
    items = []
    for rank in range(1, len(NAMES) + 1):
        path = folder / f"{rank}.png"
        if rank < 12:
            Image.new("RGB", (300 + 20 * rank, 300), (20 * rank, 90, 120)).save(path)
        items.append(picture(str(path), rank, 103 - 8.0 * rank, tied_with=(1, 5)))
    for rank in (2, 6, 9):
        items[rank - 1] = dataclasses.replace(items[rank - 1], group=1)
    names = {item.path: name for item, name in zip(items, NAMES, strict=True)}
    write_gallery(ranking_of(tuple(items)), folder / "page.html", names=names, title="Wedding")
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """The page in one tab, and everything it said or asked for."""

    def __init__(self, context, file: Path) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self.tab = context.new_page()
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(file.as_uri())

    def shown(self) -> list[str]:
        return [card.text_content() for card in self.tab.locator(".card:visible .rank").all()]

    def focused(self) -> str | None:
        return self.tab.evaluate(
            "document.activeElement.closest('.card')?.querySelector('.rank').textContent"
        )

    def wait_for_focus(self, rank: str) -> None:
        self.tab.wait_for_function(
            "rank => document.activeElement.closest('.card')?.querySelector('.rank').textContent"
            " === rank",
            arg=rank,
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)


@pytest.fixture
def opened(browser, page_file: Path) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = Opened(context, page_file)
    yield page
    outside = [url for url in page.requests if not url.startswith(("data:", "file:", "blob:"))]
    assert page.said == []
    assert outside == []
    assert page.requests.count(page_file.as_uri()) == len(
        [url for url in page.requests if url.startswith("file:")]
    )
    context.close()


def test_bursts_are_folded_and_unfold(opened: Opened) -> None:
    assert opened.shown() == ["1", "2", "3", "4", "5", "7", "8", "10", "11", "12"]
    assert opened.tab.inner_text("#count") == "12 pictures (2 folded)"
    button = opened.tab.locator(".unfold")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert opened.shown()[:5] == ["1", "2", "6", "9", "3"]
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert opened.shown()[:3] == ["1", "2", "3"]


def test_keys_move_enlarge_mark_and_unfold(opened: Opened) -> None:
    tab = opened.tab
    tab.locator("#save").focus()
    tab.locator("#only").focus()
    opened.press("Tab")
    assert opened.focused() == "1"
    opened.press("ArrowRight", "u")
    assert opened.shown()[:4] == ["1", "2", "6", "9"]
    opened.press("ArrowRight", "ArrowRight")
    assert opened.focused() == "9"
    opened.press("u")
    assert opened.focused() == "2"
    opened.press("End")
    assert opened.focused() == "12"
    opened.press("Home", "ArrowDown")
    below = opened.focused()
    first, second = (
        tab.locator(".card", has=tab.locator(f".rank:text-is('{rank}')")).bounding_box()
        for rank in ("1", below)
    )
    assert second["y"] > first["y"]
    assert abs(second["x"] - first["x"]) < 1
    opened.press("ArrowUp")
    assert opened.focused() == "1"
    opened.press("Enter")
    assert tab.locator("#zoom").is_visible()
    assert "IMG_01.jpg" in tab.inner_text("#caption")
    opened.press("ArrowRight", "ArrowRight")
    assert "IMG_03.jpg · percentile 79.0 · good · too close to call with ranks 1–5" in (
        tab.inner_text("#caption")
    )
    opened.press("f")
    assert tab.locator("#mark").get_attribute("aria-pressed") == "true"
    opened.press("Escape")
    # The browser tells the page of it a moment later, and only then the page moves the focus.
    opened.wait_for_focus("3")
    assert not tab.locator("#zoom").is_visible()
    opened.press("f", "ArrowRight", "f")
    assert [box.is_checked() for box in tab.locator(".favourite input").all()].count(True) == 1
    assert tab.inner_text("#n") == "1"


def test_one_card_alone_is_in_the_order_of_tab(opened: Opened) -> None:
    reachable = (
        "[...document.querySelectorAll('.card')].filter(c => c.querySelector('[tabindex=\"0\"]'))"
    )
    assert opened.tab.evaluate(f"{reachable}.length") == 1
    opened.tab.locator(".shot").nth(1).focus()
    opened.press("ArrowRight", "ArrowRight")
    assert opened.tab.evaluate(f"{reachable}.length") == 1


def test_filters_by_level_name_and_favourite(opened: Opened) -> None:
    tab = opened.tab
    tab.fill("#search", "img_0")
    assert opened.shown() == ["1", "2", "6", "9", "3", "7", "8"]
    tab.fill("#search", "日本")
    assert opened.shown() == ["5"]
    tab.fill("#search", "nothing like it")
    assert opened.shown() == []
    assert tab.inner_text("#count") == "0 of 12 pictures"
    tab.fill("#search", "")
    tab.click(".levels [data-level=excellent]")
    assert opened.shown() == ["1"]
    tab.click(".levels [data-level=bad]")
    assert opened.shown() == ["1", "10", "11", "12"]
    tab.click(".levels [data-level=bad]")
    tab.click(".levels [data-level=excellent]")
    opened.tab.locator(".unfold").click()
    tab.locator(".favourite").nth(2).click()
    opened.tab.locator(".unfold").click()
    tab.click("#only")
    assert opened.shown() == ["6"]


def test_names_are_copied_saved_and_remembered(opened: Opened, tmp_path: Path) -> None:
    tab = opened.tab
    assert tab.locator("#copy").is_disabled()
    for rank in (1, 4, 5):
        tab.locator(f".card:has(.rank:text-is('{rank}')) .favourite").click()
    tab.click("#copy")
    tab.locator("#said", has_text="3 names copied").wait_for()
    listed = 'IMG_01.jpg\n<img src=x onerror=alert(1)>.jpg\n"beach\\n\\u65e5\\u672c.jpg"\n'
    assert tab.evaluate("navigator.clipboard.readText()") == listed
    with tab.expect_download() as waiting:
        tab.click("#save")
    waiting.value.save_as(tmp_path / "list.txt")
    assert waiting.value.suggested_filename == "favourites.txt"
    assert (tmp_path / "list.txt").read_bytes().decode() == listed
    tab.reload()
    assert tab.inner_text("#n") == "3"


def test_where_copying_is_forbidden_the_names_are_shown(opened: Opened) -> None:
    tab = opened.tab
    tab.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
    tab.locator(".favourite").first.click()
    tab.click("#copy")
    tab.locator("#list").wait_for()
    assert tab.input_value("#names") == "IMG_01.jpg\n"


def test_everything_shows_without_the_script(browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    assert tab.locator(".card:visible").count() == 12
    assert tab.locator(".card img:visible").count() == 11
    assert not tab.locator(".bar").is_visible()
    assert not tab.locator(".unfold").is_visible()
    assert not tab.locator(".favourite").first.is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 800, 1920])
def test_nothing_hangs_over_the_edge(browser, page_file: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 740})
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.locator(".shot").first.click()
    assert tab.evaluate("document.querySelector('#zoom').scrollWidth") <= width
    context.close()


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const parts = ['.name', '.place', '.tie', '.unfold', 'footer', '.count', '.favourite span'];
  return parts.map((part) => {
    const ink = light(getComputedStyle(document.querySelector(part)).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_both_schemes(browser, page_file: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    assert min(tab.evaluate(CONTRAST)) >= 4.5
    context.close()


def test_pictures_and_controls_have_names(opened: Opened) -> None:
    tab = opened.tab
    nameless = """[...document.querySelectorAll('button, input, img')].filter((e) =>
      !(e.ariaLabel || e.alt || e.textContent.trim() || e.querySelector('img')?.alt)
      && e.id !== 'large')"""
    assert tab.evaluate(f"{nameless}.length") == 0
    assert tab.get_by_role("list", name="Pictures, best first").count() == 1
    assert tab.get_by_role("button", name="Rank 1, excellent: IMG_01.jpg").count() == 1
    assert tab.get_by_role("checkbox", name="Favourite: IMG_01.jpg").count() == 1


def test_a_printed_page_shows_pictures_and_no_controls(opened: Opened) -> None:
    opened.tab.emulate_media(media="print", color_scheme="dark")
    assert not opened.tab.locator(".bar").is_visible()
    assert opened.tab.locator(".card:visible").count() == 10
    paper = "getComputedStyle(document.body).backgroundColor"
    assert opened.tab.evaluate(paper) == "rgb(255, 255, 255)"
    assert opened.tab.locator("footer").is_visible()
