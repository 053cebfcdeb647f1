"""Metadata for citation and archiving: complete by their formats' rules, and the same facts in every file."""

import json
import re
import tomllib

import yaml
from helpers.checkout import ROOT

import sparsessp

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ZENODO = json.loads((ROOT / ".zenodo.json").read_text())
# Keys of the Citation File Format 1.2.0, at the top level and for a reference, as far as they are used here.
KEYS = {"cff-version", "message", "title", "type", "version", "license", "authors", "preferred-citation"}
REFERENCE = {"type", "title", "authors", "collection-title", "conference", "year", "start", "end", "identifiers", "url"}


def names(author):
    return {"name"} if "name" in author else {"given-names", "family-names"}


def test_the_citation_file_follows_its_format():
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] in ("software", "dataset")
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION) <= KEYS
    reference = CITATION["preferred-citation"]
    assert {"type", "title", "authors"} <= set(reference) <= REFERENCE
    for author in (*CITATION["authors"], *reference["authors"]):
        assert set(author) == names(author) and all(author.values())
    assert all(set(item) == {"type", "value"} and item["type"] == "other" for item in reference["identifiers"])
    assert isinstance(reference["year"], int) and reference["start"] < reference["end"]


def test_the_zenodo_metadata_follow_their_format():
    assert ZENODO["upload_type"] == "software" and ZENODO["description"] and ZENODO["keywords"]
    assert all(set(creator) == {"name"} for creator in ZENODO["creators"])
    [paper] = ZENODO["related_identifiers"]
    assert re.fullmatch(r"arXiv:\d{4}\.\d{5}", paper["identifier"]) and paper["relation"] == "references"


def test_all_files_state_the_same_facts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert CITATION["title"] == ZENODO["title"]
    assert CITATION["version"] == ZENODO["version"] == sparsessp.__version__
    assert CITATION["license"] == ZENODO["license"] == project["license"]
    assert CITATION["authors"] == ZENODO["creators"]
    reference = CITATION["preferred-citation"]
    assert reference["identifiers"][0]["value"] == ZENODO["related_identifiers"][0]["identifier"]
    assert reference["url"] == project["urls"]["Paper"]
