"""Layers of nets that tell faces apart, a layer plugin of Bicerin; `face.proto` adds their fields to the schema."""
