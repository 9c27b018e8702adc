"""The layers of nets that label pixels: their data, losses, measures and the conditional random field."""
