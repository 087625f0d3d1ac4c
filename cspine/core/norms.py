"""Normal anatomy of adults: sizes, densities and distances of vertebrae, each with what it is used for.

The bounds of one measure differ by purpose: a finding that a radiologist reads must seldom be wrong, an audit looks for
the unusual, and what decides which bone belongs to the column must lose no patient. Distances go from centroid to
centroid of whole vertebrae with their processes.
"""

from __future__ import annotations

from cspine.core.anatomy import Region, Vertebra

#: From this age on the models and the norms hold.
ADULT_YEARS = 18.0

# --- sizes ------------------------------------------------------------------------------------------------------------

#: Volume of a whole vertebra, ml, from small women to large men with osteophytes; wide on purpose. For findings about
#: implausible volumes, in runs, audits and data sets.
PLAUSIBLE_ML: dict[str, tuple[float, float]] = {
    "C1": (4.5, 22.0),
    "C2": (6.0, 28.0),
    "C3": (3.5, 20.0),
    "C4": (3.5, 20.0),
    "C5": (3.5, 20.0),
    "C6": (4.0, 22.0),
    "C7": (5.0, 28.0),
}
#: The same for levels without an entry of their own.
PLAUSIBLE_REGION_ML = {Region.CERVICAL: (3.5, 28.0), Region.THORACIC: (7.0, 70.0), Region.LUMBAR: (18.0, 130.0)}
#: Below this volume a level is a piece, not a vertebra. For findings.
VERY_SMALL_ML = 1.0
#: Volumes removed or reassigned are reported from this size on, cubic millimetres. For findings.
MIN_REPORTED_MM3 = 300.0
#: Right and left half of a vertebra differ by less than this factor, in a bent or rotated neck too. For findings.
MAX_SIDE_RATIO = 3.5
#: A smaller part of a level may lie on one side. For findings.
MIN_SIDE_VOLUME_MM3 = 1000.0
#: A quarter of a small adult's vertebra, and no half of one is so small. For the level solver: smaller pieces do not
#: take part.
MIN_PIECE_MM3 = {Region.CERVICAL: 900.0, Region.THORACIC: 1750.0, Region.LUMBAR: 4500.0}
#: The first or last vertebra in view lies at least this far beyond its neighbour, even if only its edge is in view.
MIN_END_STEP_MM = 4.0
#: A whole T13 or L6 is larger. For components: a smaller patch of one, which few patients have, is a neighbour's bone.
MIN_VARIANT_MM3 = 4000.0
#: Less bone than this is no sacrum, but a false positive, or its uppermost edge. For counting from the sacrum.
MIN_SACRUM_MM3 = 3000.0
#: A whole spinal canal in axial section is smaller. For the audit: a larger cord is a zone to spare, not a cord.
MAX_CORD_MM2 = 450.0

#: No transverse process of C7 or T1 reaches so far from the centre of its vertebra: both are 65 to 82 mm wide in three
#: adults. For findings about ribs.
MAX_TRANSVERSE_REACH_MM = 48.0
#: A rib is denser than this in voxels of a millimetre; muscle with its noise is not. For findings about ribs.
MIN_RIB_HU = 200.0
#: The heights of a body at the front, the middle and the back differ by less than this share of the largest, beyond
#: twice the uncertainty of measurement: moderate deformities of Genant's grades begin at 0.25, which the wedge of a
#: healthy C5 reaches. For findings about shape.
MAX_HEIGHT_LOSS = 0.27
#: The middle of a body is at most so many times as high as the higher of front and back: 1.12 in 140 bodies of
#: synthetic necks. What is beyond was not measured on a body. For measurements.
MAX_BULGE = 1.25
#: A body has at least this share of the height of its lower neighbour: C5 and C6 are the lowest, by a tenth to a sixth.
#: For findings about shape.
MIN_HEIGHT_RATIO = 0.65
#: Larger voxels do not resolve a narrow disc, millimetres: labels may touch there in health. For findings about shape.
MAX_DISC_VOXEL_MM = 1.5

# --- density ----------------------------------------------------------------------------------------------------------

