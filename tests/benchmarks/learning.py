"""A row of the lab book: one training run, chosen on the last tenth of the training text.

    python tests/benchmarks/learning.py TEXT name=value ...

trains on 81% of TEXT for so many seconds of one thread's processor time (other processes
take none of it away, and two such runs fit a machine of two cores), scores the 9% after
that, and prints a line of JSON. The last tenth, on which models are judged, is not read.
What can be named, with its default, is in ROW.
"""

import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from charrnn.batches import Batch, Batches
from charrnn.evaluation import score
from charrnn.gradients import take_gradient
from charrnn.model import CharacterModel
from charrnn.optimizer import BETAS
from charrnn.products import rounding
from charrnn.recurrence import Characters, run
from charrnn.seeds import derive
from charrnn.settings import GATES, ModelSettings, TrainingSettings
from charrnn.step import batches_of
from charrnn.workers import prepare

ROW = {
    "seconds": 78.0,
    "epochs": 0.0,  # where they are given, the budget
    "millions": 0.0,  # and so are these, of characters
    "share": 1.0,  # of the training text, its end
    "model": "gru",
    "hidden_size": 256,
    "layers": 2,
    "embedding_size": 64,
    "seq_length": 48,
    "batch_size": 48,
    "pieces": 0,  # of each stream, and all are read in another order each epoch
    "batches": "",  # 0.25:48,0.6:96 takes these from such shares of the run on
    # residual: layers add to what they read; skip: logits read all layers; or both
    "wiring": "plain",
    "tied": False,  # the output reads with the embedding's weights; E is H
    "norm": "",  # of what layers hand on: layer, rms
    "windows": "",  # 0.5:96 takes this T from half the run on
    "weight_init": "orthogonal",
    "gate_bias": 0.0,  # of the gru's update gate at first: more remembers longer
    "remembered": 0,  # steps, up to which the gru's units remember at first (chrono initialisation)
    "clip": 1.0,
    "dropout": 0.0,
    "embedding_dropout": 0.0,  # of characters, for all the streams and steps of a window
    "one_mask": False,  # of dropout, for all the steps of a window
    "weight_drop": 0.0,
    "precision": "fp32",  # of the products: fp32, bf16
    "seed": 0,
    "optimizer": "soap",  # adamw, muon, soap
    "rate": 0.01,  # of AdamW, and of what it has to do beside the others
    "matrix_rate": 0.0,  # of Muon and SOAP; 0: `rate`
    "decay": 0.1,
    "shape": "cosine",  # of the rate: cosine, linear
    "average": 0.0,  # of the weights, by steps: scored besides
    # Muon (Jordan et al. 2024), its iterations those of Polar Express (Amsel et al. 2025) or his:
    "iterations": 3,
    "coefficients": "polar",  # polar, jordan
    "normed_rows": False,  # as NorMuon (Li et al. 2025)
    # SOAP (Vyas et al. 2024):
    "sides": "right",  # right, left, both
    "by_gate": False,
    "matrices": "all",  # all, layers (the recurrent ones), hidden (that read hidden states)
    "turned": 10,
    "mean": 0.9,
    "square": 0.95,
}

POLAR = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115951949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845749113, 0.4188073119525673),
)
JORDAN = (3.4445, -4.7750, 2.0315)


