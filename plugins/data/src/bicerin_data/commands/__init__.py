"""Commands that `bicerin` gains with this distribution, one a module."""
