"""Everything about teaching: exercises, check, hint, status, authoring and the audit."""

from minidistill.course.check import check, hint, reset, status, use

__all__ = ["check", "hint", "reset", "status", "use"]
