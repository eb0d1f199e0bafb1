"""The model tier: an OpenAI-compatible server for DeepSeek-V3 checkpoints.

Read in this order: config, model (attention, moe, rope), weights, numerics, tokenizer, sampler, stop_strings, generate,
worker, openai_api, cursor, events, resume, plan, completions, server. Nothing here imports the gateway; the two meet
over HTTP only.
"""
