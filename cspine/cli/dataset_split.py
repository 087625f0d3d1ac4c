"""`cspine dataset split`: training, internal validation and external test, by patient."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.cli.levels import wanted_levels
from cspine.io.console import table


@click.command(name="split")
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="D1 [D2 ...]")
@click.option("--training", default=172, show_default=True, type=click.IntRange(1), help="Patients for training.")
@click.option("--internal", default=37, show_default=True, type=click.IntRange(0), help="For internal validation.")
@click.option("--external", default=268, show_default=True, type=click.IntRange(0), help="For the external test.")
@click.option(
    "--internal-from", default="top", show_default=True, type=click.Choice(["top", "training"]),
    help="Internal patients are additional to those for training, or taken from them (the paper leaves it open).",
)  # fmt: skip
@click.option("--external-source", default="TotalSegmentator", show_default=True, help="Source of the external test.")
@click.option("--complete", default="C1-T1", show_default=True, help="Levels that an external case shows completely.")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2), help="Folds of the training patients.")
@click.option("--seed", default=0, show_default=True, type=int, help="Another seed gives another split.")
@click.option("--scale", is_flag=True, help="With fewer patients than requested, take all, in proportion.")
@click.option(
    "--remaining", default="training", show_default=True, type=click.Choice(["training", "unassigned"]),
    help="Use of patients without a vertebra of D1's label set, who are in D2 ... only.",
)  # fmt: skip
def command(
    datasets: tuple[Path, ...],
    training: int,
    internal: int,
    external: int,
    internal_from: str,
    external_source: str,
    complete: str,
    folds: int,
    seed: int,
    scale: bool,
    remaining: str,
) -> None:
    """Split the patients of one dataset, or of several of one study, into training, internal and external.

    The default numbers are the paper's: 172 patients for training, 37 for internal validation, 268 of
    TotalSegmentator with C1 to T1 completely in view for the external test. They count the patients in D1, so
    give the cervical dataset first. Subsets and folds have similar shares of sources, sexes, age groups and levels in
    view. A patient is in one subset and one fold in every dataset, whatever the number of scans. Excluded cases are in
    no subset. The same datasets and options give the same split; another call replaces it.

    \b
    D/cases.csv           subset and fold of each case
    D/splits_final.json   the folds, as nnU-Net reads them; absent while a split is under way
    D/imagesTr, labelsTr  training;  imagesTs, labelsTs: internal and external;  imagesExcluded: all others
    D/demographics.csv    patients, age, sex, sources, voxel sizes, levels of each subset; demographics.md for readers
    D/split.json          the settings, and the checksum that models of the split carry
    """  # noqa: D301
    from cspine.study.datasets.apply_split import apply_split
    from cspine.study.datasets.case_table import Subset, split_checksum
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.demographics import as_table, demographics
    from cspine.study.datasets.split import InternalFrom, SplitSettings

    # T13 is a variant: a spine without it is complete.
    levels = tuple(level.name for level in wanted_levels(complete, "--complete") if level.name != "T13")
    settings = SplitSettings(
        training, internal, external, InternalFrom(internal_from), external_source, levels, folds, seed, scale,
        Subset.TRAINING if remaining == "training" else Subset.UNASSIGNED,
    )  # fmt: skip
    folders = [DatasetFolder(root) for root in datasets]
    for folder, rows in zip(folders, apply_split(folders, settings), strict=True):
        head, *lines = as_table(demographics(rows))
        table(folder.root.resolve().name, head, lines)
        excluded = sum(bool(row.excluded) for row in rows)
        click.echo(f"{excluded} excluded cases are in no subset; checksum of the split {split_checksum(rows)[:12]}")
        click.echo(f"{folder.root / 'cases.csv'}, {folder.root / 'demographics.md'}")
