"""The collection's catalogue, and files that arrive atomically over connections that fail."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.server import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsessp.data.allencell import download, http_answers
from sparsessp.data.allencell.catalogue import SETS, load_catalogue
from sparsessp.data.allencell.download import Fetched, Patience, Pin, Remote, probe, remote_size, require_disk, stored
from sparsessp.data.allencell.http_answers import Version, retry_after
from sparsessp.data.allencell.lock import Lock
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS
from sparsessp.support.yaml_files import dump_yaml, read_yaml

CATALOGUE = Path(__file__).parents[1] / "data" / "allencell.yaml"
NAME = "tom20.tar.gz"
CONTENT = np.random.default_rng(0).bytes(400_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
PIN = Pin(SUM, "allencell.lock; delete its line")
QUICK = Patience(attempts=3, pause=0.001)

fetch = partial(download.fetch, patience=QUICK, progress=False)


@pytest.fixture
def servers(tmp_path):
    """Two servers of the same bytes."""
    with Server(_folder(tmp_path / "first")) as first, Server(_folder(tmp_path / "second")) as second:
        yield first, second


@pytest.fixture
def server(servers):
    return servers[0]


@pytest.fixture
def target(tmp_path):
    return tmp_path / "scratch" / NAME


def _folder(path):
    path.mkdir()
    (path / NAME).write_bytes(CONTENT)
    return path


def _url(server, name=NAME):
    return f"{server.url}/{name}"


def _only_file(target):
    """Only the whole file is there."""
    return [path.name for path in target.parent.iterdir()] == [target.name] and target.read_bytes() == CONTENT


# The catalogue.


def test_the_catalogue_lists_the_collection():
    catalogue = load_catalogue(CATALOGUE)
    assert set(catalogue.lists.sha256) == set(SETS) and set(catalogue.archives) == set(SETS) - {"dna"}
    assert {archive.structure for archive in catalogue.archives.values()} == set(KEYS) - {"dna"}
    for name, archive in catalogue.archives.items():
        for url in (archive.url, *archive.mirrors):
            assert url.endswith(f"/label-free-prediction/{name}.tar.gz")
        edge = 0.086 if name == "membrane_caax_63x" else 0.108
        assert archive.voxel_um == (0.29, edge, edge)
    (source,) = catalogue.list_sources("dna")
    assert "/RepMode/ae4e04559223f02c9d8ce6367afaee35d0fbed00/" in source and source.endswith("/data/csvs/dna.csv")
    assert catalogue.preparation.zoom == pytest.approx(0.108 / catalogue.preparation.voxel_um, abs=1e-5)
    assert "non-commercial" in catalogue.terms and catalogue.licence.url in catalogue.terms
    assert "Nature Methods" in catalogue.terms


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("https://mirror.example/allen/", "https://mirror.example/allen/zo1."),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/zo1."),
        ("file:///big%20disk/allen", "/big disk/allen/zo1."),
        ("/big/allen", "/big/allen/zo1."),
        ("allen/", "allen/zo1."),
    ],
)
def test_another_base_replaces_the_catalogues_sources(base, said):
    catalogue = load_catalogue(CATALOGUE)
    assert catalogue.archive_sources("zo1", base) == (f"{said}tar.gz",)
    assert catalogue.list_sources("zo1", base) == (f"{said}csv",)


def _changed(tmp_path, change):
    values = read_yaml(CATALOGUE)
    change(values)
    path = tmp_path / "mine.yaml"
    path.write_text(dump_yaml(values))
    return path


def test_a_users_catalogue_may_list_one_set_with_mirrors(tmp_path):
    def change(values):
        values["archives"] = {"zo1": values["archives"]["zo1"]}
        values["archives"]["zo1"] |= {"url": "file:///a/zo1.tar.gz", "mirrors": ["http://b/zo1.tar.gz"]}
        values["lists"]["sha256"] = {"zo1": SUM, "dna": SUM}

    catalogue = load_catalogue(_changed(tmp_path, change))
    assert catalogue.archive_sources("zo1") == ("file:///a/zo1.tar.gz", "http://b/zo1.tar.gz")


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("archives", "zo2"), {}, r"archives.zo2.*url' is missing|unknown set 'zo2'"),
        (("archives", "zo1", "size"), 1, "unknown key 'archives.zo1.size'.*allowed: url, mirrors"),
        (("archives", "zo1", "url"), "ftp://a/b", "archives.zo1.url = 'ftp://a/b'.*allowed: http"),
        (("archives", "zo1", "url"), "/local/zo1.tar.gz", "archives.zo1.url = .*not a URL"),
        (("archives", "zo1", "mirrors"), ["http://"], "archives.zo1.mirrors.0 = 'http://'"),
        (("archives", "zo1", "structure"), "dna", "archives.zo1.structure = 'dna'; allowed: tight_junction"),
        (("archives", "zo1", "voxel_um"), [0.29, 0.108], "archives.zo1.voxel_um"),
        (("archives", "zo1", "voxel_um"), [0.29, 0.108, 0.0], "archives.zo1.voxel_um.2 = 0.0"),
        (("lists", "sha256", "zo1"), "12ab", "lists.sha256.zo1 = '12ab'"),
        (("lists", "sha256", "zo2"), SUM, "unknown set 'zo2'; allowed: beta_actin"),
        (("lists", "sha256"), {"zo1": SUM}, "lists.sha256.beta_actin is missing"),
        (("preparation", "zoom"), "0.37", "preparation.zoom = '0.37'"),
        (("licence", "text"), "", "licence.text"),
    ],
)
def test_catalogue_errors_name_the_key(tmp_path, keys, value, said):
    def change(values):
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    with pytest.raises(SparseSSPError, match=rf"mine\.yaml: (.|\n)*({said})"):
        load_catalogue(_changed(tmp_path, change))


def test_dna_has_no_archive(tmp_path):
    def change(values):
        values["archives"]["dna"] = {**values["archives"]["zo1"], "structure": "dna"}

    with pytest.raises(SparseSSPError, match="archives.dna: this set has no archive"):
        load_catalogue(_changed(tmp_path, change))


# Downloads that end well.


@pytest.mark.parametrize("pin", (None, PIN))
def test_a_file_is_downloaded_only_once(server, target, pin):
    assert fetch([_url(server)], target, pin) == Fetched(target, SUM, len(CONTENT), True)
    assert _only_file(target) and stored(target) == len(CONTENT)
    assert fetch([_url(server)], target, pin).sha256 == SUM and len(server.log) == 1


def test_after_a_lost_connection_only_the_rest_is_downloaded(server, target):
    server.conduct(NAME).drops = [150_000, 100_000]
    fetch([_url(server)], target, PIN)
    assert _only_file(target)
    ranges = [entry[2] for entry in server.log]
    starts = [int(value.removeprefix("bytes=").rstrip("-")) for value in ranges[1:]]
    assert ranges[0] is None and [entry[3] for entry in server.log] == [200, 206, 206]
    assert 100_000 < starts[0] <= 150_000 < starts[1] <= 250_000
    assert sum(server.sent(NAME)) < 1.2 * len(CONTENT)


def test_only_attempts_without_new_bytes_are_counted(server, target):
    server.conduct(NAME).drops = [70_000] * 5
    fetch([_url(server)], target, PIN, patience=Patience(attempts=2, pause=0.0))
    assert _only_file(target) and len(server.log) == 6


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(0, len(CONTENT) + 10), max_size=4))
def test_a_download_is_complete_wherever_it_was_interrupted(server, target, drops):
    target.unlink(missing_ok=True)
    server.conduct(NAME).drops = list(drops)
    fetch([_url(server)], target, None, patience=Patience(attempts=6, pause=0.0))
    assert _only_file(target)


def test_the_next_run_resumes(server, target):
    server.conduct(NAME).drops = [200_000]
    with pytest.raises(SparseSSPError, match=rf"{NAME}: no source has .* bytes are kept; the next run resumes"):
        fetch([_url(server)], target, patience=Patience(attempts=1))
    assert not target.exists() and 0 < stored(target) <= 200_000
    before = stored(target)
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME)[1] == len(CONTENT) - before


def test_a_complete_part_is_verified_and_not_downloaded_again(server, target):
    server.conduct(NAME).drops = [len(CONTENT) - 1]
    with pytest.raises(SparseSSPError):
        fetch([_url(server)], target, patience=Patience(attempts=1))
    (part,) = target.parent.glob("*.part")
    part.write_bytes(CONTENT)
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and len(server.log) == 1


def test_a_part_whose_state_is_lost_is_fetched_again(server, target):
    server.conduct(NAME).drops = [200_000]
    with pytest.raises(SparseSSPError):
        fetch([_url(server)], target, patience=Patience(attempts=1))
    (state,) = target.parent.glob("*.json")
    state.write_text("")
    assert stored(target) == 0
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME)[1] == len(CONTENT)


@pytest.mark.parametrize("bad", (b"\0" * 150_000, CONTENT + b"and more"))
def test_a_bad_part_of_an_earlier_run_is_replaced(server, target, bad):
    server.conduct(NAME).drops = [200_000]
    with pytest.raises(SparseSSPError):
        fetch([_url(server)], target, patience=Patience(attempts=1))
    (part,) = target.parent.glob("*.part")
    part.write_bytes(bad)
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME)[-1] == len(CONTENT)


@pytest.mark.parametrize("status", (500, 503, 408, 425, 429))
def test_a_server_error_is_retried(server, target, status):
    server.conduct(NAME).statuses = [status]
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and [entry[3] for entry in server.log] == [status, 200]


@pytest.mark.parametrize("status", (408, 429, 503))
@pytest.mark.parametrize("date", (False, True))
def test_retry_after_is_honoured(server, target, monkeypatch, status, date):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    server.conduct(NAME).headers = {"Retry-After": later if date else "300"}
    server.conduct(NAME).statuses = [status]
    fetch([_url(server)], target, PIN)
    assert 200 < max(waits) <= 300 and (date or max(waits) == 300)
    assert _only_file(target)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        (" 7 ", 7, 7),
        ("9" * 5000, 10**9, 10**18),
        ("\u00b2", 0, 0),
        ("\u0667", 0, 0),
        ("-5", 0, 0),
        ("1.5", 0, 0),
        ("soon", 0, 0),
        ("", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 0, 0),
    ],
)
def test_retry_after_is_parsed_into_seconds(value, low, high):
    assert low <= retry_after({"Retry-After": value}) <= high


@pytest.mark.parametrize("zone", ("GMT", "-0000"))
def test_a_date_in_retry_after_is_read_in_either_spelling_of_its_zone(zone):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True).replace("GMT", zone)
    assert 7000 <= retry_after({"Retry-After": later}) <= 7200


def test_waits_are_limited_to_ten_minutes(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.conduct(NAME).headers = {"Retry-After": "86400"}
    server.conduct(NAME).statuses = [503]
    fetch([_url(server)], target, PIN)
    assert max(waits) == 600


# Parts of one file. If-Range names a strong ETag, otherwise the date; a weak ETag fails the server.

DATE, LATER = "Wed, 21 Oct 2015 07:28:00 GMT", "Thu, 22 Oct 2015 07:28:00 GMT"
VERSIONS = (
    {},
    {"etag": False, "modified": DATE},
    {"etags": ['W/"weak"'], "modified": DATE},
    {"etags": ['W/"weak"']},
    {"etag": False},
    {"etag": False, "modified": DATE, "total": False},
    {"etag": False, "modified": DATE, "length": False},
)


def _conduct(server, **values):
    for key, value in values.items():
        setattr(server.conduct(NAME), key, value)


@pytest.mark.parametrize("breaks", (90_000, 20_000))  # more and less than a chunk
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_file_that_always_breaks_arrives_in_pieces(server, target, version, breaks):
    _conduct(server, breaks=breaks, **version)
    fetch([_url(server)], target, PIN, patience=Patience(attempts=2, pause=0.0))
    assert _only_file(target) and sum(server.sent(NAME)) < 1.1 * len(CONTENT)


@pytest.mark.parametrize("version", VERSIONS[:4], ids=str)
def test_without_a_checksum_parts_are_joined_by_their_version(server, target, version):
    _conduct(server, breaks=90_000, **version)
    fetch([_url(server)], target, patience=Patience(attempts=2, pause=0.0))
    assert _only_file(target) and sum(server.sent(NAME)) < 1.1 * len(CONTENT)


def test_without_a_version_or_checksum_parts_are_not_joined(server, target):
    _conduct(server, breaks=90_000, etag=False)
    with pytest.raises(SparseSSPError, match="breaks off after 90000 of 400000 bytes; tried 3 times") as caught:
        fetch([_url(server)], target)
    assert "bytes are kept" not in str(caught.value) and stored(target) == 0


@pytest.mark.parametrize("version", VERSIONS[1:5], ids=str)
def test_the_next_run_resumes_by_any_version(server, target, version):
    _conduct(server, breaks=150_000, **version)
    with pytest.raises(SparseSSPError, match="150000 bytes are kept"):
        fetch([_url(server)], target, PIN, patience=Patience(attempts=1))
    _conduct(server, breaks=None)
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME) == [150_000, len(CONTENT) - 150_000]


def test_a_file_with_another_date_starts_from_zero(server, target):
    _conduct(server, etag=False, modified=DATE, drops=[150_000])
    with pytest.raises(SparseSSPError):
        fetch([_url(server)], target, patience=Patience(attempts=1))
    new = CONTENT[::-1]
    (server.folder / NAME).write_bytes(new)
    _conduct(server, modified=LATER)
    assert fetch([_url(server)], target).path.read_bytes() == new


@pytest.mark.parametrize("version", VERSIONS[1:5], ids=str)
def test_a_change_that_no_version_shows_costs_one_more_download(server, target, version):
    """The checksum finds it, and the file is downloaded once more as a whole."""
    (server.folder / NAME).write_bytes(bytes(len(CONTENT)))
    _conduct(server, drops=[150_000], **version)
    with pytest.raises(SparseSSPError):
        fetch([_url(server)], target, PIN, patience=Patience(attempts=1))
    (server.folder / NAME).write_bytes(CONTENT)
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME) == [150_000, 250_000, len(CONTENT)]


@given(etag=st.none() | st.sampled_from(('"a"', 'W/"a"', "a", "")), modified=st.sampled_from((None, DATE, "today", "")))
def test_if_range_is_a_strong_etag_or_a_date(etag, modified):
    value = Version(etag, modified).if_range
    assert value in (('"a"',) if etag == '"a"' else (DATE,) if modified == DATE else (None,))


@pytest.mark.parametrize("length", ("\u00b2", "-1", "many", "", "1e9", "9" * 5000))
def test_an_invalid_length_is_ignored(length):
    assert http_answers.length({"Content-Length": length}) in (None, 10**18)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("bytes 5-9", (None, None)),
        ("items 5-9/10", (None, None)),
        ("bytes \u00b2-9/10", (None, None)),
        ("", (None, None)),
    ],
)
def test_ranges_are_read(value, expected):
    assert http_answers.content_range({"Content-Range": value}) == expected


@pytest.mark.parametrize(
    ("values", "pin", "resumable"),
    [(version, None, True) for version in VERSIONS[:4]]
    + [({"etag": False}, None, False), ({"etag": False}, PIN, True), ({"ranges": False}, PIN, False)],
)
def test_a_source_says_in_advance_whether_it_can_resume(server, values, pin, resumable):
    _conduct(server, **values)
    assert probe([_url(server)], pin) == Remote(len(CONTENT), resumable)
    asked = [method for method, *_ in server.log]
    assert asked == ["HEAD"] if "ranges" not in values else asked == ["HEAD", "GET"]


@pytest.mark.parametrize("length", (True, False))
def test_a_server_that_stalls_is_asked_again(server, target, length):
    server.conduct(NAME).stalls, server.conduct(NAME).length = [True], length
    # Long enough that no busy machine makes the second answer late, too.
    fetch([_url(server)], target, PIN, patience=Patience(attempts=3, pause=0.0, timeout=(60.0, 4.0)))
    assert _only_file(target) and [size for size in server.sent(NAME) if size > 1] == [len(CONTENT)] * 2


@pytest.mark.parametrize("etags", (['"old"', '"new"'], ['W/"old"', 'W/"new"'], ['"old"', 'W/"old"']))
def test_another_etag_starts_from_zero(server, target, etags):
    server.conduct(NAME).drops, server.conduct(NAME).etags = [200_000], etags
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME)[-1] == len(CONTENT)


def test_a_part_of_another_file_is_not_appended(server, target):
    conduct = server.conduct(NAME)
    conduct.drops, conduct.etags, conduct.if_range = [200_000], ['"old"', '"new"'], False
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and [entry[3] for entry in server.log] == [200, 206, 200]


def test_a_server_without_ranges_starts_from_zero(server, target):
    server.conduct(NAME).drops, server.conduct(NAME).ranges = [200_000], False
    fetch([_url(server)], target, PIN)
    assert _only_file(target) and server.sent(NAME)[1:] == [len(CONTENT)]


def test_bytes_are_saved_as_sent(server, target):
    server.conduct(NAME).compress = True  # as web servers do with text
    fetch([_url(server)], target, PIN)
    assert _only_file(target)


def test_content_encoding_is_not_decoded(server, target):
    server.conduct(NAME).headers = {"Content-Encoding": "gzip"}  # as web servers do with archives
    fetch([_url(server)], target, PIN)
    assert _only_file(target)


# Mirrors.


def test_a_missing_file_is_requested_from_the_mirror_at_once(servers, target):
    first, second = servers
    first.conduct(NAME).statuses = [404]
    fetch([_url(first), _url(second)], target, PIN)
    assert _only_file(target) and len(first.log) == 1


@pytest.mark.parametrize("same", (True, False))
def test_a_mirror_continues_only_the_same_file(servers, target, same):
    first, second = servers
    first.conduct(NAME).drops, first.conduct(NAME).statuses = [200_000], [None, 500, 500, 500]
    if not same:
        second.conduct(NAME).etags = ['"other"']
    fetch([_url(first), _url(second)], target, PIN)
    assert _only_file(target) and (second.sent(NAME)[0] < len(CONTENT)) == same


def test_a_corrupt_source_gives_way_to_a_mirror(servers, target):
    first, second = servers
    first.conduct(NAME).corrupt = True
    fetch([_url(first), _url(second)], target, PIN)
    assert _only_file(target)


def test_a_gone_server_gives_way_to_a_local_copy(tmp_path, target):
    with Server(_folder(tmp_path / "gone")) as gone:
        url = _url(gone)
    got = fetch([url, str(tmp_path / "gone" / NAME)], target, PIN)
    assert got.path == tmp_path / "gone" / NAME and not got.downloaded and not target.exists()


# Downloads that fail.


def test_a_truncated_file_is_named(server, target):
    server.conduct(NAME).truncated = 150_000
    with pytest.raises(SparseSSPError, match=rf"{NAME}: .*breaks off after 150000 of 400000 bytes; tried 3 times"):
        fetch([_url(server)], target, PIN)
    assert not target.exists() and stored(target) == 150_000


def test_a_corrupt_file_is_named_and_deleted(server, target):
    server.conduct(NAME).corrupt = True
    with pytest.raises(SparseSSPError, match=rf"{NAME}: .*sha256 is [0-9a-f]{{64}}.*{SUM}.*delete its line"):
        fetch([_url(server)], target, PIN)
    assert list(target.parent.iterdir()) == [] and len(server.log) == 1


def test_another_size_is_refused_before_the_body(server, target):
    with pytest.raises(SparseSSPError, match=r"has 400000 bytes, expected are 7 \(lock\)"):
        fetch([_url(server)], target, Pin(SUM, "lock", 7))
    assert stored(target) == 0


def test_every_source_says_what_it_did(servers, target):
    first, second = servers
    first.conduct(NAME).statuses, second.conduct(NAME).statuses = [403], [503] * 3
    with pytest.raises(SparseSSPError, match=r"tom20.*/tom20.tar.gz: HTTP 403 .*; .*HTTP 503 .*tried 3 times"):
        fetch([_url(first), _url(second)], target)
    with pytest.raises(SparseSSPError, match="no source is given"):
        fetch([], target)


def test_a_complete_but_wrong_target_is_replaced(server, target):
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    fetch([_url(server)], target, PIN)
    assert _only_file(target)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SparseSSPError, match="file.*cannot be read or written"):
        fetch([_url(server)], tmp_path / "file" / NAME)


@pytest.mark.parametrize("source", ("ftp://host/x", "http:///x", "file://host/x", "s3://bucket/x"))
def test_other_sources_are_refused(target, source):
    with pytest.raises(SparseSSPError, match=f"{source!r} is not allowed; allowed: http"):
        fetch([source], target)


# Files on this machine.


@pytest.mark.parametrize("form", (str, Path.as_uri))
def test_a_local_file_is_used_in_place(tmp_path, target, form):
    path = _folder(tmp_path / "big disk") / NAME
    assert fetch([form(path)], target, PIN) == Fetched(path, SUM, len(CONTENT), False)
    assert not target.parent.exists()


def test_a_wrong_or_missing_local_file_is_named_and_not_changed(tmp_path, target):
    path = _folder(tmp_path / "disk") / NAME
    path.write_bytes(b"another")
    with pytest.raises(SparseSSPError, match=f"{path}: the file's sha256 is .*{SUM}"):
        fetch([str(path)], target, PIN)
    assert path.read_bytes() == b"another"
    with pytest.raises(SparseSSPError, match="nowhere: there is no such file"):
        fetch([str(tmp_path / "nowhere")], target)


# Sizes, space, bars.


def test_remote_size_is_that_of_the_first_source_that_gives_one(servers, tmp_path):
    first, second = servers
    assert remote_size([_url(first)]) == len(CONTENT)
    first.conduct(NAME).head = False
    assert remote_size([_url(first)]) == len(CONTENT) and first.log[-1][2:] == ["bytes=0-0", 206, 1]
    first.conduct(NAME).length, first.conduct(NAME).ranges = False, False
    assert remote_size([_url(first)]) is None
    assert remote_size([_url(first, "absent"), str(tmp_path / "absent"), _url(second)]) == len(CONTENT)
    assert remote_size([str(first.folder / NAME)]) == len(CONTENT)
    assert remote_size([]) is None


def test_a_server_that_is_gone_has_no_size(tmp_path):
    with Server(tmp_path) as gone:
        pass
    assert remote_size([_url(gone)]) is None


def test_disk_space_is_stated_and_checked(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert require_disk(folder, 10**7, "archives").startswith(f"archives: needs 0.01 GB in {folder}, ")
    with pytest.raises(SparseSSPError, match="archives: needs 1000000000.00 GB in .*GB are free"):
        require_disk(folder, 10**18, "archives")


def test_the_progress_bar_and_the_retries_are_shown(server, target, capsys):
    server.conduct(NAME).drops = [200_000]
    fetch([_url(server)], target, PIN, progress=True)
    said = capsys.readouterr().err
    assert "B/s" in said and f"{NAME}: the file breaks off after " in said and "verifying" in said


def test_files_can_be_downloaded_in_parallel(server, tmp_path):
    for i in range(4):
        (server.folder / f"{i}.gz").write_bytes(CONTENT)
        server.conduct(f"{i}.gz").drops = [50_000 * i]

    def job(i):
        return fetch([_url(server, f"{i}.gz")], tmp_path / "scratch" / f"{i}.gz", PIN, progress=True, position=i)

    with ThreadPoolExecutor(4) as pool:
        assert {fetched.path.read_bytes() for fetched in pool.map(job, range(4))} == {CONTENT}


# The lock.


def _fetched(text, name=NAME):
    return Fetched(Path(name), hashlib.sha256(text).hexdigest(), len(text), True)


def test_the_lock_keeps_the_first_checksum_of_a_file(tmp_path):
    lock = Lock(tmp_path / "allencell.lock")
    assert lock.pin(NAME) is None and not lock.path.exists()
    lock.record(NAME, _fetched(CONTENT))
    lock.record(NAME, _fetched(CONTENT))
    pin = Lock(lock.path).pin(NAME)
    assert (pin.sha256, pin.bytes) == (SUM, len(CONTENT)) and f"delete the line of {NAME}" in pin.origin
    with pytest.raises(SparseSSPError, match=rf"{NAME}.*allencell.lock; to accept a new release, delete the line"):
        lock.record(NAME, _fetched(b"new release"))
    lines = lock.path.read_text().splitlines()
    lock.path.write_text("\n".join(line for line in lines if not line.startswith(NAME)))
    lock.record(NAME, _fetched(b"new release"))
    assert lock.pin(NAME).bytes == 11


def test_the_lock_is_sorted_with_one_line_per_file_and_thread_safe(tmp_path):
    path = tmp_path / "allencell.lock"
    names = [f"set_{i:02d}.tar.gz" for i in range(16)]
    threads = [threading.Thread(target=Lock(path).record, args=(n, _fetched(n.encode()))) for n in reversed(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line.split(":")[0] for line in lines] == names and list(tmp_path.iterdir()) == [path]


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_checksum_of_digits_stays_text(tmp_path_factory, digits):
    for text in (digits, "1" * 64, f"{'1' * 30}e{'1' * 33}"):
        lock = Lock(tmp_path_factory.mktemp("lock") / "allencell.lock")
        lock.record(NAME, Fetched(Path(NAME), text, 1, True))
        assert lock.pin(NAME).sha256 == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "not valid YAML"),
        ("7", "holds 7"),
        (f"{NAME}: 7", f"{NAME} = 7"),
        (f"{NAME}: {{bytes: 1}}", "sha256"),
        ("7: {}", "7 = {}"),
    ],
)
def test_a_broken_lock_is_named(tmp_path, text, said):
    (tmp_path / "allencell.lock").write_text(text)
    with pytest.raises(SparseSSPError, match=rf"allencell\.lock: .*{said}"):
        Lock(tmp_path / "allencell.lock").pin(NAME)