class Wired(CharacterModel):
    """The model with layers joined, normed or dropped otherwise."""

    def __init__(self, settings: ModelSettings, vocabulary_size: int, row: dict) -> None:
        super().__init__(settings, vocabulary_size)
        self.row = row
        output, size = self.get_submodule("output"), settings.hidden_size
        if row["wiring"] in ("skip", "both"):
            wide = torch.empty(vocabulary_size, settings.layers * size)
            output.register_parameter("weight", nn.Parameter(wide))
        self.gains = [f"gain_l{n}" for n in range(settings.layers)] if row["norm"] else []
        for name in self.gains:
            output.register_parameter(name, nn.Parameter(torch.empty(size)))

    def initialise(self, *how) -> None:
        super().initialise(*how)
        if self.row["tied"]:  # read as if normal (0, 1), which logits would be too large with
            del self.get_submodule("output").weight
            self.get_parameter("embedding.weight").data.mul_(self.settings.hidden_size**-0.5)
        for number in range(self.settings.layers):
            if self.row["gate_bias"] or self.row["remembered"]:
                update = self.layer(number).b_ih.data.chunk(3)[1].fill_(self.row["gate_bias"])
                if self.row["remembered"]:  # Tallec and Ollivier 2018
                    update.uniform_(1, self.row["remembered"] - 1).log_()
        for name in self.gains:
            nn.init.ones_(self.get_parameter(f"output.{name}"))

    def forward(self, ids, state, dropout=0.0, generator=None, weight_masks=None, precision="fp32"):
        row, output = self.row, self.get_submodule("output")
        embedding = weight = self.get_parameter("embedding.weight")
        if row["tied"]:
            embedding = embedding * self.settings.hidden_size**0.5
        if not self.training:  # a row for what the vocabulary lacks
            embedding = torch.cat([embedding, embedding.new_zeros(1, embedding.shape[1])])
        elif row["embedding_dropout"]:
            embedding = embedding * kept((len(embedding), 1), row["embedding_dropout"], generator)
        read, after, outputs = Characters(ids, embedding), [], []
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            for number, before in enumerate(state):
                layer = self.layer(number)
                if weight_masks is not None:
                    layer = layer._replace(w_hh=layer.w_hh * weight_masks[number])
                x, last = run(
                    self.settings.cell(number),
                    "tanh",
                    read,
                    before,
                    layer,
                    precision=precision,
                    memory=self._memories[number],
                )
                if number and row["wiring"] in ("residual", "both"):
                    x = x + read
                after.append(last)
                if row["norm"]:
                    gain = self.get_parameter(f"output.{self.gains[number]}")
                    norm = {"layer": nn.functional.layer_norm, "rms": nn.functional.rms_norm}
                    x = norm[row["norm"]](x, gain.shape, gain)
                if dropout:
                    steps = 1 if row["one_mask"] else len(x)
                    x = x * kept((steps, *x.shape[1:]), dropout, generator)
                outputs.append(x)
                read = x
            x = torch.cat(outputs, 2) if row["wiring"] in ("skip", "both") else x
            weight = weight if row["tied"] else output.weight
            return nn.functional.linear(x, weight, output.bias), after


def kept(shape: tuple[int, ...], dropped: float, generator: torch.Generator) -> Tensor:
    """What is kept of numbers of which such a share is dropped."""
    mask = torch.full(shape, 1.0 - dropped)
    return mask.bernoulli(generator=generator).div_(1.0 - dropped)


class Shuffled(Batches):
    """Streams cut into pieces, each of which another stream reads at another time each epoch."""

    def __init__(self, ids, settings: TrainingSettings, pieces: int) -> None:
        super().__init__(ids, settings.seq_length, settings.batch_size, settings.seed)
        self.settings, self.pieces = settings, pieces
        self.windows = self.per_epoch // pieces  # of a piece
        self.per_epoch = pieces * self.windows

    def at(self, step: int) -> Batch:
        return super().at(step)._replace(first=step % self.windows == 0)

    def _starts(self, step: int):
        epoch, window = divmod(step, self.per_epoch)
        piece, window = divmod(window, self.windows)
        length, streams = self.settings.seq_length, self.settings.batch_size
        drawn = np.random.default_rng(derive(self.settings.seed, "pieces", epoch))
        offset = drawn.integers(len(self.ids) - streams * self.per_epoch * length)
        order = drawn.permutation(streams * self.pieces).reshape(streams, self.pieces)
        return offset + (order[:, piece] * self.windows + window) * length


