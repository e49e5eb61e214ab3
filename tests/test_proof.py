"""The training text of a checkpoint: the same characters, found, proven, not read twice."""

import gzip
import json
import os
import threading
import time
import unicodedata
from dataclasses import replace

import pytest
from test_heldout import Trained

from charrnn import cache, original, proof, transcript
from charrnn.cache import cache_directory
from charrnn.checkpoints import ModelRecord, model_path
from charrnn.corpus import read_corpus
from charrnn.errors import TextError
from charrnn.files import sha256
from charrnn.proof import training_text
from charrnn.reading import Reading
from charrnn.run_record import read_run, write_record
from charrnn.settings import ModelSettings
from charrnn.texts import read_text


@pytest.fixture
def trained(english, tmp_path):
    return Trained(tmp_path, english, val_fraction=0.25, test_fraction=0.25)


@pytest.fixture(params=["read", "mapped"])
def either(request, monkeypatch):
    """Whether files are mapped."""
    if request.param == "mapped":
        monkeypatch.setattr(original, "MAPPED", 1)
    return request.param


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    """Small texts are remembered too, and files need not be old."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in original, proof, transcript:
        monkeypatch.setattr(module, "MAPPED", 1)
    monkeypatch.setattr(cache, "_SETTLED", 0)


def found(trained, corpus=None):
    text = training_text(trained.checkpoint, trained.record, corpus)
    return b"".join(text.chunks()).decode()


# The proof.


def test_it_is_what_was_trained_on_and_nothing_that_was_held_out(either, trained, english):
    assert found(trained) == english[:350]


def test_bounds_are_characters_however_many_bytes_they_have(tmp_path, monkeypatch):
    monkeypatch.setattr(original, "_CHUNK", 7)  # which cuts characters in two
    trained = Trained(tmp_path, "é茶x😀" * 200, val_fraction=0.3)
    assert found(trained) == ("é茶x😀" * 200)[:490]


def test_nothing_held_out_is_all_of_it(english, tmp_path):
    assert found(Trained(tmp_path, english, val_fraction=0.0)) == english[:700]


def test_another_file_held_out_is_no_part_of_it(english, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("A café of its own.", encoding="utf-8")
    assert found(Trained(tmp_path, english, val_file=own)) == english[:700]


def test_what_was_held_out_may_change(trained, english):
    trained.files[1].write_text("another text altogether", encoding="utf-8")
    assert found(trained) == english[:350]


@pytest.mark.parametrize("change", ["changed", "longer", "shorter"])
def test_a_text_that_changed_is_refused_and_named(change, trained):
    path = trained.files[0]
    text = path.read_text(encoding="utf-8")
    changed = {"changed": "#" + text[1:], "longer": "#" + text, "shorter": text[:100]}
    path.write_text(changed[change], encoding="utf-8")
    with pytest.raises(TextError, match=r"SHA-256") as caught:
        found(trained)
    assert "one.txt" in caught.value.message
    assert "two.txt" not in caught.value.message
    assert "--corpus" in caught.value.hint
    assert "--text" not in caught.value.hint


def test_a_text_that_moved_can_be_pointed_at(trained, english, tmp_path):
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in trained.files]
    with pytest.raises(TextError, match=r"one\.txt: no such file") as caught:
        found(trained)
    assert "--corpus" in caught.value.hint
    assert found(trained, moved) == english[:350]


def test_a_checkpoint_without_its_run_says_which_files_it_needs(trained, english):
    (trained.run / "run.json").unlink()
    with pytest.raises(TextError, match=r"no run\.json") as caught:
        found(trained)
    assert caught.value.hint == "say where it is: --corpus one.txt two.txt"
    assert found(trained, trained.files) == english[:350]


def test_a_pipe_that_run_json_names_is_not_waited_for(trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    record = replace(read_run(trained.run), paths=[str(tmp_path / "pipe")])
    write_record(trained.run, record)
    with pytest.raises(TextError, match=r"run\.json"):
        found(trained)


def test_a_wrong_text_from_a_pipe_is_refused_and_not_waited_for_again(trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("another text"))
    writer.start()
    with pytest.raises(TextError, match="not the text this checkpoint"):
        found(trained, [tmp_path / "pipe"])
    writer.join()


# A text that is not what its files hold.

LINES = "Ein Café, ÄRGER\r\nund Straße\r\n"
NUMBERED = "".join(f"{number} hält man zurück\r\n" for number in range(20))
SEVERAL = [LINES * 20, "Das Übrige\r\nist gleich\r\n" * 15, NUMBERED]


def plain(path, text):
    path.write_bytes(text.encode())


def compressed(path, text):
    path.write_bytes(gzip.compress(text.encode()))


def wide(path, text):
    path.write_bytes(text.encode("utf-16"))


def western(path, text):
    path.write_bytes(text.encode("windows-1252"))


def composed(path, text):
    path.write_bytes(unicodedata.normalize("NFD", text).encode())


POLICIES = {
    "compressed": (compressed, {}, {}),
    "utf-16": (wide, {"encoding": "utf-16"}, {}),
    "western": (western, {"encoding": "windows-1252"}, {}),
    "newlines": (plain, {"newlines": "lf"}, {}),
    "nfc": (composed, {"normalization": "nfc"}, {}),
    "lowercase": (plain, {"lowercase": True, "normalization": "nfkc", "newlines": "lf"}, {}),
    "separator": (plain, {}, {"separator": "\0—"}),
    "rare": (wide, {"encoding": "utf-16"}, {"least": 20}),
    "bytes": (western, {"encoding": "bytes"}, {}),
    "compressed bytes": (compressed, {"encoding": "bytes"}, {"separator": "\xff"}),
    "bytes of lines": (plain, {"encoding": "bytes", "newlines": "lf"}, {}),
    "plain": (plain, {}, {}),
}


class Policed:
    """A run whose corpus is a folder of several files that are read by a policy."""

    def __init__(self, directory, policy):
        write, reading, more = POLICIES[policy]
        self.folder = directory / "folder"
        self.folder.mkdir()
        self.files = [self.folder / f"{number}.txt" for number in range(len(SEVERAL))]
        for path, text in zip(self.files, SEVERAL, strict=True):
            write(path, text)
        self.reading = Reading(**reading)
        corpus = read_corpus([self.folder], reading=self.reading, val_fraction=0.1, **more)
        self.texts = [read_text(path, self.reading) for path in self.files]
        self.separator = self.reading.text_of(more.get("separator", ""))
        self.whole = self.separator.join(self.texts)[: corpus.parts["train"].end]
        self.record = ModelRecord(ModelSettings(), corpus.vocabulary, 5, {}, corpus.record(), "")
        self.checkpoint = model_path(directory / "run", 5)
        self.original = self.found()

    def found(self):
        return training_text(self.checkpoint, self.record, [self.folder])


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_text_is_what_training_read(policy, cached, tmp_path, request):
    if cached:
        request.getfixturevalue("remembering")
    run = Policed(tmp_path, policy)
    for text in run.original, run.found():
        assert b"".join(text.chunks()) == run.reading.utf8_of(run.whole)
        assert text.sha256 == sha256(run.reading.utf8_of(run.whole))
        begin = 0
        for path, each in zip(run.files, run.texts, strict=True):
            for inside in 0, 3, len(each) // 2, len(each) - 1:
                if begin + inside < len(run.whole):
                    offset = len(run.reading.utf8_of(run.whole[: begin + inside]))
                    line = each[:inside].count("\n") + 1
                    assert text.place(offset) == (str(path), line, inside)
            begin += len(each) + len(run.separator)
    assert text.place(text.size - 1).file == str(run.files[2])
    kept = cache_directory() / "texts"
    lies = policy in ("plain", "bytes") or not cached
    assert kept.exists() is not lies


@pytest.mark.parametrize("policy", ["compressed", "bytes of lines"])
def test_what_was_written_is_not_read_again(policy, tmp_path, remembering, monkeypatch):
    run = Policed(tmp_path, policy)
    monkeypatch.setattr(transcript, "joined", None)
    assert b"".join(run.found().chunks()) == run.reading.utf8_of(run.whole)
    run.found()  # which is proven once more, then it is known to be settled
    monkeypatch.setattr(transcript.Original, "chunks", None)
    run.found()


@pytest.mark.parametrize("change", ["broken", "gone", "a pipe", "forgotten", "nonsense"])
def test_what_was_written_is_written_again_where_it_is_not_whole(change, tmp_path, remembering):
    run = Policed(tmp_path, "utf-16")
    (kept,) = (cache_directory() / "texts").iterdir()
    if change == "broken":
        kept.write_bytes(b"#" + kept.read_bytes()[1:])
    elif change == "nonsense":
        (memory,) = cache_directory().glob("*-files.json")
        seen = json.loads(memory.read_text())
        memory.write_text(json.dumps(seen | {"starts": [5, "a"]}))
    elif change == "forgotten":
        for memory in cache_directory().glob("*.json"):
            memory.unlink()
    else:
        kept.unlink()
        if change == "a pipe":
            os.mkfifo(kept)
    text = run.found()
    assert b"".join(text.chunks()) == run.reading.utf8_of(run.whole)
    assert text.place(text.size - 1).file == str(run.files[2])
    assert kept.is_file()


@pytest.mark.parametrize("cached", [False, True])
def test_a_document_that_changed_is_named_and_nothing_is_kept(cached, tmp_path, request):
    if cached:
        request.getfixturevalue("remembering")
    run = Policed(tmp_path, "compressed")
    compressed(run.files[1], SEVERAL[1].replace("Das", "Die"))
    if cached:
        (kept,) = (cache_directory() / "texts").iterdir()
        kept.unlink()
    with pytest.raises(TextError, match="SHA-256") as caught:
        run.found()
    assert "1.txt" in caught.value.message
    assert "0.txt" not in caught.value.message
    assert not cached or not list(kept.parent.iterdir())


def test_a_cache_that_cannot_hold_it_is_done_without(tmp_path, remembering):
    (tmp_path / "cache").write_text("a file")
    run = Policed(tmp_path, "utf-16")
    assert b"".join(run.found().chunks()) == run.reading.utf8_of(run.whole)


def test_files_too_many_to_be_mapped_are_written_down(tmp_path, remembering, monkeypatch):
    monkeypatch.setattr(original, "MAPPED", 10**6)
    monkeypatch.setattr(proof, "_MOST_IN_MEMORY", 100)
    run = Policed(tmp_path, "plain")
    assert b"".join(run.found().chunks()).decode() == run.whole
    assert list((cache_directory() / "texts").iterdir())


def test_a_stranger_s_separator_that_is_no_bytes_makes_it_another_text(tmp_path):
    run = Policed(tmp_path, "compressed bytes")
    run.record.corpus["separator"] = "茶"
    with pytest.raises(TextError, match="SHA-256"):
        run.found()


def test_a_folder_that_is_gone_says_how_to_point_at_it(tmp_path):
    run = Policed(tmp_path, "utf-16")
    run.folder.rename(tmp_path / "moved")
    with pytest.raises(TextError, match="no such file") as caught:
        run.found()
    assert "--corpus" in caught.value.hint


# What is remembered.


def unread(monkeypatch):
    def proven(*_):
        raise AssertionError("was read")

    monkeypatch.setattr(proof, "_proven", proven)


def test_a_text_that_nobody_touched_is_not_read_again(trained, english, remembering, monkeypatch):
    assert found(trained) == english[:350]
    unread(monkeypatch)
    assert found(trained) == english[:350]


@pytest.mark.parametrize("change", ["content", "time", "file", "memory", "owner"])
def test_a_text_that_may_have_changed_is_read_again(change, trained, remembering, monkeypatch):
    found(trained)
    path = trained.files[0]
    before = path.stat()
    if change == "content":  # of the same size, with the old time put back
        path.write_bytes(b"#" + path.read_bytes()[1:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(path, ns=(0, 0))
    elif change == "file":
        data = path.read_bytes()
        path.rename(path.with_suffix(".old"))
        path.write_bytes(data)
    elif change == "memory":
        for memory in cache_directory().iterdir():
            memory.write_bytes(b'{"files": [')
    else:
        path.chmod(0o600)
        path.chmod(0o644)
    unread(monkeypatch)
    with pytest.raises(AssertionError, match="was read"):
        found(trained)


def test_a_file_that_was_just_written_is_not_trusted_to_be_told_apart(
    trained, remembering, monkeypatch
):
    """Another change within the clock's tick would leave the same time."""
    monkeypatch.setattr(cache, "_SETTLED", 10**18 * 100)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 * 20)
    found(trained)
    assert not cache_directory().exists()


def test_a_stranger_s_checkpoint_names_no_file_of_the_cache(trained, remembering, tmp_path):
    """Its hash is part of a name there."""
    found(trained)
    (memory,) = cache_directory().iterdir()
    trained.record.corpus["splits"]["train"]["sha256"] = f"../charrnn/{memory.stem}"
    with pytest.raises(TextError, match="SHA-256"):
        found(trained)


def test_a_cache_that_cannot_be_written_is_done_without(trained, english, remembering, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert found(trained) == english[:350]
