"""A committed result as an RO-Crate, read back with the package that wrote it."""

import json
import zipfile

import pytest
from helpers.checkout import ROOT
from rocrate.rocrate import ROCrate

from pipeline import crate as program
from sparsessp.errors import SparseSSPError

DESK = "docs/results/desk-xeon-2-cores"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("crate") / "desk"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        program.run([f"{DESK}/report", "--output", str(output)])
    return output


def test_the_crate_states_its_profiles_and_its_workflow_run(folder):
    crate = ROCrate(folder)
    profiles = {entity.id for entity in crate.root_dataset["conformsTo"]}
    assert profiles == set(program._PROFILES)
    workflow, [run] = crate.mainEntity, crate.get_by_type("CreateAction")
    assert workflow.id == "dvc.yaml" and run["instrument"] is workflow
    assert run["result"].id == "report/" and run["endTime"] > run["startTime"]
    assert {"params.yaml", "requirements.lock", "data/synthetic.yaml"} <= {entity.id for entity in run["object"]}
    assert run["object"] and all(entity["exampleOfWork"] in workflow["input"] for entity in run["object"][:-1])


def test_every_file_is_listed_and_present(folder):
    listed = {entity.id for entity in ROCrate(folder).get_by_type("File")}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == present - {"ro-crate-metadata.json"}
    report = {path.relative_to(ROOT / DESK).as_posix() for path in (ROOT / DESK).rglob("*") if path.is_file()}
    assert report <= listed
    for name in report:
        assert (folder / name).read_bytes() == (ROOT / DESK / name).read_bytes()


def test_software_settings_and_licences_are_stated(folder):
    crate = ROCrate(folder)
    packages = {entity["name"]: entity["softwareVersion"] for entity in crate.mainEntity["softwareRequirements"]}
    assert {"torch", "numpy", "pandas", "dvc"} <= set(packages)
    values = {entity["name"]: entity["value"] for entity in crate.get_by_type("PropertyValue")}
    assert values["scale"] == "desk" and values["ratio"] == "[2, 8]" and values["seeds"] == "[0, 1, 2]"
    assert crate.root_dataset["license"].id.endswith("BSD-3-Clause")
    assert "BSD-3-Clause" in crate.get("#images")["license"]["name"]


def test_no_reference_leads_nowhere(folder):
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    targets = {value["@id"] for entity in graph for values in entity.values() for value in _links(values)}
    assert [target for target in targets - known if "://" not in target] == []


def _links(values):
    return [value for value in (values if isinstance(values, list) else [values]) if isinstance(value, dict)]


def test_a_zip_file_has_the_same_content_and_is_not_overwritten(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    output = tmp_path / "reports.zip"
    program.run(["--output", str(output)])
    with zipfile.ZipFile(output) as archive:
        assert {"ro-crate-metadata.json", "dvc.yaml", "report/scores.csv"} <= set(archive.namelist())
    with pytest.raises(SparseSSPError, match="exists"):
        program.run(["--output", str(output)])
    assert [path.name for path in tmp_path.iterdir()] == ["reports.zip"]
