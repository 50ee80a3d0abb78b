"""Stages that do next to nothing, for tests of the job system."""
