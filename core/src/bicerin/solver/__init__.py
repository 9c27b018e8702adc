"""Solvers: training (`solver`), its nets (`nets`), learning rates, update rules (a file each), and `snapshot`."""

from bicerin.solver.solver import Solver

__all__ = ["Solver"]
