"""minidistill: the parts of a text-writing system, each built from scratch and taught in a chapter."""
