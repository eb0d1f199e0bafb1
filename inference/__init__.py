"""The model tier: an OpenAI-compatible server for DeepSeek-V3 checkpoints.

Read in this order: config, model (attention, moe, rope), weights, tokenizer, sampler, stop_strings, generate,
worker, openai_api, server. Nothing here imports the gateway; the two meet over HTTP only.
"""
