"""The report in a real browser: no errors, rotation, sound, phone layout. Skipped without Chromium."""

import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from avsa_fast.report.cli import main

pytestmark = pytest.mark.slow

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
)
# For a source on the listener's left: energy at each ear, after the page's audio graph is rotated to an azimuth.
EARS = """async ([azimuth, beam]) => {
  const context = new OfflineAudioContext(2, 24000, 24000);
  const graph = await spatialGraph(context);
  graph[beam ? "beam" : "look"](azimuth, 0);
  const buffer = context.createBuffer(4, 24000, 24000);
  let seed = 1;
  const noise = Float32Array.from({ length: 24000 }, () => (seed = seed * 16807 % 2147483647) / 1073741824 - 1);
  buffer.copyToChannel(noise, 0);
  buffer.copyToChannel(noise, 1);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(graph.input);
  graph.output.connect(context.destination);
  source.start();
  const sound = await context.startRendering();
  return [0, 1].map((ear) => sound.getChannelData(ear).slice(6000).reduce((sum, x) => sum + x * x, 0) / 18000);
}"""
DIRECTION = "around.direction()"


def until(page: Any, expression: str) -> None:
    """Waits until an expression is true; the page's policy forbids Playwright's own wait, which evaluates strings."""
    for _ in range(300):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within 30 s: {expression}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = which("chromium") or which("chromium-browser") or which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(run: Path) -> Path:
    main(run=run, clips=2)
    return run / "report.html"


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest, browser: Any, page_file: Path) -> Iterator[Any]:
    """The report, opened at desktop and phone width; fails if any error was logged or thrown."""
    page = browser.new_page(viewport={"width": request.param, "height": 800}, reduced_motion="reduce")
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: errors.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(page_file.as_uri())
    yield page
    page.close()
    assert errors == []


def test_view_rotates_and_sound_follows(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
    page.click("#clip-0 [data-do=look]")
    until(page, "around.viewer?.isLoaded()")
    before = page.evaluate(DIRECTION)

    page.keyboard.down("ArrowLeft")
    until(page, f"{DIRECTION}[0] > {before[0] + 0.1}")  # azimuth increases to the left
    page.keyboard.up("ArrowLeft")
    page.wait_for_timeout(500)  # wait until the motion stops

    before = page.evaluate(DIRECTION)
    box = page.locator("#clip-0 .around").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 100, y + 40, steps=5)  # dragging the picture left rotates the view to the right
    page.mouse.up()
    until(page, f"{DIRECTION}[0] < {before[0] - 0.1}")
    assert page.evaluate(DIRECTION)[1] > before[1]  # and dragging it down rotates the view up

    assert page.evaluate("player.clip") is None
    page.click("#clip-0 [data-do=play]")
    until(page, "player.time() > 0 && player.context.state === 'running'")
    until(page, "Math.abs(document.querySelector('#clip-0 .film').currentTime - player.time()) < 0.3")
    page.click("#clip-0 [data-do=play]")
    assert page.evaluate("player.clip") is None
    page.click("#clip-1 [data-do=hear]")
    until(page, "player.clip === '1'")


def test_maps_neighbours_and_charts(page: Any) -> None:
    page.click("#clip-0 li:nth-child(2) [data-do=heat]")
    assert page.locator("#clip-0 [data-layer=match]:visible").get_attribute("data-view") == "1"
    page.uncheck("#clip-0 [data-show=boxes]")
    assert page.locator("#clip-0 .box:visible").count() == 0
    page.locator("button.near").first.click()
    until(page, "player.clip !== null")
    page.evaluate("document.querySelector('#embeddings').scrollIntoView()")
    page.wait_for_selector("#embeddings .js-plotly-plot .point")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("page", [1280], indirect=True)
def test_binaural_sound_follows_view(page: Any) -> None:
    """A source at 90° is on the left, and ahead once the view is rotated there; a beam is the same in both ears."""
    left, right = page.evaluate(EARS, [0, False])
    assert left > 1.5 * right
    left, right = page.evaluate(EARS, [3.14159265, False])  # seen from behind, the source is on the right
    assert right > 1.5 * left
    left, right = page.evaluate(EARS, [1.57079633, False])
    assert left == pytest.approx(right, rel=0.02)
    towards, away = page.evaluate(EARS, [1.57079633, True]), page.evaluate(EARS, [-1.57079633, True])
    assert towards[0] == pytest.approx(towards[1])
    assert towards[0] == pytest.approx(4 * away[0], rel=0.01)  # hypercardioid: 1 ahead, -1/2 behind


@pytest.mark.slow
@pytest.mark.timed
def test_page_opens_quickly(browser: Any, page_file: Path) -> None:
    """The better of two attempts, since the machine may be busy, with media of twelve clips added to the page."""
    html = page_file.read_text(encoding="utf-8")
    large = page_file.with_name("large.html")
    padding = '<script type="application/json">"' + "A" * 11_000_000 + '"</script>'
    large.write_text(html.replace("<noscript>", padding + "<noscript>"), encoding="utf-8")
    best = float("inf")
    for _ in range(2):
        page = browser.new_page()
        began = time.monotonic()
        page.goto(large.as_uri())
        best = min(best, time.monotonic() - began)
        page.close()
    assert best < 3.0
