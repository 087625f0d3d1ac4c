"""The settings of a training: configuration, plans, trainer, length, and the presets of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cspine.core.errors import UsageError

#: Plans by the name of the option: nnU-Net's planner and the name that it gives its plans.
PLANNERS = {
    "default": ("ExperimentPlanner", "nnUNetPlans"),
    "resenc-m": ("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans"),
    "resenc-l": ("nnUNetPlannerResEncL", "nnUNetResEncUNetLPlans"),
    "resenc-xl": ("nnUNetPlannerResEncXL", "nnUNetResEncUNetXLPlans"),
}
CASCADE = "3d_cascade_fullres"
#: nnU-Net's configurations, with those that must be trained before.
CONFIGURATIONS: dict[str, tuple[str, ...]] = {"2d": (), "3d_lowres": (), "3d_fullres": (), CASCADE: ("3d_lowres",)}


@dataclass(frozen=True)
class PlanChanges:
    """Changes to the plans that nnU-Net makes; None leaves a value as planned.

    Parameters
    ----------
    batch_size : int or None
        Patches a batch.
    patch_size : tuple of int or None
        Voxels along z, y, x of the image turned to RAS; nnU-Net rounds it up to what its network can halve.
    spacing_mm : tuple of float or None
        Voxel size of the network's grid along z, y, x.
    features : int or None
        Channels of the network's first stage; those of the others shrink in proportion.
    gpu_memory_gb : float or None
        GPU memory that nnU-Net's planner fills: it decides about patches and batches, and whether there is a 3d_lowres.
    """

    batch_size: int | None = None
    patch_size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    features: int | None = None
    gpu_memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}: one patch or more")
        if self.patch_size is not None and (len(self.patch_size) != 3 or min(self.patch_size) < 8):
            raise UsageError("the patch has three sizes, along z, y, x, of 8 voxels or more")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise UsageError("the spacing has three numbers above 0, along z, y, x")
        if self.features is not None and self.features < 2:
            raise UsageError(f"{self.features} features: two or more")
        if self.gpu_memory_gb is not None and self.gpu_memory_gb <= 0:
            raise UsageError(f"{self.gpu_memory_gb} GB of GPU memory: more than none")


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides about the result of a training besides the dataset; the defaults are stock nnU-Net v2.

    Parameters
    ----------
    configuration : str
        A key of `CONFIGURATIONS`.
    plans : str
        A key of `PLANNERS`.
    trainer : str
        Name of a trainer that nnunetv2 has.
    epochs, iterations, validation_iterations : int or None
        Length of the training, of an epoch, and of the look at validation patches after each; the trainer's own numbers
        (1000, 250, 50) where they are None.
    learning_rate : float or None
        At the beginning; the trainer's own where it is None.
    mirror : bool
        False to mirror no patches, whatever the trainer does: a spine is not the same upside down.
    changes : PlanChanges
        What is changed of the plans.
    """

    configuration: str = "3d_fullres"
    plans: str = "default"
    trainer: str = "nnUNetTrainer"
    epochs: int | None = None
    iterations: int | None = None
    validation_iterations: int | None = None
    learning_rate: float | None = None
    mirror: bool = True
    changes: PlanChanges = field(default_factory=PlanChanges)

    def __post_init__(self) -> None:
        if self.configuration not in CONFIGURATIONS:
            raise UsageError(
                f"there is no configuration {self.configuration!r}", advice=f"Give one of: {', '.join(CONFIGURATIONS)}."
            )
        if self.plans not in PLANNERS:
            raise UsageError(f"there are no plans {self.plans!r}", advice=f"Give one of: {', '.join(PLANNERS)}.")
        for name in ("epochs", "iterations", "validation_iterations", "learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name.replace('_', ' ')}: {value} is not above 0")

    @property
    def planner(self) -> str:
        """Name of nnU-Net's planner."""
        return PLANNERS[self.plans][0]

    @property
    def plans_name(self) -> str:
        """Return nnU-Net's name of the plans."""
        return PLANNERS[self.plans][1]

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the configurations that are trained one after the other: two for the cascade."""
        return (*CONFIGURATIONS[self.configuration], self.configuration)

    def as_record(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        record = asdict(self)
        for name, value in record["changes"].items():
            if isinstance(value, tuple):
                record["changes"][name] = list(value)
        return record

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> TrainingSettings:
        """Return the settings that `as_record` gave.

        Parameters
        ----------
        record : mapping
            What `as_record` returned, as JSON gives it back.

        Raises
        ------
        UsageError
            If a value makes no sense.
        TypeError, KeyError
            If the record is no settings'.
        """
        changes: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in record["changes"].items()
        }
        return TrainingSettings(**{**record, "changes": PlanChanges(**changes)})


@dataclass(frozen=True)
class Preset:
    """Settings with a name.

    Parameters
    ----------
    label_set : str
        Label set that the dataset must have; empty where any will do.
    settings : TrainingSettings
        The settings.
    """

    label_set: str
    settings: TrainingSettings


#: The paper's two models are stock nnU-Net v2: default plans, 3d_fullres, 1000 epochs, five folds.
PRESETS = {
    "paper-cervical": Preset("cervical", TrainingSettings()),
    "paper-full-spine": Preset("full-spine", TrainingSettings()),
    # A small network on coarse voxels that learns to distinguish levels within one minute per fold on two cores.
    "smoke": Preset(
        "",
        TrainingSettings(
            trainer="nnUNetTrainerVanillaAdam1en3",
            epochs=8,
            iterations=80,
            validation_iterations=1,
            learning_rate=0.01,
            mirror=False,
            changes=PlanChanges(batch_size=2, patch_size=(40, 24, 24), spacing_mm=(5.0, 5.0, 5.0), features=8),
        ),
    ),
}


def preset_named(name: str) -> Preset:
    """Return a preset of `PRESETS` by its name.

    Parameters
    ----------
    name : str
        For example ``"paper-cervical"``.

    Raises
    ------
    UsageError
        If there is no preset of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}", advice=f"Give one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


def differences(one: TrainingSettings, other: TrainingSettings) -> list[str]:
    """Return the names of the settings in which two trainings differ.

    Parameters
    ----------
    one, other : TrainingSettings
        Settings of two trainings.
    """
    names = [f.name for f in fields(TrainingSettings) if f.name != "changes"]
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    changes = [f.name for f in fields(PlanChanges)]
    found += [name for name in changes if getattr(one.changes, name) != getattr(other.changes, name)]
    return [name.replace("_", " ") for name in found]
