"""`cspine dataset dry-run`: a synthetic cohort in the layouts of the public data sets."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.io.console import progress, table


@click.command(name="dry-run")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--patients", default=30, show_default=True, type=click.IntRange(12, 2000), help="Number of patients.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the patients.")
@click.option(
    "--meshes", type=click.Path(path_type=Path), help="Folder of the atlas's meshes, for more realistic bones."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one per core]")
def command(out: Path, patients: int, seed: int, meshes: Path | None, jobs: int | None) -> None:
    """Generate a small synthetic cohort for a dry run of the study, before data sets are downloaded.

    OUT gets one folder per data set, in its layout, named as the options of `cspine dataset convert`: verse2019,
    verse2020, hnscc, ctspine1k, msd-colon, totalsegmentator. Voxels are coarse (2.5 to 3.5 mm) and stored in different
    orientations; the labels of one case are wrong on purpose. Bones are simple solids unless --meshes is given.
    Existing scans are kept.
    """
    from cspine.study.dry_run.synthesize_cohort import synthesize_cohort

    with progress("scans") as on_progress:
        cohort = synthesize_cohort(out, patients, seed=seed, meshes=meshes, jobs=jobs, progress=on_progress)
    rows = [[str(folder), str(count)] for folder, count in cohort.scans_by_folder().items()]
    table(f"{cohort.made} scans made, {cohort.kept} kept", ("Folder", "Scans"), rows)
