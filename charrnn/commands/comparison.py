"""What `charrnn evaluate` puts beside a model: baselines on the same text, and plain words."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands.differences import Scored, from_best_baseline, margin
from charrnn.rows import baseline, by_text, learned_from, model

if TYPE_CHECKING:
    from charrnn.baseline_cache import Key
    from charrnn.baselines import Baseline
    from charrnn.checkpoints import ModelRecord
    from charrnn.heldout import HeldOut
    from charrnn.reading import Reading

    Seen = dict[Key, dict[str, Baseline]]
    """What was measured already, by what it belongs to."""

_COMPRESSORS = ("xz", "bz2", "ppmd")


def beside(
    checkpoint: Path,
    record: "ModelRecord",
    held_out: "HeldOut",
    corpus: list[Path] | None,
    seen: "Seen",
    quiet: bool,
) -> "list[Baseline]":
    """The baselines on a text that a checkpoint was scored on.

    None where they would learn from the very text. `seen` gets what is measured.
    """
    from charrnn.baseline_cache import Key, keep, kept
    from charrnn.baselines import NAMES, measure
    from charrnn.errors import CharrnnError
    from charrnn.evaluation import escape_probability
    from charrnn.files import sha256
    from charrnn.proof import training_text

    part, vocabulary = record.corpus["splits"]["train"], record.vocabulary
    known_as = json.dumps(vocabulary.to_json(), sort_keys=True)
    key = Key(held_out.sha256, str(part["sha256"]), sha256(known_as.encode()))
    begun = _beginning(held_out, vocabulary.reading, int(part["end"]))
    if held_out.trained_on or key.training in (key.text, begun):
        return []
    run = checkpoint.absolute().parent
    known = kept(run, key) | seen.get(key, {})
    training: Any = ""
    if set(NAMES) - set(known):
        try:
            training = training_text(checkpoint, record, corpus)
        except CharrnnError as error:
            training = f"needs the training part: {error.message}"
    with console.progress(len(NAMES), "baseline", quiet=quiet) as bar:
        found = measure(
            held_out,
            training,
            vocabulary,
            escape=escape_probability(len(vocabulary), int(part["end"])),
            known=known,
            measured=bar.update,
        )
    seen[key] = {each.name: each for each in found if each.nats is not None}
    if seen[key] != kept(run, key):
        keep(run, key, found)
    return found


def _beginning(held_out: "HeldOut", reading: "Reading", characters: int) -> str:
    """The SHA-256 of a text's first characters, if there are that many."""
    import hashlib

    if len(held_out.ids) < characters:
        return ""
    digest = hashlib.sha256()
    for piece in held_out.pieces():
        digest.update(reading.utf8_of(piece[:characters]))
        characters -= len(piece)
        if characters <= 0:
            break
    return digest.hexdigest()


def against(result: Scored, held_out: "HeldOut", found: "list[Baseline]") -> Scored:
    """What a checkpoint scored on a text, with the baselines there and the best one's distance."""
    import numpy as np

    rows = [each.to_json(len(held_out.ids), held_out.bytes) for each in found]
    means = {each.name: np.array(each.blocks) for each in found if each.blocks}
    difference = from_best_baseline(result, rows, means)
    more = {"difference_from_baseline": difference} if difference else {}
    return result._replace(row=result.row | {"baselines": rows} | more)


def show(rows: list[dict[str, Any]]) -> None:
    """Draw models and baselines as tables, one for each text, and say who beats whom."""
    for group in by_text(rows):
        console.say()
        if group[0]["baselines"]:
            _show_text(group)
        else:
            console.say("No baselines: they would have learned this text, as the model has.")


