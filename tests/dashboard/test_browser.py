"""The real command in a real browser: every page renders, links go both ways, nothing is said on the console."""

from __future__ import annotations

import re

import pytest
from dashboard_driver import PAGES, SIZES, Tab

from dashboard import words

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_page_renders(page: str, size: str, scheme: str, browser: object, server: str) -> None:
    made = Tab(browser, server, size, scheme).open(page, run="small", other="small-clip")
    made.healthy()
    assert made.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    made.context.close()


def test_charts_are_not_blank(tab: Tab) -> None:
    tab.open("modality", run="small")
    tab.page.locator(".js-plotly-plot .bars path").first.wait_for()
    tab.page.locator(".js-plotly-plot .scatterlayer path.point").first.wait_for()
    assert tab.page.locator(".js-plotly-plot .bars path").count() >= 5
    box = tab.page.locator(".js-plotly-plot").first.bounding_box()
    assert box["height"] > 150
    assert box["width"] > 250


def test_click_changes_the_link_and_the_link_gives_the_same_view(tab: Tab, browser: object, server: str) -> None:
    tab.open("modality", run="small")
    tab.page.get_by_role("radio", name="by its energy").or_(
        tab.page.get_by_role("button", name="by its energy")
    ).first.click()
    tab.wait_for_link(weight="by its energy")
    tab.page.get_by_text("Energy in text concepts").first.wait_for()
    shown = tab.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts()
    tab.page.reload()
    again = tab.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts()
    assert again == shown
    other = Tab(browser, server)
    other.page.goto(tab.page.evaluate("location.href"))
    assert other.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts() == shown
    other.context.close()
    tab.healthy()


def test_choosing_a_run_is_in_the_link_on_every_page(tab: Tab) -> None:
    tab.open("runs", run="small")
    tab.page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").first.click()
    tab.page.get_by_role("option", name=re.compile("^small-clip( ·|$)")).click()
    tab.wait_for_link(run="small-clip")
    tab.page.get_by_test_id("stSidebar").get_by_role("link", name="Modality").click()
    tab.settle("modality").wait_for_link(run="small-clip")
    assert "small-clip" in tab.text()
    tab.healthy()


def test_back_button_restores_the_view(tab: Tab) -> None:
    tab.open("concepts", run="small", concept="3")
    tab.page.get_by_test_id("stSidebar").get_by_role("link", name="Runs").click()
    tab.settle("runs").page.go_back()
    tab.settle("concepts").wait_for_link(run="small", concept="3")
    tab.healthy()


def test_back_button_leads_out_again(tab: Tab) -> None:
    tab.page.goto("about:blank")
    tab.open("overview")
    assert tab.link() == {}
    for page in ("modality", "runs", "map"):
        tab.page.get_by_test_id("stSidebar").get_by_role("link", name=words.PAGES[page][0]).click()
        tab.settle(page).wait_for_link(run="small")
    for page in ("runs", "modality", "overview"):
        tab.page.go_back()
        tab.settle(page)
    tab.page.go_back()
    assert tab.page.url == "about:blank"
    assert tab.wrong == []


def test_a_page_is_found_again_as_it_was_left(tab: Tab) -> None:
    tab.open("modality", run="small", top="0.05")
    for page in ("runs", "modality"):
        tab.page.get_by_test_id("stSidebar").get_by_role("link", name=words.PAGES[page][0]).click()
        tab.settle(page)
    tab.wait_for_link(run="small", top="0.05")
    tab.healthy()


def test_menu_closes_on_a_phone(browser: object, server: str) -> None:
    made = Tab(browser, server, "phone").open("runs", run="small")
    made.page.get_by_test_id("stExpandSidebarButton").click()
    made.page.get_by_test_id("stSidebar").get_by_role("link", name="Modality").click()
    made.settle("modality")
    made.page.wait_for_function("document.querySelector('[data-testid=stSidebar]').dataset.collapsed === 'true'")
    made.healthy()
    made.context.close()


def test_link_from_one_page_to_another_carries_the_run(tab: Tab) -> None:
    tab.open("overview", run="small-clip")
    tab.page.get_by_test_id("stMain").get_by_role("link", name="See the distribution").click()
    tab.settle("modality").wait_for_link(run="small-clip")
    tab.healthy()


def test_a_variant_can_be_written(tab: Tab) -> None:
    tab.open("runs", run="small")
    tab.page.get_by_role("button", name="Write a variant").click()
    field = tab.page.get_by_label("Expression")
    field.fill("frobnicate")
    tab.page.get_by_role("button", name="Use it").click()
    tab.page.get_by_test_id("stPopoverBody").get_by_test_id("stAlert").wait_for()
    field.fill("realign(beta=0.5)")
    tab.page.get_by_role("button", name="Use it").click()
    tab.wait_for_link(variant="realign(beta=0.5)")
    tab.healthy()


def test_impossible_link_says_so(tab: Tab) -> None:
    tab.open("runs", run="nope", variant="frobnicate")
    assert "There is no run “nope” here" in tab.text()
    tab.wait_for_link(run="small")
    tab.healthy()
