"""The page in a real browser."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import large_nets
import pytest
from digits_training import Training, run
from PIL import Image
from report_view import View

from bicerin.schema.installed_schema import read_net
from bicerin_report import Contents
from bicerin_report.serving import PageServer

PARTS = ("net", "run", "weights", "images")


#: What docs/report.md shows.
PICTURES = ("net", "run", "weights", "images", "googlenet", "net-dark", "images-dark", "net-narrow", "run-narrow")
#: Where pictures are kept: `BICERIN_SCREENSHOTS=docs/figures tox run -e report`.
SCREENSHOTS = Path(os.environ["BICERIN_SCREENSHOTS"]).absolute() if "BICERIN_SCREENSHOTS" in os.environ else None


def picture(view: View, name: str) -> None:
    """Keep a picture of the page for the documentation, where it is one of those."""
    if SCREENSHOTS is not None and name in PICTURES:
        view.page.mouse.move(0, 0)
        shot = Image.open(io.BytesIO(view.page.screenshot()))
        small = shot.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(SCREENSHOTS / f"report-{name}.png", optimize=True)


class TestEveryPart:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [400, 768, 1280, 1600])
    def test_it_fits_and_says_nothing(self, report: Path, view: View, width: int, scheme: str) -> None:
        view.page.emulate_media(color_scheme=scheme)
        view.page.set_viewport_size({"width": width, "height": 860})
        for part in PARTS:
            view.open(report, part)
            assert view.page.get_by_role("tab", selected=True).get_attribute("id") == f"tab-{part}"
            assert view.wide() <= 0, f"{part} is too wide"
            view.page.wait_for_timeout(150)  # the curves are drawn when their place has its size
            if (width, scheme) in ((1280, "light"), (400, "light"), (1280, "dark")):
                picture(view, f"{part}{'-narrow' if width == 400 else ''}{'-dark' if scheme == 'dark' else ''}")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast(self, report: Path, view: View, scheme: str) -> None:
        """Text is read as WCAG 2 asks for: 4.5 to 1."""
        view.page.emulate_media(color_scheme=scheme)
        view.open(report)
        names = ["text", "muted", "accent", "bad", "panel", "bg", "raised", "note"]
        colors = view.page.evaluate(
            "names => { const style = getComputedStyle(document.documentElement);"
            "return names.map(name => style.getPropertyValue('--' + name).trim()) }",
            names,
        )
        known = dict(zip(names, map(luminance, colors), strict=True))
        for front in ("text", "muted", "accent", "bad"):
            for back in ("panel", "bg", "raised"):
                assert contrast(known[front], known[back]) >= 4.5, (front, back)
        assert contrast(known["text"], known["note"]) >= 4.5

    def test_the_button_turns_light_to_dark(self, report: Path, view: View) -> None:
        view.open(report, "run")
        back = "getComputedStyle(document.body).backgroundColor"
        before = view.page.evaluate(back)
        view.page.get_by_role("button", name="Dark colours").click()
        assert view.page.evaluate(back) != before
        view.page.get_by_role("button", name="Light colours").click()
        assert view.page.evaluate(back) == before


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


class TestNet:
    def test_a_layer(self, report: Path, training: Training, view: View) -> None:
        view.open(report, "net")
        view.page.locator(".node", has_text="ip1").first.click()
        side = view.page.get_by_role("complementary", name="The layer")
        text = side.inner_text()
        line = (training.folder / "net.prototxt").read_text().splitlines().index(
            'layer { name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1"'
        ) + 1
        for wanted in (
            "pool1",
            "32×12×6×6",
            "32×48",
            "20,784 in 48×432, 48",
            "663,552",
            "bicerin-inner-product",
            f"net.prototxt:{line}",
        ):
            assert wanted in text, wanted
        assert "num_output: 48" in side.locator("pre").inner_text()
        assert re.search(r"\d ms forward, [\d.]+ ms backward", text)
        side.get_by_role("button", name="relu2").click()
        assert side.get_by_role("heading").inner_text() == "relu2"

    def test_phases(self, report: Path, view: View) -> None:
        view.open(report, "net")
        assert view.page.locator(".node", has_text="accuracy").count() == 0
        view.page.get_by_role("radio", name="TEST").click()
        assert view.page.locator(".node", has_text="accuracy").count() == 1
        assert "50×1×28×28" in view.page.locator(".graph").text_content()

    def test_layers_in_place_stand_on_the_one_before(self, report: Path, view: View) -> None:
        view.open(report, "net")
        assert view.page.locator(".node:not(.chip)").count() == 6
        assert view.page.locator(".node.chip").text_content().endswith("label"), "no line goes past all layers"
        assert "ReLU  relu1" in view.page.locator(".node", has_text="conv1").first.text_content()

    def test_search(self, report: Path, view: View) -> None:
        view.open(report, "net")
        view.page.keyboard.press("/")
        view.page.keyboard.type("inner")
        assert view.page.get_by_role("status").inner_text() == "2 of 8"
        assert view.page.locator(".node:not(.dim):not(.chip)").count() == 2
        view.page.keyboard.press("Enter")
        view.page.keyboard.press("Enter")
        assert view.page.locator(".details h2").inner_text() == "score"
        view.page.keyboard.press("Escape")
        assert view.page.locator(".node.dim").count() == 0

    def test_the_table(self, report: Path, view: View) -> None:
        view.open(report, "net")
        view.page.get_by_role("radio", name="Table").click()
        view.page.get_by_role("button", name="Parameters").click()
        names = view.page.locator("tbody th .link").all_inner_texts()
        assert names[:3] == ["ip1", "score", "conv1"], "the largest first"
        view.page.get_by_role("button", name="conv1").click()
        assert view.page.locator(".details h2").inner_text() == "conv1"

    def test_colours_by_cost(self, report: Path, view: View) -> None:
        view.open(report, "net")
        fill = (
            "name => { const nodes = [...document.querySelectorAll('.node:not(.chip)')];"
            "const node = nodes.find(one => one.textContent.includes(name));"
            "return getComputedStyle(node.querySelector('.body')).fill }"
        )
        plain = view.page.evaluate(fill, "ip1")
        view.page.get_by_label("Colour by").select_option("parameter_count")
        assert view.page.evaluate(fill, "ip1") != plain == view.page.evaluate(fill, "pool1")

    def test_zoom(self, report: Path, view: View) -> None:
        view.open(report, "net")
        scale = "Number(/scale\\((.*)\\)/.exec(document.querySelector('.graph > g').getAttribute('transform'))[1])"
        before = view.page.evaluate(scale)
        view.page.mouse.move(500, 500)
        view.page.mouse.wheel(0, -300)
        view.until(f"{scale} > {before}")
        view.page.get_by_role("button", name="Zoom out").click()
        view.page.get_by_role("button", name="Show all").click()
        box = view.page.locator(".graph > g").bounding_box()
        frame = view.page.locator(".graph").bounding_box()
        assert box["y"] >= frame["y"] and box["y"] + box["height"] <= frame["y"] + frame["height"] + 1

    def test_keys(self, report: Path, view: View) -> None:
        """From tab to tab, into the graph, from layer to layer, and back, without a mouse."""
        view.open(report, "net")
        page = view.page
        page.locator("#tab-net").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", selected=True).inner_text() == "Run"
        page.keyboard.press("Home")
        assert page.get_by_role("tab", selected=True).inner_text() == "Net"
        focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.classList.contains('node')"):
                break
        assert page.evaluate(focused).startswith("digits, HDF5Data → data 32×1×28×28, label 32")
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused).startswith("conv1, Convolution")
        page.keyboard.press("End")
        assert page.evaluate(focused).startswith("loss, SoftmaxWithLoss")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        assert page.locator(".details h2").inner_text() == "score"
        assert page.evaluate(focused) == "Close"
        page.keyboard.press("Escape")
        assert page.locator(".details").count() == 0
        assert page.evaluate(focused).startswith("score")
        page.keyboard.press("0")
        page.keyboard.press("+")

    @pytest.mark.parametrize("make", [large_nets.googlenet, large_nets.resnet152, large_nets.deep])
    def test_many_layers(
        self, make: Callable[[], str], tmp_path: Path, view: View, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are laid out, none upon another, and the page is not large."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "net.prototxt").write_text(make())
        layers = read_net(make()).message.layer
        result = run("report", "net.prototxt", "-o", "report.html")
        assert result.exit_code == 0, result.output
        assert (tmp_path / "report.html").stat().st_size < 2_000_000
        view.open(tmp_path / "report.html")
        boxes = view.page.evaluate(
            "[...document.querySelectorAll('.node')]"
            ".map(node => [node.transform.baseVal[0].matrix, node.querySelector('rect').getBBox()])"
            ".map(([at, box]) => [at.e, at.f, at.e + box.width, at.f + box.height])"
        )
        chips = view.page.locator(".node.chip, .node.missing").count()
        assert len(boxes) - chips == sum(list(one.bottom) != list(one.top) for one in layers) > 80
        for place, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[place + 1 :]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        assert view.page.locator(".card .value").first.inner_text() == f"{len(layers):,}"
        view.page.locator(".map").click(position={"x": 12, "y": 100})
        picture(view, view.page.title().split()[0].lower())


class TestRun:
    def test_the_curves(self, report: Path, view: View) -> None:
        view.open(report, "run")
        view.page.wait_for_selector(".u-over")
        shown = view.page.locator(".chart:visible figcaption").all_inner_texts()
        assert shown[:4] == ["loss", "accuracy, test", "learning rate", "images a second"]
        assert "update / weight, a step" in shown
        row = view.page.locator(".runs tbody tr").first.inner_text()
        assert "200 of 200" in row and "done" in row and "digits_iter_200.solverstate" in row
        view.page.get_by_role("radio", name="Time").click()
        view.page.get_by_role("radio", name="Logarithmic").click()
        view.page.locator(".u-over").first.hover()
        view.until("/train[\\d.]/.test(document.querySelector('.u-legend').innerText.replace(/\\s/g, ''))")

    def test_several_runs(self, training: Training, tmp_path: Path, view: View) -> None:
        other = tmp_path / "other.jsonl"
        other.write_text("".join(training.record.read_text().splitlines(keepends=True)[:60]))
        run("report", training.record, other, "-o", tmp_path / "runs.html")
        view.open(tmp_path / "runs.html")
        page = view.page
        page.wait_for_selector(".u-over")
        assert page.get_by_role("tab").all_inner_texts() == ["Runs"]
        legend = page.locator(".chart").first.locator(".u-legend")
        assert "other.jsonl train" in legend.inner_text()
        page.get_by_label("Show other.jsonl").uncheck()
        assert "other.jsonl" not in legend.inner_text()
        assert (
            " h" in page.locator("tbody tr").nth(1).inner_text() or "s" in page.locator("tbody tr").nth(1).inner_text()
        )


class TestWeightsAndImages:
    def test_weights(self, report: Path, view: View) -> None:
        view.open(report, "weights")
        assert view.page.locator(".weights .tile").count() == 6
        first = view.page.locator(".filters img")
        assert first.evaluate("image => image.complete && image.naturalWidth > 0")
        assert view.page.locator(".over .chart:visible").count() >= 2

    def test_images(self, report: Path, view: View) -> None:
        view.open(report, "images")
        assert "200" in view.page.locator(".images .card").first.inner_text()
        assert view.page.locator(".confusion tbody tr").count() == 10
        assert view.page.locator(".classes tbody tr").count() == 10
        pictures = view.page.locator("section.images img")
        assert pictures.count() > 60
        before = view.page.locator(".tiles.wide img").first.get_attribute("src")
        view.page.locator(".activated [role=radio]").nth(2).click()
        assert view.page.locator(".tiles.wide img").first.get_attribute("src") != before


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{ 7*7 }}"


class TestWhatStandsInFiles:
    def test_names_are_text(self, tmp_path: Path, view: View) -> None:
        name = EVIL.replace('"', '\\"')
        text = (
            f'name: "{name}" layer {{ name: "{name}" type: "Input" top: "{name}" '
            "input_param { shape { dim: 2 dim: 3 } } }"
            f'layer {{ name: "n{name}" type: "{name}" bottom: "{name}" top: "t{name}" }}'
        )
        (tmp_path / "net.prototxt").write_text(text)
        step = {
            "event": "step",
            "iteration": 1,
            "loss": 1.0,
            "learning_rate": 0.1,
            "seconds": 1.0,
            "images_per_second": 1,
        }
        tested = {"event": "test", "iteration": 0, "net": 0, "results": {EVIL: 0.5}}
        snapshot = {"event": "snapshot", "iteration": 1, "path": EVIL}
        weights = {"event": "weights", "iteration": 1, "blobs": {EVIL: {"norm": 1, "update": 2, "dead": 0}}}
        log = tmp_path / f"{EVIL.replace('/', '')}.jsonl"
        log.write_text(
            "".join(json.dumps(line) + "\n" for line in (step, tested, snapshot, weights, {**step, "iteration": 2}))
        )
        result = run("report", tmp_path / "net.prototxt", log, "-o", tmp_path / "report.html")
        assert result.exit_code == 0, result.output
        for part in ("net", "run"):
            view.open(tmp_path / "report.html", part)
            assert view.page.locator("img").count() == 0
            assert view.page.evaluate("document.scripts.length") == 2
            assert EVIL in view.page.locator("h1").text_content()
        assert EVIL in view.page.locator(".runs .chart figcaption").all_text_contents()[1]
        view.open(tmp_path / "report.html", "net")
        view.page.locator(".node").first.click()
        assert view.page.locator(".details h2").text_content() == EVIL
        assert view.page.locator("img").count() == 0

    def test_a_net_with_errors(self, tmp_path: Path, view: View) -> None:
        (tmp_path / "net.prototxt").write_text(
            'layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 2 dim: 3 } } }\n'
            'layer { name: "b" type: "ReLU" bottom: "nowhere" top: "b" }\n'
        )
        assert run("report", tmp_path / "net.prototxt", "-o", tmp_path / "report.html").exit_code == 0
        view.open(tmp_path / "report.html")
        assert "nowhere" in view.page.locator(".problem").first.inner_text()
        assert view.page.locator(".node.wrong").count() == 1
        assert view.page.locator(".node.missing").text_content().endswith("nowhere")


class TestServing:
    def test_a_training_goes_on(self, training: Training, tmp_path: Path, view: View) -> None:
        lines = training.record.read_text().splitlines(keepends=True)
        log = tmp_path / "run.jsonl"
        log.write_text("".join(lines[:1]))
        with PageServer(Contents([str(training.solver), str(log)])) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            view.open(server.url, "run")
            cells = "document.querySelector('.runs tbody tr').innerText"
            assert "0 of 200" in view.page.evaluate(cells)
            with log.open("a") as file:
                file.writelines(lines[1:100])
                file.write('{"event": "ste')  # as while a line is being written
            view.until(f"/\\d of 200/.test({cells}) && !/^\\s*0 of 200/m.test({cells}) && {cells}.includes('images/s')")
            row = view.page.evaluate(cells)
            assert "done" not in row and re.search(r"\d+ s", row), row
            server.shutdown()
