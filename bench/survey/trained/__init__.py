"""Training-time methods on a GPT-2 that is trained on the spot: SV11, SV13b, SV14, SV18, SV21."""
