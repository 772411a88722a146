"""The compression methods: pure kernels on tensors, and frozen dataclasses that apply them to layers."""
