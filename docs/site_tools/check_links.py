"""Check the built site: `python docs/site_tools/check_links.py SITE`.

Every link inside the site leads to a file and, if it names one, to an anchor; nothing is loaded from the network.
Links to other sites are not followed.
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "image": "href"}


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.update(values[key] for key in ("id", "name") if values.get(key))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if values.get(_LOADED.get(tag)) and values.get("rel") != "canonical":
            self.loaded.append(values[_LOADED[tag]])


@cache
def _read(path):
    return _Page(path.read_text(encoding="utf-8"))


def problems(site):
    """Yield a line for each broken link and each file that would be loaded from the network."""
    for path in sorted(site.rglob("*.html")):
        page = _read(path)
        for url in [*page.links, *page.loaded]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                if url in page.loaded and parts.scheme != "data":
                    yield f"{path.relative_to(site)}: loads {url} from the network"
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.resolve().is_relative_to(site.resolve()) or not target.is_file():
                yield f"{path.relative_to(site)}: {url} is missing"
            elif parts.fragment and target.suffix == ".html" and not _has(target, unquote(parts.fragment)):
                yield f"{path.relative_to(site)}: {url} has no such section"


def _has(path, anchor):
    return anchor.startswith("__") or anchor in _read(path.resolve()).anchors


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/site_tools/check_links.py SITE")
    found = list(problems(Path(sys.argv[1])))
    sys.exit("\n".join(found) if found else None)
