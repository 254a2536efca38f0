"""Opens pages that `write_html` made in Chromium, and uses them as a person does.

browser_check.py EXAMPLE LARGE                                    checks; fails with what is wrong
browser_check.py PAGE --screenshot OUT.png --width W [--dark] [--height H] [--at ID]
"""

import argparse
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

HOSTILE_REPORT = "#report-tables-deleted"
LONG_REPORT = "#report-scans-by-hour"
LARGE_REPORT = "#report-large"
# Generous: the checks run on machines that do other work too.
INTERACTIVE_SECONDS = 20
ANSWER_SECONDS = 15

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
addEventListener("error", (event) => window.violations.push(`error ${event.message}`));
"""


@contextmanager
def browser(width=1280, height=900, dark=False, script=True):
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(argument)
        if not script:
            blocked = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", blocked)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        try:
            # A window cannot be as narrow as a telephone; the view can.
            view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            still = {"name": "prefers-reduced-motion", "value": "reduce"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            yield driver
        finally:
            driver.quit()


def open_page(driver, page):
    driver.get(Path(page).resolve().as_uri())


def find(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector)


def find_all(driver, selector):
    return driver.find_elements(By.CSS_SELECTOR, selector)


def texts(driver, selector):
    """The texts of elements, hidden ones too, in one call."""
    script = "return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent)"
    return driver.execute_script(script, selector)


def press(driver, element):
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def wait(driver, condition, what, seconds=10):
    WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda _: condition(), what)


def same(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, not {expected!r}")


def assert_quiet(driver):
    """Nothing was forbidden, nothing failed, and nothing hostile came to life."""
    same(driver.execute_script("return window.violations"), [], "violations and errors")
    same(driver.get_log("browser"), [], "console")
    same(driver.execute_script("return window.hostile === undefined"), True, "no hostile script ran")
    try:
        raise AssertionError(f"a dialog: {driver.switch_to.alert.text}")
    except NoAlertPresentException:
        pass
    foreign = "img, iframe, object, embed, base, link, audio, video, [style], [onclick], [onerror]"
    same(len(find_all(driver, foreign)), 0, "elements that the page has not")
    attributes = driver.execute_script(
        "return Array.from(document.querySelectorAll('*')).flatMap((element) =>"
        " element.getAttributeNames()).filter((name) => name.startsWith('on'))"
    )
    same(attributes, [], "attributes that run something")
    links = driver.execute_script(
        "return Array.from(document.querySelectorAll('a'), (a) => a.getAttribute('href'))"
    )
    for link in links:
        if not link.startswith(("#", "https://", "file:///")):
            raise AssertionError(f"a link to {link}")
    scripts = driver.execute_script(
        "return Array.from(document.querySelectorAll('script')).filter((s) => s.type === '').length"
    )
    same(scripts, 1, "scripts")


def check_sorting(driver):
    column = f"{HOSTILE_REPORT} tbody td.number"
    header = find(driver, f"{HOSTILE_REPORT} th.number")
    sort = header.find_element(By.TAG_NAME, "button")
    before = texts(driver, column)
    press(driver, sort)
    same(header.get_attribute("aria-sort"), "ascending", "aria-sort")
    numbers = ["-3", "0", "1", "9", "20", "100", "9223372036854775806", "9223372036854775807", "–"]
    same(texts(driver, column), numbers, "numbers in ascending order")
    sort.click()
    same(header.get_attribute("aria-sort"), "descending", "aria-sort")
    same(texts(driver, column), numbers[-2::-1] + ["–"], "numbers in descending order")
    sort.click()
    same(header.get_attribute("aria-sort"), "none", "aria-sort")
    same(texts(driver, column), before, "the report's own order")
    times = f"{HOSTILE_REPORT} tbody td.timestamp"
    press(driver, find(driver, f"{HOSTILE_REPORT} th.timestamp button"))
    found = texts(driver, times)
    same(found, sorted(found, key=lambda text: text.rstrip("Z")), "times in order")


def check_filter(driver):
    rows = f"{HOSTILE_REPORT} tbody tr"
    status = find(driver, f"{HOSTILE_REPORT} .row-status")
    field = find(driver, f"{HOSTILE_REPORT} .row-filter")
    field.send_keys("GPJ.EXE")
    wait(driver, lambda: len(find_all(driver, rows)) == 1, "one row is left")
    same(status.text, "Rows 1–1 of 1, filtered from 9", "status")
    field.clear()
    field.send_keys("nothing-has-this")
    wait(driver, lambda: len(find_all(driver, rows)) == 0, "no row is left")
    same(status.text, "No row matches, filtered from 9", "status")
    field.clear()
    field.send_keys(Keys.SPACE)
    wait(driver, lambda: len(find_all(driver, rows)) == 9, "all rows are back")
    suppressed = f"{HOSTILE_REPORT} tbody tr.suppressed"
    same(len(find_all(driver, suppressed)), 2, "suppressed rows")
    press(driver, find(driver, f"{HOSTILE_REPORT} .hide-suppressed"))
    wait(driver, lambda: len(find_all(driver, suppressed)) == 0, "suppressed rows are hidden")
    same(len(find_all(driver, rows)), 7, "open rows")


def check_paging(driver):
    status = find(driver, f"{LONG_REPORT} .row-status")
    total = status.text.split(" of ")[1]
    same(status.text, f"Rows 1–50 of {total}", "status")
    first = texts(driver, f"{LONG_REPORT} tbody td")
    press(driver, find(driver, f"{LONG_REPORT} [aria-label='Next page']"))
    same(status.text, f"Rows 51–100 of {total}", "status")
    press(driver, find(driver, f"{LONG_REPORT} [aria-label='Last page']"))
    same(status.text.endswith(f"–{total} of {total}"), True, status.text)
    step = find(driver, f"{LONG_REPORT} [aria-label='Next page']")
    same(step.get_attribute("aria-disabled"), "true", "no page behind the last")
    press(driver, find(driver, f"{LONG_REPORT} [aria-label='First page']"))
    same(texts(driver, f"{LONG_REPORT} tbody td"), first, "the script's rows are the static ones")


def check_static_rows_are_the_script_s(driver):
    """Sorting thrice brings the report's own order back, now shown by the script."""
    script = "return document.querySelector(arguments[0]).innerHTML.replace(/\\s*\\n\\s*/g, '')"
    body = f"{HOSTILE_REPORT} tbody"
    before = driver.execute_script(script, body)
    for _ in range(3):
        press(driver, find(driver, f"{HOSTILE_REPORT} th.number button"))
    after = driver.execute_script(script, body)
    same(plain(after), plain(before), "rows of the script and of the static page")


