"""Can a person read 100,000 critiques in a browser?  A real one, on a page without a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rprm.data.problem_tables import StepScores, scores_to_table
from rprm.show.making import Wanted, make_page
from rprm.show.sources import open_source
from tests.contract.browser import MISSING, Page, browser, executable
from tests.contract.judged_rows import HOSTILE, Written, write_run

pytestmark = pytest.mark.skipif(executable() is None, reason=MISSING)

SOLUTIONS, STEPS, CRITIQUES = 1250, 8, 10
MAX_NODES = 700
"""Elements of the whole page; a solution's own are a few dozen."""

ARTICLE = "document.getElementById('solution')"
HEADING = "document.getElementById('heading')?.firstChild.textContent"

WORST_CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [.2126, .7152, .0722][at], 0);
  const ground = (one) => {
    const colour = rgb(getComputedStyle(one).backgroundColor);
    return colour[3] === 255 || !one.parentElement ? colour : ground(one.parentElement);
  };
  const contrast = (one) => {
    const [ink, paper] = [light(rgb(getComputedStyle(one).color)), light(ground(one))];
    return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  };
  return [...document.querySelectorAll('main *, nav *, header *')]
    .filter((one) => one.checkVisibility() && !one.closest(':disabled, option'))
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => [contrast(one), `${one.tagName}.${one.className}`])
    .sort((one, other) => one[0] - other[0])[0];
})()"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    folder = tmp_path_factory.mktemp("show")
    written = write_run(
        folder / "run", solutions=SOLUTIONS, steps=STEPS, critiques=CRITIQUES, seed=1
    )
    counts = make_page(open_source(folder / "run"), Wanted(), folder / "a page & more")
    assert counts.critiques == SOLUTIONS * STEPS * CRITIQUES == 100_000
    return folder / "a page & more", written


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab: Page, run: tuple[Path, Written]) -> Iterator[Page]:
    """The page, freshly opened; whatever a test does, nothing may reach the console."""
    tab.complaints.clear()
    tab.open((run[0] / "index.html").as_uri())
    tab.until(HEADING)
    yield tab
    tab.js("1")
    assert tab.complaints == []


def shows(page: Page, solution: str) -> None:
    page.until(f"{HEADING} === {solution!r}")


