"""The model tier: an OpenAI-compatible server for DeepSeek-V2 and V3 checkpoints.

Read in this order: config, model (attention, moe, rope), ops and kernels/, batch, cache, weights, numerics, tokenizer,
sampler, stop_strings, generate, worker, openai_api, cursor, events, resume, plan, completions, server. Nothing here
imports the gateway; the two meet over HTTP only.
"""
