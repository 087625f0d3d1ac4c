"""The methods of a comparison: the definitions at the end of the report, in short (docs/guide/comparison.md)."""

from __future__ import annotations

from cspine.study.comparison.measures import MAIN_MEASURES
from cspine.study.comparison.rank_tests import EXACT_UP_TO
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import Settings
from cspine.study.comparison.words import CORRECTION_TITLES, TEST_TITLES


def definitions(results: Results) -> list[tuple[str, str]]:
    """Return terms with their definitions, for these settings."""
    settings = results.settings
    terms = [
        (
            "Cases and subsets",
            "Cross-validation: training cases, each predicted by the fold that was not trained on it; internal "
            "validation and external test: cases that no fold saw. Each test is made within one subset.",
        ),
        (
            "Dice, HD95, ASSD",
            "As cspine evaluate defines them, on the image's own grid. A vertebra that only the reference or only "
            "the result has: Dice 0, and no HD95 and ASSD. The means of HD95 are therefore over predicted "
            "vertebrae: read them together with the missed ones.",
        ),
        (
            "Means",
            "Mean and SD (n − 1) over the vertebrae of a row in all cases; [C1,T1] and [C1,L6] pool all vertebrae "
            "of their range. Cross-validation reports the lowest and the highest mean of a fold.",
        ),
    ]
    if len(results.titles) > 1:
        terms += _pairs(settings)
    if results.overall:
        terms.append(
            (
                "All models",
                "Friedman test with the correction for ties over the cases that all models have; effect size: "
                "Kendall's W.",
            )
        )
    terms.append(
        (
            "Volumes",
            "Bland-Altman: predicted minus reference over the mean of both, of vertebrae that both contain; |volume "
            "error| in the tables is its absolute value, and counts a missed vertebra with its complete volume.",
        )
    )
    return terms


def _pairs(settings: Settings) -> list[tuple[str, str]]:
    alpha = settings.alpha
    margins = " and ".join(
        f"{settings.margins[m.key]:g}{' ' + m.unit if m.unit else ''} for {m.title.removesuffix(' (mm)')}"
        for m in MAIN_MEASURES
    )
    return [
        (
            "Pairs",
            "Models are compared case by case, in the cases in which both have a value; others are dropped and "
            "counted. For [C1,T1] and [C1,L6] a case counts once, with its mean over the vertebrae in which both "
            "models have a value.",
        ),
        (
            f"Test: {TEST_TITLES[settings.test]}",
            "Two-sided; all three tests are in tables/tests.csv. Wilcoxon: pairs without a difference are omitted; "
            f"exact distribution for up to {EXACT_UP_TO} other pairs, with ties too, else the normal approximation "
            "corrected for ties. Mann-Whitney disregards the pairing.",
        ),
        (
            "Many vertebrae",
            "p-values are corrected over the vertebrae of one measure and subset, for each pair of models; verdicts "
            f"follow {CORRECTION_TITLES[settings.correction]} correction at a level of {alpha:g}. Rows in brackets "
            "are one test each.",
        ),
        (
            "Effect size",
            "Matched-pairs rank-biserial (Wilcoxon): share of the rank sum in which the second model is higher "
            "minus that in which it is lower, −1 to 1; Mann-Whitney: rank-biserial of U, with the same sign; t "
            "test: Cohen's dz.",
        ),
        (
            "Intervals",
            f"Bootstrap over cases, bias-corrected and accelerated (BCa), {settings.resamples} resamples, seed "
            f"{settings.seed}; percentiles where BCa is not defined.",
        ),
        (
            "Equivalence",
            "A large p-value does not show that models are equivalent. Two one-sided tests (TOST) ask whether the "
            f"difference lies within a margin: {margins}. Equivalent means: both one-sided tests reject (signed "
            f"ranks; t where the t test was asked for), and the {1 - 2 * alpha:.0%} interval of the mean difference "
            "lies within the margin, so that a few severe failures count. Different: the test of a difference "
            "rejects. Both: different within the margin. Neither: undecided. The default margins, 0.02 and 0.5 mm, "
            "are what the paper's five folds of one model differ by (median over C1 to T1 of greatest minus least "
            "fold mean: 0.0205 and 0.53 mm).",
        ),
    ]
