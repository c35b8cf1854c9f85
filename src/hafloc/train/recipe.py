"""A recipe: one training configuration, read from TOML and checked before anything starts."""

import json
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hafloc.errors import TrainingError
from hafloc.nn import LEVELS, NETWORKS, HAFOptions
from hafloc.nn.network import make_options
from hafloc.nn.vgg import LAYERS
from hafloc.train.losses import Against
from hafloc.train.mining import Mining
from hafloc.train.registry import TRAININGS


def _one_or_more(folders: Any) -> Any:
    if isinstance(folders, str):
        return (folders,)
    return tuple(folders) if isinstance(folders, list) else folders


MASK_PARAMETERS = [
    f"levels.{level}.mask.{layer}.{kind}"
    for level in LEVELS
    for layer in ("near", "middle", "far", "accumulate")
    for kind in ("weight", "bias")
]

Folders = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


def _known(name: str) -> str:
    if name not in TRAININGS:
        raise ValueError(f"input should be one of {', '.join(TRAININGS)}")
    return name


class Section(BaseModel):
    """A table of the recipe: unknown keys are refused, types are not bent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Network(Section):
    """What is trained and where it starts.

    name        which network
    start       "vgg16": ImageNet weights, from the shipped checkpoint; or a checkpoint by shipped
                name or path, or a file of VGG16's weights; CRN also starts from a NetVLAD,
                SuperPoint from nothing (""), which is its default as "vgg16" is the others'
    train_from  first trunk layer that learns, "heads" for none of them
    options     the network's own options, as in its file under nn/
    """

    name: Annotated[str, AfterValidator(_known)]
    start: str = ""
    train_from: str = "conv5_1"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _start_of_its_own(cls, table: Any) -> Any:
        if isinstance(table, dict) and "start" not in table and table.get("name") in NETWORKS:
            return {**table, "start": NETWORKS[table["name"]].start}
        return table

    @model_validator(mode="after")
    def _known_layer(self) -> Self:
        if self.train_from not in (*LAYERS, "heads"):
            raise ValueError(
                f"train_from {self.train_from!r} is none of {', '.join(LAYERS)}, heads"
            )
        make_options(self.name, self.options)
        return self


class Data(Section):
    """Photos, with a positions.csv in their folder or a position in name or EXIF each.

    One folder may stand without brackets.

    train               the database, and the queries too where `queries` is empty
    queries             folders of queries of their own
    validation          queries and database at once; a query's own place never counts. With
                        `validation_from` the database alone
    validation_from     folders of validation's queries of their own
    longer_side         photos are reduced to this many pixels
    queries_per_epoch   drawn anew each epoch; 0 takes all
    validation_queries  at most this many, drawn once; 0 takes all
    cache               folder for the frozen layers' features; "" computes them each time
    cells               folder for each photo's cells, from which masks and whitenings learn under
                        loss.pairs; "" learns from the photos
    """

    train: Folders = Field(min_length=1)
    queries: Folders = ()
    validation: Folders = Field(min_length=1)
    validation_from: Folders = ()
    longer_side: int = Field(default=640, ge=32)
    queries_per_epoch: int = Field(default=0, ge=0)
    validation_queries: int = Field(default=1000, ge=0)
    cache: str = ""
    cells: str = ""


class Cells(Section):
    """What is kept of each photo under data.cells, and which photos make pairs.

    directions  masks read this many of the strongest directions of a level's responses, and their
                filters stay within them; 0 reads all (larger cells, slower steps)
    copies      of each photo, with a change drawn by [augmentation]
    elsewhere   neighbours without a heading are a pair where at most so many photos elsewhere are
                more similar to either
    """

    directions: int = Field(default=16, ge=0)
    copies: int = Field(default=0, ge=0)
    elsewhere: int = Field(default=4, ge=0)


class Loss(Section):
    """Equations (5) to (7), and four losses on image vectors.

    local           weight of (7)
    vector          weight of the triplet on squared distances of image vectors (NetVLAD's loss)
    margin          m of (6)
    vector_margin   m of the vector triplet
    sare            weight of SARE: −log of the positive's part in a softmax of −d²
    sare_against    all negatives in one softmax ("joint"), or "each" in one of its own
    anchor          weight of finding the photo, changed by augmentation, among the start's vectors
    pairs           weight of InfoNCE over a batch of pairs, from cells (data.cells)
    temperature     of the softmax under anchor and pairs
    places          K: the strongest local maxima of image 1
    candidates      image 2 offers its candidates × K strongest local maxima
    correspondence  each place's "nearest" there, or only "mutual" nearest ones
    average         "tuples": mean over a batch's queries of the sum over negatives (the paper's
                    sum); "triplets": mean over all its triplets (NetVLAD's code)
    """

    local: float = Field(default=1.0, ge=0)
    vector: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.1, ge=0)
    vector_margin: float = Field(default=0.1, ge=0)
    sare: float = Field(default=0.0, ge=0)
    sare_against: Against = "joint"
    anchor: float = Field(default=0.0, ge=0)
    pairs: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=0.07, gt=0)
    places: int = Field(default=256, ge=1)
    candidates: int = Field(default=4, ge=1)
    correspondence: Literal["nearest", "mutual"] = "nearest"
    average: Literal["tuples", "triplets"] = "triplets"

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if not (self.on_tuples or self.anchor or self.pairs):
            raise ValueError(
                "local, vector, sare, anchor and pairs are all 0: there is nothing to learn from"
            )
        return self

    @property
    def on_tuples(self) -> bool:
        """Whether positives and negatives must be mined."""
        return max(self.local, self.vector, self.sare) > 0


class Optimizer(Section):
    """The optimizer and its schedule.

    method       "sgd", or "adam" with its own step for each weight
    halve_every  epochs after which the rate is halved (and the mining interval doubled)
    batch        tuples a step, or pairs
    clip         largest norm of the gradient; 0 leaves it as it is
    rates        factors on the rate by parameter name with wildcards; 0 freezes
    """

    method: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=1e-4, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.001, ge=0)
    epochs: int = Field(default=30, ge=1)
    halve_every: int = Field(default=5, ge=1)
    batch: int = Field(default=4, ge=1)
    clip: float = Field(default=0.0, ge=0)
    rates: dict[str, float] = Field(default_factory=dict)

    def factor(self, parameter: str) -> float:
        """The factor of the last pattern that names the parameter, else 1."""
        named = [rate for pattern, rate in self.rates.items() if fnmatchcase(parameter, pattern)]
        return named[-1] if named else 1.0


def check_masks(options: HAFOptions, optimizer: Optimizer) -> None:
    """Raise ValueError where masks would learn, but the image vector cannot tell them apart.

    A mask scales a place's whole descriptor, which (2) brings back to unit length: under the sum
    it acts through the scores alone. Soft scores are ratios of neighbours, in which it all but
    cancels, and uniform ones know nothing of it.
    """
    dead = options.masks and options.pooling == "sum" and options.detection != "max"
    if dead and any(optimizer.factor(name) > 0 for name in MASK_PARAMETERS):
        raise ValueError(
            f'masks do nothing under detection = "{options.detection}" with pooling = "sum"; set '
            'network.options.detection = "max", pooling = "gem" or masks = false, or freeze them '
            'with optimizer.rates = {"*.mask.*" = 0.0}'
        )


class Whitening(Section):
    """How image vectors are whitened.

    refit   fit it anew on the training photos at each refresh of the mining vectors, since a
            learning network's vectors drift away from it
    learn   let the levels' whitenings learn on from their fit (as *.whitening.change); needs
            refit = false
    photos  at most this many, drawn at random, make the fit at the end
    """

    refit: bool = True
    learn: bool = False
    photos: int = Field(default=10_000, ge=1)


class Augmentation(Section):
    """Changes to training photos, all off in the paper's recipe; each is a strength from 0 to 1.

    colour       gamma, contrast, saturation, tint
    blur         out of focus
    perspective  seen from another side
    zoom         a part of the photo
    occlusion    a box in front of it
    things       cars, people and trees of the demo city that stand in it, as bright as it is;
                 at most 6 of them at strength 1, each photo with a number of its own
    night        the chance that it is made dark, with lamps and noise
    compression  JPEG
    """

    colour: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1)
    perspective: float = Field(default=0.0, ge=0, le=1)
    zoom: float = Field(default=0.0, ge=0, le=1)
    occlusion: float = Field(default=0.0, ge=0, le=1)
    things: float = Field(default=0.0, ge=0, le=1)
    night: float = Field(default=0.0, ge=0, le=1)
    compression: float = Field(default=0.0, ge=0, le=1)

    def __bool__(self) -> bool:
        return any(self.model_dump().values())


class Run(Section):
    """How it runs.

    device            "cpu", "cuda", "cuda:1"; "auto" takes a GPU where there is one
    precision         "bfloat16" computes convolutions in bf16 autocast
    checkpoint_every  steps between two saved states
    tensorboard       write event files too; needs hafloc[train]
    """

    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_every: int = Field(default=100, ge=1)
    tensorboard: bool = False


class Recipe(Section):
    """Everything that decides what a training run computes."""

    network: Network
    data: Data
    mining: Mining = Mining()
    cells: Cells = Cells()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    whitening: Whitening = Whitening()
    augmentation: Augmentation = Augmentation()
    run: Run = Run()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        name, training = self.network.name, TRAININGS[self.network.name]
        if self.loss.local and not training.local:
            raise ValueError(f"loss.local must be 0: {name} has no local scores to learn from")
        if self.data.cache and self.augmentation:
            raise ValueError("data.cache holds features of unchanged photos; no augmentation then")
        if self.data.cache and (not training.trunk or self.network.train_from == "conv1_1"):
            raise ValueError("data.cache needs frozen layers, but every layer learns")
        if self.whitening.learn and (self.whitening.refit or training.learn_whitening is None):
            able = " or ".join(n for n, t in TRAININGS.items() if t.learn_whitening is not None)
            raise ValueError(
                f"whitening.learn needs whitening.refit = false, and a {able} to train"
            )
        if self.loss.anchor and self.whitening.refit:
            raise ValueError("loss.anchor needs whitening.refit = false: vectors must not move")
        if self.loss.anchor and not self.augmentation:
            raise ValueError("loss.anchor needs augmentation: unchanged photos find themselves")
        if not self.network.start and training.trunk:
            raise ValueError(f"network.start is empty, but {name} does not start from nothing")
        options = make_options(name, self.network.options)
        if isinstance(options, HAFOptions):
            check_masks(options, self.optimizer)
        if not training.trunk and self.network.train_from != "conv1_1":
            raise ValueError(f'network.train_from must be "conv1_1": {name} has its own encoder')
        return self

    @model_validator(mode="after")
    def _cells_fit(self) -> Self:
        if bool(self.data.cells) != bool(self.loss.pairs):
            raise ValueError("data.cells and loss.pairs go together: set both, or neither")
        if not self.data.cells:
            return self
        if self.loss.on_tuples or self.loss.anchor:
            raise ValueError(
                "data.cells serves loss.pairs alone: set local, vector, sare, anchor to 0"
            )
        if self.network.name != "haf" or self.network.train_from != "heads":
            raise ValueError('data.cells needs network.name = "haf" and train_from = "heads"')
        if self.whitening.refit or self.data.cache or self.data.queries:
            raise ValueError(
                "data.cells needs whitening.refit = false, and neither data.cache nor data.queries"
            )
        if bool(self.cells.copies) != bool(self.augmentation):
            raise ValueError("cells.copies and augmentation go together: set both, or neither")
        if self.optimizer.batch < 2:
            raise ValueError(
                "loss.pairs compares the pairs of a batch: set optimizer.batch above 1"
            )
        return self

    def fits_whitening(self, *, from_weights: bool) -> bool:
        """Whether the run fits whitenings that compare vectors, or takes those it starts with."""
        learned = self.whitening.learn or (not self.whitening.refit and not from_weights)
        return not learned

    def plain(self) -> dict[str, Any]:
        """The resolved recipe as JSON values, for the checkpoint."""
        return dict(self.model_dump(mode="json"))


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; `changes` are "section.key=value" with the value in TOML.

    Raises TrainingError naming file and key for whatever does not fit.
    """
    try:
        # Editors of Windows begin a file with a mark of its encoding.
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise TrainingError(
            f"cannot read recipe {path}: {error.strerror}; check the path"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is not TOML: {error}; correct it there") from error
    for change in changes:
        _apply(table, change)
    return parse_recipe(table, str(path))


def parse_recipe(table: dict[str, Any], where: str) -> Recipe:
    """A recipe from its nested table; `where` names it in errors. Raises TrainingError."""
    try:
        # JSON is strict about types, yet lists may stand for tuples.
        return Recipe.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise TrainingError(f"{where}: {_first_of(error)}") from error


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    others = error.error_count() - 1
    more = f" (and {others:,} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}; remove it or check its spelling{more}"
    if first["type"] == "missing":
        return f"{key} is missing; set it{more}"
    reason = first["msg"].removeprefix("Value error, ")
    got = f", not {first['input']!r}" if key and not isinstance(first["input"], dict) else ""
    reason = reason[0].lower() + reason[1:]
    return f"{key}: {reason}{got}{more}" if key else f"{reason}{more}"


def _apply(table: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise TrainingError(f"--set {change}: it must be key=value, like optimizer.lr=3e-4")
    parts = key.strip().split(".")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise TrainingError(f"--set {change}: {part} is a value, not a table; check the key")
    table[parts[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    """A TOML value; what is none is taken as text, so that shells need no second quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