def set_value(page: Page, name: str, value: str) -> None:
    page.js(
        f"(() => {{ const one = document.getElementById('{name}'); one.value = '{value}';"
        "one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def found(page: Page) -> str:
    return str(page.js("document.getElementById('found').textContent"))


def test_the_first_solution_is_shown_at_once_and_little_is_in_the_page(
    page: Page, run: tuple[Path, Written]
) -> None:
    shows(page, "gsm8k-0")
    assert page.js(f"{ARTICLE}.querySelectorAll('.step').length") == STEPS
    assert page.js(f"{ARTICLE}.querySelectorAll('.critique').length") == CRITIQUES
    assert page.js("document.querySelectorAll('*').length") < MAX_NODES
    counts = page.js("document.getElementById('counts').textContent")
    assert counts.startswith("1,250 solutions · 10,000 judged steps · 100,000 critiques · finds ")
    assert int(re.findall(r"\d+", counts)[-1]) == sum(one.label < 0 for one in run[1].solutions)


def test_hostile_text_is_shown_as_text(page: Page, run: tuple[Path, Written]) -> None:
    hostile = run[1].solutions[0]
    assert page.js("document.title") == "run: judgements"
    assert page.js(f"{ARTICLE}.querySelector('.problem').textContent") == hostile.problem
    steps = page.js(f"[...{ARTICLE}.querySelectorAll('.line .text')].map((one) => one.textContent)")
    assert tuple(steps) == hostile.steps
    assert HOSTILE in page.js(f"{ARTICLE}.querySelector('.critique .text').textContent")
    assert page.js(f"{ARTICLE}.querySelectorAll('script, img, b > *').length") == 0
    assert page.js(
        "(() => { try { document.body.innerHTML = '<b>' } catch { return 'no' } })()"
    ) == ("no")
    page.complaints.clear()  # the browser says that it refused this


def test_keys_go_to_the_next_solution_and_the_address_follows(page: Page) -> None:
    page.press("j")
    shows(page, "math-1")
    page.press("ArrowRight")
    shows(page, "olympiadbench-2")
    page.press("k")
    shows(page, "math-1")
    assert page.js("location.hash") == "#math-1"
    assert page.js("document.getElementById('place').textContent") == "2 of 1,250"
    page.until("document.getElementById('said').textContent.startsWith('math-1, ')")


def test_a_judge_that_repeats_itself_is_read_once(page: Page) -> None:
    page.press("j")
    shows(page, "math-1")
    assert page.js(f"{ARTICLE}.querySelectorAll('.critique').length") == CRITIQUES - 1
    assert "2 times: #1 #2" in page.js(f"{ARTICLE}.querySelector('.critique summary').textContent")


def test_a_key_opens_the_critiques_of_another_step(page: Page) -> None:
    page.js("rprmShow.data && document.activeElement.blur()")
    before = page.js(f"{ARTICLE}.querySelector('.step.open').id")
    page.press("n")
    after = page.js(f"{ARTICLE}.querySelector('.step.open').id")
    assert int(after.removeprefix("step-")) == int(before.removeprefix("step-")) + 1
    assert page.js(f"{ARTICLE}.querySelectorAll('[aria-expanded=true]').length") == 1
    opened = f"{ARTICLE}.querySelectorAll('.critique[open]').length"
    open_after = []
    for _ in range(3):
        page.press("e")
        open_after.append(page.js(opened))
    assert open_after in ([0, CRITIQUES, 0], [CRITIQUES, 0, CRITIQUES])


def test_one_solution_after_another_is_shown_in_moments(page: Page) -> None:
    took_ms = page.js(
        """(async () => {
          const next = document.getElementById('next'), before = performance.now();
          for (let at = 1; at <= 40; at += 1) {
            next.click();
            const wanted = rprmShow.data.ids[at];
            while (document.getElementById('heading').firstChild.textContent !== wanted)
              await new Promise((go) => setTimeout(go));
          }
          return (performance.now() - before) / 40;
        })()"""
    )
    assert took_ms < 1000  # some ten on a machine at rest
    assert page.js("document.querySelectorAll('*').length") < MAX_NODES


def test_a_filter_leaves_one_kind_and_a_sort_orders_it(page: Page) -> None:
    page.js("document.querySelector('#categories label.unparsed').click()")
    number = page.js("Number(document.querySelector('label.unparsed .number').textContent)")
    assert 0 < number < SOLUTIONS
    assert found(page) == f"{number} of 1,250 solutions"
    page.until(f"{ARTICLE}.querySelector('.badge').textContent === 'unparsed'")
    assert page.js("[...document.querySelectorAll('.item .kind')].every((one) => "
                   "one.textContent === 'unparsed')")  # fmt: skip
    set_value(page, "subset", "1")
    page.until(f"{HEADING}.startsWith('math-')")
    page.js("document.querySelector('#categories label').click()")
    page.js("document.querySelector('#categories label.missed-error').click()")
    set_value(page, "sort", "lowest")
    lowest = page.js(
        "[...document.querySelectorAll('.item .id')].map((one) => "
        "rprmShow.data.lowest[rprmShow.data.ids.indexOf(one.textContent)])"
    )
    assert lowest == sorted(lowest)
    set_value(page, "sort", "unparsed")
    counts = page.js(
        "[...document.querySelectorAll('.item .id')].map((one) => "
        "rprmShow.data.unparsed[rprmShow.data.ids.indexOf(one.textContent)])"
    )
    assert counts == sorted(counts, reverse=True)


def test_theme_and_keys_are_as_a_person_chose_them(page: Page) -> None:
    page.js("document.getElementById('theme').click()")
    assert page.js("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.js("document.getElementById('theme').click()")
    assert page.js("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.js("document.getElementById('theme').click()")
    page.press("?")
    assert page.js("document.getElementById('help').open")
    page.js("document.getElementById('keys-on').click()")
    page.js("document.getElementById('help').close()")
    page.press("j")
    page.js("document.getElementById('keys-on').click()")
    shows(page, "gsm8k-0")
    page.press("j")
    shows(page, "math-1")


def test_search_looks_into_problems_and_ids_and_can_be_cleared(page: Page) -> None:
    page.press("/")
    assert page.js("document.activeElement.id") == "search"
    page.type("BENCH-1247")
    page.until("document.getElementById('found').textContent === '1 of 1,250 solutions'")
    shows(page, "olympiadbench-1247")
    page.js("document.activeElement.select()")
    page.type("a_{77} = ")
    shows(page, "olympiadbench-77")
    page.js("document.activeElement.select()")
    page.type("no such words")
    page.until(f"{ARTICLE}.textContent.includes('No solution matches')")
    page.js(f"{ARTICLE}.querySelector('button').click()")
    page.until("document.getElementById('found').textContent === '1,250 solutions'")


def test_a_link_leads_to_its_solution_and_step(page: Page, run: tuple[Path, Written]) -> None:
    page.open((run[0] / "index.html").as_uri() + "#math-1249:5")
    shows(page, "math-1249")
    assert page.js(f"{ARTICLE}.querySelector('.step.open').id") == "step-5"
    assert page.js("document.querySelector('.item[aria-selected=true] .id').textContent") == (
        "math-1249"
    )
    page.js("void (location.hash = '#gsm8k-900')")
    shows(page, "gsm8k-900")
    page.open((run[0] / "index.html").as_uri() + "#nobody")
    page.until("document.getElementById('found').textContent.includes('no solution nobody')")


def test_the_list_is_a_listbox_for_keyboard_and_screen_reader(page: Page) -> None:
    page.js("document.getElementById('list').focus()")
    page.press("End")
    shows(page, "math-1249")
    option = "document.getElementById(document.getElementById('list').getAttribute("
    assert page.js(f"{option}'aria-activedescendant')).getAttribute('aria-posinset')") == "1250"
    page.press("Home")
    shows(page, "gsm8k-0")
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {node["role"]["value"] for node in tree if not node.get("ignored")}
    assert {"main", "navigation", "listbox", "option", "heading", "radio", "searchbox"} <= roles
    unnamed = [
        node["role"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in ("button", "radio", "searchbox", "combobox")
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_on_either_ground(page: Page, scheme: str) -> None:
    page.scheme(scheme)
    worst = page.js(WORST_CONTRAST)
    page.scheme("")
    assert worst[0] >= 4.5, worst


def test_on_a_narrow_screen_list_and_solution_take_turns(page: Page) -> None:
    page.resize(390, 800)
    try:
        assert page.js("document.documentElement.scrollWidth") <= 390
        assert not page.js("document.getElementById('list').checkVisibility()")
        page.js("document.getElementById('listing').click()")
        assert page.js("document.getElementById('list').checkVisibility()")
        page.js("document.querySelectorAll('.item')[3].click()")
        shows(page, "gsm8k-3")
        assert page.js(f"{ARTICLE}.checkVisibility()")
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_judges_that_name_an_index_show_their_words(tab: Page, tmp_path: Path) -> None:
    solutions = write_run(tmp_path / "run", solutions=2, steps=3, critiques=1).solutions
    (tmp_path / "run" / "judged.parquet").unlink()
    rows = [
        StepScores(
            solution_id=one.id, engine="critic", scores_S=None, prediction=found, texts=(HOSTILE,)
        )
        for one, found in zip(solutions, (1, None), strict=True)
    ]
    pq.write_table(scores_to_table(rows), tmp_path / "run" / "scores.parquet")
    make_page(open_source(tmp_path / "run"), Wanted(), tmp_path / "page")
    tab.complaints.clear()
    tab.open((tmp_path / "page" / "index.html").as_uri())
    shows(tab, "gsm8k-0")
    assert "first error at step 2" in tab.js(f"{ARTICLE}.querySelector('.verdict').textContent")
    assert tab.js(f"{ARTICLE}.querySelector('.critique .text').textContent") == HOSTILE
    tab.press("j")
    shows(tab, "math-1")
    assert "no step could be read" in tab.js(f"{ARTICLE}.querySelector('.verdict').textContent")
    assert tab.complaints == []


def test_a_chunk_that_is_gone_is_told(page: Page, run: tuple[Path, Written]) -> None:
    chunk = sorted((run[0] / "data").glob("0*.js"))[-1]
    kept = chunk.read_bytes()
    chunk.unlink()
    try:
        page.js("void (location.hash = '#math-1249')")
        page.until(f"{ARTICLE}.textContent.includes('{chunk.name} could not be loaded')")
    finally:
        chunk.write_bytes(kept)
    page.js("1")
    page.complaints.clear()  # the browser says so too
