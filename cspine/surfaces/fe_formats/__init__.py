"""Finite-element models as files of Abaqus and CalculiX, FEBio, LS-DYNA and VTK: millimetres, newtons, MPa, tonnes."""
