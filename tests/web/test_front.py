"""The page as it is sent: small, made once for an address, and not twice to the same browser."""

import gzip
import re

import httpx
import pytest
from playwright.sync_api import Page

from tests.web.conftest import House, OpenPage

PLAIN, PACKED = 340_000, 40_000  # bytes; what the page may weigh
TYPABLE = 30  # seconds, on a machine that does other things beside


def test_the_page_is_light_and_is_not_sent_to_who_has_it(house: House) -> None:
    first = house.http.get("/", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip" and first.headers["vary"]
    assert int(first.headers["content-length"]) < PACKED and len(first.content) < PLAIN
    assert "window.gradio_config" in first.text and "</html>" in first.text
    asked = {"if-none-match": first.headers["etag"]}
    again = house.http.get("/", headers=asked)
    assert again.status_code == 304 and not again.content
    plain = house.http.get("/", headers={"accept-encoding": "identity"})
    assert plain.text == first.text and "content-encoding" not in plain.headers
    head = house.http.head("/")
    assert head.status_code == 200 and not head.content
    assert head.headers["etag"] == asked["if-none-match"]


def test_scripts_come_once_in_a_file_that_is_kept_for_good(house: House) -> None:
    page = house.http.get("/").text
    (address,) = re.findall(r'<script src="(/scripts/[0-9a-f]{32}\.js)"></script>', page)
    assert page.index(address) < page.index("window.gradio_config")
    assert "addEventListener" not in page.split("window.gradio_api_info")[0]
    script = house.http.get(address)
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.text.count("const wall = find('.wall');") == 1
    asked = set(re.findall(r"darkroom\.(part_[0-9a-f]{12})\(", page))
    assert asked and asked == set(re.findall(r"(part_[0-9a-f]{12}): function", script.text))
    assert house.http.get("/scripts/" + "0" * 32 + ".js").status_code == 404


def test_each_address_has_a_page_of_its_own(house: House) -> None:
    port = house.url.rsplit(":", 1)[1]
    pages = {
        name: house.http.get("/", headers=headers)
        for name, headers in {
            "number": {},
            "name": {"host": f"localhost:{port}"},
            "proxy": {"x-forwarded-host": "pictures.example", "x-forwarded-proto": "https"},
        }.items()
    }
    roots = {name: re.findall(r'"root":"([^"]*)"', page.text)[0] for name, page in pages.items()}
    assert roots["number"] == house.url and roots["name"] == f"http://localhost:{port}"
    assert roots["proxy"] == "https://pictures.example"
    assert len({page.headers["etag"] for page in pages.values()}) == 3
    assert house.http.get("/").text == pages["number"].text


def test_what_is_asked_behind_the_address_does_not_choose_the_page_of_others(house: House) -> None:
    def page(name: str, asked: str = "") -> str:
        return house.http.get(f"/{asked}", headers={"x-forwarded-host": name}).text

    curious = page("curious.example", "?all_endpoints=1&deep_link=x")
    assert "window.gradio_config" in curious and page("curious.example") == curious
    assert curious.replace("curious.example", "another.example") == page("another.example")


def test_a_strange_host_is_turned_away_though_the_page_is_made(house: House) -> None:
    assert house.http.get("/").status_code == 200
    assert house.http.get("/", headers={"host": "evil.example"}).status_code == 400


def test_files_named_by_their_content_are_kept_for_good(house: House) -> None:
    (script,) = re.findall(r'src="\./(assets/index-[\w-]+\.js)"', house.http.get("/").text)
    answer = house.http.get(f"/{script}", headers={"accept-encoding": "gzip"})
    assert "immutable" in answer.headers["cache-control"]
    assert gzip.compress(answer.content) and answer.headers["content-encoding"] == "gzip"
    missing = house.http.get("/assets/nothing-12345678.js")
    assert missing.status_code != 200 and "cache-control" not in missing.headers
    assert "immutable" not in house.http.get("/theme.css").headers.get("cache-control", "")


@pytest.mark.browser
def test_who_comes_back_fetches_next_to_nothing(open_page: OpenPage) -> None:
    first = open_page()
    page: Page = first.context.new_page()
    page.goto(first.url)
    page.locator("#prompt textarea").fill("typed", timeout=TYPABLE * 1000)
    assert httpx.URL(page.url).path == "/"
    sent = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter((one) => /assets|\\/$/.test(new URL(one.name).pathname))"
        ".reduce((sum, one) => sum + one.transferSize, 0)"
    )
    assert sent < 20_000, "the page and Gradio's files, of which most lie here already"
