"""Surfaces and finite-element meshes of vertebrae in patient coordinates."""
