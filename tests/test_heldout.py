"""The text a checkpoint is scored on: the same one, or a plain word about it."""

import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.checkpoints import ModelRecord, model_path
from charrnn.corpus import read_corpus
from charrnn.errors import TextError, UsageError
from charrnn.files import sha256
from charrnn.heldout import own_text, split_text
from charrnn.run_record import RunRecord, read_run, write_record
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings


class Trained:
    """A run as it is recorded, and its corpus: two files, and one of its own held out."""

    def __init__(self, directory: Path, english: str, **held_out) -> None:
        self.run = directory / "run"
        self.run.mkdir()
        self.files = [directory / "one.txt", directory / "two.txt"]
        for path, text in zip(self.files, (english[:400], english[400:700]), strict=True):
            path.write_text(text, encoding="utf-8")
        self.corpus = read_corpus(self.files, **held_out)
        self.record = ModelRecord(
            ModelSettings(), self.corpus.vocabulary, 5, {}, self.corpus.record(), ""
        )
        self.checkpoint = model_path(self.run, 5)
        write_record(
            self.run,
            RunRecord(
                command="",
                created="",
                versions={},
                model=ModelSettings(),
                training=TrainingSettings(),
                schedule=Schedule(1, 1, 1, 1, 1),
                corpus=self.corpus.record(),
                paths=[str(path) for path in self.files],
                held_out_paths={s: str(t.path) for s, t in self.corpus.held_out.items()},
                val_fraction=held_out.get("val_fraction", 0.1),
                test_fraction=held_out.get("test_fraction", 0.0),
                budget={"steps": 1},
            ),
        )

    def text(self, split="val", corpus=None):
        found = split_text(self.checkpoint, self.record, split, corpus)
        text = "".join(found.pieces())
        assert self.record.vocabulary.decode(found.ids[:]) == text
        assert (found.sha256, found.bytes) == (sha256(text.encode()), len(text.encode()))
        return text, found.remark


@pytest.fixture
def trained(english, tmp_path):
    return Trained(tmp_path, english, val_fraction=0.25, test_fraction=0.25)


def test_each_split_is_the_text_that_training_saw_or_did_not_see(trained, english):
    found = {split: trained.text(split) for split in ("train", "val", "test")}
    assert [remark for _, remark in found.values()] == ["", "", ""]
    assert "".join(text for text, _ in found.values()) == english[:700]
    assert [len(text) for text, _ in found.values()] == [350, 175, 175]
    for split, (text, _) in found.items():
        assert text == trained.corpus.vocabulary.decode(trained.corpus.ids[split])


