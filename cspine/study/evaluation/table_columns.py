"""Columns of the tables that `cspine evaluate` writes and `cspine compare` reads."""

from __future__ import annotations

#: Columns of scores.csv that a comparison reads.
COMPARED_COLUMNS = (
    "case", "level", "subset", "fold", "dice", "hd95_mm", "assd_mm", "reference_ml", "predicted_ml", "volume_error_ml",
    "predicted_level", "identified", "centroid_distance_mm",
)  # fmt: skip
#: All columns of scores.csv.
SCORE_COLUMNS = (*COMPARED_COLUMNS, "given_to_neighbour")
#: Columns of files.csv.
FILE_COLUMNS = ("case", "image", "reference", "reference_scheme", "prediction", "prediction_scheme")
