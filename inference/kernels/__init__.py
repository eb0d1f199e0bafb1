"""The Triton kernels of the model tier, each with its torch twin beside it.

`<name>.py` holds a kernel: its formula, the bytes and operations it cannot do without, its tolerance and why, and the
function that launches it. `<name>_torch.py` does the same with torch alone: the reference of the kernel, and what runs
where there is no GPU. Both have one signature; `inference/ops.py` picks.

Rules. A launcher allocates by `torch.empty` only, never reads a tensor's values on the host (it can be captured in a
CUDA graph, and run on meta tensors to compile), and takes its block sizes from `tuning.py`. A kernel computes in
float32, multiplies by `language.dot`, and gives every masked load an `other=`.

Imports nothing but torch, triton and the standard library.
"""