def test_a_file_held_out_for_itself_is_read_whole(english, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("A café of its own.", encoding="utf-8")
    trained = Trained(tmp_path, english, val_file=own)
    assert trained.text("val") == ("A café of its own.", "")
    assert trained.text("train") == (english[:700], "")


def test_a_corpus_that_moved_can_be_pointed_at(trained, tmp_path):
    wanted = trained.text()
    moved = []
    for path in trained.files:
        moved.append(tmp_path / f"moved-{path.name}")
        path.rename(moved[-1])
    with pytest.raises(TextError, match=r"one\.txt: no such file") as caught:
        trained.text()
    assert "--corpus" in caught.value.hint
    assert "--text" in caught.value.hint
    assert trained.text(corpus=moved) == wanted
    with pytest.raises(TextError, match="not the text"):
        trained.text(corpus=moved[::-1])


def test_a_checkpoint_without_its_run_says_which_files_it_needs(trained):
    wanted = trained.text()
    (trained.run / "run.json").unlink()
    with pytest.raises(TextError, match=r"no run\.json") as caught:
        trained.text()
    assert "--corpus one.txt two.txt" in caught.value.hint
    assert trained.text(corpus=trained.files) == wanted


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_held_out_part_that_changed_is_refused_and_its_file_named(split, trained):
    path = trained.files[1]
    text = path.read_text(encoding="utf-8")
    begin = {"val": 450, "test": 560}[split] - 400
    path.write_text(text[:begin] + "#" + text[begin + 1 :], encoding="utf-8")
    with pytest.raises(TextError, match="SHA-256") as caught:
        trained.text(split)
    assert "two.txt" in caught.value.message
    assert "one.txt" not in caught.value.message
    assert "--text" in caught.value.hint


def test_a_change_elsewhere_is_remarked_upon(trained):
    wanted, _ = trained.text()
    path = trained.files[0]
    path.write_text("#" + path.read_text(encoding="utf-8")[1:], encoding="utf-8")
    found, remark = trained.text()
    assert found == wanted
    assert "has changed" in remark


def test_a_longer_beginning_moves_the_part_and_is_noticed(trained):
    path = trained.files[0]
    path.write_text("#" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(TextError, match=r"one\.txt: not the text"):
        trained.text()


def test_a_held_out_file_that_changed_is_named(english, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("A café of its own.", encoding="utf-8")
    trained = Trained(tmp_path, english, val_file=own)
    own.write_text("A café of her own.", encoding="utf-8")
    with pytest.raises(TextError, match=re.escape(str(own))):
        trained.text("val")
    own.write_bytes(trained.files[0].read_bytes())  # known, but as another file
    with pytest.raises(TextError, match=re.escape(str(own))):
        trained.text("val")


def test_where_nothing_was_held_out_another_text_is_suggested(english, tmp_path):
    trained = Trained(tmp_path, english, val_fraction=0.0)
    with pytest.raises(UsageError, match="nothing was held out for --split val") as caught:
        trained.text("val")
    assert "--text" in caught.value.hint
    assert trained.text("train")[0] == english[:700]


def test_characters_are_counted_and_not_bytes(english, tmp_path):
    """Most of these take two bytes and more; bounds are in characters."""
    trained = Trained(tmp_path, "é“ü”" * 200, val_fraction=0.25)
    assert len(trained.text("val")[0]) == 175


def test_a_text_that_is_no_longer_text_says_what_it_is(trained):
    trained.files[0].write_bytes(b"%PDF-1.7 ...")
    with pytest.raises(TextError, match="PDF"):
        trained.text()


def test_the_proof_is_the_checkpoint_s_and_not_the_run_s(trained):
    """A run.json that was edited cannot make another text pass."""
    other = replace(trained.record, corpus=trained.record.corpus | {"sha256": "0" * 64})
    remark = split_text(trained.checkpoint, other, "val", None).remark
    assert "has changed" in remark


@pytest.mark.parametrize("kind", ["pipe", "endless", "nul", "half"])
def test_only_files_are_read_where_run_json_says(kind, trained, tmp_path):
    """It may be a stranger's: a pipe would be waited for, a device read for ever."""
    place = tmp_path / "place"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "endless":
        place.symlink_to("/dev/zero")
    name = {"nul": "a\0b", "half": "\ud800"}.get(kind, str(place))
    record = read_run(trained.run)
    write_record(trained.run, replace(record, paths=[name]))
    with pytest.raises(TextError, match=r"run\.json|no such file") as caught:
        trained.text()
    assert "--corpus" in caught.value.hint


def test_what_the_user_names_may_be_a_pipe(trained, english, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    wanted = trained.text()
    data = b"".join(path.read_bytes() for path in trained.files)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert trained.text(corpus=[pipe])[0] == wanted[0]
    writer.join()


def test_a_text_in_another_encoding_says_how_to_make_it_one_that_is_read(trained, tmp_path):
    """There is no flag for it: the model reads as it was trained to."""
    path = tmp_path / "other.txt"
    path.write_bytes("Où est le café d'Élodie? Là, à côté du théâtre.\n".encode("cp1252") * 9)
    with pytest.raises(TextError, match="windows-1252") as caught:
        own_text([path], trained.record)
    assert caught.value.hint.startswith("make it UTF-8: iconv -f WINDOWS-1252")
    assert "--encoding" not in caught.value.hint


def test_what_was_cut_off_behind_a_split_is_remarked_upon(trained):
    wanted, _ = trained.text("val")
    last = trained.files[-1]
    kept = last.read_text(encoding="utf-8")
    behind = trained.record.corpus["characters"] - trained.record.corpus["splits"]["val"]["end"]
    last.write_text(kept[: 3 - behind], encoding="utf-8")
    found, remark = trained.text("val")
    assert found == wanted
    assert "has changed since" in remark
    last.write_text(kept[: -1 - behind], encoding="utf-8")
    with pytest.raises(TextError, match="not the text this checkpoint was trained on"):
        trained.text("val")