class Muon:
    """Momentum whose singular values are brought near to one, gate by gate."""

    def __init__(self, weight: nn.Parameter, gates: int, row: dict) -> None:
        self.weight, self.gates, self.row = weight, gates, row
        self.momentum = torch.zeros_like(weight)
        self.rows = torch.zeros(len(weight), 1)

    def step(self, rate: float) -> None:
        gradient, row = self.weight.grad, self.row
        self.momentum.lerp_(gradient, 0.05)
        blocks = gradient.lerp(self.momentum, 0.95).view(self.gates, -1, self.weight.shape[1])
        step = self.polar(blocks).reshape_as(self.weight)
        if row["normed_rows"]:
            self.rows.lerp_(step.square().mean(1, keepdim=True), 0.05)
            normed = step / (self.rows.sqrt() + 1e-8)
            step = normed * (step.norm() / normed.norm())
        self.weight.mul_(1 - rate * row["decay"])
        # As long as a step of AdamW's is: match_rms_adamw in torch.optim.Muon.
        self.weight.sub_(step, alpha=rate * 0.2 * math.sqrt(max(blocks.shape[1:])))

    def polar(self, x: Tensor) -> Tensor:
        steps = POLAR if self.row["coefficients"] == "polar" else (JORDAN,) * 5
        for number, (a, b, c) in enumerate(steps[: self.row["iterations"]]):
            square = x @ x.mT
            if not number:  # either norm is no less than the largest singular value
                largest = x.norm(dim=(1, 2), keepdim=True)
                if self.row["coefficients"] == "polar":
                    largest = square.norm(dim=(1, 2), keepdim=True).sqrt() * 1.01
                x, square = x / largest, square / largest**2
            x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
        return x


class Soap:
    """SOAP with either side's axes or both, by gate or by matrix."""

    def __init__(self, weight: nn.Parameter, gates: int, row: dict) -> None:
        self.weight, self.row, self.steps = weight, row, 0
        self.shape = (gates if row["by_gate"] else 1, -1, weight.shape[1])
        blocks = weight.detach().reshape(self.shape)
        self.mean, self.square = torch.zeros_like(blocks), torch.zeros_like(blocks)
        sizes = {"left": blocks.shape[1], "right": blocks.shape[2]}
        self.axes = {
            side: torch.eye(size).repeat(len(blocks), 1, 1)
            for side, size in sizes.items()
            if row["sides"] in (side, "both")
        }
        self.products = {side: torch.zeros_like(axes) for side, axes in self.axes.items()}

    def along(self, x: Tensor, back: bool = False) -> Tensor:
        if "left" in self.axes:
            x = (self.axes["left"] if back else self.axes["left"].mT) @ x
        if "right" in self.axes:
            x = x @ (self.axes["right"].mT if back else self.axes["right"])
        return x

    def step(self, rate: float) -> None:
        self.steps += 1
        number, row, g = self.steps, self.row, self.weight.grad.reshape(self.shape)
        for side, products in self.products.items():
            if number <= 4 or number % 2 == 0:
                kept = 1 - 1 / number if number <= 4 else 0.95
                products.lerp_(g @ g.mT if side == "left" else g.mT @ g, 1 - kept)
            if number in (1, 2, 4) or number % row["turned"] == 0:
                axes = self.axes[side]
                turned = torch.linalg.qr(products @ axes).Q
                turn = axes.mT @ turned
                self.mean = turn.mT @ self.mean if side == "left" else self.mean @ turn
                self.axes[side] = turned
        p = self.along(g)
        self.mean.lerp_(p, 1 - row["mean"])
        self.square.lerp_(p.square(), 1 - row["square"])
        size = (self.square / (1 - row["square"] ** number)).sqrt() + 1e-8
        step = self.along(self.mean / (1 - row["mean"] ** number) / size, back=True)
        self.weight.mul_(1 - rate * row["decay"])
        self.weight.sub_(step.reshape_as(self.weight), alpha=rate)


