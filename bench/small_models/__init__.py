"""Exploring the Limits of Small Language Models."""