def plain(markup):
    """The script makes elements in another order of attributes."""
    return sorted(markup.replace(' class=""', "").replace(">", " >").split(" "))


def check_details(driver):
    details = find_all(driver, f"{HOSTILE_REPORT} .more > details")
    same(len(details), 4, "details")
    for one in details:
        press(driver, one.find_element(By.TAG_NAME, "summary"))
        same(one.get_property("open"), True, "details open")
    shown = find(driver, f"{HOSTILE_REPORT} pre").text
    same("SELECT" in shown, True, "SQL is shown")
    long = find(driver, f"{HOSTILE_REPORT} details.long")
    press(driver, long.find_element(By.TAG_NAME, "summary"))
    same("<b>x</b>" in long.text, True, "the long cell is shown")


def check_contents(driver):
    link = find(driver, f".toc a[href='{LONG_REPORT}']")
    press(driver, link)
    section = find(driver, LONG_REPORT)
    top = "return arguments[0].getBoundingClientRect().top"
    wait(driver, lambda: -1 <= driver.execute_script(top, section) < 200, "the report is in view")
    count = find(driver, "#report-count")
    search = find(driver, "#report-search")
    press(driver, search)
    search.send_keys("tables deleted")
    same(count.text, "1 of 11 reports", "search")
    same(section.is_displayed(), False, "a report that does not match")
    search.clear()
    search.send_keys(Keys.SPACE)
    for value in ("finding", "high"):
        chip = find(driver, f"#filter input[value='{value}']")
        driver.execute_script("arguments[0].click()", chip)
    same(count.text, "1 of 11 reports", "filter by answer and level")
    same(find(driver, "#topic-access").is_displayed(), False, "a topic without reports")
    # A link of the summary leads to a report that the filter hides.
    press(driver, find(driver, f".attention a[href='{LONG_REPORT}']"))
    driver.execute_script("location.hash = '#report-denied'")
    wait(driver, lambda: find(driver, "#report-denied").is_displayed(), "it is shown")
    same(count.text, "11 of 11 reports", "the filter is gone")


def check_keyboard(driver):
    open_page(driver, driver.current_url.split("#")[0].removeprefix("file://"))
    body = find(driver, "body")
    body.send_keys(Keys.TAB)
    active = driver.switch_to.active_element
    same(active.get_attribute("class"), "skip", "the first stop")
    active.send_keys(Keys.ENTER)
    same(driver.execute_script("return location.hash"), "#summary", "the skip link")
    field = find(driver, f"{HOSTILE_REPORT} .row-filter")
    field.click()
    stops = 0
    while "sort" not in driver.switch_to.active_element.get_attribute("class").split():
        driver.switch_to.active_element.send_keys(Keys.TAB)
        stops += 1
        same(stops < 6, True, "a sort button comes soon after the filter")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    same(driver.execute_script(outline), "solid", "focus is visible")
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    header = driver.switch_to.active_element.find_element(By.XPATH, "..")
    same(header.get_attribute("aria-sort"), "ascending", "sorted by keyboard")


