"""Package a committed result as an RO-Crate of the Workflow Run profile: settings, software, data, outputs, licences.

The crate is a folder, or a zip file if the name of the output ends with .zip. Needs the extra `evidence`.

Examples:
  python -m pipeline.crate --output sparsessp-demo.zip
  python -m pipeline.crate docs/results/desk-xeon-2-cores/report --output desk-crate
"""

import mimetypes
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands import command
from pipeline.committed import PAGE, Committed, read_text
from pipeline.package import data_facts
from pipeline.paths import REPORTS
from pipeline.plan.data import image_lists
from pipeline.plan.params import PARAMS, Params, parse_params
from pipeline.provenance import PINS
from pipeline.verify.inputs import LOCK
from sparsessp import __version__
from sparsessp.errors import SparseSSPError
from sparsessp.schema import MANIFEST
from sparsessp.support.command_line import main
from sparsessp.support.yaml_files import parse_yaml

if TYPE_CHECKING:
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

CITATION = Path("CITATION.cff")
WORKFLOW = "dvc.yaml"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_TIMES = re.compile(r"from (\S+) to (\S+)")
_MEDIA_TYPES = {".yaml": "application/yaml", ".lock": "text/plain", ".cff": "application/yaml", "": "text/plain"}


def build(result: Committed) -> "ROCrate":
    """Return the crate of a result.

    Raises:
        SparseSSPError: The package rocrate is missing, or the settings are not valid for this code.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise SparseSSPError("RO-Crates need an extra: pip install 'sparsessp[evidence]'") from None
    params = parse_params(read_text(result.params), str(result.params))
    crate, facts = ROCrate(version="1.1"), result.facts()
    about = parse_yaml(read_text(CITATION), str(CITATION))
    author = _entity(crate, "#authors", "Organization", name=about["authors"][0]["name"])
    licence = _licence(crate, about["license"])
    _root(crate, result, facts, about["preferred-citation"], {"author": author, "license": licence})
    workflow = _workflow(crate, about["title"], facts, {"author": author, "license": licence})
    inputs = [*_files(crate, params, result), *_settings(crate, workflow, params), _volumes(crate, params, result)]
    _action(crate, workflow, facts, inputs, _report(crate, workflow, result), author)
    return crate


def _licence(crate: "ROCrate", name: str) -> "ContextEntity":
    about = "Licence of the software, the settings and the report"
    return _entity(crate, f"https://spdx.org/licenses/{name}", "CreativeWork", name=name, description=about)


def _root(
    crate: "ROCrate", result: Committed, facts: dict[str, str], paper: dict[str, Any], shared: dict[str, Any]
) -> None:
    crate.name = f"SparseSSP reproduced: result {result.name}"
    crate.description = f"Report of the sparsessp pipeline, scale {facts.get('scale')}, {facts.get('data')}."
    crate.root_dataset["citation"] = _entity(crate, paper["url"], "ScholarlyArticle", name=paper["title"])
    crate.root_dataset["conformsTo"] = [
        _entity(crate, address, "CreativeWork", name=name, version=version)
        for address, (name, version) in _PROFILES.items()
    ]
    for key, entity in shared.items():
        crate.root_dataset[key] = entity


def _workflow(crate: "ROCrate", title: str, facts: dict[str, str], shared: dict[str, Any]) -> Any:
    """Add dvc.yaml with the packages that it needs."""
    from rocrate.model.computerlanguage import ComputerLanguage

    profile = {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"}
    properties = {"name": title, "version": _revision(facts), "encodingFormat": "application/yaml"}
    properties |= {"conformsTo": profile}
    address = "https://dvc.org"
    language = {"name": "DVC pipeline", "identifier": {"@id": address}, "url": {"@id": address}}
    dvc = crate.add(ComputerLanguage(crate, "#dvc", properties=language))
    workflow = crate.add_workflow(WORKFLOW, WORKFLOW, main=True, lang=dvc, properties=properties)
    for key, entity in shared.items():
        workflow[key] = entity
    stated = facts.get("packages") or facts.get("pinned versions", "")
    packages = dict(item.split(" ") for item in stated.split(", ") if " " in item)
    pages = {name: f"https://pypi.org/project/{name}/{version.split('+')[0]}/" for name, version in packages.items()}
    workflow["softwareRequirements"] = [
        _entity(crate, pages[name], "SoftwareApplication", name=name, softwareVersion=version, url={"@id": pages[name]})
        for name, version in packages.items()
    ]
    return workflow


def _revision(facts: dict[str, str]) -> str:
    return facts.get("git revision", __version__).strip("`")


def _files(crate: "ROCrate", params: Params, result: Committed) -> Iterator[Any]:
    """Add the input files, and the description of the result."""
    inputs = {PARAMS.name: (result.params, "Settings of the run"), PINS.name: (PINS, "Pinned packages")}
    inputs |= {name: (Path(name), "List of the images") for name in image_lists(params.data.source).values()}
    for name, (path, title) in inputs.items():
        yield _parameter(crate, crate.mainEntity, _file(crate, path, name, title), "File", title)
    _file(crate, CITATION, CITATION.name, "How to cite the software and the paper")
    _file(crate, Path("LICENSE"), "LICENSE", "Licence of the software")
    if result.current and LOCK.is_file():
        _file(crate, LOCK, LOCK.name, "Checksums of every input and output")
    if not result.current and (page := result.params.parent / PAGE).is_file():
        _file(crate, page, PAGE, "Description of the result")["about"] = crate.root_dataset


def _settings(crate: "ROCrate", workflow: Any, params: Params) -> Iterator[Any]:
    """Add the settings that a user chooses as values of their own."""
    values = {"scale": params.scale.name, "data": params.data.name, "ratio": params.ratio, "seeds": params.seeds}
    for key, value in (values | {"tables": params.tables, "methods": params.methods}).items():
        entity = _entity(crate, f"#setting-{key}", "PropertyValue", name=key, value=str(value))
        yield _parameter(crate, workflow, entity, "Text", key)


def _volumes(crate: "ROCrate", params: Params, result: Committed) -> Any:
    """Add the images, which are not in the crate, with their licence."""
    facts = data_facts(params.data)
    about = "Simulated by the workflow" if params.data.simulated else f"Downloaded; cite: {facts.get('citation')}"
    checksum = result.checksums().get(MANIFEST, "not stated")
    licence = _entity(crate, "#licence-of-the-images", "CreativeWork", name=facts["licence"])
    text = f"{about}. Not in this crate. SHA-256 of {MANIFEST}, which lists each volume's: {checksum}"
    return _entity(crate, "#images", "CreativeWork", name=f"Images: {facts['name']}", license=licence, description=text)


def _report(crate: "ROCrate", workflow: Any, result: Committed) -> Any:
    """Add the report, file by file, and return its folder."""
    properties = {"name": "Report", "description": "Tables and figures"}
    folder = crate.add_directory(dest_path="report/", properties=properties)
    files = [path for path in sorted(result.report.rglob("*")) if path.is_file() and path.name != ".gitignore"]
    names = [f"report/{path.relative_to(result.report).as_posix()}" for path in files]
    folder["hasPart"] = [_file(crate, path, name, path.stem) for path, name in zip(files, names, strict=True)]
    return _parameter(crate, workflow, folder, "Dataset", "report", "output")


def _action(crate: "ROCrate", workflow: Any, facts: dict[str, str], inputs: list[Any], report: Any, agent: Any) -> None:
    properties = {
        "name": "Run of the pipeline",
        "description": f"Trained on: {facts.get('trained on', 'a machine that is not recorded')}",
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    if (times := _TIMES.search(facts.get("finished", ""))) is not None:  # of the first and the last training
        start, end = (time.replace("Z", "+00:00") for time in times.groups())
        properties |= {"startTime": start, "endTime": end}
    action = crate.add_action(workflow, "#run", inputs, report, properties)
    action["agent"] = agent
    crate.root_dataset["mentions"] = action


def _parameter(crate: "ROCrate", workflow: Any, entity: Any, kind: str, name: str, way: str = "input") -> Any:
    """Declare an entity as an input or output of the workflow, and return the entity."""
    identifier = f"#{way}-{name.replace(' ', '-').lower()}"
    parameter = crate.add_formal_parameter(name, kind, identifier)
    parameter["workExample"], entity["exampleOfWork"] = entity, parameter
    parameter["conformsTo"] = {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}
    if way == "input":
        workflow.append_to(way, parameter)
    else:
        workflow[way] = parameter  # the report is the only one
    return entity


def _file(crate: "ROCrate", path: Path, name: str, title: str) -> Any:
    kind = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    properties = {"name": title, "encodingFormat": kind, "contentSize": str(path.stat().st_size)}
    return crate.add_file(path, name, properties=properties)


def _entity(crate: "ROCrate", identifier: str, kind: str, **properties: Any) -> "ContextEntity":
    from rocrate.model.contextentity import ContextEntity

    links = {key: value for key, value in properties.items() if not isinstance(value, str)}
    entity = ContextEntity(crate, identifier, {"@type": kind} | {k: v for k, v in properties.items() if k not in links})
    for key, value in links.items():
        entity[key] = value
    return crate.add(entity)


def write(result: Committed, output: Path) -> None:
    """Write the crate of a result as a folder or zip file; nothing is left if it fails.

    Raises:
        SparseSSPError: The output exists, or as for `build`.
    """
    if output.exists():
        raise SparseSSPError(f"{output} exists; choose another name or delete it")
    crate = build(result)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        partial = Path(folder) / output.name
        crate.write_zip(partial) if output.suffix == ".zip" else crate.write(partial)
        shutil.move(partial, output)


def run(arguments: Sequence[str]) -> None:
    """Package one result."""
    parser = command("crate", __doc__)
    parser.add_argument("report", metavar="REPORT", nargs="?", type=Path, default=REPORTS, help="folder of the report")
    parser.add_argument("--output", metavar="OUTPUT", type=Path, required=True, help="folder or .zip file to write")
    options = parser.parse_args(arguments)
    write(Committed.of(options.report), options.output)
    print(f"{options.output}: RO-Crate of {options.report}")


if __name__ == "__main__":
    main(run, sys.argv[1:])