#: Mean of a whole vertebra, trabecular and cortical bone together, lies above this. For findings, and for data sets.
MIN_BONE_HU = 60.0
#: Mean of a whole vertebra lies below this, even where it is sclerotic. For findings.
MAX_BONE_HU = 1200.0
#: Muscle beside the spine, with the noise of an ordinary scan. For findings about noise and contrast.
MUSCLE_HU = (-150, 250)
#: Noise in muscle above which borders of bone are uncertain, HU. For findings.
MAX_NOISE_HU = 60.0
#: Vertebrae are at least this much denser than muscle on average, HU. For findings.
MIN_BONE_CONTRAST_HU = 80.0
#: No bone is so dense; the volume that counts as an implant is more than a grain, cubic millimetres. For findings.
MIN_METAL_HU = 2500
MIN_METAL_MM3 = 100.0
#: Joint spaces and laminae are thinner than larger voxels, millimetres. For findings.
MAX_VOXEL_MM = 3.2
#: From one slice to the next, or over 3 mm of the column, no posture and no anatomy displaces a neck so far beyond the
#: slices around it: millimetres, millimetres for each of slice distance, and pixels: less is not resolved. For findings
#: about motion.
MIN_MOTION_MM = 2.0
MIN_MOTION_SLOPE = 0.7
MIN_MOTION_PIXELS = 1.0
#: What has less than this on average is air or fat, whatever a network calls it. For removal.
MIN_POSSIBLE_BONE_HU = -50.0

# --- distances of neighbours ------------------------------------------------------------------------------------------

#: Neighbours are further apart, by the region of the upper one. For findings.
MIN_DISTANCE_MM = {Region.CERVICAL: 6.0, Region.THORACIC: 8.0, Region.LUMBAR: 12.0}
#: Neighbours lie closer, by the region of the lower one. For findings.
MAX_DISTANCE_MM = {Region.CERVICAL: 32.0, Region.THORACIC: 45.0, Region.LUMBAR: 60.0}
#: Distance of neighbours, disc and body of an adult, by the region of the upper one: bodies and discs grow towards the
#: foot. For the audit.
AUDITED_DISTANCE_MM = {Region.CERVICAL: (10.0, 28.0), Region.THORACIC: (10.0, 40.0), Region.LUMBAR: (16.0, 52.0)}
#: The same for C1 and C2: the dens stands within the ring of C1, which has no body.
AUDITED_ATLAS_DISTANCE_MM = (6.0, 26.0)
#: Distance for each step of level, by the region of the upper one. For the column: what stands otherwise is none.
COLUMN_STEP_MM = {Region.CERVICAL: (9.0, 30.0), Region.THORACIC: (11.0, 45.0), Region.LUMBAR: (16.0, 58.0)}
#: One level takes at most this much of the column, disc included, by the region of the upper one of two. For the
#: column: how far away another part of it may stand.
MAX_LEVEL_MM = {Region.CERVICAL: 40.0, Region.THORACIC: 48.0, Region.LUMBAR: 60.0}
#: Distance from a level to the next below in an adult of middle size; between these levels it is interpolated. For the
#: level solver, which scales it to the patient.
TYPICAL_STEPS_MM = {"C1": 19.0, "C3": 17.0, "C7": 18.0, "T4": 20.5, "T8": 23.0, "T11": 27.0, "L1": 32.0, "L5": 34.0}
#: The same in the neck, from T11 to T12 and T12 to L1, and between lumbar vertebrae. For where a result has too few
#: neighbours to show its own: the end of the column in the audit, eleven thoracic vertebrae, the place of the sacrum.
TYPICAL_CERVICAL_STEP_MM = 16.0
TYPICAL_THORACOLUMBAR_STEP_MM = 28.0
TYPICAL_LUMBAR_STEP_MM = 33.0


def plausible_ml(level: Vertebra) -> tuple[float, float]:
    """Return the smallest and the largest volume of an adult vertebra of this level, ml.

    Parameters
    ----------
    level : Vertebra
        The level; where nothing is known about it, the limits are those of its region.
    """
    return PLAUSIBLE_ML.get(level.name, PLAUSIBLE_REGION_ML[level.region])
