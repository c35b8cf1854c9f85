"""How each network of `nn.NETWORKS` is trained: one entry a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hafloc.errors import TrainingError
from hafloc.nn import CRN, HAF, LEVELS, HAFPublicCode, NetVLAD, Network, SuperPoint
from hafloc.train.trainee import (
    HafTrainee,
    PublicCodeTrainee,
    SuperPointTrainee,
    Trainee,
    VladTrainee,
)


@dataclass(frozen=True, slots=True)
class Training:
    """What training needs to know of a network.

    trainee          made of the network and the recipe's `train_from`
    local            it has local descriptors and scores, which the loss (5) learns
    trunk            it stands on VGG16, whose lower layers can be frozen and cached
    learn_whitening  lets its whitening learn on from its fit; None where it cannot
    adopts, adopt    another network that it can start from, and how
    """

    trainee: Callable[[Any, str], Trainee]
    local: bool
    trunk: bool = True
    learn_whitening: Callable[[Any], None] | None = None
    adopts: str = ""
    adopt: Callable[[Any, torch.Generator], Network] | None = None


def _let_levels_learn(network: HAF) -> None:
    for name in LEVELS:
        whitening = network.level(name).whitening
        if whitening is None:
            raise TrainingError(
                "whitening.learn needs a whitening to learn; set network.options.level_whitening = "
                '"pca", or learn = false'
            )
        whitening.learn()
    if network.options.use_compact and network.compact is not None:
        network.compact.learn()


TRAININGS: dict[str, Training] = {
    HAF.name: Training(HafTrainee, local=True, learn_whitening=_let_levels_learn),
    NetVLAD.name: Training(VladTrainee, local=False),
    CRN.name: Training(VladTrainee, local=False, adopts=NetVLAD.name, adopt=CRN.from_netvlad),
    SuperPoint.name: Training(
        lambda network, _: SuperPointTrainee(network), local=True, trunk=False
    ),
    HAFPublicCode.name: Training(PublicCodeTrainee, local=False),
}
