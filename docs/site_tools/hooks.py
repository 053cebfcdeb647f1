"""MkDocs hooks: what the site shows beyond the pages in docs/.

- CONTRIBUTING.md and CHANGELOG.md are pages, and reports/ is copied as results/demo/report/.
- Links of the pages work on GitHub. Here, a link to a report's README.md leads to its HTML page instead, and a link to
  any other file of the repository becomes plain text.
- `<!-- help: COMMAND -->` becomes the output of COMMAND --help, `<!-- settings: CLASS -->` a table of its fields.
"""

import io
import posixpath
import re
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, get_origin

from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

from sparsessp import config as settings_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")
DEMO = "results/demo/report"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_NAMES = {"method": settings_of.METHODS, "backbone": settings_of.BACKBONES}  # checked by validators
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files, config):
    """Add the pages and the report that are not in docs/."""
    for name in PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "reports").rglob("*")):
        if path.is_file() and path.name not in ("README.md", ".gitignore"):
            name = f"{DEMO}/{path.relative_to(ROOT / 'reports').as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Rewrite the links of a page and fill in its generated parts."""
    source = page.file.src_uri
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: rewrite(link, source, files), part) for part in parts[::2]]
    text = "".join(parts)
    text = re.sub(r"<!-- help: (.+?) -->", lambda found: command_help(found[1]), text)
    return re.sub(r"<!-- settings: (\w+) -->", lambda found: settings_table(found[1]), text)


def rewrite(link, source, files):
    """Return a link of the page `source` as it is on the site."""
    mark, label, target, anchor = link[1], link[2], link[3], link[4] or ""
    in_repository = source if source in PAGES else f"docs/{source}"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), target))
    name = published(path)
    if files.get_file_from_path(name) is not None:
        return f"{mark}[{label}]({posixpath.relpath(name, posixpath.dirname(source) or '.')}{anchor})"
    if (ROOT / path).exists():
        return label if mark == "" else link[0]
    return link[0]


def published(path):
    """Return the name on the site of a file of the repository."""
    if path == "README.md":
        return "index.md"
    path = re.sub(r"^reports/", f"{DEMO}/", path)
    path = re.sub(r"^(docs/results/[^/]+/report|" + DEMO + r")/README\.md$", r"\1/index.html", path)
    return path.removeprefix("docs/")


def command_help(command):
    """Return the output of a command's --help as a code block."""
    words = command.removeprefix("python -m ").split()
    text = help_of(*words).split("\nenvironment variables (docs/environment.md):")[0].rstrip()
    return f"```text\n{text}\n```"


@cache
def help_of(module, *arguments):
    """Return what `python -m MODULE ARGUMENTS --help` prints."""
    package = find_spec(module).submodule_search_locations is not None
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        import_module(f"{module}.__main__" if package else module).run([*arguments, "--help"])
    return text.getvalue()


def settings_table(name):
    """Return the fields of a class of sparsessp.config as a Markdown table."""
    lines = ["| Setting | Values | Default | Meaning |", "| :-- | :-- | :-- | :-- |"]
    for key, field in getattr(settings_of, name).model_fields.items():
        default = "required" if field.is_required() else f"`{field.default}`"
        allowed = ", ".join(f"`{name}`" for name in _NAMES[key]) if key in _NAMES else values(field)
        lines.append(f"| `{key}` | {allowed} | {default} | {field.description} |")
    return "\n".join(lines)


def values(field):
    """Return the values that a field accepts."""
    return _values(field.annotation, field.metadata)


def _values(annotation, limits=()):
    if get_origin(annotation) is None or not get_args(annotation):
        name = {int: "integer", float: "number", str: "text", bool: "true, false", type(None): "none"}[annotation]
        return ", ".join([name, *map(_limit, limits)])
    if "Literal" in str(get_origin(annotation)):
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if "Annotated" in str(get_origin(annotation)) or hasattr(annotation, "__metadata__"):
        return _values(annotation.__origin__, [m for info in annotation.__metadata__ for m in info.metadata])
    return " or ".join(map(_values, get_args(annotation)))


def _limit(limit):
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{sign} {getattr(limit, key)}" for key, sign in signs.items() if hasattr(limit, key))


def on_post_page(output, page, config):
    """Let search find its worker in the site, not on the network."""
    return output.replace(
        "https://unpkg.com/iframe-worker/shim", get_relative_url("javascripts/frame-worker.js", page.url)
    )


def on_post_build(config):
    """Point the reports' pages to what the site has: timings.md is a page; a page that was not kept is no link."""
    site = Path(config.site_dir)
    (site / "404.html").unlink()  # its links work on a web server only
    for page in site.glob("results/*/report/index.html"):
        text = page.read_text(encoding="utf-8").replace('href="timings.md', 'href="timings.html')
        if not (page.parent / "timings.html").exists():
            text = re.sub(r'<a href="timings\.html[^"]*">(.*?)</a>', r"\1", text)
        page.write_text(text, encoding="utf-8")