def _show_text(models: list[dict[str, Any]]) -> None:
    found = models[0]["baselines"]
    measured = [each for each in found if "nats_per_char" in each]
    lines = [(baseline(each), each, _read(each)) for each in measured]
    lines += [(model(row, models), row, "") for row in models]
    lines.sort(key=lambda line: line[1]["nats_per_char"])
    console.show_table(
        ["best first", "nats/char", "bits/char", "bits/byte", "learned from"],
        [
            [
                title,
                *(
                    console.figure(values[name], 4)
                    for name in ("nats_per_char", "bits_per_char", "bits_per_byte")
                ),
                read,
            ]
            for title, values, read in lines
        ],
    )
    for row in models:
        name = model(row, models)
        said = [_verdict(name, row, measured), _chance(name, row, measured)]
        said.append(_remedy(name, row, measured))
        console.say_wrapped(" ".join(filter(None, said)))
    for each in measured:
        if each["cut"]:
            console.say_wrapped(_cut(each))
    reasons: dict[str, list[str]] = {}
    for each in found:
        if "reason" in each:
            reasons.setdefault(each["reason"], []).append(_short(each))
    for reason, names in reasons.items():
        console.say_wrapped(f"Not measured: {', '.join(names)}: {reason}.")


def _short(each: dict[str, Any]) -> str:
    if each["name"] == "ngram":
        return f"the {each['order']}-gram" if "order" in each else "n-gram"
    return "PPMd" if each["name"] == "ppmd" else str(each["name"])


def _read(each: dict[str, Any]) -> str:
    return f"{console.number(each['read_bytes'])} bytes" if each["read_bytes"] else ""


def _verdict(name: str, row: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """One sentence on a model and the best of its baselines."""
    own = float(row["nats_per_char"])
    best, *others = sorted(measured, key=_nats)
    if _nats(best) < own:
        who = _short(best)
        if best["name"] in _COMPRESSORS:
            who += ", a compressor,"
        also = [_short(each) for each in others if _nats(each) < own]
        names = " and ".join(filter(None, [", ".join(also[:-1]), *also[-1:]]))
        end = f"; so {'do' if also[1:] else 'does'} {names}" if also else ""
        return (
            f"{who.replace('the ', 'The ')} predicts this text better "
            f"than {name}: {_nats(best):.3f} nats/char against {own:.3f}{end}."
        )
    if best["name"] == "uniform":
        return f"{name} does better than taking all characters for equally likely."
    return (
        f"{name} predicts this text better than all of these: by "
        f"{_nats(best) - own:.3f} nats/char than {_short(best)}."
    )


def _chance(name: str, row: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """Whether the model's distance from the best baseline may be chance, as far as is known."""
    difference = row.get("difference_from_baseline")
    if difference is None:
        return ""
    (best,) = (_short(each) for each in measured if each["name"] == difference["best"])
    if difference["real"] is None:
        return "The text is too short to say whether that is chance."
    if difference["paired"]:
        by = margin(abs(difference["nats_per_char"]), difference["interval"])
        how = "is more than chance" if difference["real"] else "may be chance"
        return f"The difference from {best}, {by}, {how}."
    low, high = row["interval"]
    where = f"{name}'s own interval, {low:.3f} to {high:.3f}"
    if difference["real"]:
        return f"{best} is outside {where}; the difference itself has none."
    return f"But {best} is within {where}: it may be chance."


def _remedy(name: str, row: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """What would help a model that is behind a baseline."""
    from charrnn.verdict import remedy

    best = min(measured, key=_nats)
    if _nats(best) >= row["nats_per_char"]:
        return ""
    told = remedy(Path(row["checkpoint"]).absolute().parent, name)
    if best["name"] not in _COMPRESSORS:
        return told
    dynamic = row.get("dynamic")
    if dynamic is None:
        adapts = f"{_short(best)} learns from this text, too, as {name} can: "
        adapts += "charrnn evaluate --dynamic."
    elif "reason" in dynamic:
        adapts = ""
    else:
        adapts = f"Learning from this text, too, as {_short(best)} does, {name} spends "
        adapts += f"{_nats(dynamic):.3f}."
    return " ".join(filter(None, [told, adapts]))


def _nats(each: dict[str, Any]) -> float:
    return float(each["nats_per_char"])


def _cut(each: dict[str, Any]) -> str:
    from charrnn.baselines import SECONDS

    full = "its window holds no more" if each["read_bytes"] else "this text fills its window"
    why = {
        "window": full,
        "memory": "more would take too much memory",
        "time": f"as much as it can in some {SECONDS:g} seconds",
    }
    return f"{_short(each)} learned from {learned_from(each)}: {why[each['cut']]}."
