"""Preference distillation, SV19: a student is moved towards what its teacher prefers."""