def optimizers(model: CharacterModel, row: dict) -> tuple[torch.optim.AdamW, list[Muon | Soap]]:
    """AdamW, and what steps with the matrices that it leaves to others."""
    kinds = {"adamw": (), "muon": (Muon, "hidden"), "soap": (Soap, row["matrices"])}
    others, left = [], dict(model.named_parameters())
    if kinds[row["optimizer"]]:
        kind, which = kinds[row["optimizer"]]
        for name, weight in model.named_parameters():
            layers = name.startswith("recurrent.weight")
            hidden = layers and name != "recurrent.weight_ih_l0"
            if weight.ndim > 1 and {"all": True, "layers": layers, "hidden": hidden}[which]:
                gates = GATES[model.settings.cell(int(name.rpartition("_l")[2]))] if layers else 1
                others.append(kind(left.pop(name), gates, row))
    groups = [
        {"params": [p for p in left.values() if p.ndim > 1], "weight_decay": row["decay"]},
        {"params": [p for p in left.values() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True), others


def main() -> None:
    """Train, and print the row."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    row = dict(ROW)
    for word in sys.argv[2:]:
        name, value = word.split("=", 1)
        row[name] = value if isinstance(ROW[name], str) else type(ROW[name])(float(value))
    prepare(1)
    known = sorted(set(text))
    number = {character: n for n, character in enumerate(known)}
    ids = np.fromiter((number[c] for c in text[: int(0.9 * len(text))]), np.uint16)
    cut = int(0.9 * len(ids))
    train, judged = ids[int((1 - row["share"]) * cut) : cut], ids[cut:]
    settings = TrainingSettings(
        **{name: row[name] for name in ("seq_length", "batch_size", "seed")}
    )
    shape = {name: row[name] for name in ("model", "hidden_size", "layers", "embedding_size")}
    model = Wired(ModelSettings(**shape), len(known), row)
    torch.manual_seed(row["seed"])
    model.initialise(row["weight_init"], 1.0, derive(row["seed"], "initialise"))
    first, batches = 0, batches_of(train, settings)
    if row["pieces"]:
        batches = Shuffled(train, settings, row["pieces"])
    changes = [
        (float(share), {name: int(value)})
        for name, words in (("batch_size", row["batches"]), ("seq_length", row["windows"]))
        for share, value in (word.split(":") for word in words.split(",") if word)
    ]
    adamw, others = optimizers(model, row)
    average = [weight.detach().clone() for weight in model.parameters()]

    def judge() -> float:
        found = score(model, judged, start=0, byte_count=len(judged), workers=None)
        return round(found.nats_per_char, 4)

    began, step, losses, curve, seen = time.process_time(), 0, [], [], 0
    carried = model.start(row["batch_size"])

    def spent() -> float:
        if row["epochs"]:
            return seen / (row["epochs"] * len(train))
        if row["millions"]:
            return seen / (row["millions"] * 1e6)
        return (time.process_time() - began) / row["seconds"]

    while (done := spent()) < 1:
        if len(curve) < int(4 * done):
            paused = time.process_time()
            curve.append(judge())
            began += time.process_time() - paused
        if changes and done >= changes[0][0]:
            settings = replace(settings, **changes.pop(0)[1], seed=settings.seed + step)
            first, batches = step, batches_of(train, settings)
        read = batches.at(step - first)
        seeded = torch.Generator()
        masks = None
        if row["weight_drop"]:
            seeded.manual_seed(derive(row["seed"], "weight-drop", step))
            masks = model.draw_weight_masks(row["weight_drop"], seeded)
        with rounding(row["precision"], "cpu"):
            loss, carried = take_gradient(
                model,
                torch.from_numpy(read.inputs),
                torch.from_numpy(read.targets),
                model.start(settings.batch_size) if read.first or step == first else carried,
                dropout=row["dropout"],
                generator=lambda stream, step=step: torch.Generator().manual_seed(
                    derive(row["seed"], f"dropout {stream}", step)
                ),
                weight_masks=masks,
                precision=row["precision"],
            )
        nn.utils.clip_grad_norm_(model.parameters(), row["clip"] or math.inf)
        left = 1 - (done - 0.03) / 0.97
        rate = min(1.0, max(0.02, done / 0.03))  # a warmup of 3%
        if done > 0.03:
            rate = left if row["shape"] == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
        with torch.no_grad():
            for group in adamw.param_groups:
                group["lr"] = row["rate"] * rate
            adamw.step()
            for other in others:
                other.step((row["matrix_rate"] or row["rate"]) * rate)
            model.zero_grad()
            torch._foreach_lerp_(average, list(model.parameters()), 1 - row["average"])
        losses.append(float(loss))
        step += 1
        seen += settings.seq_length * settings.batch_size
    taken = time.process_time() - began
    said = {"row": sys.argv[2:], "nats_per_char": judge(), "on_the_way": curve}
    said |= {"training": round(float(np.mean(losses[-len(losses) // 4 :])), 4)}
    said |= {"epochs": round(seen / len(train), 2), "steps": step}
    said |= {"characters_per_second": round(seen / taken)}
    if row["average"]:
        with torch.no_grad():
            for weight, mean in zip(model.parameters(), average, strict=True):
                weight.copy_(mean)
        said["averaged"] = judge()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
