"""The device `emulated`: Bicerin's GPU code, run on the CPU."""
