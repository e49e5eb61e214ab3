"""Rows of one text stand together, under the names that a person reads."""

from charrnn.rows import baseline, by_text, learned_from, model, scored_on

ROW = {"run": "m", "step": 1_000, "split": "val", "characters": 1_234}


def test_models_of_one_text_stand_together_in_their_order():
    other = ROW | {"split": "novel.txt"}
    rows = [ROW | {"run": "a"}, other, ROW | {"run": "b"}, ROW | {"baselines": []}]
    assert [[row["run"] for row in group] for group in by_text(rows)] == [["a", "b"], ["m"], ["m"]]


def test_a_text_is_named_as_a_person_would():
    assert scored_on(ROW) == "the held-out part, 1,234 characters"
    assert scored_on(ROW | {"split": "novel.txt"}) == "novel.txt, 1,234 characters"


def test_a_step_is_told_where_a_run_has_several():
    assert model(ROW, [ROW, ROW | {"run": "n"}]) == "m"
    assert model(ROW, [ROW, ROW | {"step": 2_000}]) == "m at 1,000"


def test_a_baseline_is_named_with_what_defines_it():
    assert baseline({"name": "ngram", "order": 7}) == "7-gram, Kneser-Ney"
    assert baseline({"name": "xz"}) == "xz -9e"
    assert baseline({"name": "uniform"}) == "uniform"


def test_what_a_baseline_learned_from_is_its_last_bytes_or_none():
    cut = {"read_bytes": 1_200, "training_bytes": 3_400}
    assert learned_from(cut) == "the last 1,200 of 3,400 bytes of the training part"
    assert learned_from(cut | {"read_bytes": 0}) == "none of the 3,400 bytes of the training part"
