"""The network of a recipe, from its start weights."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from hafloc.errors import CheckpointError, TrainingError
from hafloc.nn import (
    VGG16,
    VGG16_START,
    HAFOptions,
    Network,
    build_network,
    load_checkpoint,
    load_start_weights,
)
from hafloc.train import recipe as recipes
from hafloc.train.registry import TRAININGS
from hafloc.train.trainee import Trainee
from hafloc.train.trunk import frozen_layers


def build(recipe: recipes.Recipe) -> tuple[Trainee, bool]:
    """The recipe's network ready to be trained, and whether it still needs its start from photos.

    Raises CheckpointError for start weights that are missing or of another network.
    """
    start = recipe.network.start
    generator = torch.Generator().manual_seed(recipe.run.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.run.seed)  # layers draw their start from the global state
        if start not in ("", VGG16_START) and _is_checkpoint(start):
            network = _from_checkpoint(recipe.network, generator)
            return _trainee(network, recipe), False
        network = build_network(recipe.network.name, recipe.network.options)
    if start:
        trunk = getattr(network, "trunk", None)
        if not isinstance(trunk, VGG16):
            raise CheckpointError(
                f"{start} holds no {recipe.network.name}; name one of its checkpoints, or leave "
                "network.start empty"
            )
        load_start_weights(trunk, None if start == VGG16_START else Path(start))
    return _trainee(network, recipe), True


def _is_checkpoint(start: str) -> bool:
    if not Path(start).is_file():
        return True  # a shipped name, or an error that load_checkpoint words
    try:
        with safe_open(start, framework="pt") as file:
            return "hafloc" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False  # what torch.save wrote, or an error that load_start_weights words


def _from_checkpoint(wanted: recipes.Network, generator: torch.Generator) -> Network:
    found = load_checkpoint(wanted.start)
    net = found.network
    training = TRAININGS[wanted.name]
    if training.adopt is not None and net.name == training.adopts:
        net = training.adopt(net, generator)
    if net.name != wanted.name:
        raise CheckpointError(
            f"checkpoint {wanted.start} holds a {net.name}, the recipe trains a {wanted.name}; "
            "correct network.name or network.start"
        )
    if not wanted.options:
        return net
    options: dict[str, Any] = {**found.options, **wanted.options}
    changed = build_network(wanted.name, options)
    try:
        changed.load_state_dict(net.state_dict())
    except RuntimeError as error:
        keys = ", ".join(wanted.options)
        raise CheckpointError(
            f"the weights of checkpoint {wanted.start} do not fit network.options ({keys}); "
            "remove those that change the network's shape"
        ) from error
    return changed


def _trainee(network: Network, recipe: recipes.Recipe) -> Trainee:
    training = TRAININGS[recipe.network.name]
    if recipe.whitening.learn and training.learn_whitening is not None:
        training.learn_whitening(network)
    return training.trainee(network, recipe.network.train_from)


def make_optimizer(trainee: Trainee, recipe: recipes.Recipe) -> torch.optim.Optimizer:
    """SGD or Adam over the parameters that learn; freezes all others.

    Each group's "factor" is its part of the recipe's rate. Raises TrainingError for a pattern in
    optimizer.rates that names no parameter, where masks would learn in vain, and where nothing is
    left to learn.
    """
    rates = recipe.optimizer.rates
    options = trainee.network.options
    if isinstance(options, HAFOptions):
        # A checkpoint brings options that the recipe does not name.
        try:
            recipes.check_masks(options, recipe.optimizer)
        except ValueError as error:
            raise TrainingError(f"{recipe.network.start}: {error}") from error
    named = list(trainee.network.named_parameters())
    for pattern in rates:
        if not any(fnmatchcase(name, pattern) for name, _ in named):
            raise TrainingError(
                f"optimizer.rates: {pattern!r} names no parameter of {recipe.network.name}; "
                f"they are written like {named[-1][0]!r}"
            )
    frozen = _frozen(named, recipe.network.train_from)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        factor = 0.0 if name in frozen else recipe.optimizer.factor(name)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            groups.setdefault(factor, []).append(parameter)
    if not groups:
        raise TrainingError("every parameter is frozen; correct optimizer.rates or train_from")
    parts = [{"params": part, "factor": factor} for factor, part in groups.items()]
    lr, momentum, decay = (
        recipe.optimizer.lr,
        recipe.optimizer.momentum,
        recipe.optimizer.weight_decay,
    )
    if recipe.optimizer.method == "adam":
        return torch.optim.Adam(parts, lr=lr, betas=(momentum, 0.99), weight_decay=decay)
    return torch.optim.SGD(parts, lr=lr, momentum=momentum, weight_decay=decay)


def _frozen(named: Iterable[tuple[str, nn.Parameter]], train_from: str) -> set[str]:
    layers = {f"trunk.{layer}" for layer in frozen_layers(train_from)}
    return {name for name, _ in named if name.rpartition(".")[0] in layers}
