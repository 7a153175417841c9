"""Beside the way from data to release; nothing there needs these.

export, llama_cpp  other loaders: merged weights, GGUF files, an Ollama Modelfile, vLLM (scripts/export.py)
benchmark          base and tuned on the tasks of lm-eval: `python -m training benchmark`
audit              what each metric is worth, by human judgement: `python -m training audit`
speed              training and scoring beside other recipes (scripts/benchmark.py)
"""
