"""Engines: how a network runs, behind one small interface: torch and OpenVINO."""