def check_structure(driver):
    levels = driver.execute_script(
        "return Array.from(document.querySelectorAll('h1,h2,h3,h4,h5'), (h) => +h.tagName[1])"
    )
    same(levels[0], 1, "the first heading")
    for before, after in zip(levels, levels[1:]):
        same(after <= before + 1, True, f"a heading {after} after {before}")
    for selector in ("header", "nav[aria-label]", "main", "table caption"):
        same(len(find_all(driver, selector)) > 0, True, selector)
    same(len(find_all(driver, "table:not(:has(caption))")), 0, "tables without a caption")
    ids = driver.execute_script("return Array.from(document.querySelectorAll('[id]'), (e) => e.id)")
    same(len(ids), len(set(ids)), "unique ids")
    links = driver.execute_script(
        "return Array.from(document.querySelectorAll('a[href^=\"#\"]'), (a) => a.hash.slice(1))"
    )
    same([link for link in links if link not in ids], [], "links to nowhere")


def check_widths(driver):
    """No page is wider than its window: what is wide scrolls in its own box."""
    for width in (360, 768, 1280, 2200):
        view = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        found = driver.execute_script("return document.documentElement.scrollWidth")
        same(found <= width, True, f"{found} pixels in a window of {width}")


def check_large(page):
    with browser() as driver:
        begun = time.monotonic()
        open_page(driver, page)
        press(driver, find(driver, f"{LARGE_REPORT} th.number button"))
        wait(
            driver,
            lambda: find(driver, f"{LARGE_REPORT} th.number").get_attribute("aria-sort") == "ascending",
            "it is sorted",
        )
        interactive = time.monotonic() - begun
        same(interactive < INTERACTIVE_SECONDS, True, f"interactive after {interactive:.1f} s")
        numbers = [int(text) for text in texts(driver, f"{LARGE_REPORT} td.number")]
        same(numbers, sorted(numbers), "numbers in order")
        begun = time.monotonic()
        find(driver, ".row-filter").send_keys("of-7-49999")
        status = find(driver, ".row-status")
        wait(
            driver,
            lambda: status.text == "Rows 1–1 of 1, filtered from 50,000",
            "the filter answers",
            ANSWER_SECONDS,
        )
        answered = time.monotonic() - begun
        assert_quiet(driver)
        print(f"50,000 rows: interactive in {interactive:.1f} s, filtered in {answered:.1f} s")


def check_without_script(page):
    with browser(script=False) as driver:
        open_page(driver, page)
        same(find(driver, f"{LONG_REPORT} tbody tr").is_displayed(), True, "static rows")
        same(find(driver, f"{LONG_REPORT} .not-static").is_displayed(), True, "how many more")
        same(find(driver, "#filter").is_displayed(), False, "no filter that does nothing")
        same(len(find_all(driver, "button.sort")), 0, "no button that does nothing")


def check_example(page):
    with browser() as driver:
        open_page(driver, page)
        assert_quiet(driver)
        check_structure(driver)
        check_static_rows_are_the_script_s(driver)
        check_sorting(driver)
        check_filter(driver)
        check_paging(driver)
        check_details(driver)
        check_contents(driver)
        check_keyboard(driver)
        check_widths(driver)
        assert_quiet(driver)


def screenshot(arguments):
    with browser(arguments.width, arguments.height or 900, arguments.dark) as driver:
        open_page(driver, arguments.pages[0])
        if arguments.at:
            script = "document.getElementById(arguments[0]).scrollIntoView()"
            driver.execute_script(script, arguments.at)
            time.sleep(0.3)
        elif not arguments.height:
            height = driver.execute_script("return document.documentElement.scrollHeight")
            view = {"width": arguments.width, "height": height, "deviceScaleFactor": 1}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view | {"mobile": False})
            time.sleep(0.3)
        driver.save_screenshot(arguments.screenshot)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", metavar="PAGE")
    parser.add_argument("--screenshot", metavar="OUT.png")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, help="the window's; the whole page if not given")
    parser.add_argument("--at", metavar="ID", help="scrolls there")
    parser.add_argument("--dark", action="store_true")
    arguments = parser.parse_args()
    if arguments.screenshot:
        screenshot(arguments)
        return
    if len(arguments.pages) != 2:
        sys.exit("two pages: the example and the large one")
    check_example(arguments.pages[0])
    check_without_script(arguments.pages[0])
    check_large(arguments.pages[1])


if __name__ == "__main__":
    main()
