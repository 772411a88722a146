"""Distillation: losses on a teacher, its logits on disk, and block-local healing."""
