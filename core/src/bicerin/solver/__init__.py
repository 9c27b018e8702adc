"""Solvers: training (`solver`), its nets, learning rates, update rules (a file each), snapshots, and what is said."""

from bicerin.solver.solver import Solver

__all__ = ["Solver"]
