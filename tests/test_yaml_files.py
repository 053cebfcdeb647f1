"""YAML files: plain values as YAML 1.2 types them, no key listed twice, no objects."""

import math

import pytest
from helpers.checkout import ROOT
from hypothesis import given
from hypothesis import strategies as st

from sparsessp.errors import SparseSSPError
from sparsessp.support.yaml_files import dump_yaml, parse_yaml, read_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab1e.-:~"), inner))


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("1e-4", 1e-4),
        ("2E3", 2000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("+7", 7),
        ("true", True),
        ("~", None),
        ("", None),
        # Other types in YAML 1.1, strings in YAML 1.2.
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"),
        ("3d", "3d"),
        ("2to3d", "2to3d"),
        ("1e", "1e"),
    ),
)
def test_plain_text_is_typed_as_in_yaml_1_2(text, value):
    (read,) = parse_yaml(f"- {text}", "mine.yaml")
    assert read == value and type(read) is type(value)


@given(VALUES)
def test_what_is_written_is_read_back(value):
    assert parse_yaml(dump_yaml(value), "mine.yaml") == value


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("a: 1\nb: 2\na: 3", "'a' is listed twice.*line 3, column 1"),
        ("b: {x: 1, x: 2}", "'x' is listed twice.*line 1"),
        ("a: !!python/object:os.system []", "python/object:os.system' is not allowed.*line 1, column 4"),
        ("a: !Mine 1", "'!Mine' is not allowed"),
        ("a: !!binary aGk=", "binary' is not allowed"),
        ("a: !!int x", "invalid literal"),
        ("a: [1", "line 1"),
    ),
)
def test_the_fault_is_named_with_its_file_and_line(text, said):
    with pytest.raises(SparseSSPError, match=rf"^mine\.yaml: not valid YAML .*{said}"):
        parse_yaml(text, "mine.yaml")


def test_a_merged_mapping_may_be_overridden():
    assert parse_yaml("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", "mine.yaml")["b"] == {"k": 3, "l": 2}


def test_the_projects_own_yaml_files_survive_a_round_trip():
    for path in (ROOT / "params.yaml", ROOT / "dvc.yaml", ROOT / "data/synthetic.yaml", ROOT / "data/allencell.yaml"):
        assert parse_yaml(dump_yaml(read_yaml(path)), path.name) == read_yaml(path)
